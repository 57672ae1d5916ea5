"""Damaged and hostile files of the published formats: one sentence, no memory taken, no crash."""

from __future__ import annotations

import gzip
import io
import struct
import tarfile
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.io import savemat

from anomalens.datasets import load_tasks
from anomalens.datasets.forms.idx_files import read_idx
from anomalens.datasets.forms.matlab_files import read_mat
from anomalens.errors import ImageSetError


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "no IDX file"),
        (b"\0\0\x0d\x03" + b"\0" * 12, "no IDX file"),
        (struct.pack(">HBB", 0, 8, 3) + b"\0\0", "truncated"),
        (struct.pack(">HBB3I", 0, 8, 3, 10, 28, 28) + b"x" * 50, "holds fewer"),
        (struct.pack(">HBB1I", 0, 8, 1, 3) + b"x" * 50, "holds more"),
        (struct.pack(">HBB3I", 0, 8, 3, 2**31, 2**10, 28), "GB and at most"),
        (gzip.compress(struct.pack(">HBB1I", 0, 8, 1, 3) + b"abc")[:-6], "damaged"),
        (gzip.compress(struct.pack(">HBB1I", 0, 8, 1, 3) + b"\0" * 10**7), "holds more"),
    ],
)
def test_idx_files(tmp_path, data, problem):
    path = tmp_path / "x"
    path.write_bytes(data)
    with pytest.raises(ImageSetError, match=problem):
        read_idx(path)


def test_idx_labels_that_are_missing_are_named(tmp_path):
    for stem in ("train", "t10k"):
        (tmp_path / f"{stem}-images-idx3-ubyte").write_bytes(
            struct.pack(">HBB3I", 0, 8, 3, 1, 2, 2) + b"1234"
        )
    with pytest.raises(ImageSetError, match="no train-labels-idx1-ubyte"):
        load_tasks("mnist", root=tmp_path)


def cifar_archive(path, files):
    with tarfile.open(path, "w:gz") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))


def test_cifar_archives(tmp_path):
    path = tmp_path / "cifar-100-binary.tar.gz"
    cifar_archive(path, {"a/train.bin": b"\0" * 3074})
    with pytest.raises(ImageSetError, match=r"lacks test\.bin, coarse_label_names\.txt"):
        load_tasks("cifar-100", root=tmp_path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ImageSetError, match=r"damaged|lacks"):
        load_tasks(path)
    names = b"a\nb\n"
    for data, listed, problem in (
        (b"\0" * 100, names, "not a whole number of records"),
        (b"\x05" * 3074, names, "labels go from 5 to 5"),
        (b"\0" * 3074, b"a\na\n", "must list each class once"),
    ):
        cifar_archive(path, {"train.bin": data, "test.bin": data, "coarse_label_names.txt": listed})
        with pytest.raises(ImageSetError, match=problem):
            load_tasks("cifar-100", root=tmp_path)


def mat(tmp_path, body):
    path = tmp_path / "a.mat"
    path.write_bytes(b"MATLAB 5.0".ljust(124) + b"\0\1IM" + body)
    return path


def test_mat_files_agree_with_scipy(tmp_path):
    rng = np.random.default_rng(0)
    arrays = {
        "a": rng.integers(0, 255, (3, 4, 2), np.uint8),
        "b": rng.normal(size=(2, 5)),
        "c": np.array([[1, -200, 3]], np.int16),
        "d": np.zeros((0, 3)),
        "e": np.array([[7]], np.uint8),
    }
    for compressed in (True, False):
        savemat(tmp_path / "a.mat", {**arrays, "other": {"x": arrays["a"]}}, do_compression=compressed)
        found = read_mat(tmp_path / "a.mat", (*arrays, "other"))
        for name, array in arrays.items():
            assert found[name].shape == array.shape and (found[name] == array).all()
        assert (found["other"]["x"] == arrays["a"]).all()


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (struct.pack("<II", 14, 2**31), "truncated"),
        (struct.pack("<II", 15, 20) + b"x" * 20, "damaged"),
        (
            struct.pack("<II", 15, 30) + zlib.compress(struct.pack("<II", 14, 2**32 - 1)).ljust(30, b"\0"),
            "GB|damaged",
        ),
        (b"", "no variable X"),
    ],
)
def test_mat_files(tmp_path, body, problem):
    with pytest.raises(ImageSetError, match=problem):
        read_mat(mat(tmp_path, body), ("X",))


def test_other_versions_of_mat_are_named(tmp_path):
    (tmp_path / "a.mat").write_bytes(b"\x89HDF\r\n" + b"\0" * 300)
    with pytest.raises(ImageSetError, match="no MATLAB 5 file"):
        read_mat(tmp_path / "a.mat", ("X",))
    with pytest.raises(ImageSetError, match="cannot be read"):
        read_mat(tmp_path / "none.mat", ("X",))


@settings(max_examples=150, deadline=None)
@given(
    place=st.integers(128, 400), value=st.integers(0, 255), compressed=st.booleans(), cut=st.integers(0, 300)
)
def test_any_damage_of_a_mat_file_is_one_sentence_or_harmless(
    tmp_path_factory, place, value, compressed, cut
):
    path = tmp_path_factory.getbasetemp() / "fuzz.mat"
    structure = {"Segmentation": np.ones((6, 7), np.uint16), "Boundaries": np.ones((6, 7))}
    savemat(path, {"groundTruth": structure}, do_compression=compressed)
    data = bytearray(path.read_bytes())
    data[min(place, len(data) - 1)] = value
    path.write_bytes(bytes(data[: len(data) - cut] if cut < 40 else data))
    try:
        read_mat(path, ("groundTruth",))
    except ImageSetError as error:
        assert "\n" not in str(error)


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        ("emotion,pixels\n1,2\n", "needs the columns"),
        ("emotion,pixels,Usage\n1,2 3,Training\n", "line 2"),
        ("emotion,pixels,Usage\n1," + " ".join(["300"] * 2304) + ",Training\n", "line 2"),
        ("emotion,pixels,Usage\n1," + " ".join(["3"] * 2304) + ",Elsewhere\n", "line 2"),
        ("emotion,pixels,Usage\n9," + " ".join(["3"] * 2304) + ",Training\n", "labels go from 9"),
        ("emotion,pixels,Usage\n1\n", "line 2"),
    ],
)
def test_fer2013_tables(tmp_path, rows, problem):
    (tmp_path / "fer2013.csv").write_text(rows)
    with pytest.raises(ImageSetError, match=problem):
        load_tasks("fer2013", root=tmp_path)


def test_ped2_truth_that_does_not_fit(draw, tmp_path):
    draw("Train/Train001/001.tif")
    draw("Test/Test001/001.tif")
    with pytest.raises(ImageSetError, match="has no truth"):
        load_tasks("ucsd-ped2", root=tmp_path)
    script = tmp_path / "Test/UCSDped2.m"
    script.write_text("TestVideoFile{end+1}.gt_frame = [1:2];" * 2)
    with pytest.raises(ImageSetError, match="describes 2 clips and there are 1"):
        load_tasks("ucsd-ped2", root=tmp_path)
    script.write_text("gt_frame = [1:2:3];")
    with pytest.raises(ImageSetError, match="not of the form"):
        load_tasks("ucsd-ped2", root=tmp_path)


def test_svhn_labels_out_of_range(tmp_path):
    for part in ("train", "test"):
        savemat(
            tmp_path / f"{part}_32x32.mat",
            {"X": np.zeros((32, 32, 3, 2), np.uint8), "y": np.array([[0], [11]])},
        )
    with pytest.raises(ImageSetError, match="not from 1 to 10"):
        load_tasks("svhn", root=tmp_path)


def test_too_few_normal_images_to_split(draw, tmp_path):
    draw("data/no/1.jpg")
    draw("data/yes/1.jpg")
    with pytest.raises(ImageSetError, match="too few to"):
        load_tasks("brain-mri", root=tmp_path)
