#!/usr/bin/env bash
# In OpenVINO 2026.4.1 on a CPU, Relu, Max and ReduceMax turn NaN into a number, without a word.
#
# A network that divides by zero, or a picture with NaN in it, gives NaN with ONNX Runtime 1.31.1, which a check for
# finite scores catches. In OpenVINO the first Relu makes it 0, and the score that comes out looks like any other.
# Seen: Relu of (NaN, 1, -1, 2) is (0, 1, 0, 2) and its ReduceMax 2; ONNX Runtime keeps NaN in both. So whoever relies
# on NaN to show a broken input has to look at the input.
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

values = np.array([[np.nan, 1, -1, 2]], np.float32)
zero = helper.make_tensor("zero", TensorProto.FLOAT, [1], [0.0])
for kind, inputs, columns, given in (
    ("Relu", ["x"], 4, []),
    ("Max", ["x", "zero"], 4, [zero]),
    ("ReduceMax", ["x"], 1, []),
):
    made = helper.make_graph(
        [helper.make_node(kind, inputs, ["y"])],
        kind,
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, columns])],
        given,
    )
    opset = [helper.make_opsetid("", 18)]
    model = helper.make_model(made, opset_imports=opset, ir_version=9).SerializeToString()
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    core = openvino.Core()
    compiled = core.compile_model(core.read_model(model), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    kept, dropped = session.run(None, {"x": values})[0], compiled([values])[0]
    print(kind, "onnxruntime", kept, "openvino", dropped)
    assert np.isnan(kept).any(), "ONNX Runtime drops it too"
    assert not np.isnan(dropped).any(), "OpenVINO keeps NaN now"
PYTHON
