#!/usr/bin/env bash
# OpenVINO 2026.4.1 reads an ONNX Resize with antialias=1, says nothing, and resizes without it.
#
# Whoever puts the shrinking of pictures into an ONNX graph gets smoothed pictures from ONNX Runtime and plain
# ones from OpenVINO: other features, other scores. Seen on a CPU: a 16 × 16 pattern shrunk to 2 × 2 with mode
# linear and half_pixel gives 0.906 0.969 0.969 0.906 in ONNX Runtime 1.31.1 and 1 1 1 1 in OpenVINO, which is what
# both give for antialias=0. The operator's definition (opset 18) has the attribute.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  numpy==2.4.6 onnx==1.23.2 onnxruntime==1.31.1 openvino==2026.4.1
"$folder/venv/bin/python" - <<'PYTHON'
import numpy as np
import onnxruntime
import openvino
from onnx import TensorProto, helper


def graph(antialias: int) -> bytes:
    node = helper.make_node("Resize", ["x", "", "", "size"], ["y"], mode="linear", antialias=antialias)
    made = helper.make_graph(
        [node],
        "shrink",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, 16, 16])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1, 2, 2])],
        [helper.make_tensor("size", TensorProto.INT64, [4], [1, 1, 2, 2])],
    )
    opset = [helper.make_opsetid("", 18)]
    return helper.make_model(made, opset_imports=opset, ir_version=9).SerializeToString()


pattern = (np.indices((16, 16)).sum(0) % 2).astype(np.float32)[None, None]
pattern[..., ::3] *= 3
found = {}
for antialias in (0, 1):
    session = onnxruntime.InferenceSession(graph(antialias), providers=["CPUExecutionProvider"])
    core = openvino.Core()
    exact = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = core.compile_model(core.read_model(graph(antialias)), "CPU", exact)
    found["onnxruntime", antialias] = session.run(None, {"x": pattern})[0].ravel()
    found["openvino", antialias] = compiled([pattern])[0].ravel()
for key, values in found.items():
    print(*key, values)
assert np.allclose(found["onnxruntime", 0], found["openvino", 0], atol=1e-5)
assert np.allclose(found["openvino", 0], found["openvino", 1], atol=1e-5), "OpenVINO heeds antialias now"
assert np.abs(found["onnxruntime", 1] - found["openvino", 1]).max() > 0.02
PYTHON
