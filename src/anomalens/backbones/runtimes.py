"""Executes ONNX graphs on the CPU, with ONNX Runtime or OpenVINO.

Both run one image at a time, whatever batch is given: on a CPU a batch is not faster, the peak
memory stays that of one image, and an image's score cannot depend on its neighbours in the batch.
A session may be asked from several threads: each gets the answer to its own image. It belongs to the
process that opened it: the threads of a runtime do not survive a fork.

Nothing is read from or written to disk, no cache is kept and no usage report is sent. Which runtime
is the default is a measurement; see `choose`.
"""

from __future__ import annotations

import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib import import_module
from typing import Any, Final

import numpy as np

from anomalens.backbones.card import INPUT_NAME
from anomalens.backbones.foreign_data import check_self_contained
from anomalens.backbones.machine import NAMES, THIS, Machine, import_openvino, usable_cores
from anomalens.errors import BackboneError, ExecutionError, MissingExtraError, SettingError, unknown_name

PRECISIONS: Final = ("float32", "bfloat16")


@dataclass(frozen=True)
class Runtime:
    """How a graph is executed.

    Parameters
    ----------
    name : str
        `onnxruntime`, or `openvino` (extra `fast`).
    precision : str
        `float32`, or `bfloat16`, which rounds values inside the network to 8 bits of mantissa; it
        needs OpenVINO and a processor with bfloat16 instructions.
    threads : int
        Threads that work on one image, 1 to 256.

    Raises
    ------
    SettingError
        If a value is unknown or out of range.
    """

    name: str = "onnxruntime"
    precision: str = "float32"
    threads: int = 1

    def __post_init__(self) -> None:
        if self.name not in NAMES:
            raise unknown_name("runtime", str(self.name), NAMES)
        if self.precision not in PRECISIONS:
            raise unknown_name("precision", str(self.precision), PRECISIONS)
        if type(self.threads) is not int or not 1 <= self.threads <= 256:
            raise SettingError(
                f"The number of threads must be a whole number from 1 to 256, not {self.threads!r:.40}."
            )
        if self.precision == "bfloat16" and self.name == "onnxruntime":
            raise SettingError(
                "ONNX Runtime has no bfloat16 on a CPU: use the precision float32, or the runtime openvino."
            )

    def to_json(self) -> dict[str, Any]:
        """The settings as plain data for `json.dumps`."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: object) -> Runtime:
        """Read settings back; nothing about `data` is trusted.

        Raises
        ------
        SettingError
            If an entry is missing, unknown or out of range.
        """
        if not isinstance(data, Mapping) or set(data) != set(cls.__dataclass_fields__):
            raise SettingError(
                f"A runtime's settings must be an object with exactly {', '.join(cls.__dataclass_fields__)}."
            )
        if not isinstance(data["name"], str) or not isinstance(data["precision"], str):
            raise SettingError("A runtime's name and precision must be texts.")
        return cls(**data)


def choose(
    name: str = "auto", precision: str = "float32", threads: int | None = None, machine: Machine = THIS
) -> Runtime:
    """Settings for this machine.

    Parameters
    ----------
    name : str
        `auto`, `onnxruntime` or `openvino`. `auto` is OpenVINO where it is installed and the
        processor is an x86-64 one with AVX2, else ONNX Runtime. Measured on a 2-core AMD Zen 5
        with EfficientNet-Lite0 (taps at 1/8 and 1/16, 256×256, patch embedding, float32): as fast
        on one thread (4.8 and 4.6 ms an image), OpenVINO faster on two (2.9 and 4 ms).
    precision : str
        `float32` or `bfloat16`.
    threads : int, optional
        Threads per image; None uses every physical core this process may use, at most 8.
    machine : Machine
        What the settings are for.

    Raises
    ------
    MissingExtraError
        If the runtime is not installed.
    SettingError
        If a value is unknown, or the processor has no bfloat16 instructions.
    """
    if name != "auto" and name not in NAMES:
        raise unknown_name("runtime", name, ("auto", *NAMES))
    if name == "auto":
        fast = "openvino" in machine.runtimes and machine.avx2
        name = "openvino" if fast or precision == "bfloat16" else "onnxruntime"
    runtime = Runtime(name, precision, usable_cores() if threads is None else threads)
    _check_possible(runtime, machine)
    return runtime


class Session(ABC):
    """A graph that is ready to run, from any thread of this process; `open_session` makes one."""

    outputs: tuple[frozenset[str], ...]  # what the outputs are called; a runtime may merge equal tensors

    def __init__(self, input_size: tuple[int, int]) -> None:
        self.input_size = input_size
        self._process = os.getpid()

    def run(self, image: np.ndarray) -> list[np.ndarray]:
        """Run the graph.

        Parameters
        ----------
        image : float32 [n, 3, h, w]
            Scaled as the backbone's card says; h, w as the session was opened for.

        Returns
        -------
        list of ndarray
            One float32 array [n, …] per output, in the graph's order.

        Raises
        ------
        BackboneError
            If the array does not fit.
        ExecutionError
            If the runtime fails, or belongs to the process that this one was forked from.
        """
        if (
            image.dtype != np.float32
            or image.ndim != 4
            or image.shape[1:] != (3, *self.input_size)
            or not len(image)
        ):
            raise BackboneError(
                f"The network was given {image.dtype} {list(image.shape)}; it needs float32 "
                f"[n, 3, {self.input_size[0]}, {self.input_size[1]}]: prepare images with its card."
            )
        if os.getpid() != self._process:
            raise ExecutionError(
                "The model was loaded before this process was forked, and the threads of its runtime stayed "
                "behind; load the model file in each process, with Inspector.load."
            )
        image = np.ascontiguousarray(image)
        try:
            parts = [self._run_one(image[i : i + 1]) for i in range(len(image))]
        except Exception as problem:  # each runtime raises its own classes
            raise ExecutionError(f"The runtime failed while it ran the network: {_brief(problem)}.") from None
        if len(parts) == 1:
            return parts[0]
        return [np.concatenate(values) for values in zip(*parts, strict=True)]

    @abstractmethod
    def _run_one(self, image: np.ndarray) -> list[np.ndarray]: ...


def open_session(graph: bytes, *, runtime: Runtime, input_size: tuple[int, int]) -> Session:
    """Prepare a graph for running.

    Parameters
    ----------
    graph : bytes
        A serialized ONNX model with the one input `image`, float32 [n, 3, h, w].
    runtime : Runtime
        With what to run it.
    input_size : (height, width)
        In pixels.

    Raises
    ------
    MissingExtraError
        If the runtime is not installed.
    SettingError
        If the processor has no bfloat16 instructions and they are asked for.
    BackboneError
        If the graph refers to data outside itself or the runtime refuses it.
    """
    check_self_contained(graph)
    _check_possible(runtime, THIS)
    kind = _OpenvinoSession if runtime.name == "openvino" else _OnnxruntimeSession
    try:
        return kind(graph, runtime, input_size)
    except Exception as problem:  # each runtime raises its own classes
        raise BackboneError(
            f"{runtime.name} cannot run the graph at {input_size[0]}×{input_size[1]} pixels "
            f"(height×width): {_brief(problem)}."
        ) from None


def trial_outputs(graph: bytes, *, runtime: Runtime, input_size: tuple[int, int]) -> list[np.ndarray]:
    """What a graph that nobody has run yet gives for a black image; takes what `open_session` takes.

    Raises
    ------
    BackboneError
        Also if the graph fails in its run: whoever made it has to know.
    """
    session = open_session(graph, runtime=runtime, input_size=input_size)
    try:
        return session.run(np.zeros((1, 3, *input_size), np.float32))
    except ExecutionError as problem:
        raise BackboneError(f"The graph fails on a black image. {problem}") from None


class _OnnxruntimeSession(Session):
    def __init__(self, graph: bytes, runtime: Runtime, input_size: tuple[int, int]) -> None:
        super().__init__(input_size)
        ort = import_module("onnxruntime")
        ort.disable_telemetry_events()
        options = ort.SessionOptions()
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.intra_op_num_threads = runtime.threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # Threads that wait in a busy loop take the cores from the BLAS call that follows: measured,
        # its time doubles, which is far more than spinning saves.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # Else 8-bit products are added in pairs that saturate on x86-64 processors without VNNI.
        options.add_session_config_entry("session.x64quantprecision", "1")
        # Else the bytes themselves choose ONNX Runtime's other format, which nobody has checked.
        options.add_session_config_entry("session.load_model_format", "ONNX")
        self._session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        self._check_inputs([value.name for value in self._session.get_inputs()])
        self.outputs = tuple(frozenset({value.name}) for value in self._session.get_outputs())

    @staticmethod
    def _check_inputs(names: list[str]) -> None:
        if names != [INPUT_NAME]:
            raise ValueError(f"its inputs are {names[:5]}, not {INPUT_NAME!r} alone")

    def _run_one(self, image: np.ndarray) -> list[np.ndarray]:
        outputs: list[np.ndarray] = self._session.run(None, {INPUT_NAME: image})
        return outputs


class _OpenvinoSession(Session):
    def __init__(self, graph: bytes, runtime: Runtime, input_size: tuple[int, int]) -> None:
        super().__init__(input_size)
        core = import_openvino().Core()
        model = core.read_model(graph)
        names = [name for value in model.inputs for name in value.get_names()]
        if len(model.inputs) != 1 or INPUT_NAME not in names:
            raise ValueError(f"its inputs are {names[:5]}, not {INPUT_NAME!r} alone")
        model.reshape([1, 3, *input_size])
        compiled = core.compile_model(
            model,
            "CPU",
            {
                # Stated, because the default silently rounds to bfloat16 on some processors.
                "INFERENCE_PRECISION_HINT": "bf16" if runtime.precision == "bfloat16" else "f32",
                "PERFORMANCE_HINT": "LATENCY",
                "INFERENCE_NUM_THREADS": runtime.threads,
                "NUM_STREAMS": 1,
                # Pinned threads would share their cores with the BLAS call that follows.
                "ENABLE_CPU_PINNING": False,
            },
        )
        # One request, for one stream works off one image at a time however many requests there are. It owns
        # its outputs and overwrites them on the next call, so callers wait until they are copied.
        self.outputs = tuple(frozenset(value.get_names()) for value in model.outputs)
        self._request = compiled.create_infer_request()
        self._answering = threading.Lock()

    def _run_one(self, image: np.ndarray) -> list[np.ndarray]:
        with self._answering:
            self._request.infer([image])
            return [np.array(value.data, copy=True) for value in self._request.output_tensors]


def _check_possible(runtime: Runtime, machine: Machine) -> None:
    if runtime.name not in machine.runtimes:
        if runtime.name == "openvino":
            raise MissingExtraError("The runtime openvino", "fast")
        raise BackboneError("ONNX Runtime is missing: run  pip install onnxruntime")
    if runtime.precision == "bfloat16" and not machine.bfloat16:
        raise SettingError("This processor has no bfloat16 instructions: use the precision float32.")


def _brief(problem: Exception) -> str:
    """The last line of a runtime's message, which holds the reason, as part of a sentence."""
    lines = [line.strip() for line in str(problem).splitlines() if line.strip()]
    return (lines[-1] if lines else type(problem).__name__).rstrip(".")[:300]
