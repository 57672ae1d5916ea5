"""deep-svdd: distances against numpy, no biases, centre, radius, collapse; bad input; real digits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra train")

from anomalens.backbones.runtimes import Runtime  # noqa: E402
from anomalens.detectors import Batch  # noqa: E402
from anomalens.detectors.checks import TexturedImages, painted, yield_checks  # noqa: E402
from anomalens.detectors.oneclass.deep_svdd import DeepSvdd, DeepSvddSettings  # noqa: E402
from anomalens.errors import SettingError  # noqa: E402
from anomalens.inspector import Inspector  # noqa: E402
from anomalens.job import Job  # noqa: E402
from anomalens.training.images import HeldImages  # noqa: E402
from anomalens.training.svdd import Gathering, GlobalContrast, Svdd, SvddScorer, collapsed_epochs, halvings  # noqa: E402

POLICY = "false-alarm-rate=0.2"  # few images calibrate here
TINY = {"epochs": "15", "pretraining": "10", "batch_size": "4", "width": "4", "latent": "8", "members": "1"}


def settings(**parameters: str) -> Any:
    return DeepSvddSettings.from_texts({**TINY, **parameters})


@pytest.mark.parametrize("check", list(yield_checks(DeepSvdd, settings=settings())), ids=str)
def test_the_contract(check: Callable[[], None]) -> None:
    check()


def held(count: int = 24) -> HeldImages:
    return HeldImages(np.stack(list(TexturedImages.make(count, (32, 32), seed=0))))


def network(images: HeldImages, **options: Any) -> Svdd:
    torch.manual_seed(0)
    parts = {"members": 1, "latent": 8, "depth": 2, "width": 4, **options}
    return Svdd((32, 32), contrast=GlobalContrast(images, np.arange(len(images))), **parts)


def test_the_score_is_the_squared_distance_to_the_mean_code() -> None:
    images, rows = held(), np.arange(24)
    svdd = network(images)
    svdd.place_centres(images, rows)
    with torch.no_grad():
        codes = svdd.codes(images.tensor(rows))[:, 0].numpy()
        found = SvddScorer(svdd, torch.ones(1))(images.tensor(rows)).numpy()[:, 0]
    mean = codes.mean(0)
    centre = np.where(np.abs(mean) < 0.1, np.where(mean < 0, -0.1, 0.1), mean)
    np.testing.assert_allclose(svdd.centres[0].numpy(), centre, atol=1e-5)
    np.testing.assert_allclose(found, ((codes - centre) ** 2).sum(1), rtol=1e-4)


def test_no_layer_can_answer_the_centre_by_a_bias() -> None:
    svdd = network(held())
    assert not [name for name, _ in svdd.named_parameters() if name.endswith("bias")]
    svdd.eval()
    with torch.no_grad():
        assert not svdd.encoders[0](torch.zeros(1, 3, 32, 32)).any()
    norms = [layer for layer in svdd.modules() if isinstance(layer, torch.nn.BatchNorm2d)]
    assert norms and not any(layer.affine for layer in norms)


def test_brightness_and_contrast_do_not_count_and_flat_images_are_finite() -> None:
    images = held()
    contrast = GlobalContrast(images, np.arange(24))
    given = images.tensor(np.arange(4))
    torch.testing.assert_close(contrast(0.5 * given + 0.2), contrast(given))
    seen = contrast(images.tensor(np.arange(24)))
    assert seen.min() == 0 and seen.max() == 1
    assert torch.isfinite(contrast(torch.full((1, 3, 32, 32), 0.5))).all()


def test_the_radius_leaves_nu_of_the_images_outside() -> None:
    images, rows = held(40), np.arange(40)
    svdd = network(images, members=2)
    svdd.place_centres(images, rows)
    gathering = Gathering(svdd, images, rows, nu=0.25)
    learner = gathering.learner()
    learner.before_epoch(9)
    assert not svdd.radii.any()  # the first epochs gather the codes
    learner.before_epoch(10)
    svdd.eval()
    with torch.no_grad():
        distances = svdd(images.tensor(rows))
    assert ((distances > svdd.radii).float().mean(0) == 0.25).all()
    wanted = (svdd.radii + 4 * (distances - svdd.radii).clamp_min(0)).sum(1)
    torch.testing.assert_close(learner.validation(images.tensor(rows)), wanted)


def test_collapsed_weights_are_never_the_best() -> None:
    images, rows = held(), np.arange(24)
    svdd = network(images)
    svdd.place_centres(images, rows)
    gathering = Gathering(svdd, images, rows, nu=0.0)
    learner = gathering.learner()
    learner.before_epoch(0)
    svdd.eval()
    healthy = learner.validation(images.tensor(rows))
    assert healthy.max() < 1e6
    with torch.no_grad():  # all images get one code
        for weight in svdd.encoders.parameters():
            weight.zero_()
    learner.before_epoch(1)
    svdd.eval()
    collapsed = learner.validation(images.tensor(rows))
    assert (collapsed > healthy.max()).all()
    assert collapsed_epochs([healthy.mean().item(), collapsed.mean().item()]) == 1


def test_where_every_epoch_collapses_the_network_before_them_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("anomalens.training.svdd.COLLAPSED", 1e9)
    images = TexturedImages.make(8, (32, 32), seed=0)
    detector, longer = DeepSvdd(settings(epochs="2")), DeepSvdd(settings(epochs="4"))
    answers = []
    for one in (detector, longer):
        one.fit(images, Job(Runtime()))
        answers.append(one.score(Batch(list(images), [str(k) for k in range(8)])).image)
        assert "as it was before them" in one.notes[-1]
    np.testing.assert_array_equal(*answers)


def test_halvings_end_near_four_pixels() -> None:
    assert [halvings(size) for size in ((32, 32), (28, 28), (128, 64), (5, 5))] == [3, 2, 4, 1]


@pytest.mark.parametrize(
    ("parameters", "size"),
    [
        ({"objective": "soft-boundary", "epochs": "20", "nu": "0.2"}, (32, 32)),
        ({"members": "2", "pretraining": "0", "learning_rate": "0.01"}, (32, 32)),
        ({"contrast": "no", "depth": "3"}, (50, 37)),
        ({"side": "24", "depth": "2"}, (50, 37)),
    ],
)
def test_other_settings_fit_and_tell_a_gross_defect(
    parameters: dict[str, str], size: tuple[int, int]
) -> None:
    images = TexturedImages.make(16, size, seed=0)
    detector = DeepSvdd(settings(**parameters))
    scores = detector.fit(images, Job(Runtime()))
    assert scores is not None and np.isfinite(scores.image).sum() >= 3
    odd, _ = painted(images.pixels[0])
    found = detector.score(Batch([*images, odd], [str(i) for i in range(17)])).image
    assert found[-1] > np.median(found[:-1])


def test_bad_settings_say_what_is_allowed() -> None:
    with pytest.raises(SettingError, match="one-class"):
        DeepSvdd(settings(objective="one-clas"))
    with pytest.raises(SettingError, match="nu"):
        settings(nu="0")
    with pytest.raises(SettingError, match="cannot be halved 6 times"):
        DeepSvdd(settings(depth="6")).fit(TexturedImages.make(4, (32, 32), seed=0), Job(Runtime()))


@pytest.mark.filterwarnings("ignore:.*look alike")
@pytest.mark.filterwarnings("ignore:150 images form")
def test_other_digits_are_farther_and_a_saved_model_scores_the_same(
    real_set: Callable[[str], Path], tmp_path: Path
) -> None:
    (file,) = real_set("mnist").glob("*.npz")
    with np.load(file, allow_pickle=False) as data:
        train = data["x_train"][data["y_train"] == 1][:150]
        test, odd = data["x_test"][:150], data["y_test"][:150] != 1
    parameters = {"epochs": "8", "pretraining": "8", "members": "1"}
    fitted = Inspector.fit(train, detector="deep-svdd", size=32, parameters=parameters, policy=POLICY)
    scores = np.array([finding.score for finding in fitted.check(test)])
    assert (scores[odd][:, None] > scores[~odd][None]).mean() > 0.95
    fitted.save(tmp_path / "ones.anomalens")
    loaded = Inspector.load(tmp_path / "ones.anomalens")
    np.testing.assert_array_equal([finding.score for finding in loaded.check(test[:20])], scores[:20])
