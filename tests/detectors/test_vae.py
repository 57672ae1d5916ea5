"""vae: its bound against numpy, both joint scores, seeded samples; bad input; real digits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra train")

from anomalens.backbones.runtimes import Runtime  # noqa: E402
from anomalens.detectors import Batch, load_detector  # noqa: E402
from anomalens.detectors.checks import TexturedImages, yield_checks  # noqa: E402
from anomalens.errors import SettingError  # noqa: E402
from anomalens.inspector import Inspector  # noqa: E402
from anomalens.job import Job  # noqa: E402
from anomalens.training.variational import (  # noqa: E402
    SurpriseScorer,
    VariationalAutoencoder,
    divergence,
    idle_note,
)

TINY = {"epochs": "2", "batch_size": "4", "width": "4", "latent": "6", "depth": "3"}


def settings(**parameters: str) -> Any:
    return load_detector("vae").settings_type.from_texts({**TINY, **parameters})


@pytest.mark.parametrize("check", list(yield_checks(load_detector("vae"), settings=settings())), ids=str)
def test_the_contract(check: Callable[[], None]) -> None:
    check()


def network() -> VariationalAutoencoder:
    torch.manual_seed(0)
    return VariationalAutoencoder((16, 24), latent=3, depth=2, width=4, floor=0.05).eval()


def test_the_parts_are_minus_the_bound() -> None:
    made = network()
    image = torch.rand(1, 3, 16, 24)
    with torch.no_grad():
        mean, log_variance = made.encode(image)
        answer = made.decoder(mean).double().numpy()
        parts, _ = SurpriseScorer(made, (16, 24), samples=0, seed=0, sigma=0.0, image_score="mean")(image)
    x = image.double().numpy()
    deviation = np.exp(np.log(0.05) * (1 - answer[:, 3:]))
    off = np.abs(x - answer[:, :3]) / deviation
    surprise = off**2 / 2 + np.log(deviation * np.sqrt(2 * np.pi))
    m, v = mean.double().numpy(), np.exp(log_variance.double().numpy())
    kl = 0.5 * (m**2 + v - 1 - np.log(v)).sum()
    np.testing.assert_allclose(parts[0].numpy(), [surprise.mean(), kl / x.size], rtol=1e-4)


def test_the_divergence_of_the_prior_from_itself_is_nothing() -> None:
    assert divergence(torch.zeros(2, 3), torch.zeros(2, 3)).abs().max() == 0
    assert divergence(torch.ones(1, 1), torch.zeros(1, 1)).item() == pytest.approx(0.5)


def test_samples_are_the_same_each_time_and_average_out() -> None:
    made = network()
    image = torch.rand(1, 3, 16, 24)

    def parts(samples: int, seed: int) -> np.ndarray:
        with torch.no_grad():
            scorer = SurpriseScorer(made, (16, 24), samples=samples, seed=seed, sigma=0.0, image_score="mean")
            return scorer(image)[0].numpy()[0]

    np.testing.assert_array_equal(parts(4, 1), parts(4, 1))
    assert parts(4, 1)[0] != parts(4, 2)[0]
    assert parts(4, 1)[1] == parts(0, 1)[1]  # the KL has no sample in it


def test_codes_that_tell_nothing_are_named() -> None:
    (note,) = idle_note(torch.zeros(10, 4))
    assert "says nothing about the image" in note
    assert idle_note(torch.randn(10, 4, generator=torch.Generator().manual_seed(0))) == ()


@pytest.mark.parametrize(
    ("parameters", "part"),
    [
        ({"image_score": "maximum"}, "max"),
        ({"joint": "both"}, "larger"),
    ],
)
def test_an_unknown_word_is_refused(parameters: dict[str, str], part: str) -> None:
    with pytest.raises(SettingError, match=part):
        load_detector("vae")(settings(**parameters))


def test_a_size_that_cannot_be_halved_so_often_is_refused() -> None:
    with pytest.raises(SettingError, match="multiples of 8"):
        load_detector("vae")(settings()).fit(TexturedImages.make(6, (36, 40), seed=0), Job(Runtime()))


@pytest.mark.parametrize(
    "parameters",
    [{"samples": "3"}, {"image_score": "max", "joint": "larger"}, {"beta": "0.5"}],
)
def test_other_choices_fit_and_are_rebuilt(parameters: dict[str, str]) -> None:
    images = TexturedImages.make(12, (32, 40), seed=0)
    detector = load_detector("vae")(settings(**parameters))
    detector.fit(images, Job(Runtime()))
    batch = Batch(list(images), list(images.ids))
    scores = detector.score(batch)
    again = type(detector).from_state(detector.state(), size=(32, 40), runtime=Runtime()).score(batch)
    np.testing.assert_array_equal(scores.image, again.image)
    assert set(scores.parts) == {"reconstruction probability", "KL"}
    if "joint" not in parameters:
        np.testing.assert_allclose(scores.image, sum(scores.parts.values()))
    assert {part.name for part in scores.explain(0).parts} == set(scores.parts)


@pytest.mark.filterwarnings("ignore:A false-alarm rate")
@pytest.mark.filterwarnings("ignore:300 images form")  # thin ones look alike
def test_other_digits_score_higher(real_set: Callable[[str], Path]) -> None:
    (file,) = real_set("mnist").glob("*.npz")
    with np.load(file, allow_pickle=False) as data:
        train = data["x_train"][data["y_train"] == 1][:300]
        test, odd = data["x_test"][:200], data["y_test"][:200] != 1
    parameters = {"epochs": 25, "latent": 8, "depth": 3, "width": 8}
    model = Inspector.fit(train, detector="vae", size=32, parameters=parameters)
    scores = np.array([finding.score for finding in model.check(test)])
    assert (scores[odd][:, None] > scores[~odd][None]).mean() > 0.9
