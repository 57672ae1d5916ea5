"""Pretrained networks as ONNX graphs, and the runtimes that execute them.

Building a graph needs the `onnx` package; executing one needs only numpy and a runtime, so
nothing here imports `onnx`, `onnxruntime` or `openvino` before it is used. Nothing imports torch.
"""
