"""A network of the user's own, on a runtime that computes it otherwise than ONNX Runtime."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import pytest

from anomalens import Inspector
from anomalens.backbones.machine import available
from anomalens.errors import AnomalensWarning

onnx = pytest.importorskip("onnx")
pytestmark = pytest.mark.skipif("openvino" not in available(), reason="openvino is not installed")


def network(folder: Path, *, antialias: int) -> Path:
    """A quarter of the image's sides, then a convolution of stride 2; OpenVINO ignores the `antialias`."""
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(0)
    weights = rng.normal(0, 0.3, (8, 3, 3, 3)).astype(np.float32)
    scales = np.array([1, 1, 0.25, 0.25], np.float32)
    nodes = [
        helper.make_node("Resize", ["pixels", "", "scales"], ["small"], mode="linear", antialias=antialias),
        helper.make_node("Conv", ["small", "weights"], ["last"], strides=[2, 2], pads=[1, 1, 1, 1]),
    ]
    graph = helper.make_graph(
        nodes, "own",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["n", 3, "h", "w"])],
        [helper.make_tensor_value_info("last", TensorProto.FLOAT, ["n", 8, "y", "x"])],
        [numpy_helper.from_array(weights, "weights"), numpy_helper.from_array(scales, "scales")],
    )  # fmt: skip
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    path = folder / "own.onnx"
    path.write_bytes(made.SerializeToString())
    taps = [{"name": "last", "tensor": "last"}]
    card = {"licence": "MIT", "scaling": "imagenet", "size": 64, "taps": taps}
    path.with_suffix(".json").write_text(json.dumps(card))
    return path


def fitted(normal: np.ndarray, backbone: Path) -> tuple[Inspector, list[str]]:
    parameters = {"backbone": str(backbone), "min_bank": 150, "taps": "last"}
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        made = Inspector.fit(
            normal[:12], detector="patchcore", size=64, runtime="openvino", threads=1, parameters=parameters
        )
    return made, [str(one.message) for one in told if issubclass(one.category, AnomalensWarning)]


def test_what_openvino_computes_otherwise_is_fitted_on_onnx_runtime(
    normal: np.ndarray, tmp_path: Path
) -> None:
    made, told = fitted(normal, network(tmp_path, antialias=1))
    assert made.runtime.name == "onnxruntime"
    assert any("openvino computes the given network otherwise than ONNX Runtime" in text for text in told)
    assert any("openvino computes" in note for note in made.card["notes"])


def test_what_both_compute_alike_stays_on_openvino(normal: np.ndarray, tmp_path: Path) -> None:
    made, told = fitted(normal, network(tmp_path, antialias=0))
    assert made.runtime.name == "openvino"
    assert not any("otherwise than ONNX Runtime" in text for text in told)
