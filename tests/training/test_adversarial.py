"""What the adversarial methods share, against plain references."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra train")

from anomalens.training.adversarial import (  # noqa: E402
    Discriminator,
    collapse_note,
    critics_loss,
    energy_score,
    passing_for_real,
    telling_apart,
)


class Linear(Discriminator):
    """A discriminator whose slope is known."""

    def __init__(self, slope: torch.Tensor) -> None:
        super().__init__((2, 2), 1, 4)
        self.slope = slope

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return ((2 * images - 1) * self.slope).flatten(1).sum(1), images


def test_a_critic_of_slope_one_pays_no_penalty_and_another_does() -> None:
    slope = torch.zeros(3, 4, 4)
    slope[0, 0, 0] = 1.0
    real, made = torch.rand(5, 3, 4, 4), torch.rand(5, 3, 4, 4)
    apart = 2 * (made[:, 0, 0, 0].mean() - real[:, 0, 0, 0].mean())
    assert critics_loss(Linear(slope), real, made, penalty=10.0).item() == pytest.approx(
        apart.item(), abs=1e-5
    )
    steep = critics_loss(Linear(3 * slope), real, made, penalty=10.0).item()
    assert steep == pytest.approx(3 * apart.item() + 10 * (3 - 1) ** 2, abs=1e-4)


def test_the_two_losses_are_cross_entropies() -> None:
    torch.manual_seed(0)
    judge = Discriminator((4, 4), 2, 4)
    real, made = torch.rand(3, 3, 16, 16), torch.rand(3, 3, 16, 16)
    with torch.no_grad():
        p, q = (1 / (1 + np.exp(-judge(x)[0].double().numpy())) for x in (real, made))
        apart, passing = telling_apart(judge, real, made), passing_for_real(judge, made)
    assert apart.item() == pytest.approx(-(np.log(p).mean() + np.log(1 - q).mean()), rel=1e-5)
    assert passing.item() == pytest.approx(-np.log(q).mean(), rel=1e-5)


def test_no_image_is_judged_by_its_neighbours() -> None:
    judge = Discriminator((4, 4), 2, 4).train()
    batch = torch.rand(4, 3, 16, 16)
    with torch.no_grad():
        torch.testing.assert_close(judge(batch)[0][:1], judge(batch[:1])[0])


def test_the_energy_score_prefers_the_right_distribution() -> None:
    rng = np.random.default_rng(0)

    def draw(n: int, mean: float = 0.0, deviation: float = 1.0) -> torch.Tensor:
        return torch.from_numpy(rng.normal(mean, deviation, (n, 20)).astype(np.float32))

    images = draw(300)
    right, equal, wrong, wide = (
        energy_score(images, drawn).mean().item()
        for drawn in (draw(64), draw(64, 0, 0.01), draw(64, 1), draw(64, 0, 2))
    )
    assert right < min(equal, wrong, wide)
    x, g = images[:2].numpy(), draw(3).numpy()
    among = np.mean([np.linalg.norm(g[i] - g[j]) for i in range(3) for j in range(3) if i != j])
    plain = [np.mean([np.linalg.norm(a - b) for b in g]) - among / 2 for a in x]
    found = energy_score(torch.from_numpy(x), torch.from_numpy(g)).numpy() * 20**0.5
    np.testing.assert_allclose(found, plain, rtol=1e-4)


def test_a_generator_of_one_picture_is_named() -> None:
    images = torch.rand(20, 3, 8, 8)
    (note,) = collapse_note(images[:1].repeat(16, 1, 1, 1), images)
    assert "nearly one picture" in note and "0%" in note
    assert collapse_note(images[:10], images) == ()
