"""The graphs compute what the reference network computes, at any size, in both runtimes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from anomalens.backbones.efficientnet_lite import NAMES, EfficientNetLite
from anomalens.backbones.machine import available
from anomalens.backbones.runtimes import Runtime, open_session
from anomalens.errors import MissingExtraError, SettingError

onnx = pytest.importorskip("onnx")

SIZES = [(224, 224), (256, 256), (192, 320), (225, 231)]
TOLERANCE = 1e-4  # of the largest value in a map


@pytest.mark.parametrize("size", SIZES, ids=lambda s: f"{s[0]}x{s[1]}")
@pytest.mark.parametrize("name", NAMES)
def test_every_block_agrees_with_the_reference(
    name: str,
    size: tuple[int, int],
    photograph: Callable[[int, int], np.ndarray],
    noise: Callable[..., np.ndarray],
    reference_blocks: Callable[[str, np.ndarray], list[np.ndarray]],
) -> None:
    network = EfficientNetLite(name)
    if not network.installed:
        pytest.skip(f"the weights of {name} are not installed")
    blocks = [tap.name for tap in network.card.taps if tap.name.startswith("block")]
    graph = network.graph(blocks)
    sessions = [open_session(graph, runtime=Runtime(runtime), input_size=size) for runtime in available()]
    for image in (photograph(*size), noise(*size)):
        expected = reference_blocks(name, image)
        for session in sessions:
            for tap, got, want in zip(blocks, session.run(image), expected, strict=True):
                assert got.shape == want.shape, tap
                assert np.abs(got - want).max() <= TOLERANCE * np.abs(want).max(), tap


def test_stride_taps_are_the_last_block_of_their_stride(noise: Callable[..., np.ndarray]) -> None:
    network = EfficientNetLite("efficientnet-lite0")
    pairs = {
        "stride2": ("block0", 16),
        "stride4": ("block2", 24),
        "stride8": ("block4", 40),
        "stride16": ("block10", 112),
        "stride32": ("block15", 320),
    }
    blocks = [block for block, _ in pairs.values()]
    graph = network.graph([*pairs, *blocks])
    session = open_session(graph, runtime=Runtime(), input_size=(64, 96))
    values = session.run(noise(64, 96))
    for (tap, (_, channels)), strided, block in zip(pairs.items(), values[:5], values[5:], strict=True):
        stride = int(tap.removeprefix("stride"))
        assert strided.shape == (1, channels, 64 // stride, 96 // stride)
        assert network.card.tap(tap).channels == channels
        np.testing.assert_array_equal(strided, block)


def test_graph_is_valid_small_and_stops_at_the_deepest_tap() -> None:
    network = EfficientNetLite("efficientnet-lite0")
    graph = network.graph(["stride8", "block0"])
    model = onnx.load_from_string(graph)
    onnx.checker.check_model(model, full_check=True)
    assert [value.name for value in model.graph.output] == ["stride8", "block0"]
    read = {name for node in model.graph.node for name in node.input} | {"stride8", "block0"}
    assert {node.output[0] for node in model.graph.node} <= read
    assert {tensor.name for tensor in model.graph.initializer} <= read
    assert len(graph) < len(network.graph(["stride16"])) / 4
    assert (model.ir_version, model.opset_import[0].version) == (8, 17)


def test_graph_bytes_are_the_same_every_time() -> None:
    taps = ["stride8", "stride16"]
    assert EfficientNetLite("efficientnet-lite0").graph(taps) == EfficientNetLite("efficientnet-lite0").graph(
        taps
    )


def test_unknown_names_and_repeated_taps_are_refused() -> None:
    with pytest.raises(SettingError, match="did you mean 'efficientnet-lite0'"):
        EfficientNetLite("efficientnet-lite00")
    network = EfficientNetLite("efficientnet-lite0")
    with pytest.raises(SettingError, match="did you mean 'stride16'"):
        network.graph(["stride15"])
    with pytest.raises(SettingError, match="twice"):
        network.graph(["stride8", "stride8"])
    with pytest.raises(SettingError, match="at least one tap"):
        network.graph([])
    with pytest.raises(SettingError, match="list"):
        network.graph("stride8")


def test_missing_weights_name_the_extra(tmp_path: Path) -> None:
    network = EfficientNetLite("efficientnet-lite1", search=[str(tmp_path)])
    assert not network.installed
    with pytest.raises(MissingExtraError, match=r"anomalens\[backbones\]"):
        network.graph(["stride8"])
    assert EfficientNetLite("efficientnet-lite0").installed
