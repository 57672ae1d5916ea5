"""The weight reader gives what torch gives, runs nothing, and refuses other files with one error."""

from __future__ import annotations

import hashlib
import pickle
import struct
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from anomalens.backbones.efficientnet_lite import NAMES, EfficientNetLite
from anomalens.backbones.weights import read_state_dict
from anomalens.errors import BackboneError

MAGIC = 0x1950A86A20F9469CFC6C


@pytest.mark.parametrize("name", NAMES)
def test_packaged_weights_are_what_torch_reads(name: str, weight_file: Callable[[str], Path]) -> None:
    torch = pytest.importorskip("torch")
    path = weight_file(name)
    got = read_state_dict(path, sha256=EfficientNetLite(name).card.sha256)
    expected = torch.load(path, weights_only=True)
    assert list(got) == list(expected)
    for key, tensor in expected.items():
        want = tensor.numpy()
        assert (got[key].dtype, got[key].shape) == (want.dtype, want.shape)
        assert got[key].flags.c_contiguous and got[key].flags.owndata
        np.testing.assert_array_equal(got[key], want)


def test_views_strides_and_empty_tensors(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    base = torch.arange(24, dtype=torch.float32).reshape(4, 6)
    tensors = OrderedDict(
        t=base.t(),
        slice=torch.arange(9.0)[2:7:2].clone(),
        none=torch.zeros(0, 3),
        count=torch.tensor(7),
    )
    torch.save(tensors, tmp_path / "w.pth", _use_new_zipfile_serialization=False)
    got = read(tmp_path / "w.pth")
    for key, tensor in tensors.items():
        np.testing.assert_array_equal(got[key], tensor.numpy())


def read(path: Path) -> dict[str, np.ndarray]:
    return read_state_dict(path, sha256=hashlib.sha256(path.read_bytes()).hexdigest())


def write(path: Path, state: bytes, keys: list[str], raw: bytes) -> Path:
    """A file in the old format around a hand-written pickle of the state dict."""
    parts = [MAGIC, 1001, {"protocol_version": 1001, "little_endian": True}]
    head = b"".join(pickle.dumps(part, protocol=2) for part in parts)
    path.write_bytes(head + state + pickle.dumps(keys, protocol=2) + raw)
    return path


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def state_of(*, storage: bytes = b"ctorch\nFloatStorage\n", offset: int = 0, stride: int = 1) -> bytes:
    return b"".join(
        [
            b"\x80\x02ccollections\nOrderedDict\n)R(" + text("w0"),
            b"ctorch._utils\n_rebuild_tensor_v2\n((",
            text("storage") + storage + text("0") + text("cpu") + b"K\x04NtQ",
            b"J" + struct.pack("<i", offset) + b"K\x04\x85K" + bytes([stride]) + b"\x85\x89",
            b"ccollections\nOrderedDict\n)RtRu.",
        ]
    )


RAW = struct.pack("<Q4f", 4, 1, 2, 3, 4)


def test_hand_written_file_is_read(tmp_path: Path) -> None:
    got = read(write(tmp_path / "w.pth", state_of(), ["0"], RAW))
    np.testing.assert_array_equal(got["w0"], np.array([1, 2, 3, 4], np.float32))


REFUSED: dict[str, tuple[bytes, list[str], bytes, str]] = {
    "a function call": (b"\x80\x02cos\nsystem\n" + text("true") + b"\x85R.", [], b"", "os.system"),
    "a builtin": (b"\x80\x02cbuiltins\neval\n.", [], b"", "builtins.eval"),
    "another opcode": (b"\x80\x02\x93.", [], b"", "STACK_GLOBAL"),
    "another storage": (state_of(storage=b"ctorch\nHalfStorage\n"), ["0"], RAW, "HalfStorage"),
    "too large a stride": (state_of(stride=2), ["0"], RAW, "beyond its storage"),
    "too large an offset": (state_of(offset=1), ["0"], RAW, "beyond its storage"),
    "a negative offset": (state_of(offset=-1), ["0"], RAW, "beyond its storage"),
    "a foreign key": (state_of(), ["1"], RAW, "old format"),
    "a cut storage": (state_of(), ["0"], RAW[:-4], "beyond its storage"),
    "an empty stack": (b"\x80\x02R.", [], b"", "old format"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_not_a_state_dict_is_refused(case: str, tmp_path: Path) -> None:
    state, keys, raw, reason = REFUSED[case]
    with pytest.raises(BackboneError) as caught:
        read(write(tmp_path / "w.pth", state, keys, raw))
    assert reason in str(caught.value) and "w.pth" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_pickles_are_not_executed(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "touched",))

    path = write(tmp_path / "w.pth", pickle.dumps({"w": Trap()}, protocol=2), [], b"")
    with pytest.raises(BackboneError):
        read(path)
    assert not (tmp_path / "touched").exists()


def test_wrong_files_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "w.pth", state_of(), ["0"], RAW)
    with pytest.raises(BackboneError, match="SHA-256"):
        read_state_dict(path, sha256="0" * 64)
    with pytest.raises(BackboneError, match="no weight file"):
        read_state_dict(tmp_path / "other.pth", sha256="0" * 64)
    with pytest.raises(BackboneError, match="no weight file"):
        read_state_dict(tmp_path, sha256="0" * 64)
    with pytest.raises(BackboneError):
        read_state_dict("a\0b", sha256="0" * 64)
    (tmp_path / "empty").write_bytes(b"")
    with pytest.raises(BackboneError, match="old format"):
        read(tmp_path / "empty")
    huge = tmp_path / "huge"
    with huge.open("wb") as file:
        file.truncate(513 * 2**20)
    with pytest.raises(BackboneError, match="larger than the 512 MB"):
        read_state_dict(huge, sha256="0" * 64)


def test_new_torch_format_is_refused(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    torch.save({"w": torch.zeros(2)}, tmp_path / "w.pth")
    with pytest.raises(BackboneError, match="old format"):
        read(tmp_path / "w.pth")
