"""Sets: what is found, in which order, under which ids; what is refused."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from anomalens.errors import ImageError, ImageSetError
from anomalens.images import ImageSet, labelled_images, normal_images, recognise


def picture(path: Path, value: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 6), (value, 0, 0)).save(path)
    return path


def ids(images: ImageSet) -> list[str]:
    return [entry.id for entry in images]


def test_folder_in_natural_order_with_the_rest_counted(tmp_path: Path) -> None:
    for name in ("img10.png", "img2.png", "IMG1.PNG", "b/10/x.png", "b/9/x.png"):
        picture(tmp_path / name)
    for name in (".hidden.png", "__MACOSX/a.png", "Thumbs.db", "notes.txt", "b/data.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    images = ImageSet.from_folder(tmp_path)
    assert ids(images) == ["b/9/x.png", "b/10/x.png", "IMG1.PNG", "img2.png", "img10.png"]
    assert images.ignored == ("b/data.csv", "notes.txt")
    assert ids(ImageSet.from_folder(tmp_path, recursive=False)) == ids(images)[2:]
    assert len(images) == 5
    assert images[0].label is None
    assert images.read(3).size == (8, 6)


def test_links_that_loop_end(tmp_path: Path) -> None:
    picture(tmp_path / "a/1.png")
    (tmp_path / "a/again").symlink_to(tmp_path, target_is_directory=True)
    assert ids(ImageSet.from_folder(tmp_path)) == ["a/1.png"]


def test_folders_without_images(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(ImageSetError, match="holds no image: 1 other files"):
        ImageSet.from_folder(tmp_path)
    with pytest.raises(ImageSetError, match="is not a folder"):
        ImageSet.from_folder(tmp_path / "none")
    with pytest.raises(ImageSetError, match="no file or folder"):
        ImageSet.open(tmp_path / "none")
    with pytest.raises(ImageSetError, match="no file or folder"):
        ImageSet.open(str(tmp_path / "none.png"))


def test_globs(tmp_path: Path) -> None:
    for name in ("x/good/2.png", "x/good/10.png", "x/bad/1.png", "y/good/1.png"):
        picture(tmp_path / name)
    (tmp_path / "x/good/a.txt").write_text("x")
    images = ImageSet.open(f"{tmp_path}/*/good/*")
    assert ids(images) == ["x/good/2.png", "x/good/10.png", "y/good/1.png"]
    assert images.ignored == ("x/good/a.txt",)
    assert len(ImageSet.from_glob(f"{tmp_path}/**/*.png")) == 4
    with pytest.raises(ImageSetError, match="No image matches"):
        ImageSet.open(f"{tmp_path}/*.png")
    # A name that exists wins over its reading as a pattern.
    assert len(ImageSet.open(str(picture(tmp_path / "a[1].png")))) == 1


def test_paths_keep_bad_files_as_entries(tmp_path: Path) -> None:
    good = picture(tmp_path / "in/a.png", 9)
    images = ImageSet.open([good, tmp_path / "missing.png", good, tmp_path / "in"])
    assert ids(images) == [
        good.as_posix(), f"{tmp_path.as_posix()}/missing.png", f"{good.as_posix()} (2)",
        f"{good.as_posix()} (3)",
    ]  # fmt: skip
    assert images.read(0).pixels[0, 0, 0] == 9
    with pytest.raises(ImageError, match="no such file"):
        images.read(1)
    with pytest.raises(ImageError, match="cannot be read"):
        images.sha256(1)
    assert len(images.data_sha256()) == 64
    with pytest.raises(ImageSetError, match="list of paths is empty"):
        ImageSet.from_paths([])
    odd = tmp_path / "photo"
    shutil.copy(good, odd)
    assert ImageSet.open(odd).read(0).size == (8, 6)


def manifest(tmp_path: Path, text: str, encoding: str = "utf-8") -> Path:
    picture(tmp_path / "img/a.png")
    picture(tmp_path / "img/b ü.png")
    path = tmp_path / "list.csv"
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("separator", [",", ";"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_manifest(tmp_path: Path, encoding: str, separator: str, end: str) -> None:
    lines = ["path,label,mask,group", "img/a.png,OK,,tile 1", "img\\b ü.png,scratch,img/a.png,", ""]
    text = end.join(line.replace(",", separator) for line in lines)
    images = ImageSet.open(manifest(tmp_path, text, encoding))
    assert ids(images) == ["img/a.png", "img/b ü.png"]
    assert [entry.label for entry in images] == ["good", "scratch"]
    assert [entry.group for entry in images] == ["tile 1", None]
    assert [entry.mask for entry in images] == [None, tmp_path / "img/a.png"]
    assert images.read(1).size == (8, 6)


@pytest.mark.parametrize(
    ("word", "label"),
    [("normal", "good"), ("Good", "good"), ("ok", "good"), ("0", "good"), ("1", "defect"),
     ("anomalous", "defect"), ("defect", "defect"), ("Crack", "Crack"), (" ", None)],
)  # fmt: skip
def test_manifest_labels(tmp_path: Path, word: str, label: str | None) -> None:
    images = ImageSet.from_manifest(manifest(tmp_path, f"label,PATH\n{word},img/a.png\n"))
    assert images[0].label == label


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"), ("\n \n", "is empty"), ("label\ngood\n", "no column 'path'"),
        ("img/a.png\nimg/b.png\n", "no column 'path'"),
        ("path,colour\na,b\n", "unknown column 'colour'"),
        ("path,path\na,b\n", "two columns 'path'"), ("path,label\n", "lists no image"),
        ("path,label\n,good\n", "Line 2 .* has no path"),
        ("path\na.png,x\n", "Line 2 .* has 2 fields"),
        ("label,path\ngood\n", "Line 2 .* has no path"),
    ],
)  # fmt: skip
def test_manifests_that_are_refused(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ImageSetError, match=said):
        ImageSet.open(manifest(tmp_path, text))


def test_manifest_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ImageSetError, match="no manifest"):
        ImageSet.open(tmp_path / "none.csv")
    (tmp_path / "latin.csv").write_bytes("path\nü.png".encode("latin-1"))
    with pytest.raises(ImageSetError, match="UTF-8"):
        ImageSet.open(tmp_path / "latin.csv")
    missing = ImageSet.open(manifest(tmp_path, "path\nnone.png\n"))
    with pytest.raises(ImageError, match=r"none\.png: there is no such file"):
        missing.read(0)


def test_arrays() -> None:
    stack = np.random.default_rng(0).integers(0, 256, (3, 8, 9, 3), dtype=np.uint8)
    images = ImageSet.open(stack)
    assert ids(images) == ["array-0000", "array-0001", "array-0002"]
    assert np.array_equal(images.read(1).pixels, stack[1])
    assert images.read(1).size == (9, 8)
    named = ImageSet.from_arrays(
        list(stack),
        ids=["a", "b", "a"],
        labels=["normal", "scratch", None],
        groups=["g", "g", None],
    )
    assert ids(named) == ["a", "b", "a (2)"]
    assert [entry.label for entry in named] == ["good", "scratch", None]
    with pytest.raises(ImageSetError, match="2 labels were given for 3 images"):
        ImageSet.from_arrays(stack, labels=["good", "good"])
    bad = ImageSet.open([stack[0], stack[0].astype(np.int64)])
    assert bad.read(0).pixels.dtype == np.uint8
    with pytest.raises(ImageError, match="array-0001: values of type int64"):
        bad.read(1)
    for wrong in (5, [], [stack[0], "a.png"], stack[0]):
        with pytest.raises(ImageSetError):
            ImageSet.open(wrong)


def test_subset_concatenate_and_hashes(tmp_path: Path) -> None:
    for i in range(3):
        picture(tmp_path / f"{i}.png", i)
    (tmp_path / "x.txt").write_text("x")
    images = ImageSet.open(tmp_path)
    assert ImageSet.open(images) is images
    turned = images.subset([2, 0, 1])
    assert ids(turned) == ["2.png", "0.png", "1.png"]
    assert turned.ignored == ("x.txt",)
    assert turned.data_sha256() == images.data_sha256()
    assert images.subset([0]).data_sha256() != images.data_sha256()
    assert images.sha256(0) == hashlib.sha256((tmp_path / "0.png").read_bytes()).hexdigest()
    double = ImageSet.concatenate([images, turned])
    assert ids(double)[3:] == ["2.png (2)", "0.png (2)", "1.png (2)"]
    moved = shutil.copytree(tmp_path, tmp_path / "moved")
    assert ImageSet.open(moved).data_sha256() == images.data_sha256()
    arrays = ImageSet.from_arrays(
        [np.zeros((4, 9), np.uint8), np.zeros((9, 4), np.uint8), np.zeros((4, 9), np.float32)]
    )
    assert len({arrays.sha256(i) for i in range(3)}) == 3


def test_mvtec_layout(real_set: Callable[[str], Path]) -> None:
    root = real_set("mvtec_transistor")
    layout = recognise(root)
    assert layout.kind == "mvtec"
    assert "train/good" in layout.sentence
    assert normal_images(root).data_sha256() == ImageSet.open(root / "train/good").data_sha256()
    tested = labelled_images(layout)
    assert len(tested) == 100
    assert sum(entry.label == "good" for entry in tested) == 60
    assert sum(entry.mask is not None for entry in tested) == 40
    assert all(e.mask is None or e.mask.is_file() for e in tested)
    assert {entry.id.split("/")[0] for entry in tested} == {"test"}
    assert {entry.label for entry in tested} >= {"good", "bent_lead", "misplaced"}
    assert {entry.label for entry in normal_images(root)} == {"good"}
    # The test folder alone is a folder of classes.
    assert recognise(root / "test").kind == "classes"
    assert len(normal_images(root / "test")) == 60


def test_masks_are_optional(real_set: Callable[[str], Path]) -> None:
    partly = labelled_images(recognise(real_set("mvtec_leather_fewshot")))
    assert sum(entry.mask is not None for entry in partly) == 11
    assert all(e.mask is None for e in labelled_images(recognise(real_set("brick_cracks"))))


def test_a_folder_of_datasets_is_not_one(real_set: Callable[[str], Path]) -> None:
    with pytest.raises(ImageSetError, match=r"holds 6 datasets .*give one of them"):
        normal_images(real_set("paper_piped"))


@pytest.mark.parametrize("good", ["good", "Normal", "OK", "no defect", "Uninfected", "healthy"])
def test_folders_of_classes(tmp_path: Path, good: str) -> None:
    for name in (f"{good}/1.png", f"{good}/2.png", "crack/1.png"):
        picture(tmp_path / name)
    (tmp_path / "notes").mkdir()
    layout = recognise(tmp_path)
    assert layout.kind == "classes"
    assert set(layout.test) == {"good", "crack"}
    assert ids(normal_images(tmp_path)) == ["1.png", "2.png"]
    assert [entry.label for entry in labelled_images(layout)].count("crack") == 1


def test_flat_folders(tmp_path: Path) -> None:
    picture(tmp_path / "a/1.png")
    picture(tmp_path / "2.png")
    (tmp_path / "good").mkdir()
    layout = recognise(tmp_path)
    assert layout.kind == "flat"
    assert len(normal_images(tmp_path)) == 2
    with pytest.raises(ImageSetError, match="no test images"):
        labelled_images(layout)
    with pytest.raises(ImageSetError, match="is not a folder"):
        recognise(tmp_path / "none")
    assert len(normal_images([tmp_path / "2.png"])) == 1


def test_a_manifest_is_learnt_from_only_where_it_is_normal_training_data(tmp_path):
    for name in "abcd":
        Image.new("RGB", (8, 8)).save(tmp_path / f"{name}.png")
    csv = tmp_path / "parts.csv"
    csv.write_text("path,label,split\na.png,good,train\nb.png,scratch,train\nc.png,good,test\nd.png,,\n")
    assert [entry.id for entry in normal_images(csv)] == ["a.png", "d.png"]
    assert len(ImageSet.open(csv)) == 4
    csv.write_text("path,label\nb.png,scratch\n")
    with pytest.raises(ImageSetError, match="no normal image to learn from"):
        normal_images(csv)
