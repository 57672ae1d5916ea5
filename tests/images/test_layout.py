"""Folders as people lay them out: what `fit` learns from, what is tested, and where it asks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from anomalens.datasets import load_tasks
from anomalens.errors import ImageSetError
from anomalens.images import labelled_images, normal_images, recognise

MASKS = ("mask", "gt", "label", "truth", "seg")


def lay_out(root: Path, *names: str) -> Path:
    """Noise for images; for what is named like a mask, one with a square, or an empty one (`…-empty…`)."""
    rng = np.random.default_rng(0)
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 255, (32, 32, 3), np.uint8)
        if any(word in name.lower() for word in MASKS):
            pixels = np.zeros((32, 32), np.uint8)
            pixels[4:9, 4:9] = 0 if "empty" in name else 255
        Image.fromarray(pixels).save(path)
    return root


LEARNT = {
    "flat train beside test": (["train/1.png", "test/good/2.png", "test/bad/3.png"], ["1.png"]),
    "train with a folder of images": (["Train/images/1.png", "Test/ok/2.png", "Test/ng/3.png"], ["1.png"]),
    "pass and fail": (["Pass/1.png", "Fail/2.png"], ["1.png"]),
    "passed": (["passed_parts/1.png", "failed_parts/2.png"], ["1.png"]),
    "ok and ng": (["OK/1.png", "NG/2.png"], ["1.png"]),
    "ok and not ok": (["ok/1.png", "not ok/2.png"], ["1.png"]),
    "io and nio": (["i.O./1.png", "n.i.O./2.png"], ["1.png"]),
    "normal and abnormal": (["Normal/1.png", "Abnormal/2.png"], ["1.png"]),
    "a category of VisA": (
        ["Data/Images/Normal/1.png", "Data/Images/Anomaly/2.png", "Data/Masks/Anomaly/2.png"], ["1.png"],
    ),
    "labels beside": (["empty1.png", "empty1_label.bmp", "2.png", "2_label.bmp"], ["empty1.png"]),
    "upper case": (["1.png", "1_MASK.PNG", "2.png", "mask_2.png", "3.png"], ["3.png"]),
    "empty masks": (["1.png", "empty2.png", "empty2_gt.png"], ["1.png", "empty2.png"]),
    "good beside images": (["1.png", "good/2.png"], ["2.png"]),
    "KolektorSDD2": (
        ["train/1.png", "train/1_GT.png", "train/empty2.png", "train/empty2_GT.png", "test/3.png",
         "test/3_GT.png"], ["empty2.png"],
    ),
    "masks in a folder": (["1.png", "2.png", "masks/1.png"], ["2.png"]),
    "images and masks": (["images/1.png", "images/2.png", "masks/1.png"], ["images/2.png"]),
    "Real-IAD": (
        ["OK/S0001/a_C1.jpg", "OK/S0001/a_C2.jpg", "NG/AK/S0002/b_C1.jpg"],
        ["S0001/a_C1.jpg", "S0001/a_C2.jpg"],
    ),
    "days": (["day1/1.png", "day2/2.png"], ["day1/1.png", "day2/2.png"]),
    "all good": (["cam1/good/1.png", "cam2/good/2.png"], ["cam1/good/1.png", "cam2/good/2.png"]),
    "a photograph of a label": (["juice.jpg", "juice-0.jpg"], ["juice.jpg", "juice-0.jpg"]),
}  # fmt: skip


@pytest.mark.parametrize("case", LEARNT)
def test_only_normal_images_are_learnt_from(case: str, tmp_path: Path) -> None:
    names, learnt = LEARNT[case]
    found = normal_images(lay_out(tmp_path, *names))
    assert sorted(entry.id for entry in found) == sorted(learnt)
    several = normal_images(tmp_path).below("x")
    assert sorted(entry.id for entry in several) == sorted(f"x/{name}" for name in learnt)


ASKED = {
    "several parts": (["cam1/good/1.png", "cam1/bad/2.png", "cam2/good/3.png"], "cam1/bad"),
    "file names": (["ok_1.png", "ok_2.png", "bad_1.png"], "bad_1.png"),
    "a kind of defect": (["plain/1.png", "cracks/2.png"], "cracks"),
    "two that are normal": (["ok/1.png", "normal/2.png", "bad/3.png"], "bad"),
    "defects below": (["1.png", "2.png", "defects/3.png"], "defects"),
    "classes": (["train/a/1.png", "train/b/2.png", "test/a/3.png", "test/b/4.png"], "test"),
    "nought and one": (["0/1.png", "1/2.png"], "0 and 1"),
    "no and yes": (["no/1.png", "yes/2.png"], "no and yes"),
    "magnetic tiles": (["MT_Free/Imgs/1.jpg", "MT_Crack/Imgs/2.jpg"], "MT_Crack"),
    "test beside others": (["a/1.png", "test_bench/2.png"], "test_bench"),
    "nested twice": (["lot/a/1.png", "lot/b/rejected/2.png"], "lot/b/rejected"),
}  # fmt: skip


@pytest.mark.parametrize("case", ASKED)
def test_what_is_not_understood_is_asked(case: str, tmp_path: Path) -> None:
    names, said = ASKED[case]
    root = lay_out(tmp_path, *names)
    with pytest.raises(ImageSetError, match=f"{said}.*give the folder of the normal ones alone"):
        normal_images(root)
    assert "fit would ask" in recognise(root).sentence
    everything = normal_images(f"{root}/**/*")  # as the sentence says
    assert len(everything) == len(names)


def test_a_folder_of_masks_is_refused(tmp_path: Path) -> None:
    lay_out(tmp_path, "ground_truth/crack/1_mask.png", "ground_truth/crack/2_mask.png")
    with pytest.raises(ImageSetError, match="holds masks"):
        normal_images(tmp_path / "ground_truth")
    # called so, but photographs
    rng = np.random.default_rng(1)
    (tmp_path / "masks").mkdir()
    for i in range(3):
        Image.fromarray(rng.integers(0, 255, (32, 32, 3), np.uint8)).save(tmp_path / f"masks/{i}.png")
    assert len(normal_images(tmp_path / "masks")) == 3


TESTED = {
    "mask folder": (["good/1.png", "bad/2.png", "mask/2.png"], {"2.png": ("bad", "mask/2.png")}),
    "nested": (["good/1.png", "crack/2.png", "mask/crack/2.png"], {"2.png": ("crack", "mask/crack/2.png")}),
    "beside": (
        ["train/good/1.png", "test/good/2.png", "test/bad/3.png", "test/bad/3_mask.png"],
        {"2.png": ("good", None), "3.png": ("bad", "test/bad/3_mask.png")},
    ),
    "MVTec AD 2": (
        ["train/good/1.png", "test_public/good/2.png", "test_public/bad/3.png",
         "test_public/ground_truth/bad/3_mask.png", "test_private/4.png", "validation/good/5.png"],
        {"2.png": ("good", None), "3.png": ("bad", "test_public/ground_truth/bad/3_mask.png")},
    ),
    "KolektorSDD2": (
        ["train/1.png", "train/empty1_GT.png", "test/3.png", "test/3_GT.png", "test/empty4.png",
         "test/empty4_GT.png"],
        {"3.png": ("defect", "test/3_GT.png"), "empty4.png": ("good", None)},
    ),
    "two kinds of one name": (
        ["train/good/1.png", "test/a/1.png", "test/b/1.png", "gt/a/1.png", "gt/b/1_gt.webp"],
        {"test/a/1.png": ("a", "gt/a/1.png"), "test/b/1.png": ("b", "gt/b/1_gt.webp")},
    ),
    "Real-IAD": (
        ["OK/S1/a.jpg", "NG/AK/S2/b.jpg", "NG/AK/S2/b_mask.png"], {"b.jpg": ("NG", "NG/AK/S2/b_mask.png")},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", TESTED)
def test_masks_are_masks_and_found(case: str, tmp_path: Path) -> None:
    names, wanted = TESTED[case]
    root = lay_out(tmp_path, *names)
    found = {entry.id: entry for entry in labelled_images(recognise(root))}
    for end, (label, mask) in wanted.items():
        (name,) = [name for name in found if name.endswith(end)]
        assert found[name].label == label
        assert found[name].mask == (None if mask is None else root / mask)
    if "good" in recognise(root).test and recognise(root).kind == "classes":
        wanted = {**wanted, "a good one": ("good", None)}
    assert len(found) == len(wanted)


def test_a_mask_of_the_name_of_its_jpeg_is_no_image(tmp_path: Path) -> None:
    root = lay_out(tmp_path, "NG/S1/b.jpg", "OK/a.jpg")
    mask = np.zeros((32, 32), np.uint8)
    mask[3:6] = 255
    Image.fromarray(mask).save(root / "NG/S1/b.png")
    found = {entry.id: entry.mask for entry in labelled_images(recognise(root))}
    assert found == {"NG/S1/b.jpg": root / "NG/S1/b.png", "OK/a.jpg": None}


@pytest.mark.parametrize(
    "name",
    ["x_mask.PNG", "x_mask.jpeg", "x_mask.webp", "x_mask.gif", "x_gt.png", "x-mask.png", "x_MASK.png",
     "x_label.png", "mask_x.png", "x.bm.png", "x.png.png", "x.png"],
)  # fmt: skip
@pytest.mark.parametrize("folder", ["ground_truth", "masks", "mask", "gt", "GroundTruth"])
def test_masks_are_found_by_any_usual_name(folder: str, name: str, tmp_path: Path) -> None:
    lay_out(tmp_path, "train/good/1.png", "test/good/2.png", "test/crack/x.png", f"{folder}/crack/{name}")
    found = {entry.id: entry.mask for entry in labelled_images(recognise(tmp_path))}
    assert found["test/crack/x.png"] == tmp_path / folder / "crack" / name


def test_the_same_folder_means_the_same_to_evaluate(tmp_path: Path) -> None:
    for case in ("nested", "mask folder"):
        names, wanted = TESTED[case]
        root = lay_out(tmp_path / case, *names, "good/3.png", "good/4.png", "good/5.png")
        (task,) = load_tasks(root)
        odd = [entry for entry in task.test if entry.label != "good"]
        assert [(entry.label, entry.mask) for entry in odd] == [
            (label, root / str(mask)) for label, mask in wanted.values()
        ]
        assert {entry.label for entry in task.train} == {"good"}
    root = lay_out(tmp_path / "kolektor", *TESTED["KolektorSDD2"][0])
    (task,) = load_tasks(root)
    assert {entry.id: entry.label for entry in task.test} == {
        "test/3.png": "defect",
        "test/empty4.png": "good",
    }
