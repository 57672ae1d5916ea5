"""Moments, principal axes and shrunk covariances of many vectors, summed block by block."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

BLOCK: Final = 4096  # rows that are turned into float64 at a time
SHRINKAGES: Final = ("ledoit-wolf", "oas", "none")
# Variances below this share of the largest are taken for it: no direction counts without limit.
_LEAST: Final = 1e-7


def blocks(x: Floats) -> Iterator[Doubles]:
    """The rows in float64, a few thousand at a time: sums need it, a copy of all has no room."""
    for start in range(0, len(x), BLOCK):
        yield x[start : start + BLOCK].astype(np.float64)


def moments(x: Floats) -> tuple[Doubles, Doubles]:
    """Mean and standard deviation [d], in float64 and two passes."""
    mean = np.sum([block.sum(0) for block in blocks(x)], axis=0) / len(x)
    variance = np.sum([((block - mean) ** 2).sum(0) for block in blocks(x)], axis=0) / len(x)
    return mean, np.sqrt(variance)


def covariance(x: Floats, mean: Doubles) -> Doubles:
    """Covariance [d, d] (of the population) in float64, block by block."""
    total = np.zeros((x.shape[1], x.shape[1]))
    for block in blocks(x):
        block -= mean
        total += block.T @ block
    return total / len(x)


def principal_axes(x: Floats, most: int) -> tuple[Doubles, Doubles]:
    """The leading principal axes of x [n, d].

    Returns
    -------
    axes : float64 [d, k]
        Columns of length one; k is at most `most`, and leaves out directions without variance.
        One axis at least.
    variances : float64 [k]
    """
    mean, _ = moments(x)
    n, d = x.shape
    if n < d:  # the small matrix has the same variances
        centred = x.astype(np.float64) - mean
        values, left = np.linalg.eigh(centred @ centred.T / n)
        kept = _leading(values, most)
        axes = centred.T @ left[:, kept]
        lengths = np.linalg.norm(axes, axis=0)
        axes = axes / lengths if (lengths > 0).all() else np.eye(d, 1)
        values = values[kept]
    else:
        values, axes = np.linalg.eigh(covariance(x, mean))
        kept = _leading(values, most)
        axes, values = axes[:, kept], values[kept]
    # eigenvectors have no sign of their own
    signs = np.sign(axes[np.abs(axes).argmax(0), np.arange(axes.shape[1])])
    return axes * np.where(signs == 0, 1, signs), np.maximum(values, 0)


def _leading(values: Doubles, most: int) -> NDArray[np.int64]:
    order = np.argsort(values)[::-1][: max(1, most)]
    real = values[order] > 1e-9 * max(float(values.max()), 1e-30)
    return order[real] if real.any() else order[:1]


def shrunk(x: Floats, mean: Doubles, kind: str) -> Doubles:
    """The covariance [d, d] of x [n, d], shrunk towards equal variances.

    scikit-learn's `ledoit_wolf` and `oas` give the same, from a float64 copy of all of x.
    """
    n, d = x.shape
    s = covariance(x, mean)
    level = float(np.trace(s)) / d
    if kind == "none" or level <= 0:
        return s
    squares = float((s**2).sum())
    if kind == "oas":
        top = squares / d**2 + level**2
        bottom = (n + 1) * (squares / d**2 - level**2 / d)
        share = 1.0 if bottom <= 0 else min(top / bottom, 1.0)
    else:
        fourth = sum(float((((block - mean) ** 2).sum(1) ** 2).sum()) for block in blocks(x))
        spread = squares / d - level**2
        noise = (fourth / n - squares) / (n * d)
        share = 0.0 if spread <= 0 else min(noise / spread, 1.0)
    s *= 1 - share
    s[np.diag_indices(d)] += share * level
    return s


def whitener(s: Doubles) -> Doubles:
    """W [d, d] with W Wᵀ = S⁻¹; the unit matrix where there is no variance at all."""
    values, axes = np.linalg.eigh(s)
    largest = float(values.max())
    if largest <= 0:
        return np.eye(len(s))
    return np.asarray(axes / np.sqrt(np.maximum(values, _LEAST * largest)))
