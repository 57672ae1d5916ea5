"""CIFAR's python version: pickles as Python 2 wrote them are read, and nothing in them is executed."""

from __future__ import annotations

import os
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest

from anomalens.datasets import load_tasks
from anomalens.errors import ImageSetError


def text(words: str | bytes) -> bytes:
    data = words.encode() if isinstance(words, str) else words
    return b"U" + bytes([len(data)]) + data if len(data) < 256 else b"T" + struct.pack("<i", len(data)) + data


def value(thing) -> bytes:
    """Protocol 2 of Python 2: byte strings, small numbers, lists, and arrays of bytes."""
    if isinstance(thing, np.ndarray):
        shape = b"(" + b"".join(b"M" + struct.pack("<H", side) for side in thing.shape) + b"t"
        dtype = (
            b"cnumpy\ndtype\n" + text("u1") + b"K\x00K\x01\x87R(K\x03" + text("|") + b"NNNK\x00K\x00K\x00tb"
        )
        made = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85" + text("b") + b"\x87R"
        return made + b"(K\x01" + shape + dtype + b"K\x00" + text(thing.tobytes()) + b"tb"
    if isinstance(thing, list):
        return b"](" + b"".join(map(value, thing)) + b"e"
    return b"K" + bytes([thing]) if isinstance(thing, int) else text(thing)


def pickled(things: dict) -> bytes:
    return b"\x80\x02}q\x01(" + b"".join(text(key) + value(one) for key, one in things.items()) + b"u."


def hundred(folder, rows):
    folder.mkdir()
    for part in ("train", "test"):
        labels = {"fine_labels": [0, 1, 2, 0, 1, 2], "coarse_labels": [0, 0, 1, 0, 0, 1]}
        (folder / part).write_bytes(pickled({"filenames": ["a.png"] * 6, **labels, "data": rows}))
    names = {"fine_label_names": ["ray", "shark", "rose"], "coarse_label_names": ["fish", "flowers"]}
    (folder / "meta").write_bytes(pickled(names))


def test_cifar_100(tmp_path):
    rows = np.random.default_rng(0).integers(0, 255, (6, 3072), np.uint8)
    hundred(tmp_path / "cifar-100-python", rows)
    tasks = load_tasks("cifar-100", root=tmp_path)
    assert [task.normal_class for task in tasks] == ["fish", "flowers"] and len(tasks[0].train) == 4
    assert (tasks[0].test.read(2).pixels == rows[2].reshape(3, 32, 32).transpose(1, 2, 0)).all()
    fine = load_tasks("cifar-100-fine", root=tmp_path)
    assert [task.normal_class for task in fine] == ["ray", "shark", "rose"]


def test_cifar_10(tmp_path):
    rows = np.zeros((4, 3072), np.uint8)
    for name in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"):
        (tmp_path / name).write_bytes(pickled({"data": rows, "labels": [0, 1, 0, 1]}))
    # this one is published in protocol 0
    (tmp_path / "batches.meta").write_bytes(b"(dp1\nS'label_names'\np2\n(lp3\nS'ship'\nap4\nS'truck'\nas.")
    tasks = load_tasks("cifar-10", root=tmp_path)
    assert [task.normal_class for task in tasks] == ["ship", "truck"] and len(tasks[0].train) == 10


class Evil:
    def __reduce__(self):
        return os.mkdir, ("made-by-a-pickle",)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (pickle.dumps({"fine_label_names": Evil()}, 2), r"it asks for '.*mkdir'"),
        (pickle.dumps({"fine_label_names": ["a"]}, 4), "it has the step"),
        (b"\x80\x02]q\x01.", "it holds no dictionary"),
        (pickled({"fine_label_names": ["a", "a"]}), "must list each class once"),
        (pickled({"other": [1]}), "must list each class once"),
        (b"\x80\x02}q\x01(", "damaged or of another kind"),
        (b"", "damaged or of another kind"),
        (b"\x80\x02}q\x01u.", "damaged or of another kind"),
    ],
)
def test_what_is_refused(tmp_path, data, told):
    hundred(tmp_path / "c", np.zeros((6, 3072), np.uint8))
    (tmp_path / "c/meta").write_bytes(data)
    with pytest.raises(ImageSetError, match=told):
        load_tasks("cifar-100-fine", root=tmp_path / "c")
    assert not Path("made-by-a-pickle").exists()


def test_arrays_and_labels_that_do_not_fit(tmp_path):
    hundred(tmp_path / "c", np.zeros((6, 100), np.uint8))
    with pytest.raises(ImageSetError, match=r"must hold data \[n, 3072\] and fine_labels"):
        load_tasks("cifar-100-fine", root=tmp_path)
    good = pickled({"fine_labels": [0] * 6, "data": np.zeros((6, 3072), np.uint8)})
    for data, told in ((good.replace(b"u1", b"O1"), "not one of bytes"), (good[:-400], "damaged")):
        (tmp_path / "c/train").write_bytes(data)
        with pytest.raises(ImageSetError, match=told):
            load_tasks("cifar-100-fine", root=tmp_path)


def test_any_damage_is_one_sentence(tmp_path):
    hundred(tmp_path / "c", np.zeros((6, 3072), np.uint8))
    whole = (tmp_path / "c/meta").read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(300):
        data = bytearray(whole)
        for place in rng.integers(0, len(data), rng.integers(1, 4)):
            data[place] = rng.integers(256)
        (tmp_path / "c/meta").write_bytes(bytes(data))
        try:
            load_tasks("cifar-100-fine", root=tmp_path)
        except ImageSetError as error:
            assert "fetch" in str(error) or "class" in str(error)
