"""cutpaste: what is pasted where, its Gaussian against numpy; bad input; painted faults."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch", reason="needs the extra train")

from anomalens.backbones.runtimes import Runtime  # noqa: E402
from anomalens.detectors import Batch  # noqa: E402
from anomalens.detectors.checks import TexturedImages, painted, yield_checks  # noqa: E402
from anomalens.detectors.selfsupervised.cutpaste import CutPaste, CutPasteSettings  # noqa: E402
from anomalens.errors import SettingError  # noqa: E402
from anomalens.inspector import Inspector  # noqa: E402
from anomalens.job import Job  # noqa: E402
from anomalens.training.gaussian import GaussianDensity  # noqa: E402
from anomalens.training.pasting import cut_paste, pasted, scar  # noqa: E402

POLICY = "false-alarm-rate=0.2"  # few images calibrate here
TINY = {"epochs": "2", "batch_size": "4", "width": "4", "blocks": "3"}


def settings(**parameters: str) -> Any:
    return CutPasteSettings.from_texts({**TINY, **parameters})


@pytest.mark.parametrize("check", list(yield_checks(CutPaste, settings=settings())), ids=str)
def test_the_contract(check: Callable[[], None]) -> None:
    check()


def test_a_rectangle_of_the_asked_size_is_pasted_and_the_rest_stays() -> None:
    torch.manual_seed(0)
    images = torch.rand(50, 3, 40, 60)
    changed = pasted(images, torch.tensor([[10.0, 20.0]]).repeat(50, 1), torch.zeros(50))
    moved = (changed != images).any(1)
    rows, columns = moved.any(2).sum(1), moved.any(1).sum(1)
    assert rows.float().mean() == pytest.approx(10, abs=0.6)
    assert columns.float().mean() == pytest.approx(20, abs=0.6)
    turned = pasted(images, torch.tensor([[10.0, 20.0]]).repeat(50, 1), torch.full((50,), torch.pi / 2))
    on = (turned != images).any(1)
    assert on.any(2).sum(1).float().mean() == pytest.approx(20, abs=1.5)  # some are cut by the border


def test_what_is_pasted_comes_from_the_image_itself() -> None:
    torch.manual_seed(0)
    left = torch.zeros(20, 3, 32, 32)
    left[:, 0] = 0.5  # red only: another image's pixels, or colours, would show
    assert not cut_paste(left)[:, 1:].gt(0.1).any()
    grey = torch.rand(20, 1, 32, 32).repeat(1, 3, 1, 1)
    for change in (cut_paste, scar):
        after = change(grey)
        torch.testing.assert_close(after[:, 0], after[:, 2])  # grey images stay grey
        assert after.min() >= 0 and after.max() <= 1 and not torch.equal(after, grey)


def test_patches_are_larger_than_scars() -> None:
    torch.manual_seed(0)
    images = torch.rand(200, 3, 64, 64)
    shares = [(change(images) != images).any(1).float().mean((1, 2)) for change in (cut_paste, scar)]
    assert 0.05 < shares[0].mean() < 0.12 and shares[0].min() > 0.015 and shares[0].max() < 0.17
    assert 0.001 < shares[1].mean() < 0.01


def test_the_density_is_that_of_a_gaussian() -> None:
    rng = np.random.default_rng(0)
    features = (rng.normal(size=(5000, 4)) @ rng.normal(size=(4, 4)) + 2).astype(np.float32)
    density = GaussianDensity(features)
    found = density(torch.from_numpy(features)).numpy()
    centred = features - features.mean(0)
    squared = (centred @ np.linalg.inv(np.cov(features.T)) * centred).sum(1) / 4
    np.testing.assert_allclose(found, (squared + np.log(2 * np.pi)) / 2, rtol=0.02)


@pytest.mark.parametrize("features", [np.ones((1, 3)), np.ones((9, 3)), np.zeros((2, 3))])
def test_equal_features_do_no_harm(features: np.ndarray) -> None:
    density = GaussianDensity(features.astype(np.float32))
    assert torch.isfinite(density(torch.full((1, 3), 2.0))).all()


@pytest.mark.parametrize("changes", ["cutpaste", "scar", "scar,cutpaste"])
def test_every_choice_of_changes_fits(changes: str) -> None:
    images = TexturedImages.make(16, (32, 48), seed=0)
    detector = CutPaste(settings(changes=changes))
    detector.fit(images, Job(Runtime()))
    odd = np.zeros((32, 48, 3), np.uint8)
    found = detector.score(Batch([*images, odd], [str(i) for i in range(17)])).image
    assert found[-1] > found[:-1].max()


def test_bad_settings_say_what_is_allowed() -> None:
    with pytest.raises(SettingError, match="scar"):
        CutPaste(settings(changes="scars"))
    with pytest.raises(SettingError, match="is empty"):
        CutPaste(settings(changes=""))


@pytest.mark.filterwarnings("ignore:32 images form")  # near copies
def test_painted_papers_score_higher_and_a_saved_model_scores_the_same(
    real_set: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = real_set("paper_piped") / "fvn01_tl"
    inspector = Inspector.fit(
        folder / "train" / "good",
        detector="cutpaste",
        size=64,
        parameters={"epochs": "10", "width": "8"},
        policy=POLICY,
    )
    good = [
        np.asarray(Image.open(file).convert("RGB")) for file in sorted((folder / "test" / "good").iterdir())
    ]
    bad = [painted(image)[0] for image in good]
    normal, odd = (np.array([finding.score for finding in inspector.check(some)]) for some in (good, bad))
    assert (odd[:, None] > normal[None]).mean() > 0.9
    inspector.save(tmp_path / "paper.anomalens")
    loaded = Inspector.load(tmp_path / "paper.anomalens")
    np.testing.assert_array_equal([finding.score for finding in loaded.check(good[:4])], normal[:4])
