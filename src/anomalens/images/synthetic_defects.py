"""Painted defects with exact masks: for demonstrations, tests, and choosing settings by evidence.

Four kinds that differ in what a detector needs to see: a scratch is thin and long (resolution), a
hole is small and strong (locality), a stain is wide and faint with soft edges (context), a speck is a few
pixels of another tone (both resolution and locality). Sizes are
shares of the image's side, so that a tile and a photograph get defects of the same kind. They are
stand-ins: a figure measured on them says that a setting works, not how well it does on real faults.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from anomalens.errors import SettingError, unknown_name

Defect = Literal["scratch", "stain", "hole", "speck"]
Floats = NDArray[np.float64]
Point = tuple[float, float]

DEFECTS: Final[tuple[Defect, ...]] = ("scratch", "stain", "hole")
"""Those that one sees in a small picture; a `speck` is for choosing settings."""
MAX_SHARE: Final = 0.05
"""No defect changes a larger share of the pixels (one pixel is always allowed)."""


def paint(
    pixels: NDArray[np.uint8], kind: Defect, rng: np.random.Generator, *, strength: float = 1.0
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Paint one defect on a copy of an image.

    Parameters
    ----------
    pixels : uint8 [h, w, 3]
    kind : {"scratch", "stain", "hole", "speck"}
    rng : numpy.random.Generator
        Decides place, size, shape and tone: same generator state, same defect.
    strength : float
        Contrast, above 0 and up to 2; 1 is plainly visible on most textures. Place, size and shape
        do not depend on it.

    Returns
    -------
    pixels : uint8 [h, w, 3]
        A grey image stays grey.
    mask : bool [h, w]
        Exactly the pixels that changed: never none, and at most `MAX_SHARE` of them.

    Raises
    ------
    SettingError
        For another kind, type, shape or strength.
    """
    if kind not in _PAINTERS:
        raise unknown_name("defect", kind, _PAINTERS)
    if not 0 < strength <= 2:
        raise SettingError(f"The strength of a defect is {strength}; give one above 0 and up to 2.")
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.size:
        raise SettingError(
            f"Defects are painted on uint8 [h, w, 3]; this is {pixels.dtype} {list(pixels.shape)}."
        )
    before = pixels.astype(np.float64)
    cover, shift = _PAINTERS[kind](before, rng)
    cover = _largest(cover, max(1, int(MAX_SHARE * cover.size)))
    if (pixels == pixels[..., :1]).all():
        shift = np.repeat(shift.mean(axis=2, keepdims=True), 3, axis=2)
    change = strength * cover[..., None] * shift
    after = np.rint(np.clip(before + change, 0, 255)).astype(np.uint8)
    mask = (after != pixels).any(axis=2)
    if not mask.any():
        # Black on black, white on white: the defect's strongest pixel still has to be one.
        y, x = np.unravel_index(int(cover.argmax()), cover.shape)
        step = max(1, round(60 * strength))
        after[y, x] = np.where(before[y, x].mean() < 128, before[y, x] + step, before[y, x] - step)
        mask[y, x] = True
    return after, mask


def _scratch(before: Floats, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """A slightly bent line whose width and brightness vary along it."""
    h, w = before.shape[:2]
    side = min(h, w)
    length = side * rng.uniform(0.4, 0.75)
    x, y = _place(h, w, rng)
    angle = rng.uniform(0, math.pi)
    bend = length * rng.uniform(-0.15, 0.15)
    t = np.linspace(-1, 1, max(2, math.ceil(2 * length)))
    along, across = t * length / 2, bend * (1 - t * t)
    xs = x + along * math.cos(angle) - across * math.sin(angle)
    ys = y + along * math.sin(angle) + across * math.cos(angle)
    # Ends run out thinly: a tool touches, presses and lifts.
    pressure = np.sqrt(np.clip(1 - t * t, 0, 1)) * (0.7 + 0.3 * _wave(len(t), rng))
    radius = np.maximum(side * rng.uniform(0.010, 0.018), 0.8) * pressure
    tone = 0.75 + 0.25 * _wave(len(t), rng)
    cover = np.zeros((h, w))
    for px, py, r, level in zip(xs, ys, radius, tone, strict=True):
        left, right = max(0, math.floor(px - r - 1)), min(w, math.ceil(px + r + 1))
        top, bottom = max(0, math.floor(py - r - 1)), min(h, math.ceil(py + r + 1))
        if left >= right or top >= bottom:
            continue
        dx = np.arange(left, right) + 0.5 - px
        dy = np.arange(top, bottom) + 0.5 - py
        inside = np.clip(r + 0.5 - np.hypot(dx[None], dy[:, None]), 0, 1) * level
        part = cover[top:bottom, left:right]
        np.maximum(part, inside, out=part)
    light = _contrasting(before, cover, rng)
    target = np.clip(_local_mean(before, cover) + light * rng.uniform(100, 140), 5, 250)
    return cover, 0.85 * (target - before)


def _stain(before: Floats, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """A soft-edged blob that dims or bleaches what lies under it."""
    h, w = before.shape[:2]
    radius = min(h, w) * rng.uniform(0.085, 0.11)
    distance = _blob(h, w, radius, rng, roughness=0.25)
    cover = _smooth_step((1.1 - distance) / 0.45) * (0.85 + 0.15 * _clouds(h, w, rng))
    tint = rng.uniform(0.88, 1.0, 3)
    if _contrasting(before, cover, rng) < 0:
        return cover, before * (rng.uniform(0.4, 0.6) * tint - 1)
    return cover, (255 - before) * (1 - rng.uniform(0.5, 0.65) * tint)


def _hole(before: Floats, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """A small dark pit with a lighter rim."""
    h, w = before.shape[:2]
    radius = max(min(h, w) * rng.uniform(0.05, 0.08), 1.0)
    distance = _blob(h, w, radius, rng, roughness=0.12)
    soft = 1.2 / radius
    pit = _smooth_step((1 - distance) / soft + 0.5)
    rim = _smooth_step((1.4 - distance) / 0.4) * (1 - pit)
    cover = np.maximum(pit, rim)
    depth = pit[..., None] * (before * rng.uniform(0.1, 0.25) - before)
    edge = rim[..., None] * rng.uniform(25, 45)
    with np.errstate(invalid="ignore", divide="ignore"):
        shift = np.where(cover[..., None] > 0, (depth + edge) / cover[..., None], 0.0)
    return cover, shift


def _speck(before: Floats, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """A grain: one to two hundredths of the side across, lighter or darker than what lies around."""
    h, w = before.shape[:2]
    radius = max(min(h, w) * rng.uniform(0.008, 0.02), 1.0)
    cover = _smooth_step((1.2 - _blob(h, w, radius, rng, roughness=0.3)) / 0.5)
    shift = _contrasting(before, cover, rng) * rng.uniform(40, 90)
    return cover, np.full((h, w, 3), shift)


_PAINTERS: Final[dict[str, Callable[[Any, np.random.Generator], tuple[Floats, Floats]]]] = {
    "scratch": _scratch,
    "stain": _stain,
    "hole": _hole,
    "speck": _speck,
}


def _place(h: int, w: int, rng: np.random.Generator) -> Point:
    return w * float(rng.uniform(0.2, 0.8)), h * float(rng.uniform(0.2, 0.8))


def _blob(h: int, w: int, radius: float, rng: np.random.Generator, *, roughness: float) -> Floats:
    """Distance from a centre as a share of an irregular ellipse's radius: 1 on its outline."""
    x, y = _place(h, w, rng)
    stretch = float(rng.uniform(0.75, 1.3))
    turn = float(rng.uniform(0, math.pi))
    dx = np.arange(w)[None] + 0.5 - x
    dy = np.arange(h)[:, None] + 0.5 - y
    u = (dx * math.cos(turn) + dy * math.sin(turn)) * stretch
    v = (dy * math.cos(turn) - dx * math.sin(turn)) / stretch
    angle = np.arctan2(v, u)
    outline = np.ones((h, w))
    for k in range(2, 7):
        phase = float(rng.uniform(0, 2 * math.pi))
        outline += roughness * float(rng.uniform(0, 1)) / k * np.cos(k * angle + phase)
    return np.asarray(np.hypot(u, v) / (radius * outline), np.float64)


def _wave(n: int, rng: np.random.Generator) -> Floats:
    """A smooth random curve of n values from -1 to 1."""
    knots = rng.uniform(-1, 1, 6)
    return np.asarray(np.interp(np.linspace(0, 5, n), np.arange(6), knots), np.float64)


def _clouds(h: int, w: int, rng: np.random.Generator) -> Floats:
    """Smooth random values from about -1 to 1, [h, w]."""
    grid = Image.fromarray(rng.uniform(-1, 1, (12, 12)).astype(np.float32))
    return np.asarray(grid.resize((w, h), Image.Resampling.BICUBIC), np.float64)


def _smooth_step(x: Floats) -> Floats:
    x = np.clip(x, 0, 1)
    return x * x * (3 - 2 * x)


def _local_mean(before: Floats, cover: Floats) -> Floats:
    weight = cover[..., None] + 1e-9
    return np.asarray((before * weight).sum((0, 1)) / weight.sum((0, 1)), np.float64)


def _contrasting(before: Floats, cover: Floats, rng: np.random.Generator) -> int:
    """1 for lighter, -1 for darker: by chance, but never into what is light or dark already."""
    mean = float(_local_mean(before, cover).mean())
    chance = 1 if rng.uniform() < 0.5 else -1
    return -1 if mean > 170 else 1 if mean < 85 else chance


def _largest(cover: Floats, limit: int) -> Floats:
    """Only the `limit` largest values, the others 0; ties at the limit go too."""
    if int((cover > 0).sum()) <= limit:
        return cover
    level = np.partition(cover, cover.size - limit - 1, axis=None)[cover.size - limit - 1]
    kept = np.where(cover > level, cover, 0.0)
    if kept.any():
        return np.asarray(kept, np.float64)
    kept = np.zeros(cover.size)
    kept[int(cover.argmax())] = cover.max()  # all equal, in a tiny image
    return kept.reshape(cover.shape)
