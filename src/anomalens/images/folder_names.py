"""What people call the folders and files of a dataset: normal, defective, masks, parts to learn and test.

Names are compared in lower case, without numbers and without words that only say that pictures follow, so
that `OK`, `ok_images` and `OK-2` are one.
"""

from __future__ import annotations

import re
from typing import Final

# fmt: off
GOOD_NAMES: Final = frozenset({
    "good", "normal", "normals", "ok", "okay", "io", "i_o", "pass", "passed", "accept", "accepted", "healthy",
    "uninfected", "undamaged", "intact", "no_defect", "no_defects", "nodefect", "defect_free", "defectfree",
    "without_defect", "non_defect", "non_defective", "no_anomaly", "anomaly_free",
})
_TRAIN_NAMES: Final = frozenset({"train", "training", "trainset", "train_set", "training_set"})
_TEST_NAMES: Final = frozenset({
    "test", "testing", "tests", "testset", "test_set", "test_public", "test_private", "val", "valid",
    "validation", "validation_set", "eval", "evaluation", "holdout", "hold_out",
})
_MASK_NAMES: Final = frozenset({
    "mask", "masks", "gt", "gts", "ground_truth", "groundtruth", "ground_truths", "truth", "annotation",
    "annotations", "label", "labels", "seg", "segmentation", "segmentations", "label_mask", "label_masks",
    "gt_mask", "gt_masks", "binary_mask", "binary_masks",
})
_IMAGE_NAMES: Final = frozenset({"", "image", "images", "img", "imgs", "picture", "pictures", "photo",
                                 "photos", "rgb", "data", "jpegimages"})
_FILLERS: Final = _IMAGE_NAMES | {"part", "parts", "sample", "samples", "only", "all", "class", "set"}
_BAD_WORDS: Final = frozenset({
    "bad", "fail", "failed", "ng", "nok", "nio", "reject", "rejected", "scrap", "faulty", "broken",
    "abnormal",
})
_DEFECT_WORDS: Final = _BAD_WORDS | frozenset({
    "failure", "rejects", "fault", "faults", "abnormality", "outlier", "outliers", "infected", "parasitized",
    "tumor", "tumour", "disease", "diseased", "lesion", "lesions", "impurity", "impurities",
    "hole", "holes", "dent", "dents", "stain", "stains", "chipped", "missing", "misplaced", "bent", "rust",
    "corrosion", "burr", "burrs", "pitting", "blowhole", "positive",
})
_DEFECT_STEMS: Final = ("defect", "anomal", "crack", "scratch", "damage", "contamin", "fracture")
_NOT: Final = frozenset({"no", "not", "non", "without", "free"})
# fmt: on

_MASK_AFFIX: Final = (
    "ground[_ -]?truth|truth|label[_ -]?mask|gt[_ -]?mask|masks?|gt|labels?|seg|segmentation|annotation|bm"
)
_MASK_ENDING: Final = re.compile(rf"[._ -]+({_MASK_AFFIX})$")
_MASK_BEGINNING: Final = re.compile(rf"^({_MASK_AFFIX})[._ -]+")


def plain(name: str) -> str:
    """The name in lower case, with _ for spaces, dots and hyphens, without numbers at its end."""
    return re.sub(r"[\s.\-_]+", "_", re.sub(r"[\s._-]*\d+$", "", name.strip().lower())).strip("_")


def _bare(name: str) -> str:
    """The plain name without words that say nothing, such as images."""
    words = [word for word in plain(name).split("_") if word not in _FILLERS]
    return "_".join(words)


def is_good(name: str) -> bool:
    """Whether a folder of this name holds normal images."""
    return plain(name) in GOOD_NAMES or _bare(name) in GOOD_NAMES


def is_train(name: str) -> bool:
    """Whether a folder of this name holds what is to be learnt from."""
    return _bare(name) in _TRAIN_NAMES


def is_test(name: str) -> bool:
    """Whether a folder of this name holds what is to be tested."""
    return _bare(name) in _TEST_NAMES


def is_mask(name: str) -> bool:
    """Whether a folder of this name may hold masks; its contents must agree."""
    return plain(name) in _MASK_NAMES or _bare(name) in _MASK_NAMES


def is_container(name: str) -> bool:
    """Whether a folder of this name says no more than that it holds images."""
    return plain(name) in _IMAGE_NAMES - {""}


def names_a_defect(name: str) -> bool:
    """Whether a folder of this name may hold what is not normal."""
    words = _words(name)
    found = any(word in _DEFECT_WORDS or word.startswith(_DEFECT_STEMS) for word in words)
    return not is_good(name) and (_denies_good(words) or (found and not _NOT & words))


def says_bad(stem: str) -> bool:
    """Whether a file's name says outright that it shows a bad one: `bad_07`, `NG-3`; not `hole_plate`."""
    words = _words(stem)
    found = any(word in _BAD_WORDS or word.startswith(("defect", "anomal")) for word in words)
    return _denies_good(words) or (found and not _NOT & words)


def may_be_abnormal(name: str) -> bool:
    """Whether a folder of this name may hold masks, a part to test, or what is not normal."""
    return (
        is_test(name) or is_mask(name) or names_a_defect(name)
        or bool(_words(name) & (_TEST_NAMES | {"mask", "masks", "gt"}))
    )  # fmt: skip


def _words(name: str) -> set[str]:
    return set(re.findall(r"[^\W\d_]+", name.lower()))


def _denies_good(words: set[str]) -> bool:
    return bool({"not", "no"} & words and {"ok", "good", "pass"} & words)


def image_name_of_mask(stem: str) -> str:
    """The name, in lower case, of the image that a mask of this name belongs to.

    `x_mask`, `x-gt`, `mask_x`, `x.png` and `x` belong to `x`.
    """
    name = stem.lower()
    name = re.sub(r"\.(png|jpe?g|bmp|tiff?|webp|gif)$", "", name)
    shorter = _MASK_ENDING.sub("", name)
    return shorter if shorter != name else _MASK_BEGINNING.sub("", name)
