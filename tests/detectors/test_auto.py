"""auto and padim: on real images, from a file, and bad input."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from anomalens.backbones.runtimes import Runtime
from anomalens.datasets import load_tasks
from anomalens.detectors import Batch, load_detector
from anomalens.detectors.checks import TexturedImages
from anomalens.detectors.patches.auto import Auto, AutoSettings, reading
from anomalens.detectors.patches.auto.context import Context
from anomalens.detectors.patches.auto.learning import Learning
from anomalens.detectors.patches.auto.map_choice import MIXES
from anomalens.detectors.patches.auto.tail_fusion import LAYOUT_SHARE, TOP_SHARE, TailFusion
from anomalens.detectors.patches.views.maps import mean_of_highest
from anomalens.errors import ModelFileError, SettingError
from anomalens.evaluation.evaluate import evaluate_task
from anomalens.images.image_set import ImageSet
from anomalens.inspector import FitOptions, Inspector
from anomalens.job import Job

SIZE = (64, 96)


@pytest.fixture(scope="module")
def images() -> TexturedImages:
    return TexturedImages.make(12, SIZE, seed=1)


@pytest.fixture(scope="module")
def fitted(images: TexturedImages) -> Auto:
    detector = Auto(AutoSettings())
    detector.fit(images, Job(Runtime()))
    return detector


def test_the_score_adds_the_views_on_their_tail_scales(fitted: Auto, images: TexturedImages) -> None:
    image = next(iter(images))
    state, seen = fitted.state(), fitted.look(image)
    fusion, context = TailFusion.from_json(state.numbers["fusion"]), Context.from_arrays(state.arrays)
    weights = fusion.weights
    assert fusion.scales is not None
    raw = {
        "patches": mean_of_highest(seen["nearest"], TOP_SHARE),
        "layout": mean_of_highest(seen["layout"], LAYOUT_SHARE),
        "context": context.score(seen["features"]),
    }
    expected = {view: weights[view] * float(fusion.scales[view](raw[view])) for view in raw}
    scores = fitted.score(Batch([image], ["a"]))
    assert scores.image[0] == pytest.approx(sum(expected.values()))
    assert scores.explain is not None
    said = {part.name: part.contribution for part in scores.explain(0).parts}
    assert said == pytest.approx(expected)
    trust = (12 - 4) / (16 - 4)  # of scales that twelve groups set
    assert weights["layout"] == pytest.approx(trust)
    assert weights["context"] == pytest.approx(0.5 * trust * 12 / 200)


def test_two_normal_images_leave_the_score_to_the_patches() -> None:
    few = Auto()
    few.fit(TexturedImages.make(2, (64, 96), seed=0), Job(Runtime()))
    assert "patches alone" in few.chosen_["why"]
    few.fit(TexturedImages.make(4, (64, 96), seed=0), Job(Runtime()))
    assert few.chosen_["weights"] == {"patches": 1.0, "layout": 0.0, "context": 0.0}


def test_auto_says_what_it_chose(fitted: Auto) -> None:
    assert "a map of" in fitted.chosen_["why"]
    assert fitted.chosen_["map"] in [t[:3] for t in fitted.chosen_["trials"]]


def test_without_the_fine_view_the_map_is_of_the_other_two(fitted: Auto, images: TexturedImages) -> None:
    plain = Auto(AutoSettings(fine=False))
    plain.fit(images, Job(Runtime()))
    assert plain.chosen_["map"][2] == 0 and len(plain.chosen_["trials"]) < len(MIXES)
    batch = Batch(list(images)[:3], images.ids[:3])
    np.testing.assert_allclose(plain.score(batch).image, fitted.score(batch).image)  # of the map alone


def test_where_memory_is_short_fewer_images_are_painted_and_no_fine_view_is_kept() -> None:
    short = AutoSettings(memory_mb=16, max_bank=500, min_bank=100)
    for side, painted, fine in ((64, 12, True), (192, 8, True), (256, 8, False)):
        some = TexturedImages.make(12, (side, side), seed=1)
        found = Learning.of(short, some, Job(Runtime())).reading
        assert len(found.painted.rows) == painted
        assert (found.fine is not None) == fine


def test_more_images_than_detail_holds_take_a_second_pass(images: TexturedImages) -> None:
    few = Auto(AutoSettings(max_images=6))
    scores = few.fit(images, Job(Runtime()))
    assert scores is not None and np.isfinite(scores.image).all()
    copy = Auto.from_state(few.state(), size=SIZE, runtime=Runtime())
    batch = Batch(list(images), images.ids)
    assert (few.score(batch).image == copy.score(batch).image).all()


@pytest.mark.parametrize("max_images", [2, 3])
def test_a_detail_view_of_very_few_images_still_gives_finite_maps(
    images: TexturedImages, max_images: int
) -> None:
    for seed in range(3):
        few = Auto(AutoSettings(max_images=max_images))
        scores = few.fit(images, Job(Runtime(), seed))
        known = np.isfinite(scores.image)
        assert known.sum() >= 10 and np.isfinite(scores.maps[known]).all()
        assert all(np.isfinite(trial).all() for trial in few.chosen_["trials"])


def test_painted_images_that_are_all_of_one_fold_leave_nothing_to_choose_by(monkeypatch) -> None:
    monkeypatch.setattr(reading, "PAINTED", 3)
    made = TexturedImages.make(12, SIZE, seed=2)
    one_group = TexturedImages(made.pixels, np.array([0] * 10 + [1, 2]))
    reasons = []
    for seed in range(6):
        few = Auto(AutoSettings(max_images=3))
        few.fit(one_group, Job(Runtime(), seed))
        reasons.append(few.chosen_["why"])
    assert any("patches alone" in reason for reason in reasons)


def test_images_of_16_bits_are_painted_too(images: TexturedImages) -> None:
    floats = TexturedImages(tuple(p.astype(np.float32) + 0.25 for p in images.pixels), images.groups)
    detector = Auto(AutoSettings())
    detector.fit(floats, Job(Runtime()))
    assert len(detector.chosen_["trials"]) == len(MIXES)


@pytest.mark.parametrize("name", ["auto", "padim"])
def test_one_of_few_settings_is_refused_in_a_sentence(name: str) -> None:
    kind = load_detector(name).settings_type
    with pytest.raises(SettingError, match="dimensions"):
        kind.from_texts({"dimensions": "0"})


@pytest.mark.parametrize(
    ("name", "image_floor", "pixel_floor"), [("auto", 0.99, 0.85), ("padim", 0.98, 0.88)]
)
def test_impurities_in_paper_are_found_and_outlined(
    name: str, image_floor: float, pixel_floor: float, real_set: Callable[[str], Path]
) -> None:
    (task,) = load_tasks(str(real_set("paper_piped/bdp01_tl")))
    card = evaluate_task(task, FitOptions(detector=name))
    assert card.error is None
    assert card.image_auroc is not None and card.image_auroc > image_floor
    assert card.aupro is not None and card.aupro > pixel_floor


@pytest.mark.filterwarnings("ignore:32 images", "ignore:A false-alarm rate")
def test_a_saved_auto_answers_alike(real_set: Callable[[str], Path], tmp_path: Path) -> None:
    normal = ImageSet.from_folder(real_set("paper_piped/gla01_tl") / "train" / "good")
    model = Inspector.fit(normal, detector="auto", size=128)
    model.save(tmp_path / "m.anomalens")
    again = Inspector.load(tmp_path / "m.anomalens")
    for a, b in zip(model.check(normal.subset([0, 1])), again.check(normal.subset([0, 1])), strict=True):
        assert a.score == b.score


def test_a_model_with_other_views_is_refused_in_a_sentence(fitted: Auto) -> None:
    state = fitted.state()
    weights = {"patches": 1.0, "detail": 0.25, "context": 0.5}
    state.numbers["fusion"]["weights"] = weights
    with pytest.raises(ModelFileError, match="fit the model again"):
        Auto.from_state(state, size=SIZE, runtime=Runtime())
