"""Changes of whole batches while a classifier is trained, drawn from torch's seeded state.

`flip`, `crop`, `rotate`, `shear`, `colour` and `rand` (two of these at a time, RandAugment-like: Cubuk et
al. 2020) change images; `mixup` (Zhang et al. 2018) and `cutmix` (Yun et al. 2019) also mix labels. PixMix
(Hendrycks et al. 2022, arXiv:2112.05135) mixes in fractals, which are drawn here by iterated function
systems.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from anomalens.errors import unknown_name

PIXEL: Final = ("flip", "crop", "rotate", "shear", "colour", "rand")
MIXING: Final = ("mixup", "cutmix")
_DEGREES, _SHEAR = 15.0, 0.15
_CROP: Final = 0.125  # of the side
_FRACTALS, _POINTS = 48, 20_000


def read_changes(text: str) -> tuple[str, ...]:
    """The words of an `augment` parameter; SettingError for one that is not known."""
    words = tuple(word.strip() for word in text.split(",") if word.strip())
    for word in words:
        if word not in (*PIXEL, *MIXING):
            raise unknown_name("change of images", word, (*PIXEL, *MIXING))
    return words


def changed(images: Tensor, words: Sequence[str]) -> Tensor:
    """The images [b, 3, h, w], each changed by itself."""
    for word in words:
        if word == "rand":
            for place in torch.randperm(5)[:2].tolist():
                images = _CHANGES[PIXEL[place]](images)
        elif word in _CHANGES:
            images = _CHANGES[word](images)
    return images


def _flip(images: Tensor) -> Tensor:
    turned = torch.rand(len(images), device=images.device) < 0.5
    return torch.where(turned[:, None, None, None], images.flip(3), images)


def _affine(images: Tensor, angle: Tensor, shear: Tensor, shift: Tensor) -> Tensor:
    cos, sin = torch.cos(angle), torch.sin(angle)
    matrix = torch.stack(
        [torch.stack([cos, -sin + shear, shift[:, 0]], 1), torch.stack([sin, cos, shift[:, 1]], 1)], 1
    )
    grid = F.affine_grid(matrix, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="reflection", align_corners=False)


def _none(images: Tensor) -> Tensor:
    return torch.zeros(len(images), device=images.device)


def _drawn(images: Tensor, *shape: int) -> Tensor:
    """Numbers from −1 to 1 for each image, where the images are."""
    return 2 * torch.rand(len(images), *shape, device=images.device) - 1


def _crop(images: Tensor) -> Tensor:
    shift = 2 * _CROP * _drawn(images, 2)
    return _affine(images, _none(images), _none(images), shift)


def _rotate(images: Tensor) -> Tensor:
    angle = float(np.deg2rad(_DEGREES)) * _drawn(images)
    return _affine(images, angle, _none(images), 0 * _drawn(images, 2))


def _shear(images: Tensor) -> Tensor:
    shear = _SHEAR * _drawn(images)
    return _affine(images, _none(images), shear, 0 * _drawn(images, 2))


def _colour(images: Tensor) -> Tensor:
    gain, lift = 1 + 0.2 * _drawn(images, 1, 1, 1), 0.1 * _drawn(images, 1, 1, 1)
    return (images * gain + lift).clamp(0, 1)


_CHANGES: Final[dict[str, Callable[[Tensor], Tensor]]] = {
    "flip": _flip, "crop": _crop, "rotate": _rotate, "shear": _shear, "colour": _colour,
}  # fmt: skip


def mixed(images: Tensor, words: Sequence[str]) -> tuple[Tensor, Tensor, float]:
    """Images mixed with others of their batch: images, places of the others, and the share that is left."""
    chosen = [word for word in words if word in MIXING]
    order = torch.randperm(len(images), device=images.device)
    if not chosen:
        return images, order, 1.0
    word = chosen[int(torch.randint(len(chosen), ()))]
    share = float(torch.distributions.Beta(torch.tensor(1.0), torch.tensor(1.0)).sample())
    if word == "mixup":
        return share * images + (1 - share) * images[order], order, share
    h, w = images.shape[2:]
    tall, wide = (round(side * (1 - share) ** 0.5) for side in (h, w))
    top, left = (int(torch.randint(side - part + 1, ())) for side, part in ((h, tall), (w, wide)))
    down, right = slice(top, top + tall), slice(left, left + wide)
    images = images.clone()
    images[:, :, down, right] = images[order][:, :, down, right]
    return images, order, 1 - tall * wide / (h * w)


class PixMix:
    """Mixes images with fractals and with changed copies of themselves."""

    def __init__(self, size: tuple[int, int], seed: int, *, rounds: int = 3) -> None:
        self._fractals = torch.from_numpy(fractals(_FRACTALS, size, seed))
        self._rounds = rounds

    def __call__(self, images: Tensor) -> Tensor:
        """Mixed images [b, 3, h, w], 0–1."""
        found = changed(images, ("rand",)) if torch.rand(()) < 0.5 else images
        for _ in range(int(torch.randint(self._rounds + 1, ()))):
            if torch.rand(()) < 0.5:
                other = changed(images, ("rand",))
            else:
                other = self._fractals[torch.randint(len(self._fractals), (len(images),))].to(images.device)
            weights = torch.distributions.Beta(torch.tensor([3.0, 1.0]), torch.tensor([1.0, 3.0])).sample()
            a, b = 0.5 + 0.5 * float(weights[0]), float(weights[1])
            if torch.rand(()) < 0.5:
                found = a * (2 * found - 1) + b * (2 * other - 1)
                found = (found + 1) / 2
            else:
                found = (2 * found).clamp_min(1e-4) ** a * (2 * other).clamp_min(1e-4) ** b / 2
            found = found.clamp(0, 1)
        return found


def fractals(count: int, size: tuple[int, int], seed: int) -> np.ndarray:
    """Pictures of random iterated function systems in colour, float32 [count, 3, h, w], 0–1."""
    rng = np.random.default_rng([seed, 77])
    made = np.empty((count, 3, *size), np.float32)
    for place in range(count):
        maps = rng.uniform(-1, 1, (int(rng.integers(2, 6)), 2, 3))
        for one in maps:  # contracting, so that points stay together
            one[:, :2] *= 0.85 / max(1e-6, float(np.linalg.norm(one[:, :2], 2))) * rng.uniform(0.5, 1)
        points = np.zeros((200, 2))
        picture = np.zeros(size)
        for step in range(_POINTS // 200):
            which = rng.integers(len(maps), size=200)
            points = np.einsum("nij,nj->ni", maps[which, :, :2], points) + maps[which, :, 2]
            if step > 5:
                low, high = points.min(0), points.max(0)
                at = (points - low) / np.maximum(high - low, 1e-6) * (np.array(size) - 1)
                np.add.at(picture, tuple(at.round().astype(int).T), 1.0)
        light = np.log1p(picture)
        light = light / max(float(light.max()), 1e-6)
        ends = rng.uniform(0, 1, (2, 3, 1, 1))
        made[place] = (ends[0] * (1 - light) + ends[1] * light).astype(np.float32)
    return made
