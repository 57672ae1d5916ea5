"""Deep SVDD (Ruff et al. 2018): networks without biases whose codes of normal images gather at a centre."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Final

import torch
from torch import Tensor, nn

from anomalens.errors import SettingError
from anomalens.training.autoencoder import channels_at, conv_decoder
from anomalens.training.images import HeldImages
from anomalens.training.learner import Learner, Player
from anomalens.training.split import Rows

_FLATTEST: Final = 1 / 255  # mean absolute contrast below which an image is not amplified further
_ROUNDING: Final = 1e-5
_FROM_ZERO: Final = 0.1  # a coordinate of the centre: 0 is met by weights of 0
_WARM_UP: Final = 10  # epochs before the radius moves, as in the authors' program
# Spread of normal codes, as a share of what it was: a network that gathers them without being constant keeps
# one to ten per cent.
COLLAPSED: Final = 1e-3
_NEVER: Final = 1e30  # the validation loss of collapsed weights


class GlobalContrast(nn.Module):
    """Each image less its mean, by its mean absolute contrast (L1), then to the span of normal images.

    Parameters
    ----------
    images, rows : whose span becomes 0–1
    seen_as : callable, optional
        What is done to images before.
    """

    low: Tensor
    span: Tensor

    def __init__(
        self, images: HeldImages, rows: Rows, seen_as: Callable[[Tensor], Tensor] | None = None
    ) -> None:
        super().__init__()
        low, high = math.inf, -math.inf
        for batch in images.batches(rows, 256):
            values = _normalised(batch if seen_as is None else seen_as(batch))
            low, high = min(low, float(values.min())), max(high, float(values.max()))
        self.register_buffer("low", torch.tensor(low))
        self.register_buffer("span", torch.tensor(max(high - low, 0.1)))

    def forward(self, images: Tensor) -> Tensor:
        """float32 [n, 3, h, w] → the same shape, 0–1 for the images it was made of."""
        return (_normalised(images) - self.low) / self.span


def _normalised(images: Tensor) -> Tensor:
    centred = images - images.mean((1, 2, 3), keepdim=True)
    # the mean's own rounding is no contrast: layers of batch norm would magnify it on flat images
    centred = torch.where(centred.abs() < _ROUNDING, torch.zeros_like(centred), centred)
    return centred / centred.abs().mean((1, 2, 3), keepdim=True).clamp_min(_FLATTEST)


class Encoder(nn.Sequential):
    """LeNet's kind: `depth` times 5×5 convolution, batch norm, leaky ReLU, halving; then one linear layer.

    No layer has a bias, nor batch norm an offset: with one, a network could answer the centre whatever it
    is shown (their propositions 1 to 3).
    """

    def __init__(self, grid: tuple[int, int], *, latent: int, depth: int, width: int) -> None:
        layers: list[nn.Module] = []
        before = 3
        for channels in channels_at(depth, width):
            layers += [nn.Conv2d(before, channels, 5, padding=2, bias=False)]
            layers += [nn.BatchNorm2d(channels, eps=1e-4, affine=False), nn.LeakyReLU(), nn.MaxPool2d(2)]
            before = channels
        super().__init__(*layers, nn.Flatten(), nn.Linear(before * grid[0] * grid[1], latent, bias=False))


def halvings(size: tuple[int, int], *, least: int = 4) -> int:
    """How often the shorter side can be halved before it is under `least`; once at least."""
    return max(1, int(math.log2(max(min(size) / least, 1))))


class Svdd(nn.Module):
    """Networks with a centre and a radius each: image [n, 3, h, w], 0–1 → squared distances [n, m].

    `contrast` comes before them and gives images of `size`.
    """

    centres: Tensor
    radii: Tensor

    def __init__(
        self,
        size: tuple[int, int],
        *,
        members: int,
        latent: int,
        depth: int,
        width: int,
        contrast: nn.Module,
    ) -> None:
        super().__init__()
        depth = depth or halvings(size)
        grid = (size[0] >> depth, size[1] >> depth)
        if not min(grid):
            raise SettingError(
                f"Images of {size[0]}×{size[1]} pixels cannot be halved {depth} times; give a smaller depth, "
                "or 0 for one that fits."
            )
        self.contrast = contrast
        self.encoders = nn.ModuleList(
            Encoder(grid, latent=latent, depth=depth, width=width) for _ in range(members)
        )
        self._decoder = (grid, latent, depth, width)
        self.register_buffer("centres", torch.zeros(members, latent))
        self.register_buffer("radii", torch.zeros(members))

    def codes(self, images: Tensor) -> Tensor:
        """[n, m, latent]."""
        seen = self.contrast(images)
        return torch.stack([encoder(seen) for encoder in self.encoders], 1)

    def forward(self, images: Tensor) -> Tensor:
        return ((self.codes(images) - self.centres) ** 2).sum(2)

    def pretraining(self) -> Learner:
        """Every encoder with a decoder of its own, as autoencoders; the decoders are not kept.

        Decoders double the size `depth` times, so that of sides which cannot be halved so often the last few
        pixels are not reconstructed.
        """
        decoders = nn.ModuleList(conv_decoder(*self._decoder) for _ in self.encoders)
        module = nn.ModuleDict({"encoders": self.encoders, "decoders": decoders, "contrast": self.contrast})

        def errors(batch: Tensor) -> Tensor:
            seen = self.contrast(batch)
            total = torch.zeros(len(batch), device=batch.device)
            for encoder, decoder in zip(self.encoders, decoders, strict=True):
                given = decoder(encoder(seen))
                wanted = seen[:, :, : given.shape[2], : given.shape[3]]
                total = total + ((given - wanted) ** 2).mean((1, 2, 3))
            return total

        def mean(batch: Tensor) -> Tensor:
            return errors(batch).mean()

        return Learner(module, [Player("loss", list(module.parameters()), mean)], errors)

    def place_centres(self, images: HeldImages, rows: Rows) -> None:
        """Each centre becomes the mean code of those images, no coordinate of it near 0."""
        self.eval()
        total = torch.zeros_like(self.centres)
        with torch.no_grad():
            for batch in images.batches(rows, 256):
                total += self.codes(batch).sum(0)
        mean = total / len(rows)
        away = torch.where(mean < 0, -_FROM_ZERO, _FROM_ZERO)
        self.centres.copy_(torch.where(mean.abs() < _FROM_ZERO, away, mean))


class Gathering:
    """The second stage: lowers the distances, or R² and what lies outside it; watches for collapse.

    Parameters
    ----------
    network : Svdd
        Its centres placed.
    nu : float
        Share of normal images that may lie outside the radius; 0 is the one-class objective, which lowers
        all squared distances (their eq. 4), any other the soft-boundary one (eq. 3).
    """

    def __init__(self, network: Svdd, images: HeldImages, rows: Rows, *, nu: float) -> None:
        self.network, self.images, self.rows, self.nu = network, images, rows, nu
        shown = images.tensor(rows[:128])
        # inverted images are surely not normal: a network that sees anything tells them from the others
        self._probes = torch.cat([shown, 1 - shown])
        self._spread_before = self._spread()
        self._spread_now: Tensor | None = None

    def learner(self) -> Learner:
        """What the loop trains."""
        weights = list(self.network.encoders.parameters())
        return Learner(
            self.network, [Player("loss", weights, self._mean)], self._validation, self._before_epoch
        )

    def _objective(self, batch: Tensor) -> Tensor:
        """[n], the sum over the networks."""
        distances = self.network(batch)
        if self.nu:
            radii = self.network.radii
            distances = radii + (distances - radii).clamp_min(0) / self.nu
        return distances.sum(1)

    def _mean(self, batch: Tensor) -> Tensor:
        return self._objective(batch).mean()

    def _validation(self, batch: Tensor) -> Tensor:
        """The objective; of collapsed weights, for which it is near 0, a value that is never the lowest."""
        if self._spread_now is None:
            self._spread_now = self._spread()
        return torch.full((len(batch),), _NEVER) if self._is_collapsed() else self._objective(batch)

    def _before_epoch(self, epoch: int) -> None:
        self._spread_now = None
        if self.nu and epoch >= _WARM_UP:
            distances = self._of_rows()
            self.network.radii.copy_(torch.quantile(distances, 1 - self.nu, dim=0))

    def _of_rows(self) -> Tensor:
        self.network.eval()
        device = self.network.centres.device
        with torch.no_grad():
            found = [self.network(batch.to(device)) for batch in self.images.batches(self.rows, 256)]
        self.network.train()
        return torch.cat(found)

    def _spread(self) -> Tensor:
        """[m]: root of the codes' summed variances over the probes."""
        training = self.network.training
        self.network.eval()
        with torch.no_grad():
            codes = self.network.codes(self._probes.to(self.network.centres.device))
        self.network.train(training)
        return codes.var(0, unbiased=False).sum(1).sqrt().cpu()

    def _is_collapsed(self) -> bool:
        assert self._spread_now is not None
        return bool((self._spread_now < COLLAPSED * self._spread_before).any())


def collapsed_epochs(losses: Sequence[float]) -> int:
    """Epochs, by their validation losses, after which some network answered nearly the same to all images."""
    return sum(loss > _NEVER / 2 for loss in losses)


class SvddScorer(nn.Module):
    """Image → [1, 1]: the squared distance to the centre, the mean over networks of each over its scale.

    Parameters
    ----------
    scales : float32 [m]
        Mean squared distance of validation images: networks shrink their codes unequally. All ones for one.
    """

    scales: Tensor

    def __init__(self, network: Svdd, scales: Tensor) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("scales", scales)

    def forward(self, images: Tensor) -> Tensor:
        return (self.network(images) / self.scales).mean(1, keepdim=True)
