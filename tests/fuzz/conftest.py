"""A small real model file, its parts, and how a stranger's bytes are loaded."""

from __future__ import annotations

import io
import json
import tracemalloc
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from anomalens import Inspector
from anomalens.errors import AnomalensWarning, ExecutionError, InputError, ModelFileError

MAX_EXTRA_BYTES = 20_000_000
IMAGE = np.zeros((1, 32, 32, 3), np.uint8)


@pytest.fixture(scope="session")
def tiny_network() -> bytes:
    """One 8×8 convolution, so that a whole model file has ten kilobytes."""
    onnx = pytest.importorskip("onnx")
    weight = np.random.default_rng(0).normal(0, 0.2, (6, 3, 8, 8)).astype(np.float32)
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Conv", ["pixels", "weight"], ["last"], strides=[8, 8])],
        "tiny",
        [value("pixels", onnx.TensorProto.FLOAT, ["n", 3, "h", "w"])],
        [value("last", onnx.TensorProto.FLOAT, ["n", 6, "a", "b"])],
        [onnx.numpy_helper.from_array(weight, "weight")],
    )
    opset = [onnx.helper.make_opsetid("", 17)]
    model = onnx.helper.make_model(graph, opset_imports=opset, ir_version=8)
    data: bytes = model.SerializeToString()
    return data


@pytest.fixture(scope="session")
def model(tiny_network: bytes, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The bytes of a small real model file."""
    folder = tmp_path_factory.mktemp("model")
    (folder / "net.onnx").write_bytes(tiny_network)
    taps = [{"name": "last", "tensor": "last"}]
    card = {"licence": "MIT", "scaling": "imagenet", "size": 32, "taps": taps}
    (folder / "net.json").write_text(json.dumps(card))
    images = np.random.default_rng(0).integers(0, 255, (12, 32, 32, 3), dtype=np.uint8)
    with pytest.warns(AnomalensWarning, match="rate of 0.05 needs 19"):
        inspector = Inspector.fit(
            images,
            size=32,
            parameters={"backbone": str(folder / "net.onnx"), "min_bank": 20},
            runtime="onnxruntime",
            threads=1,
        )
    return inspector.save(folder / "small.anomalens").read_bytes()


@pytest.fixture(scope="session")
def members(model: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(model)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture(scope="session")
def card(members: dict[str, bytes]) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(members["card.json"])
    return read


@pytest.fixture()
def load(tmp_path: Path) -> Callable[[bytes], str]:
    """Load bytes as a model and check an image: how it went, having checked what it may do."""

    def run(data: bytes, *, measure: bool = True) -> str:
        path = tmp_path / "fuzzed.anomalens"
        path.write_bytes(data)
        if measure:  # several times slower
            tracemalloc.start()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", AnomalensWarning)
                (finding,) = Inspector.load(path).check(IMAGE)
            assert (finding.score is None) == (finding.error is not None)
            result = "loaded" if finding.error is None else finding.error
        except ExecutionError as error:  # a graph that a runtime takes and cannot run
            result = str(error)
            assert "\n" not in result
        except InputError as error:
            assert isinstance(error, ModelFileError)
            result = str(error)
            assert str(path) in result
            assert "\n" not in result
            assert len(result) < 1500
        finally:
            peak = tracemalloc.get_traced_memory()[1] if measure else 0
            tracemalloc.stop()
        assert peak < 8 * len(data) + MAX_EXTRA_BYTES
        return result

    return run
