"""Gaussians at positions as a view of images: fitted to all, and to all but one fold."""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from anomalens.detectors.patches.views.axes import leading_axes
from anomalens.detectors.patches.views.half_precision import Halves
from anomalens.detectors.patches.views.image_components import split_off_components
from anomalens.detectors.patches.views.position_gaussians import USUAL, PositionGaussians, Scatter
from anomalens.progress import Progress, silent

Floats = NDArray[np.float32]


class PositionView:
    """How unlikely each position's features are, given what the rest of the image shows.

    Parameters
    ----------
    features : float16 [n, p, c]
        Normal images' features.
    folds : int64 [n]
    dimensions : int
        Principal axes of the features that are kept.
    components : int
        Principal components of whole images that are taken off first; 0 for none.
    also : float16 [a, p, c] and int64 [a], or None
        Images that nothing is learnt from, and the fold each is judged without.
    scatter : Scatter

    Attributes
    ----------
    gaussians : PositionGaussians
        Fitted to all images.
    rests : float16 [n, p, k]
        What they were fitted to: the images along the axes, less the components that other folds show.
    """

    def __init__(
        self,
        features: Halves,
        folds: NDArray[np.int64],
        *,
        dimensions: int,
        components: int,
        seed: int,
        also: tuple[Halves, NDArray[np.int64]] | None = None,
        scatter: Scatter = USUAL,
    ) -> None:
        self._axes = leading_axes(features.reshape(-1, features.shape[-1]), dimensions, seed=seed)
        self.rests, self._folds = self._along(features), folds
        others, self._other_folds = also or (features[:0], folds[:0])
        self._others = self._along(others)
        self._components = split_off_components(
            self.rests, folds, components, also=[(self._others, self._other_folds)]
        )
        self._fit = partial(
            PositionGaussians.fit, axes=self._axes, components=self._components, scatter=scatter
        )
        self.gaussians = self._fit(self.rests)

    def distances(self, features: Floats) -> Floats:
        """Distances of another image's features [p, c]: float32 [p]."""
        return self.gaussians.distances(features)

    def left_out(self, progress: Progress = silent) -> tuple[Floats, Floats]:
        """Distances of the images [n, p] and of the others [a, p], by models that left their fold out.

        The axes are learnt from all, and the components that leave something of the images of other folds
        have seen the fold; its own components and Gaussians have not. Where all images are of one fold, it is
        the model of all that judges the others, and NaN stands for the images.
        """
        found = np.full(self.rests.shape[:2], np.nan, np.float32)
        beside = np.empty(self._others.shape[:2], np.float32)
        folds = np.unique(np.concatenate([self._folds, self._other_folds]))
        for fold in progress(folds, label="calibrating", total=len(folds)):
            held, theirs = self._folds == fold, self._other_folds == fold
            model = self._fit(self.rests[~held]) if held.any() and not held.all() else self.gaussians
            if not held.all():
                found[held] = model.distances_of_rests(self.rests[held])
            beside[theirs] = model.distances_of_rests(self._others[theirs])
        return found, beside

    def _along(self, features: Halves) -> Halves:
        x = np.empty((*features.shape[:2], self._axes.shape[1]), np.float16)
        for i, image in enumerate(features):
            x[i] = image.astype(np.float32) @ self._axes
        return x
