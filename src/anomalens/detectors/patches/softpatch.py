"""SoftPatch (Jiang et al. 2022, "SoftPatch: Unsupervised Anomaly Detection with Noisy Data", NeurIPS).

What it does. PatchCore for training folders in which a few defects hide: before the memory bank is chosen,
every patch is compared with those at the same position of the other images, by its local outlier factor
(Breunig et al. 2000): how much sparser its neighbourhood is than its neighbours' own. The share `noise` of
patches with the largest factors is not remembered (section 3.2). Those that are count by their factor: a
patch scores the smallest LOF(m) · |p − m| (section 3.3), so that what was normal in one doubtful place alone
stays suspicious. The image's score is its highest patch's.

What differs from the paper. Weights multiply distances to the few candidates of the search before the
smallest is taken, instead of the one nearest. Factors below 1 count as 1.

When it fails. Where things have no place (freely turned parts, varied textures) what is rare and normal is
doubted: there it is worse than PatchCore. It holds the patches of all images at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from anomalens.detectors.contract import Settings, State, parameter
from anomalens.detectors.patches.patchcore import PatchCore, PatchCoreSettings
from anomalens.detectors.patches.views.bank import Bank
from anomalens.detectors.patches.views.feature_store import FeatureStore
from anomalens.detectors.patches.views.memory import Doubt
from anomalens.detectors.patches.views.view import Floats
from anomalens.errors import SettingError
from anomalens.threads import on_all_cores

_FEW: Final = 3  # images that a comparison needs


@dataclass(frozen=True)
class SoftPatchSettings(PatchCoreSettings):
    """Parameters of SoftPatch."""

    noise: float = parameter(0.15, "τ: share of the patches that is not remembered", limits=(0.0, 0.5))
    k: int = parameter(6, "neighbours that a patch is compared with", limits=(1, 100))


class SoftPatch(PatchCore):
    """A memory bank that doubts its own normals (Jiang et al. 2022)."""

    name: ClassVar[str] = "softpatch"
    settings_type: ClassVar[type[Settings]] = SoftPatchSettings
    settings: SoftPatchSettings

    def doubt(self, store: FeatureStore, patches: int) -> Doubt | None:
        if store.reduced:
            raise SettingError(
                f"softpatch compares patches of all images, and memory_mb = {self.settings.memory_mb} does "
                "not hold them; raise memory_mb, or give fewer images."
            )
        n = len(store) // patches
        if n < _FEW:
            return None
        factors = np.empty((n, patches), np.float32)

        def compare(position: int) -> None:
            factors[:, position] = outlier_factors(store[slice(position, None, patches)], self.settings.k)

        on_all_cores(compare, range(patches))
        limit = np.quantile(factors, 1 - self.settings.noise)
        return Doubt((factors <= limit).ravel(), np.maximum(factors.ravel(), 1))

    def image_score(self, rows: Floats, distances: Floats, bank: Bank) -> float:
        return float(distances.max())

    def arrays(self) -> dict[str, NDArray[Any]]:
        weights = self.bank_.weights
        return {**super().arrays(), **({} if weights is None else {"weights": weights})}

    @classmethod
    def weights_from(cls, state: State, count: int) -> Floats | None:
        weights = state.arrays.get("weights")
        if weights is not None and (weights.shape != (count,) or not (weights >= 1).all()):
            raise ValueError("the weights are no numbers from 1, one for each vector of the bank")
        return None if weights is None else np.asarray(weights, np.float32)


def outlier_factors(x: Floats, k: int) -> Floats:
    """Local outlier factors [n] of vectors [n, c] by their k nearest others."""
    k = min(k, len(x) - 1)
    x = x - x.mean(0)
    norms = np.einsum("ij,ij->i", x, x)
    apart = np.sqrt(np.maximum(norms + norms[:, None] - 2 * x @ x.T, 0))
    np.fill_diagonal(apart, np.inf)
    near = np.argpartition(apart, k - 1, axis=1)[:, :k]
    distances = np.take_along_axis(apart, near, axis=1)
    reach = np.maximum(distances, distances.max(1)[near])
    density = 1 / np.maximum(reach.mean(1), 1e-12)
    return np.asarray(density[near].mean(1) / density, np.float32)
