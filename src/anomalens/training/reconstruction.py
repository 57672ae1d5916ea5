"""Training and scoring by reconstruction, shared by the autoencoders."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn

from anomalens.training.autoencoder import Autoencoder, jacobian_penalty
from anomalens.training.learner import Learner, Player
from anomalens.training.pixel_errors import Smooth, pixel_error

_EVERYWHERE: Final = 0.3  # of the mean error over all places, added to what is usual at each
_LEAST: Final = 1e-6


@dataclass(frozen=True)
class Penalties:
    """What is added to the reconstruction error, or to the input, while training.

    Attributes
    ----------
    noise : float
        Standard deviation of noise on the input, of 0–1: denoising (Vincent et al. 2008).
    sparse : float
        Weight of the code's mean absolute value (Ng 2011 writes a divergence; L1 has the same aim).
    contractive : float
        Weight of the squared Jacobian of the code (Rifai et al. 2011).
    """

    noise: float = 0.0
    sparse: float = 0.0
    contractive: float = 0.0


def autoencoder_learner(autoencoder: Autoencoder, *, loss: str, penalties: Penalties) -> Learner:
    """Lower the mean pixel error of kind `loss`; validation is without noise and penalties."""

    def validation(batch: Tensor) -> Tensor:
        reconstruction, _ = autoencoder(batch)
        return pixel_error(batch, reconstruction, loss).mean((1, 2))

    def training(batch: Tensor) -> Tensor:
        given = batch + penalties.noise * torch.randn_like(batch) if penalties.noise else batch
        reconstruction, codes = autoencoder(given)
        value = pixel_error(batch, reconstruction.float(), loss).mean()
        if penalties.sparse:
            value = value + penalties.sparse * codes.abs().mean()
        if penalties.contractive:
            value = value + penalties.contractive * jacobian_penalty(autoencoder, batch).mean()
        return value

    return Learner(autoencoder, [Player("loss", list(autoencoder.parameters()), training)], validation)


class ReconstructionScorer(nn.Module):
    """Image → (image score [1, 1], smoothed error map [1, h, w]).

    Parameters
    ----------
    autoencoder : Module
        Gives reconstructions first.
    error : str
        See `pixel_error`.
    sigma : float
        Smoothing of the map, in pixels.
    image_score : str
        "mean" of the error over all pixels, "max" of the smoothed map, or "norm4", its fourth-power mean:
        between the two.
    side : str
        See `pixel_error`.
    """

    usual: Tensor

    def __init__(
        self,
        autoencoder: nn.Module,
        size: tuple[int, int],
        *,
        error: str,
        sigma: float,
        image_score: str,
        side: str = "both",
    ) -> None:
        super().__init__()
        self.autoencoder = autoencoder
        self.error = error
        self.image_score = image_score
        self.side = side
        self.smooth = Smooth(size, size, sigma)
        self.register_buffer("usual", torch.ones(1, 1))

    def learn_usual(self, batches: Iterable[Tensor]) -> None:
        """From now on errors are relative to what these normal images have at the same place on average.

        A share of the mean over all places is added, so that a place without any error is not magnified.
        """
        self.eval()
        with torch.no_grad():
            maps = torch.cat([self.parts(batch)[1] for batch in batches])
            usual = self.smooth(maps.mean(0, keepdim=True))[0]
            self.usual.resize_(usual.shape).copy_((usual + _EVERYWHERE * usual.mean()).clamp_min(_LEAST))

    def parts(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Scores [n, 1], maps [n, h, w] and codes [n, k]."""
        reconstruction, codes = self.autoencoder(images)
        scores, maps = self.read(pixel_error(images, reconstruction, self.error, self.side))
        return scores, maps, codes

    def read(self, errors: Tensor) -> tuple[Tensor, Tensor]:
        """Scores [n, 1] and maps of errors [n, h, w]."""
        maps = self.smooth(errors) / self.usual
        if self.image_score == "mean":
            score = (errors / self.usual).mean((1, 2))
        elif self.image_score == "max":
            score = maps.amax((1, 2))
        else:
            score = (maps**4).mean((1, 2)) ** 0.25
        return score[:, None], maps

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        scores, maps, _ = self.parts(images)
        return scores, maps
