"""Settings, both runtimes, and what they refuse to run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from anomalens.backbones import runtimes
from anomalens.backbones.efficientnet_lite import EfficientNetLite
from anomalens.backbones.embedding import patch_embedding
from anomalens.backbones.foreign_data import check_self_contained
from anomalens.backbones.machine import available, usable_cores
from anomalens.backbones.runtimes import Runtime, choose, open_session
from anomalens.errors import BackboneError, MissingExtraError, SettingError

onnx = pytest.importorskip("onnx")

SIZE = (96, 128)
# Both compute in float32 and differ in the order of sums only.
AGREEMENT = 1e-5


@pytest.fixture(scope="module")
def graph() -> bytes:
    taps = ["stride8", "stride16"]
    return patch_embedding(EfficientNetLite("efficientnet-lite0").graph(taps), taps, size=SIZE)


def test_both_runtimes_agree(graph: bytes, photograph: Callable[[int, int], np.ndarray]) -> None:
    pytest.importorskip("openvino")
    image = photograph(*SIZE)
    for threads in (1, 2):
        one, other = (
            open_session(graph, runtime=Runtime(name, threads=threads), input_size=SIZE).run(image)
            for name in ("onnxruntime", "openvino")
        )
        assert np.abs(one[0] - other[0]).max() <= AGREEMENT * np.abs(one[0]).max()


def test_bfloat16_is_close_where_the_processor_has_it(
    graph: bytes, photograph: Callable[[int, int], np.ndarray]
) -> None:
    pytest.importorskip("openvino")
    try:
        runtime = choose("openvino", "bfloat16", 1)
    except SettingError as problem:
        pytest.skip(str(problem))
    image = photograph(*SIZE)
    (got,) = open_session(graph, runtime=runtime, input_size=SIZE).run(image)
    (want,) = open_session(graph, runtime=Runtime(), input_size=SIZE).run(image)
    assert got.dtype == np.float32
    error = np.sqrt(((got - want) ** 2).mean() / (want**2).mean())
    assert 0 < error < 0.05


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_an_image_does_not_depend_on_its_batch(
    name: str, graph: bytes, noise: Callable[..., np.ndarray]
) -> None:
    if name not in available():
        pytest.skip(f"{name} is not installed")
    session = open_session(graph, runtime=Runtime(name), input_size=SIZE)
    batch = noise(*SIZE, 3)
    together = session.run(batch)[0]
    for number in range(3):
        np.testing.assert_array_equal(session.run(batch[number : number + 1])[0][0], together[number])


def test_wrong_arrays_are_refused(graph: bytes) -> None:
    session = open_session(graph, runtime=Runtime(), input_size=SIZE)
    for wrong in (
        np.zeros((1, 3, *SIZE)),
        np.zeros((1, 3, 96, 96), np.float32),
        np.zeros((3, *SIZE), np.float32),
        np.zeros((0, 3, *SIZE), np.float32),
    ):
        with pytest.raises(BackboneError, match="it needs float32"):
            session.run(wrong)


def tiny_model(**changes: Any) -> Any:
    helper = onnx.helper
    info = helper.make_tensor_value_info
    weight = onnx.numpy_helper.from_array(np.ones((2, 3, 1, 1), np.float32), "weight")
    parts = helper.make_graph(
        [helper.make_node("Conv", [changes.get("input", "image"), "weight"], ["out"])],
        "tiny",
        [info(changes.get("input", "image"), 1, ["n", 3, "h", "w"])],
        [info("out", 1, ["n", 2, "h", "w"])],
        [weight],
    )
    return helper.make_model(
        parts, opset_imports=[helper.make_opsetid("", changes.get("opset", 17))], ir_version=8
    )


def message(field: int, payload: bytes) -> bytes:
    return bytes([field << 3 | 2, len(payload)]) + payload


def test_graphs_that_name_other_files_are_refused(tmp_path: Path) -> None:
    model = tiny_model()
    check_self_contained(model.SerializeToString())
    tensor = model.graph.initializer[0]
    onnx.external_data_helper.set_external_data(tensor, location="/etc/passwd")
    raw = tensor.raw_data
    tensor.ClearField("raw_data")
    external = model.SerializeToString()
    for name in available():
        with pytest.raises(BackboneError, match="another file"):
            open_session(external, runtime=Runtime(name), input_size=(8, 8))
    # The mark alone is refused, the list alone is refused, and so is an unusual encoding.
    tensor.ClearField("external_data")
    with pytest.raises(BackboneError, match="another file"):
        check_self_contained(model.SerializeToString())
    tensor.ClearField("data_location")
    tensor.raw_data = raw
    check_self_contained(model.SerializeToString())
    long_varint = b"\x70\x81\x00"
    for foreign in (long_varint, b"\x6a\x03\x0a\x81\x00", b"\xea\x00\x00"):
        data = message(7, message(5, foreign))
        with pytest.raises(BackboneError, match="another file"):
            check_self_contained(data)
    # Inside the branch of a node.
    constant = onnx.helper.make_node("Constant", [], ["c"], value=tensor)
    body = onnx.helper.make_graph([constant], "body", [], [])
    model.graph.node.append(onnx.helper.make_node("If", ["x"], ["y"], then_branch=body))
    check_self_contained(model.SerializeToString())
    inner = model.graph.node[-1].attribute[0].g.node[0].attribute[0].t
    onnx.external_data_helper.set_external_data(inner, location="w.bin")
    with pytest.raises(BackboneError, match="another file"):
        check_self_contained(model.SerializeToString())


@pytest.mark.parametrize(
    "data", [b"", b"\0", b"<?xml version='1.0'?>", b"\x08\x08", b"\xff" * 40, b"\x20\0\0\0ORTM"]
)
def test_other_formats_are_refused(data: bytes) -> None:
    with pytest.raises(BackboneError, match="not an ONNX model"):
        open_session(data, runtime=Runtime(), input_size=(8, 8))


def test_a_word_in_a_name_is_no_reference() -> None:
    model = tiny_model()
    model.graph.name = "location"
    model.metadata_props.add(key="location", value="x")
    check_self_contained(model.SerializeToString())


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_failures_are_one_sentence(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    if name not in available():
        pytest.skip(f"{name} is not installed")
    unknown = tiny_model()
    unknown.graph.node[0].op_type = "Convolve"
    for model in (unknown, tiny_model(input="picture")):
        with pytest.raises(BackboneError, match=f"{name} cannot run the graph at 8×16") as caught:
            open_session(model.SerializeToString(), runtime=Runtime(name), input_size=(8, 16))
        assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_settings_go_to_json_and_back() -> None:
    for runtime in (Runtime(), Runtime("openvino", "bfloat16", 3)):
        assert Runtime.from_json(json.loads(json.dumps(runtime.to_json()))) == runtime
    good = Runtime().to_json()
    for wrong in (
        None,
        {},
        {**good, "more": 1},
        {**good, "name": "tensorrt"},
        {**good, "name": []},
        {**good, "precision": "int8"},
        {**good, "threads": 0},
        {**good, "threads": True},
        {**good, "threads": 10**9},
    ):
        with pytest.raises(SettingError):
            Runtime.from_json(wrong)


def test_choose() -> None:
    assert 1 <= choose().threads <= 8
    assert choose("onnxruntime", threads=2) == Runtime("onnxruntime", "float32", 2)
    with pytest.raises(SettingError, match="did you mean 'openvino'"):
        choose("openvin")
    with pytest.raises(SettingError, match="use the precision float32"):
        choose("onnxruntime", "bfloat16")


@dataclass(frozen=True)
class Another:
    """Stands for a `Machine`."""

    runtimes: Collection[str]
    avx2: bool = False
    bfloat16: bool = False


def test_another_machine_gets_other_settings() -> None:
    small, both = Another(["onnxruntime"], avx2=True), ["onnxruntime", "openvino"]
    assert choose(machine=small).name == "onnxruntime"
    for name, precision in (("openvino", "float32"), ("auto", "bfloat16")):
        with pytest.raises(MissingExtraError, match=r"anomalens\[fast\]"):
            choose(name, precision, machine=small)
    assert choose(machine=Another(both, avx2=True)).name == "openvino"
    assert choose(machine=Another(both)).name == "onnxruntime"
    assert choose("auto", "bfloat16", machine=Another(both, bfloat16=True)).precision == "bfloat16"
    with pytest.raises(SettingError, match="use the precision float32"):
        choose("openvino", "bfloat16", machine=Another(both))
    with pytest.raises(BackboneError, match="pip install onnxruntime"):
        choose(machine=Another([]))


def test_usable_cores_count_a_core_once_and_respect_the_share_of_a_container(tmp_path: Path) -> None:
    for number in range(4):
        topology = tmp_path / f"devices/system/cpu/cpu{number}/topology"
        topology.mkdir(parents=True)
        (topology / "thread_siblings_list").write_text(f"{number % 2},{number % 2 + 2}\n")
    assert usable_cores(range(4), system=tmp_path) == 2
    assert usable_cores([0, 2], system=tmp_path) == 1
    assert usable_cores(range(40), system=tmp_path) == 8
    share = tmp_path / "fs/cgroup/cpu.max"
    share.parent.mkdir(parents=True)
    for text, cores in (("max 100000", 2), ("100000 100000", 1), ("20000 100000", 1), ("400000 100000", 2)):
        share.write_text(text)
        assert usable_cores(range(4), system=tmp_path) == cores
    assert 1 <= usable_cores() <= 8


# The program runs in another folder, so a relative path to the sources would be lost.
SOURCES = {**os.environ, "PYTHONPATH": str(Path(runtimes.__file__).parents[2])}

PROGRAM = """
import sys
import numpy as np
from anomalens.backbones.runtimes import Runtime, open_session
session = open_session(
    open(sys.argv[1], "rb").read(), runtime=Runtime(sys.argv[2]), input_size=(96, 128)
)
session.run(np.zeros((1, 3, 96, 128), np.float32))
print(*sorted({name.split(".")[0] for name in sys.modules}))
print(*sorted(name for name in sys.modules if name.startswith("openvino.tools")))
"""


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_scoring_loads_numpy_and_its_runtime_only(name: str, graph: bytes, tmp_path: Path) -> None:
    if name not in available():
        pytest.skip(f"{name} is not installed")
    (tmp_path / "graph.onnx").write_bytes(graph)
    program = [sys.executable, "-c", PROGRAM, str(tmp_path / "graph.onnx"), name]
    done = subprocess.run(program, capture_output=True, text=True, check=True, cwd=tmp_path, env=SOURCES)
    loaded, tools = done.stdout.splitlines()
    unwanted = {"torch", "onnx", "scipy", "sklearn", "PIL", "google", "openvino_telemetry"}
    unwanted |= {"onnxruntime", "openvino"} - {name}
    assert not unwanted & set(loaded.split())
    assert not tools
    assert [path.name for path in tmp_path.iterdir()] == ["graph.onnx"]
