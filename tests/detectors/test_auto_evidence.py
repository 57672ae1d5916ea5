"""What evidence tells auto: how its map is drawn, and how much each view counts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from anomalens.detectors.checks import TexturedImages
from anomalens.detectors.patches.auto.map_choice import (
    MIXES,
    Mix,
    Spread,
    Trial,
    choose,
    drawing_of,
    trials,
)
from anomalens.detectors.patches.auto.names import DETAIL, FINE, NEAREST
from anomalens.detectors.patches.auto.painted import painted
from anomalens.detectors.patches.auto.weights import weights
from anomalens.detectors.patches.views.maps import Drawing, MapMaker
from anomalens.metrics.pixel_figures import pixel_figures, region_overlap
from anomalens.metrics.ranking import auroc, image_auroc


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def trial(mix: Mix, overlap: float, auroc: float) -> Trial:
    return Trial(mix, overlap, auroc, Drawing(()))


def test_a_map_mixes_two_grids_in_deviations_of_normal_patches(rng: np.random.Generator) -> None:
    coarse, fine = MapMaker((3, 4), (24, 32), 2.0), MapMaker((6, 8), (24, 32), 2.0)
    makers = {NEAREST: coarse, DETAIL: coarse, FINE: fine}
    grids = {view: rng.normal(size=maker.grid).astype(np.float32) for view, maker in makers.items()}
    spreads = {NEAREST: Spread(1.0, 2.0), DETAIL: Spread(0.5, 1.0), FINE: Spread(0.0, 4.0)}
    expected = (
        0.5 * coarse((grids[NEAREST] - 1) / 2)
        + 0.25 * coarse(grids[DETAIL] - np.float32(0.5))
        + 0.25 * fine(grids[FINE] / 4)
    )
    drawing = drawing_of((0.5, 0.25, 0.25), spreads, makers)
    np.testing.assert_allclose(drawing(grids), expected, atol=1e-5)


@pytest.mark.parametrize("views", [(NEAREST, DETAIL), (NEAREST, DETAIL, FINE)])
def test_only_mixes_of_views_that_there_are_get_tried(
    views: tuple[str, ...], rng: np.random.Generator
) -> None:
    makers = dict.fromkeys(views, MapMaker((3, 4), (24, 32), 2.0))
    normal, marked = (
        {view: rng.normal(size=(2, 3, 4)).astype(np.float32) for view in views} for _ in range(2)
    )
    masks = [np.zeros((24, 32), bool) for _ in range(2)]
    for mask in masks:
        mask[5:9, 7:20] = True
    spreads = {view: Spread.of(normal[view]) for view in views}
    tried = [trial.mix for trial in trials(normal, marked, masks, spreads, makers)]
    with_fine = [mix for mix in MIXES if mix[2]]
    if FINE in views:
        assert tried == list(MIXES)
    else:
        assert tried == [mix for mix in MIXES if mix not in with_fine] and len(tried) >= 3


def test_the_whole_counts_more_only_where_patches_lie_apart_and_hide_defects() -> None:
    many = {"layout": 1.0, "context": 0.5, "n_groups": 400}
    usual, _ = weights(**many, gap=0.4, painted_auroc=0.99)  # a part
    assert usual == weights(**many, gap=0.4, painted_auroc=0.7)[0]  # digits
    assert usual == {"patches": 1.0, "layout": 1.0, "context": 0.5}
    surface, _ = weights(**many, gap=0.7, painted_auroc=0.99)
    assert surface == {"patches": 1.0, "layout": 1.0, "context": 0.5}
    varied, how_much = weights(**many, gap=0.7, painted_auroc=0.7)
    assert varied == {"patches": 1.0, "layout": 0.0, "context": 2.0} and how_much == 1.0
    few = {**many, "n_groups": 20}
    assert weights(**few, gap=0.7, painted_auroc=0.99)[0]["context"] == pytest.approx(0.05)
    assert weights(**few, gap=0.7, painted_auroc=0.7)[0]["context"] == 2.0


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


def test_the_best_outline_is_taken_and_of_equal_ones_the_best_ranking() -> None:
    patches, both, detail = (1.0, 0.0, 0.0), (0.5, 0.5, 0.0), (0.0, 1.0, 0.0)
    tried = [trial(patches, 0.90, 1.0), trial(both, 0.92, 0.985), trial(detail, 0.92, 0.990)]
    assert choose(tried).mix == detail
    assert choose([*tried[:2], replace(tried[2], overlap=0.91)]).mix == both


def test_painted_defects_repeat_and_have_a_mask() -> None:
    (pixels,) = TexturedImages.make(1, (64, 96), seed=1)
    image = np.asarray(pixels, np.uint8)
    first, again, other = painted(image, 1, 7), painted(image, 1, 7), painted(image, 2, 7)
    assert (first[0] == again[0]).all() and (first[1] == again[1]).all()
    assert (first[0] != other[0]).any() and first[1].any()
