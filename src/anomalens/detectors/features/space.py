"""What is learnt of features before any head: their scale and, where asked, their principal axes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from anomalens.detectors.features.covariance import BLOCK, moments, principal_axes, shrunk, whitener

Floats = NDArray[np.float32]

# A deviation below this share of the values themselves is rounding: the feature is constant.
_CONSTANT: Final = 1e-6
_NAMES: Final = ("mean", "origin", "scale", "axes", "white")


@dataclass(frozen=True)
class FeatureSpace:
    """Centred and scaled features; of those, principal components; of those, whitened ones.

    Beside the components stands one feature more, the length of what they leave out: without it whatever
    lies outside the components of the normal images, as most anomalies do, would look normal.

    Attributes
    ----------
    mean : float32 [d]
        The normal images' mean, for explanations.
    origin, scale : float32 [d]
        What is taken away, and then divided by.
    axes : float32 [d, k] or None
        Principal axes as columns; None leaves the features as they are.
    white : float32 [k + 1, k + 1] or [d, d], or None
        Applied last: makes all directions vary equally (Ledoit–Wolf covariance).
    """

    mean: Floats
    origin: Floats
    scale: Floats
    axes: Floats | None = None
    white: Floats | None = None

    @classmethod
    def learn(cls, x: Floats, *, scaling: str, components: int) -> Self:
        """From features [n, d] of normal images; constant features are only centred.

        Features of which components are taken are always centred.

        Parameters
        ----------
        scaling : str
            `none`, `standardise` (centred and scaled) or `whiten` (standardised, then decorrelated).
        components : int
            Principal components that are kept; 0 for the features themselves.
        """
        mean, deviation = moments(x)
        constant = deviation <= _CONSTANT * (np.abs(mean) + _CONSTANT)
        scale = np.ones_like(deviation) if scaling == "none" else np.where(constant, 1.0, deviation)
        origin = np.zeros_like(mean) if scaling == "none" and not components else mean
        space = cls(*(values.astype(np.float32) for values in (mean, origin, scale)))
        if components:
            axes, _ = principal_axes(space.apply(x), components)
            space = replace(space, axes=axes.astype(np.float32))
        if scaling != "whiten":
            return space
        z = space.apply(x)
        white = whitener(shrunk(z, moments(z)[0], "ledoit-wolf"))
        return replace(space, white=white.astype(np.float32))

    def apply(self, x: Floats) -> Floats:
        """Features [n, d] → [n, d], or [n, k + 1] with axes."""
        z = x - self.origin
        z /= self.scale
        if self.axes is not None:
            kept = z @ self.axes
            z -= kept @ self.axes.T
            rest = np.sqrt(np.einsum("ij,ij->i", z, z))
            z = np.concatenate([kept, rest[:, None]], axis=1)
        if self.white is not None:
            for start in range(0, len(z), BLOCK):  # in place: another copy of all would not fit the budget
                z[start : start + BLOCK] = z[start : start + BLOCK] @ self.white
        return z

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What was learnt, for the state."""
        found = {f"space_{name}": getattr(self, name) for name in _NAMES}
        return {name: array for name, array in found.items() if array is not None}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Rebuild; nothing about the arrays is trusted."""
        mean, origin, scale, axes, white = (
            np.asarray(arrays[f"space_{name}"], np.float32) if f"space_{name}" in arrays else None
            for name in _NAMES
        )
        if mean is None or origin is None or scale is None or mean.ndim != 1:
            raise ValueError("the features' mean or scale is missing")
        if not mean.shape == origin.shape == scale.shape or not (scale > 0).all():
            raise ValueError("the features' mean and scale do not fit")
        if axes is not None and (axes.ndim != 2 or len(axes) != len(mean) or not axes.size):
            raise ValueError("the principal axes do not fit the features")
        width = len(mean) if axes is None else axes.shape[1] + 1
        if white is not None and white.shape != (width, width):
            raise ValueError("the whitening matrix does not fit the features")
        return cls(mean, origin, scale, axes, white)
