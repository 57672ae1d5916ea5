"""What is known of an image: its class and the verdict on it are two things."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from anomalens import ImageSet
from anomalens.datasets import load_tasks
from anomalens.errors import ImageSetError
from anomalens.images import ImageEntry, normal_images
from anomalens.images.labels import ANOMALOUS, NORMAL, read_labels
from anomalens.images.preprocess import Preprocessing
from anomalens.inspector.training_set import TrainingSet


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for i in range(12):
        pixels = rng.integers(0, 255, (16, 16, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{i}.png")
    return tmp_path


@pytest.mark.parametrize(
    ("texts", "known"),
    [
        (["0", "1", ""], [(None, NORMAL), (None, ANOMALOUS), (None, None)]),
        (["False", "true"], [(None, NORMAL), (None, ANOMALOUS)]),
        (["0", "1", "2"], [("0", None), ("1", None), ("2", None)]),  # digits, of which none is normal
        (["good", "0", "1"], [(None, NORMAL), ("0", ANOMALOUS), ("1", ANOMALOUS)]),
        (["OK", "scratch", None], [(None, NORMAL), ("scratch", ANOMALOUS), (None, None)]),
        (["defect", "bent"], [(None, ANOMALOUS), ("bent", ANOMALOUS)]),
        (["cat", "dog"], [("cat", None), ("dog", None)]),
        ([None, " "], [(None, None), (None, None)]),
    ],
)
def test_a_column_of_labels_is_read_as_a_whole(texts: list[str | None], known: list[object]) -> None:
    assert read_labels(texts) == known


@pytest.mark.parametrize(
    ("class_name", "verdict", "label"),
    [
        ("dog", NORMAL, "good"), (None, NORMAL, "good"), ("crack", ANOMALOUS, "crack"),
        (None, ANOMALOUS, "defect"), ("3", None, "3"), (None, None, None),
        ("good", ANOMALOUS, "class good"),  # a class that happens to be called so
    ],
)  # fmt: skip
def test_tables_call_an_image_by_its_verdict_or_kind(class_name, verdict, label) -> None:
    assert ImageEntry("a", np.zeros((4, 4)), class_name, verdict).label == label


def test_digits_in_a_manifest_are_classes_of_which_a_task_chooses(folder: Path) -> None:
    lines = [f"{i}.png,{i % 3},{'train' if i < 9 else 'test'}" for i in range(12)]
    (folder / "digits.csv").write_text("path,label,split\n" + "\n".join(lines) + "\n")
    images = ImageSet.open(folder / "digits.csv")
    assert {entry.class_name for entry in images} == {"0", "1", "2"}
    assert all(entry.verdict is None for entry in images)
    (task,) = load_tasks(folder / "digits.csv", protocol="one-vs-rest", normal_class="0")
    assert {(entry.class_name, entry.verdict) for entry in task.train} == {("0", NORMAL)}
    assert {(entry.class_name, entry.verdict) for entry in task.test} == {
        ("0", NORMAL), ("1", ANOMALOUS), ("2", ANOMALOUS),
    }  # fmt: skip
    with pytest.raises(ImageSetError, match="no normal image to learn from"):
        normal_images(folder / "digits.csv")


def test_normal_images_may_have_classes_that_reach_the_detector(folder: Path) -> None:
    lines = [f"{i}.png,good,{'left' if i % 2 else 'right'}" for i in range(6)]
    (folder / "parts.csv").write_text(
        "path,label,class\n" + "\n".join(lines) + "\n6.png,,left\n7.png,bad,left\n"
    )
    images = normal_images(folder / "parts.csv")
    assert [entry.class_name for entry in images] == ["right", "left"] * 3 + ["left"]
    assert [entry.verdict for entry in images] == [NORMAL] * 6 + [None]
    training = TrainingSet.collect(images, Preprocessing.parse("stretch", width=32, height=32))
    assert list(training.classes) == ["right", "left"] * 3 + ["left"]
    arrays = ImageSet.from_arrays(np.zeros((3, 8, 8)), classes=["a", "b", "a"])
    assert [(entry.class_name, entry.verdict) for entry in arrays] == [("a", None), ("b", None), ("a", None)]
