"""Template: pairs brought onto each other and compared."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image

from anomalens.backbones.runtimes import Runtime
from anomalens.datasets.masks import read_mask
from anomalens.detectors import Batch
from anomalens.detectors.checks import TexturedImages, painted
from anomalens.detectors.cross_fit import batches, cross_fit, stand_in_scores
from anomalens.detectors.patches.feature_differences import differences
from anomalens.detectors.patches.registration import aligned, best_shift
from anomalens.detectors.patches.template import Template, TemplateSettings
from anomalens.errors import SettingError
from anomalens.images.image_entry import ImageEntry
from anomalens.job import Job


def scene(seed: int, side: int = 200) -> Any:
    """uint8 [side, side, 3]: soft blobs of several colours."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 256, (16, 16, 3), np.uint8))
    return np.asarray(small.resize((side, side), Image.Resampling.BICUBIC))


def views(seed: int, shift: tuple[int, int]) -> tuple[Any, Any]:
    """An image, and a reference that has to move by `shift` to lie on it; each with noise of its own."""
    whole, (dy, dx) = scene(seed), shift
    noise = np.random.default_rng(seed).normal(0, 2, (2, 96, 128, 3))
    clean = whole[20:116, 20:148], whole[20 + dy : 116 + dy, 20 + dx : 148 + dx]
    image, reference = np.clip(np.rint(clean + noise), 0, 255).astype(np.uint8)
    return image, reference


@pytest.mark.parametrize("shift", [(0, 0), (3, -5), (-10, 10), (20, 0)])
@pytest.mark.parametrize("exposure", [(1.0, 0), (0.6, 30)])
def test_known_shifts_and_exposures_are_undone(shift, exposure):
    image, reference = views(1, shift)
    changed = np.clip(reference * exposure[0] + exposure[1], 0, 255).round().astype(np.uint8)
    assert best_shift(changed, image, max_shift=32) == shift
    apart = np.abs(aligned(changed, image, max_shift=32) - image)
    assert apart.mean() < 4


def test_shifts_beyond_the_limit_and_without_gain_are_left():
    image, reference = views(1, (20, 0))
    down, right = best_shift(reference, image, max_shift=8)
    assert abs(down) <= 8 and abs(right) <= 8
    plain = np.full((64, 96, 3), 90, np.uint8)
    assert np.array_equal(aligned(plain + 20, plain, max_shift=8), plain)
    noise = np.random.default_rng(0).integers(0, 256, (2, 64, 96, 3), np.uint8)
    still = aligned(noise[1], noise[0], max_shift=0)
    assert np.allclose(aligned(noise[1], noise[0], max_shift=8), still)  # no shift makes noise alike


def test_a_large_defect_does_not_change_the_exposure_of_the_rest():
    image, reference = views(1, (0, 0))
    defect, mask = painted(image)
    apart = np.abs(aligned(reference, defect, max_shift=4) - image)[~mask]
    assert apart.mean() < 3


def test_a_few_black_tracks_on_white_stay_black():
    reference = np.full((96, 128, 3), 255, np.uint8)
    reference[40:46] = 0
    board = reference.copy()
    board[40:46, 50:60] = 255  # open
    board[10:16, 70:76] = 0  # spurious copper
    moved = aligned(reference, board, max_shift=4)
    assert moved[40:46].max() < 10 and moved[:40].min() > 245


def test_pairs_of_two_sizes_are_refused():
    with pytest.raises(SettingError, match=r"reference has the shape \[4, 5, 3\] and its image \[6, 5, 3\]"):
        aligned(np.zeros((4, 5, 3), np.uint8), np.zeros((6, 5, 3), np.uint8), max_shift=2)


def test_differences_see_both_directions_and_forgive_a_step_aside():
    rng = np.random.default_rng(0)
    ours = rng.normal(size=(8, 6, 7)).astype(np.float32)
    aside = np.roll(ours, 1, axis=2)
    assert differences(ours, aside, reach=1)[:, 1:-1].max() == 0
    assert differences(ours, aside, reach=0).min() > 0.5
    more = np.zeros((8, 6, 7), np.float32)
    more[:, 2, 3] = 5
    # something on one of the two is a difference, whichever has it
    for pair in ((more, np.zeros_like(more)), (np.zeros_like(more), more)):
        found = differences(*pair, reach=1)
        assert found[2, 3] == pytest.approx(5 * 8**0.5) and (found > 0).sum() == 1
    assert differences(ours, ours, reach=6).max() == 0


def pairs(n: int, *, references: bool = True) -> TexturedImages:
    found = [views(seed, (seed % 5 - 2, seed % 3)) for seed in range(n)]
    return TexturedImages(
        tuple(image for image, _ in found),
        np.arange(n, dtype=np.int64),
        tuple(reference for _, reference in found) if references else None,
    )


@pytest.fixture(scope="module")
def fitted() -> tuple[Template, Any]:
    detector = Template()
    return detector, detector.fit(pairs(12), Job(Runtime()))


def test_each_image_is_compared_with_its_own_reference(fitted):
    detector, unseen = fitted
    image, reference = views(77, (4, -7))
    defect, mask = painted(image)
    normal, odd, foreign = (
        detector.score(Batch([one], ["a"], references=[other]))
        for one, other in ((image, reference), (defect, reference), (image, views(78, (0, 0))[1]))
    )
    assert normal.image[0] < 1.5 * unseen.image.max()
    assert odd.image[0] > 3 * normal.image[0] and foreign.image[0] > 3 * normal.image[0]
    assert odd.maps[0][mask].mean() > 1.5 * odd.maps[0][~mask].mean()  # the picture is small for 1/16
    same = detector.score(Batch([image], ["a"], references=[image]))
    assert same.image[0] == 0
    assert not detector.notes


def test_it_says_that_references_are_missing(fitted):
    with pytest.raises(SettingError, match="compares each image with its own reference and was given none"):
        fitted[0].score(Batch([scene(0)], ["a"]))


@pytest.mark.parametrize("given", ["templates", "equal"])
def test_templates_alone_make_pairs_and_say_so(given):
    templates = pairs(8, references=False)
    if given == "equal":
        templates = TexturedImages(templates.pixels, templates.groups, templates.pixels)
    detector = Template()
    scores = detector.fit(templates, Job(Runtime()))
    assert np.isfinite(scores.image).all() and scores.image.min() > 0
    (note,) = detector.notes
    assert "pairs were made from templates" in note
    assert "no normal pair was given" in note
    image, reference = views(77, (2, 2))
    defect, _ = painted(image)
    score = [detector.score(Batch([one], ["a"], references=[reference])).image[0] for one in (image, defect)]
    assert score[0] < 1.5 * scores.image.max() < score[1]


def test_a_fold_that_leaves_a_group_out_keeps_its_references():
    detector, images = Template(), pairs(10)
    own = detector.fit(images, Job(Runtime()))
    crossed = cross_fit(detector, images, Job(Runtime()))
    assert np.allclose(own.image, crossed.image, rtol=0.2)
    judged = [(detector, batch) for batch in list(batches(images))[:3]]
    stand_ins = stand_in_scores(judged, total=3, copies=2, seed=0)
    assert len(stand_ins.image) == 6 and stand_ins.image.max() < 5 * own.image.max()


def test_one_pair_has_no_left_out_score_and_damaged_states_are_refused(fitted):
    assert np.isnan(Template().fit(pairs(1), Job(Runtime())).image).all()
    state = fitted[0].state()
    for damaged in (-1, np.inf, np.nan):
        state.arrays["scales"][:] = damaged
        with pytest.raises(ValueError, match="positive"):
            Template.from_state(state, size=(96, 128), runtime=Runtime())
    state.arrays["scales"][:] = 1
    state.numbers["grids"][0] = [500, 500]
    with pytest.raises(ValueError, match="grids"):
        Template.from_state(state, size=(96, 128), runtime=Runtime())


def test_layers_can_be_chosen():
    detector = Template(TemplateSettings(taps=("stride8",), search=0, sigma=0.0))
    detector.fit(pairs(4), Job(Runtime()))
    assert detector.scales_.shape == (1,)


def test_boards_are_told_from_themselves_without_defects(real_set):
    root = real_set("deeppcb")
    normal, references, defective, masks = [], [], [], []
    for group in ("12100", "20085", "90100"):
        for file in sorted((root / group / "test").glob("*.png"))[:4]:
            with Image.open(file) as tested, Image.open(root / group / "template" / file.name) as template:
                board, intact = (np.asarray(one.convert("RGB")) for one in (tested, template))
            entry = ImageEntry(file.stem, file, mask=root / group / "boxes" / f"{file.stem}.txt")
            mask = read_mask(entry, (640, 640))
            healed = np.where(mask[..., None], intact, board)
            small = [
                np.asarray(Image.fromarray(one).resize((256, 256))) for one in (healed, intact, board, mask)
            ]
            for found, one in zip((normal, references, defective, masks), small, strict=True):
                found.append(one)
    images = TexturedImages(tuple(normal), np.arange(len(normal), dtype=np.int64), tuple(references))
    detector = Template()
    unseen = detector.fit(images, Job(Runtime(threads=2)))
    names = [str(i) for i in range(len(normal))]
    found = detector.score(Batch(defective, names, references=references))
    assert (found.image > unseen.image).all()  # each board is odder than itself without defects
    assert (found.image > unseen.image.max()).mean() > 0.8
    for one, mask in zip(found.maps, masks, strict=True):
        assert mask[np.unravel_index(one.argmax(), one.shape)]  # and strangest in a box
