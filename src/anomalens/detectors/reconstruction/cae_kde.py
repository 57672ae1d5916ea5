"""Autoencoder and kernel density: reconstruction error, and density of the code.

What it does. The autoencoder of `cae`; and a Gaussian kernel estimate (Parzen 1962) over the flattened codes
zᵢ of N normal images:

    e(x) = reconstruction error of x,   d(x) = −log (1/N) Σᵢ N(W f(x); W zᵢ, h² I)
    s(x) = max(tail_e(e(x)), tail_d(d(x)))

An image is anomalous if its error is above one threshold or its density below another: this is the system of
a report on malaria cells and of a thesis on misplaced shop products, both of which read the two thresholds
off histograms. Here tail_e and tail_d are −log₁₀ of the share of normal images beyond, so one threshold on
s is one on each, and the false-alarm rate that was asked for is that of both together. `part_thresholds`
gives the two in their own units.

Nothing is used twice: codes zᵢ are of training images; the bandwidth h (the likeliest) and the two tail
scales come from validation images; the threshold comes from images that are held out.

What differs from the two. W whitens the codes (`scaling=none bandwidth=0.2` is what the thesis' code with
scikit-learn does); d is a logarithm, so that no density is 0 (the report's means and deviations of densities
span 13 orders of magnitude).

When it fails. As `cae` does; and in codes of many numbers all images are about equally far apart, so that d
adds little. An image that is both well reconstructed and in a dense place is taken for normal.

Memory. At most `max_codes` codes, a random choice of more, are kept in the graph.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

from anomalens.detectors.contract import Settings, parameter
from anomalens.detectors.learned import LearnedDetector
from anomalens.detectors.reconstruction.cae import (
    AutoencoderSettings,
    reconstruction_scorer,
    trained_autoencoder,
)
from anomalens.errors import unknown_name

if TYPE_CHECKING:
    from anomalens.training.run import Trained, TrainingRun

SCALINGS: Final = ("whiten", "standardise", "none")


@dataclass(frozen=True)
class CaeKdeSettings(AutoencoderSettings):
    """Parameters of the autoencoder and of the density."""

    scaling: str = parameter("whiten", "of the codes: whiten, standardise or none")
    bandwidth: float = parameter(
        0.0,
        "deviation of the kernel in scaled codes; 0: the likeliest for validation images",
        limits=(0, 1e6),
    )
    max_codes: int = parameter(2000, "codes of normal images that are kept, at most", limits=(1, 20_000))


class CaeKde(LearnedDetector):
    """The larger of reconstruction error and −log density of the code, each on its tail scale."""

    name: ClassVar[str] = "cae-kde"
    family: ClassVar[str] = "reconstruction"
    pixel_level: ClassVar[bool] = True
    components: ClassVar[tuple[str, ...]] = ("reconstruction error", "-log density")
    settings_type: ClassVar[type[Settings]] = CaeKdeSettings
    settings: CaeKdeSettings

    def __init__(self, settings: Settings | None = None) -> None:
        super().__init__(settings)
        self.settings = self.settings.completed()
        if self.settings.scaling not in SCALINGS:
            raise unknown_name("scaling", self.settings.scaling, SCALINGS)

    def learn(self, run: TrainingRun) -> Trained:
        from anomalens.training.latent_density import ReconstructionAndDensity, density_of_codes
        from anomalens.training.run import Trained

        s = self.settings
        network = trained_autoencoder(run, s)
        density, bandwidth = density_of_codes(
            run, network, scaling=s.scaling, bandwidth=s.bandwidth, max_codes=s.max_codes
        )
        return Trained(
            ReconstructionAndDensity(reconstruction_scorer(network, run, s), density),
            (
                f"the density is over {len(density.kept)} codes of {density.kept.shape[1]} numbers, "
                f"bandwidth {bandwidth:.3g}",
            ),
        )
