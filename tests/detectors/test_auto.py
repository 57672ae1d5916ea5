"""auto and padim: on real images, from a file, their formulas, and what evidence chooses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from anomalens.backbones.runtimes import Runtime
from anomalens.datasets import load_tasks
from anomalens.detectors import Batch, load_detector
from anomalens.detectors.checks import TexturedImages
from anomalens.detectors.patches import auto_fit
from anomalens.detectors.patches.auto import Auto, AutoSettings
from anomalens.detectors.patches.auto_fit import AutoFit
from anomalens.detectors.patches.auto_graph import Models
from anomalens.detectors.patches.auto_heads import LAYOUT_SHARE, TOP_SHARE
from anomalens.detectors.patches.auto_map import FINE_REGULARISATIONS, MIXES, Grids, MapMixer, Spread
from anomalens.detectors.patches.auto_weights import APART, weights
from anomalens.detectors.patches.evidence import Trial, auroc, choose, painted, region_overlap
from anomalens.detectors.patches.maps import MapMaker, mean_of_highest
from anomalens.detectors.patches.patchcore import PatchCore, PatchCoreSettings
from anomalens.detectors.patches.position_gaussians import PositionGaussians, principal_axes
from anomalens.detectors.patches.shared_gaussians import SharedMoments
from anomalens.errors import BackboneError, ModelFileError, SettingError
from anomalens.evaluation.evaluate import evaluate_task
from anomalens.images.image_set import ImageSet
from anomalens.inspector import FitOptions, Inspector
from anomalens.job import Job
from anomalens.metrics.pixel_figures import pixel_figures
from anomalens.metrics.ranking import image_auroc

SIZE = (64, 96)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture(scope="module")
def images() -> TexturedImages:
    return TexturedImages.make(12, SIZE, seed=1)


@pytest.fixture(scope="module")
def fitted(images: TexturedImages) -> Auto:
    detector = Auto(AutoSettings())
    detector.fit(images, Job(Runtime()))
    return detector


def test_a_gaussian_of_a_position_is_the_formula(rng: np.random.Generator) -> None:
    mixing = rng.normal(size=(3, 5, 5)) * [0.2, 1, 3, 1, 0.5]
    x = np.einsum("npk,pkl->npl", rng.normal(size=(40, 3, 5)), mixing).astype(np.float32)
    model = PositionGaussians.fit(x, np.eye(5, dtype=np.float32), regularisation=0.1, shrinkage=0.25, rank=2)
    own = np.stack([np.cov(x[:, p].T) for p in range(3)])
    shared = own.mean(0)
    shared += 0.1 * np.trace(shared) / 5 * np.eye(5)
    values, vectors = np.linalg.eigh(shared)
    root, inverse = (vectors * values**power @ vectors.T for power in (0.5, -0.5))
    for p in range(3):
        values, vectors = np.linalg.eigh(0.75 * inverse @ own[p] @ inverse + 0.25 * np.eye(5))
        values[:3] = 1
        covariance = root @ (vectors * np.maximum(values, 1) @ vectors.T) @ root
        centred = x[:, p] - x[:, p].mean(0)
        expected = np.sqrt(np.einsum("ij,jk,ik->i", centred, np.linalg.inv(covariance), centred))
        np.testing.assert_allclose(model.distances(x)[:, p], expected, rtol=1e-3)


def test_gaussians_with_one_covariance_are_the_formula_and_leave_a_fold_out(rng: np.random.Generator) -> None:
    mixing = rng.normal(size=(4, 4))
    x = (rng.normal(size=(30, 50, 4)) @ mixing + rng.normal(size=(1, 50, 4)) + 1000).astype(np.float32)
    folds = np.arange(30) % 3
    moments = SharedMoments(3)
    for image, fold in zip(x, folds, strict=True):
        moments.add(image, int(fold))
    residuals = (x - x.mean(0)).reshape(-1, 4)
    covariance = residuals.T @ residuals / (50 * 29)
    covariance += np.trace(covariance) / 4 * np.eye(4)
    for without, known in ((None, x), (1, x[folds != 1])):
        centred = x[0] - known.mean(0)
        expected = np.sqrt(np.einsum("pi,ij,pj->p", centred, np.linalg.inv(covariance), centred))
        np.testing.assert_allclose(moments.gaussians(without).distances(x[0]), expected, rtol=1e-3)


def test_a_fold_of_all_images_keeps_its_mean() -> None:
    moments = SharedMoments(1)
    moments.add(np.ones((3, 2), np.float32), 0)
    # nothing varies: deviations count in ten-thousandths of the features' size
    np.testing.assert_allclose(
        moments.gaussians(0).distances(np.full((3, 2), 2.0)), 10_000 * np.sqrt(2), rtol=1e-4
    )


def test_a_map_mixes_two_grids_in_deviations_of_normal_patches(rng: np.random.Generator) -> None:
    coarse, fine = MapMaker((3, 4), (24, 32), 2.0), MapMaker((6, 8), (24, 32), 2.0)
    grids = Grids(*(rng.normal(size=(1, *shape)).astype(np.float32) for shape in ((3, 4), (3, 4), (6, 8))))
    mixer = MapMixer(coarse, fine, [Spread(1.0, 2.0), Spread(0.5, 1.0), Spread(0.0, 4.0)])
    assert mixer.mixes == MIXES
    (drawn,) = mixer.maps(grids, (0.5, 0.25, 0.25))
    assert grids.fine is not None
    expected = (
        0.5 * coarse((grids.patches[0] - 1) / 2)
        + 0.25 * coarse(grids.detail[0] - np.float32(0.5))
        + 0.25 * fine(grids.fine[0] / 4)
    )
    np.testing.assert_allclose(drawn, expected, atol=1e-5)
    without = MapMixer(coarse, None, [Spread(0.0, 1.0)] * 3)
    assert all(not mix[2] for mix in without.mixes) and len(without.mixes) >= 3


def test_the_whole_counts_more_only_where_patches_lie_apart_and_hide_defects() -> None:
    many = {"layout": 1.0, "context": 0.5, "n_groups": 400}
    usual, _ = weights(**many, gap=0.4, painted_auroc=0.99)  # a part
    assert usual == weights(**many, gap=0.4, painted_auroc=0.7)[0]  # digits
    assert usual == {"patches": 1.0, "layout": 1.0, "context": 0.5}
    surface, _ = weights(**many, gap=0.7, painted_auroc=0.99)
    assert surface == {"patches": 1.0, "layout": pytest.approx(0.2), "context": 0.5}
    varied, how_much = weights(**many, gap=0.7, painted_auroc=0.7)
    assert varied == {"patches": 1.0, "layout": 0.0, "context": 2.0} and how_much == 1.0
    few = {**many, "n_groups": 20}
    assert weights(**few, gap=0.7, painted_auroc=0.99)[0]["context"] == pytest.approx(0.05)
    assert weights(**few, gap=0.7, painted_auroc=0.7)[0]["context"] == 2.0


@pytest.mark.parametrize("copies", [1, 7])
def test_images_that_do_not_differ_give_finite_distances(copies: int, rng: np.random.Generator) -> None:
    x = np.repeat(rng.normal(size=(1, 2, 3)).astype(np.float32), copies, 0)
    model = PositionGaussians.fit(x, np.eye(3, dtype=np.float32))
    size = np.sqrt((x[0] ** 2).mean())
    np.testing.assert_allclose(model.distances(x + 1), 10_000 / size * np.sqrt(3), rtol=1e-2)
    assert model.distances(x).max() < 1
    empty = PositionGaussians.fit(0 * x, np.eye(3, dtype=np.float32))
    np.testing.assert_allclose(empty.distances(0 * x + 1), np.sqrt(3), rtol=1e-6)


def test_principal_axes_are_orthonormal_and_carry_the_most_variance(rng: np.random.Generator) -> None:
    x = (rng.normal(size=(500, 6)) * [9, 1, 5, 1, 1, 1]).astype(np.float32)
    axes = principal_axes(x, 2, seed=0)
    np.testing.assert_allclose(axes.T @ axes, np.eye(2), atol=1e-5)
    np.testing.assert_allclose(np.abs(axes[[0, 2]]), np.eye(2), atol=0.1)


def test_region_overlap_is_aupro_of_one_region_an_image(rng: np.random.Generator) -> None:
    maps = [rng.normal(size=(40, 40)).astype(np.float32) for _ in range(4)]
    masks = [np.zeros((40, 40), bool) for _ in range(4)]
    for i, mask in enumerate(masks[:2]):
        mask[5 + i : 15, 8:20] = True
        maps[i][mask] += 1.0
    normal = np.concatenate([m[~mask] for m, mask in zip(maps, masks, strict=True)])
    ours = region_overlap(normal, [m[mask] for m, mask in zip(maps[:2], masks[:2], strict=True)])
    exact = pixel_figures([(m, k if k.any() else None) for m, k in zip(maps, masks, strict=True)]).aupro
    assert ours == pytest.approx(exact, abs=2e-3)


def test_pairs_in_order_are_the_exact_auroc(rng: np.random.Generator) -> None:
    normal, anomalous = rng.integers(0, 9, 50).astype(float), rng.integers(3, 12, 30).astype(float)
    scores = np.concatenate([normal, anomalous])
    labels = np.arange(80) >= 50
    assert auroc(normal, anomalous) == pytest.approx(image_auroc(scores, labels))


def test_a_better_outline_pays_for_what_it_costs_the_ranking() -> None:
    patches, both, detail = (1.0, 0.0, 0.0), (0.5, 0.5, 0.0), (0.0, 1.0, 0.0)
    trials = [Trial(patches, 0.90, 1.0), Trial(both, 0.92, 0.985), Trial(detail, 0.99, 0.80)]
    assert choose(trials).mix == both
    assert choose([replace(trials[0], image_auroc=0.81), *trials[1:]]).mix == both
    assert choose([*trials[:2], replace(trials[2], image_auroc=0.95)]).mix == detail
    nearly = [Trial(patches, 0.90, 1.0), Trial(both, 0.901, 0.991)]
    assert choose(nearly).mix == both
    assert choose([nearly[0], replace(nearly[1], image_auroc=0.985)]).mix == patches


def test_distances_in_a_steady_scene_are_those_of_the_nearest_patches(images: TexturedImages) -> None:
    """One picture like the next: what a search along few axes leaves out is as large as the distances."""
    scene = np.asarray(next(iter(images)), np.float32)
    noise = np.random.default_rng(0).normal(0, 1, (26, *scene.shape))
    steady = np.clip(scene + noise, 0, 255).round().astype(np.uint8)
    detector = PatchCore(PatchCoreSettings())
    detector.fit(TexturedImages(steady[:20], np.arange(20)), Job(Runtime()))
    rows = np.concatenate([detector._embed(image).reshape(-1, 152) for image in steady[20:]])
    exact = np.array([np.linalg.norm(detector.bank_.vectors - row, axis=1).min() for row in rows])
    found = detector.bank_.nearest(rows)
    assert (found > exact * (1 - 1e-4)).all()
    assert found.mean() < 1.005 * exact.mean()
    assert (found / exact).max() < 1.1


def test_painted_defects_repeat_and_have_a_mask(images: TexturedImages) -> None:
    image = np.asarray(next(iter(images)), np.uint8)
    first, again, other = painted(image, 1, 7), painted(image, 1, 7), painted(image, 2, 7)
    assert (first[0] == again[0]).all() and (first[1] == again[1]).all()
    assert (first[0] != other[0]).any() and first[1].any()


def test_the_score_adds_the_views_on_their_tail_scales(fitted: Auto, images: TexturedImages) -> None:
    image = next(iter(images))
    pooled, nearest, misplaced, _ = fitted._network(image)
    scales, weights = fitted._fusion.scales, fitted._fusion.weights
    assert scales is not None
    raw = {
        "patches": mean_of_highest(nearest, TOP_SHARE),
        "layout": mean_of_highest(misplaced, LAYOUT_SHARE),
        "context": fitted._context.score(pooled),
    }
    expected = sum(weights[view] * float(scales[view](raw[view])) for view in raw)
    assert fitted.score(Batch([image], ["a"])).image[0] == pytest.approx(expected)
    trust = (12 - 4) / (16 - 4)  # of scales that twelve groups set
    placed = np.interp(fitted.chosen_["gap"], APART, (1, 0))
    assert weights["layout"] == pytest.approx(trust * placed)
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


def test_a_fine_view_beyond_the_budget_is_left_out(images: TexturedImages, monkeypatch) -> None:
    monkeypatch.setattr(AutoFit, "_fits", lambda self, features: False)
    detector = Auto()
    detector.fit(images, Job(Runtime()))
    assert detector.chosen_["map"][2] == 0


def test_few_images_are_painted_where_memory_is_short(images: TexturedImages, monkeypatch) -> None:
    budgets = []
    plain = AutoFit._paint_what_fits

    def short(self: AutoFit, image_bytes: int) -> None:
        plain(self, image_bytes)
        budgets.append(len(self._painted))
        plain(self, 10**9)
        budgets.append(len(self._painted))

    monkeypatch.setattr(AutoFit, "_paint_what_fits", short)
    detector = Auto()
    detector.fit(images, Job(Runtime()))
    assert budgets == [12, 8]
    assert np.isfinite(detector.chosen_["trials"]).all()


def test_a_runtime_that_draws_another_map_is_refused(images: TexturedImages, monkeypatch) -> None:
    drawn = Models.graph

    def other(self: Models, embedding: bytes) -> bytes:
        terms = replace(self.terms, offset=self.terms.offset + 5)
        return drawn(replace(self, terms=terms), embedding)

    monkeypatch.setattr(Models, "graph", other)
    with pytest.raises(BackboneError, match="finds other distances"):
        Auto().fit(images, Job(Runtime()))


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
    monkeypatch.setattr(auto_fit, "PAINTED", 3)
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
    fine = sum(mix[2] > 0 for mix in MIXES)
    assert len(detector.chosen_["trials"]) == len(MIXES) + fine * (len(FINE_REGULARISATIONS) - 1)
    assert detector.chosen_["fine_regularisation"] in FINE_REGULARISATIONS


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
