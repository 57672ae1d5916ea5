"""rotnet: its views and scores against numpy; symmetric objects fall back; bad input; real clothes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra train")

from anomalens.backbones.runtimes import Runtime  # noqa: E402
from anomalens.detectors import Batch  # noqa: E402
from anomalens.detectors.checks import TexturedImages, yield_checks  # noqa: E402
from anomalens.detectors.selfsupervised.rotnet import RotNet, RotNetSettings  # noqa: E402
from anomalens.errors import SettingError  # noqa: E402
from anomalens.inspector import Inspector  # noqa: E402
from anomalens.job import Job  # noqa: E402
from anomalens.training.rotnet import ViewClassifier, Views, ViewScorer, dirichlet  # noqa: E402
from anomalens.training.views import Square, View, shifted, shifted_each, turned, views_of  # noqa: E402

POLICY = "false-alarm-rate=0.2"  # few images calibrate here
TINY = {"epochs": "2", "batch_size": "4", "width": "4", "side": "16"}
HEADS = ("turn", "down", "right")


def settings(**parameters: str) -> Any:
    return RotNetSettings.from_texts({**TINY, **parameters})


@pytest.mark.parametrize("check", list(yield_checks(RotNet, settings=settings())), ids=str)
def test_the_contract(check: Callable[[], None]) -> None:
    check()


def test_turns_are_quarter_turns_and_shifts_go_where_they_say() -> None:
    image = torch.arange(192.0).reshape(1, 3, 8, 8)
    for turn in range(4):
        wanted = np.rot90(image.numpy(), turn, axes=(2, 3))
        np.testing.assert_array_equal(turned(image, turn, 0).numpy(), wanted)
    np.testing.assert_array_equal(turned(image, 0, 1).numpy(), image.numpy()[..., ::-1])
    moved = shifted(image, View(down=2, right=1))  # two pixels down, two to the left
    torch.testing.assert_close(moved[:, :, 2:, :-2], image[:, :, :-2, 2:])
    down, right = torch.tensor([0, 2, 1]), torch.tensor([0, 1, 2])
    each = shifted_each(image.repeat(3, 1, 1, 1), down, right)
    for row in range(3):
        same = shifted(image, View(down=int(down[row]), right=int(right[row])))
        torch.testing.assert_close(each[row : row + 1], same)


def test_all_combinations_are_views_the_plain_one_first() -> None:
    views = views_of(HEADS)
    assert len(set(views)) == 36 and views[0] == View()
    assert len(views_of((*HEADS, "mirror"))) == 72


def test_squares_are_means_of_areas() -> None:
    image = torch.rand(1, 3, 8, 12)
    torch.testing.assert_close(Square((8, 12), 4)(image), torch.nn.functional.avg_pool2d(image, (2, 3)))
    assert Square((6, 6), 6)(image) is image


def test_the_score_is_minus_the_mean_log_probability_of_the_right_answers() -> None:
    torch.manual_seed(0)
    classifier = ViewClassifier(HEADS, (16, 16), side=16, width=4).eval()
    views = Views(classifier)
    image = torch.rand(1, 3, 16, 16)
    scorer = ViewScorer(views, {"turn": torch.eye(4), "down": torch.eye(3), "right": torch.eye(3)})
    total = 0.0
    with torch.no_grad():
        for view in views.views:
            logs, _ = classifier(shifted(turned(image, view.turn, view.mirror), view))
            total += sum(float(logs[head][0, getattr(view, head)]) for head in HEADS)
        found = float(scorer(image))
    assert found == pytest.approx(-total / 36, rel=1e-4)


@pytest.mark.parametrize("alpha", [[8.0, 0.5, 0.5], [30.0, 10.0, 3.0, 1.0]])
def test_a_dirichlet_distribution_is_found_again(alpha: list[float]) -> None:
    drawn = np.random.default_rng(0).dirichlet(alpha, 4000)
    found = dirichlet(torch.from_numpy(np.log(np.maximum(drawn, 1e-30)))).numpy()
    np.testing.assert_allclose(found, alpha, rtol=0.12)


def arrows(count: int, *, symmetric: bool) -> TexturedImages:
    """Discs, or bright quarters in the upper left corner, of slightly different sizes."""
    y, x = np.mgrid[:16, :16] - 7.5
    pixels = []
    for row in range(count):
        size = 4 + (row % 5) / 2
        shape = x**2 + y**2 < size**2
        if not symmetric:
            shape &= (x < 0) & (y < 1)
        pixels.append(np.repeat(np.where(shape, 220, 30).astype(np.uint8)[..., None], 3, 2))
    return TexturedImages(tuple(pixels), np.arange(count, dtype=np.int64))


def fitted(images: TexturedImages, **parameters: str) -> RotNet:
    detector = RotNet(settings(**{"epochs": "30", "width": "8", "patience": "0", **parameters}))
    detector.fit(images, Job(Runtime()))
    return detector


@pytest.mark.parametrize("score", ["softmax", "dirichlet", "features"])
def test_what_can_be_told_is_used_and_another_shape_stands_out(score: str) -> None:
    images = arrows(40, symmetric=False)
    detector = fitted(images, score=score)
    assert not [note for note in detector.notes if "left out" in note]
    odd = 255 - images.pixels[0].swapaxes(0, 1)
    found = detector.score(Batch([*images, odd], [str(i) for i in range(41)])).image
    assert found[-1] > found[:-1].max()


def test_turns_of_round_objects_are_left_out_and_named() -> None:
    detector = fitted(arrows(40, symmetric=True))
    told = " ".join(detector.notes)
    assert "quarter turns of normal images are told in" in told and "left out" in told
    assert "shifts" not in told and "the score is how unusual the features are" in told
    odd = arrows(2, symmetric=False).pixels[0]
    found = detector.score(Batch([*arrows(5, symmetric=True), odd], [str(i) for i in range(6)])).image
    assert found[-1] > found[:-1].max()


def test_bad_settings_say_what_is_allowed() -> None:
    with pytest.raises(SettingError, match="rotate"):
        RotNet(settings(transformations="rotat"))
    with pytest.raises(SettingError, match="is empty"):
        RotNet(settings(transformations=""))
    with pytest.raises(SettingError, match="softmax"):
        RotNet(settings(score="soft"))


@pytest.mark.filterwarnings("ignore:.*look alike")
def test_other_digits_are_told_worse_and_a_saved_model_scores_the_same(
    real_set: Callable[[str], Path], tmp_path: Path
) -> None:
    (file,) = real_set("mnist").glob("*.npz")
    with np.load(file, allow_pickle=False) as data:
        train = data["x_train"][data["y_train"] == 7][:200]
        test, odd = data["x_test"][:80], data["y_test"][:80] != 7
    parameters = {"epochs": "8", "width": "16"}
    inspector = Inspector.fit(train, detector="rotnet", size=32, parameters=parameters, policy=POLICY)
    scores = np.array([finding.score for finding in inspector.check(test)])
    assert (scores[odd][:, None] > scores[~odd][None]).mean() > 0.85
    inspector.save(tmp_path / "sevens.anomalens")
    loaded = Inspector.load(tmp_path / "sevens.anomalens")
    np.testing.assert_array_equal([finding.score for finding in loaded.check(test[:5])], scores[:5])
