"""Classifiers that are trained: every network and recipe learns, and its graph says what the module says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

torch = pytest.importorskip("torch")

from anomalens import Classifier, ImageSet  # noqa: E402
from anomalens.backbones.registry import load_backbone  # noqa: E402
from anomalens.errors import BackboneError, SettingError  # noqa: E402
from anomalens.inspector.fit_options import FitOptions  # noqa: E402
from anomalens.training.classifier.changes import (  # noqa: E402
    MIXING,
    PIXEL,
    PixMix,
    changed,
    fractals,
    mixed,
    read_changes,
)
from anomalens.training.classifier.graph_module import GraphModule  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::anomalens.errors.AnomalensWarning")
SIZE = 32


def stripes(count: int, seed: int) -> ImageSet:
    """Three classes: stripes across, stripes down, and neither."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:SIZE, :SIZE]
    images, classes = [], []
    for i in range(count):
        phase, wave = rng.uniform(0, 6), rng.uniform(0.8, 1.4)
        value = (np.sin(y * wave + phase), np.sin(x * wave + phase), np.zeros((SIZE, SIZE)))[i % 3]
        grey = 128 + 50 * value + rng.normal(0, 12, (SIZE, SIZE))
        images.append(np.clip(grey, 0, 255).astype(np.uint8))
        classes.append(("across", "down", "plain")[i % 3])
    return ImageSet.from_arrays(images, classes=classes)


def fitted(**parameters: Any) -> Classifier:
    options = FitOptions(size=SIZE, runtime="onnxruntime", threads=1)
    return Classifier.fit(
        stripes(240, 0), options=options, **{"width": 8, "epochs": 6, "batch_size": 8, **parameters}
    )


def right(classifier: Classifier) -> float:
    asked = stripes(60, 1)
    findings = classifier.check(asked)
    return float(np.mean([f.label == e.class_name for f, e in zip(findings, asked, strict=True)]))


@pytest.mark.parametrize("train", ["cnn", "residual"])
def test_networks_from_scratch_learn_and_are_kept_in_one_file(train: str, tmp_path: Path) -> None:
    classifier = fitted(train=train, augment="flip")
    assert right(classifier) >= 0.9
    losses = classifier.detector.curves["training loss"]
    assert len(losses) == 6 and losses[-1] < losses[0]
    assert 15 <= len(classifier.inspector.calibration.scores) <= 30  # a tenth was held out
    again = Classifier.load(classifier.save(tmp_path / "c.anomalens"))
    scores = [[finding.score for finding in one.check(stripes(6, 2))] for one in (classifier, again)]
    assert scores[0] == scores[1]


@pytest.mark.parametrize("train", ["tune", "tune-all"])
def test_a_packaged_backbone_is_tuned(train: str) -> None:
    assert right(fitted(train=train, epochs=1, augment="flip")) >= 0.8


@pytest.mark.parametrize("recipe", ["logitnorm+pixmix", "rotpred"])
def test_recipes_still_learn_the_classes(recipe: str) -> None:
    augment = "" if "rotpred" in recipe else "flip"
    assert right(fitted(train="cnn", recipe=recipe, augment=augment, epochs=8)) >= 0.8


@pytest.mark.parametrize(
    "more",
    [
        {"loss": "focal", "balance": True, "smoothing": 0.1},
        {"loss": "adjusted", "augment": "rand,mixup"},
        {"augment": "cutmix", "side": 24, "epochs": 10},
    ],
)
def test_settings_of_the_loop_still_learn(more: dict[str, Any]) -> None:
    assert right(fitted(train="cnn", **{"augment": "flip", "epochs": 6, **more})) >= 0.7


def test_the_same_seed_gives_the_same_weights() -> None:
    one, other = (fitted(train="cnn", epochs=1).detector.network_.last.weight for _ in range(2))
    assert np.array_equal(one, other)


def test_a_rare_class_is_never_held_out_whole() -> None:
    images = stripes(240, 0)
    rare = images.subset([i for i in range(240) if i % 3 < 2 or i in (2, 5)])
    classifier = Classifier.fit(
        rare, options=FitOptions(size=SIZE, threads=1), train="cnn", width=8, epochs=1
    )
    assert classifier.classes == ("across", "down", "plain")


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"train": "resnet"}, "resnet"),
        ({"train": "cnn", "recipe": "magic"}, "magic"),
        ({"train": "cnn", "augment": "wobble"}, "wobble"),
        ({"train": "cnn", "loss": "hinge"}, "hinge"),
    ],
)
def test_unknown_words_are_told(parameters: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingError, match=said):
        fitted(**parameters)


def test_a_backbone_as_a_module_says_what_its_graph_says() -> None:
    from onnxruntime import InferenceSession

    backbone = load_backbone("efficientnet-lite0")
    tap = max(backbone.card.taps, key=lambda one: one.stride).name
    graph = backbone.graph([tap])
    image = np.random.default_rng(0).normal(size=(1, 3, 64, 96)).astype(np.float32)
    (wanted,) = InferenceSession(graph).run(None, {onnx.load_from_string(graph).graph.input[0].name: image})
    with torch.no_grad():
        (given,) = GraphModule(graph)(torch.from_numpy(image))
    np.testing.assert_allclose(given.numpy(), wanted, atol=1e-3 * np.abs(wanted).max())


def test_a_graph_with_other_operations_cannot_be_tuned() -> None:
    node = onnx.helper.make_node("Erf", ["image"], ["out"])
    values = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 3, 8, 8])
        for name in ("image", "out")
    ]
    model = onnx.helper.make_model(onnx.helper.make_graph([node], "g", values[:1], values[1:]))
    with pytest.raises(BackboneError, match="Erf"):
        GraphModule(model.SerializeToString())


def test_changes_keep_shape_and_range_and_mixing_says_its_share() -> None:
    torch.manual_seed(0)
    images = torch.rand(6, 3, 20, 28)
    for word in PIXEL:
        assert changed(images, (word,)).shape == images.shape
    for word in MIXING:
        found, order, share = mixed(images, (word,))
        assert found.shape == images.shape and 0 <= share <= 1 and sorted(order.tolist()) == list(range(6))
    assert torch.equal(mixed(images, ("flip",))[0], images)
    pictures = PixMix((20, 28), 0)(images)
    assert pictures.shape == images.shape and float(pictures.min()) >= 0 and float(pictures.max()) <= 1
    assert read_changes(" flip, mixup ") == ("flip", "mixup")


def test_changes_stay_where_the_images_are() -> None:
    """On a GPU they are; torch's device without memory tells as well."""
    images = torch.rand(4, 3, 16, 16, device="meta")
    for word in PIXEL[:-1]:
        assert changed(images, (word,)).device.type == "meta"


def test_quarter_turns_of_wide_images_are_told_too() -> None:
    options = FitOptions(size=(48, 32), runtime="onnxruntime", threads=1)
    more = {"width": 8, "epochs": 2, "batch_size": 8, "augment": ""}
    classifier = Classifier.fit(stripes(120, 0), options=options, train="cnn", recipe="rotpred", **more)
    assert classifier.classes == ("across", "down", "plain")


def test_fractals_are_pictures_and_not_all_alike() -> None:
    made = fractals(6, (32, 32), 0)
    assert made.shape == (6, 3, 32, 32) and made.min() >= 0 and made.max() <= 1
    assert (made.std((1, 2, 3)) > 0.01).all() and np.array_equal(made, fractals(6, (32, 32), 0))
