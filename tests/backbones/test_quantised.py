"""The 8-bit form of a backbone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from anomalens.backbones.quantised import Quantised
from anomalens.backbones.registry import load_backbone
from anomalens.backbones.runtimes import Runtime, open_session
from anomalens.errors import BackboneError, SettingError

TAPS = ("stride8", "stride16")


@pytest.fixture(scope="module")
def graph() -> bytes:
    return load_backbone("efficientnet-lite0:int8").graph(TAPS)


def test_the_features_are_nearly_those_of_the_network_itself(
    graph: bytes, photograph: Callable[[int, int], np.ndarray]
) -> None:
    backbone, x = load_backbone("efficientnet-lite0"), photograph(64, 96)
    exact, rounded = (
        open_session(data, runtime=Runtime(), input_size=(64, 96)).run(x)
        for data in (backbone.graph(TAPS), graph)
    )
    for a, b in zip(exact, rounded, strict=True):
        assert a.shape == b.shape
        # 0.11 and 0.09 here: not equal, or nothing would have been rounded
        assert 0.01 < np.linalg.norm(a - b) / np.linalg.norm(a) < 0.3


def test_weights_are_8_bits_and_the_same_call_gives_the_same_bytes(graph: bytes) -> None:
    kinds = {
        tensor.data_type for tensor in onnx.load_from_string(graph).graph.initializer if len(tensor.dims) == 4
    }
    assert kinds == {onnx.TensorProto.INT8, onnx.TensorProto.FLOAT}  # the beginning stays as it is
    assert len(graph) < 0.35 * len(load_backbone("efficientnet-lite0").graph(TAPS))
    assert load_backbone("efficientnet-lite0:int8").graph(TAPS) == graph


def test_the_card_says_what_it_is_and_taps_are_checked() -> None:
    backbone = load_backbone("efficientnet-lite0:int8")
    assert backbone.card.name == "efficientnet-lite0:int8"
    with pytest.raises(SettingError, match="stride7"):
        backbone.graph(["stride7"])
    with pytest.raises(SettingError, match="did you mean"):
        load_backbone("efficientnet-light0:int8")


def test_without_photographs_it_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "skimage").mkdir()  # a package without its data
    for search in ([], [str(tmp_path)]):
        with pytest.raises(BackboneError, match="scikit-image"):
            Quantised(load_backbone("efficientnet-lite0"), search=search).graph(TAPS)


def test_eight_bits_are_asked_for_once() -> None:
    with pytest.raises(SettingError, match="names :int8 twice"):
        load_backbone("efficientnet-lite0:int8:int8")


def test_products_of_8_bits_do_not_saturate() -> None:
    """255 · 127 twice is more than 16 bits hold, which processors without VNNI add pairs in by default."""
    from onnx import TensorProto, helper, numpy_helper

    weights = np.full((8, 3, 3, 3), 127, np.int8)
    one, none, signed = (
        numpy_helper.from_array(np.array(value, kind), name)
        for value, kind, name in ((1, np.float32, "one"), (0, np.uint8, "none"), (0, np.int8, "signed"))
    )
    nodes = [
        helper.make_node("QuantizeLinear", ["image", "one", "none"], ["q"]),
        helper.make_node("ConvInteger", ["q", "weights", "none", "signed"], ["sums"]),
        helper.make_node("Cast", ["sums"], ["out"], to=TensorProto.FLOAT),
    ]
    made = helper.make_model(
        helper.make_graph(
            nodes, "sums",
            [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, "h", "w"])],
            [helper.make_tensor_value_info("out", TensorProto.FLOAT, None)],
            [numpy_helper.from_array(weights, "weights"), one, none, signed],
        ),
        opset_imports=[helper.make_opsetid("", 17)], ir_version=8,
    )  # fmt: skip
    session = open_session(made.SerializeToString(), runtime=Runtime(), input_size=(8, 8))
    (found,) = session.run(np.full((1, 3, 8, 8), 255, np.float32))
    assert (found == 27 * 255 * 127).all()
