"""Which reference belongs to which image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from anomalens.errors import ImageSetError
from anomalens.images import ImageSet


def pictures(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 6)).save(path)
    return folder


def paired(images: ImageSet) -> dict[str, str | None]:
    return {entry.id: None if entry.reference is None else entry.reference.id for entry in images}


@pytest.mark.parametrize(
    ("name", "reference"),
    [
        ("a.png", "a.jpg"),
        ("board_1_test.png", "board_1_temp.png"),
        ("x.png", "x_template.png"),
        ("X-test.png", "x-ref.png"),
        ("part 7 image.png", "part 7 golden.png"),
    ],
)
def test_files_are_paired_by_their_names(tmp_path: Path, name: str, reference: str) -> None:
    images = ImageSet.open(pictures(tmp_path / "new", name, "other.png"))
    pictures(tmp_path / "templates", reference, "some.png")
    found = paired(images.with_references(tmp_path / "templates"))
    assert found == {name: reference, "other.png": None}


def test_the_same_path_below_both_folders_comes_first(tmp_path: Path) -> None:
    images = ImageSet.open(pictures(tmp_path / "new", "a/1.png", "b/1.png"))
    pictures(tmp_path / "templates", "a/1.png", "b/1.png")
    assert paired(images.with_references(tmp_path / "templates")) == {
        "a/1.png": "a/1.png",
        "b/1.png": "b/1.png",
    }


def test_an_image_is_never_its_own_reference(tmp_path: Path) -> None:
    pictures(tmp_path, "1_test.png", "1_temp.png", "2_test.png", "2_temp.png")
    images = ImageSet.open(str(tmp_path / "*_test.png")).with_references(tmp_path)
    assert paired(images) == {"1_test.png": "1_temp.png", "2_test.png": "2_temp.png"}


def test_one_reference_is_for_all(tmp_path: Path) -> None:
    images = ImageSet.open(pictures(tmp_path / "new", "1.png", "2.png"))
    golden = pictures(tmp_path / "golden", "any.png")
    assert set(paired(images.with_references(golden)).values()) == {"any.png"}
    assert set(paired(images.with_references(golden / "any.png")).values()) == {str(golden / "any.png")}


def test_arrays_are_paired_in_order() -> None:
    stack = np.zeros((3, 6, 8, 3), np.uint8)
    images = ImageSet.from_arrays(stack).with_references(list(stack + 7))
    assert images.references.read(2).pixels.max() == 7
    with pytest.raises(ImageSetError, match="2 references were given for 3 images; give one each"):
        ImageSet.from_arrays(stack).with_references(stack[:2])


def test_names_that_do_not_pair_are_refused(tmp_path: Path) -> None:
    images = ImageSet.open(pictures(tmp_path / "new", "1.png", "2.png"))
    pictures(tmp_path / "templates", "a.png", "b.png")
    with pytest.raises(ImageSetError, match=r"None of the 2 images has a reference in .*_template"):
        images.with_references(tmp_path / "templates")
    pictures(tmp_path / "several", "x/1.png", "y/1.png")
    with pytest.raises(ImageSetError, match=r"1\.png has several references .* x/1\.png and y/1\.png"):
        images.with_references(tmp_path / "several")
    with pytest.raises(ImageSetError, match="no file or folder"):
        images.with_references(tmp_path / "missing")


def test_manifests_name_references(tmp_path: Path) -> None:
    pictures(tmp_path, "1.png", "2.png", "t/one.png")
    csv = tmp_path / "parts.csv"
    csv.write_text("path,reference,label\n1.png,t\\one.png,good\n2.png,,good\n")
    images = ImageSet.open(csv)
    assert paired(images) == {"1.png": "t/one.png", "2.png": None}
    assert len(images.references) == 1
    assert images.references.read(0).size == (8, 6)
