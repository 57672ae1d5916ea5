"""Whatever the bytes, the weight reader gives arrays or BackboneError, in little memory."""

from __future__ import annotations

import io
import tracemalloc
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from anomalens.backbones.weights import read_state_dict
from anomalens.errors import BackboneError

MAX_EXTRA_BYTES = 40_000_000
RELAXED = settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.fixture(scope="module")
def small_file() -> bytes:
    torch = pytest.importorskip("torch")
    tensors: Any = OrderedDict(
        weight=torch.arange(24.0).reshape(2, 3, 4), bias=torch.ones(2), count=torch.tensor(5)
    )
    tensors._metadata = OrderedDict({"": {"version": 1}})
    buffer = io.BytesIO()
    torch.save(tensors, buffer, _use_new_zipfile_serialization=False)
    return buffer.getvalue()


def read(data: bytes, folder: Path) -> None:
    path = folder / "fuzzed.pth"
    path.write_bytes(data)
    tracemalloc.start()
    try:
        arrays = read_state_dict(path, sha256=None)
        assert sum(array.nbytes for array in arrays.values()) <= len(data)
        assert all(type(array) is np.ndarray for array in arrays.values())
    except BackboneError as problem:
        assert len(str(problem)) < 1000
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 4 * len(data) + MAX_EXTRA_BYTES


def test_the_small_file_is_read(small_file: bytes, tmp_path: Path) -> None:
    (tmp_path / "w.pth").write_bytes(small_file)
    arrays = read_state_dict(tmp_path / "w.pth", sha256=None)
    np.testing.assert_array_equal(arrays["weight"], np.arange(24.0).reshape(2, 3, 4))
    assert arrays["count"] == 5


@RELAXED
@given(data=st.binary(max_size=2000))
def test_random_bytes(data: bytes, tmp_path: Path) -> None:
    read(data, tmp_path)


@RELAXED
@given(data=st.data())
def test_flipped_bytes(data: st.DataObject, small_file: bytes, tmp_path: Path) -> None:
    changed = bytearray(small_file)
    places = st.integers(0, len(changed) - 1)
    for place in data.draw(st.lists(places, min_size=1, max_size=8)):
        changed[place] = data.draw(st.integers(0, 255))
    read(bytes(changed), tmp_path)


@RELAXED
@given(data=st.data())
def test_cut_and_spliced(data: st.DataObject, small_file: bytes, tmp_path: Path) -> None:
    places = st.integers(0, len(small_file))
    first, second = data.draw(places), data.draw(places)
    read(small_file[:first] + data.draw(st.binary(max_size=64)) + small_file[second:], tmp_path)


@RELAXED
@given(data=st.data())
def test_huge_counts(data: st.DataObject, small_file: bytes, tmp_path: Path) -> None:
    changed = bytearray(small_file)
    for place in data.draw(st.lists(st.integers(0, len(changed) - 9), min_size=1, max_size=4)):
        width = data.draw(st.sampled_from([2, 4, 8]))
        changed[place : place + width] = b"\xff" * (width - 1) + b"\x7f"
    read(bytes(changed), tmp_path)


@RELAXED
@given(
    opcodes=st.lists(
        st.sampled_from(
            [bytes([c]) for c in b"(N)]}tausebQR.\x88\x89\x85\x86\x87"]
            + [b"K\x01", b"q\x00", b"q\x01", b"h\x00", b"h\x01", b"X\x01\x00\x00\x00a"]
            + [b"ccollections\nOrderedDict\n", b"ctorch\nFloatStorage\n"]
            + [b"ctorch._utils\n_rebuild_tensor_v2\n"]
        ),
        max_size=80,
    )
)
def test_programs_of_allowed_opcodes(opcodes: list[bytes], small_file: bytes, tmp_path: Path) -> None:
    start = small_file.index(b"ccollections")
    read(small_file[:start] + b"".join(opcodes) + b".", tmp_path)


def test_the_largest_programs_stay_small(small_file: bytes, tmp_path: Path) -> None:
    start = small_file.index(b"ccollections")
    for program in (b"]" * 60_000, b"](" + b"]" * 60_000 + b"e", b"]" + b"}a" * 99_000):
        read(small_file[:start] + program + b".", tmp_path)
    doubling = b"N" + b"q\x00h\x00\x86" * 60_000
    read(small_file[:start] + doubling + b".", tmp_path)
