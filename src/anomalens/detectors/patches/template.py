"""Template: each image against its own reference, a picture of what it should look like.

What it does. The reference is brought onto the image (`registration.py`). Maps of a pretrained network at
1/4, 1/8 and 1/16 describe both; at every position p of layer l

    d_l(p) = max( min_{|q − p| ≤ r} |f_l(p) − g_l(q)|,  min_{|q − p| ≤ r} |g_l(p) − f_l(q)| ),   r = 1

is how far the image's feature is from the nearest of the reference's beside it, or the reference's from the
image's: what is too much and what is missing count alike, and edges that lie a little aside cost little. The
map is Σ_l d_l / s_l, enlarged and smoothed; the score is its maximum. Comparing the features of a pair is old
in change detection; this form is our own and from no paper.

What is learnt from normal pairs is only s_l, the mean over the pairs of the 99th percentile of d_l, so a
left-out score costs one mean of the others. Where only templates are given, pairs are made of them
(`made_pairs.py`), and a note says so. An image that equals its reference is such a template too.

When it fails. Parts that differ by more than a shift (bent leads, free rotation, prints): there no normal
part is a template of another, and the other detectors learn what varies. What the reference shows wrongly
is normal. A strip along the border that the shifted reference does not show is not compared.

Memory while fitting: the differences of at most 2000 pairs, 21 kB each at 256 px.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Self

import numpy as np
from numpy.typing import NDArray

from anomalens.backbones.runtimes import Runtime
from anomalens.detectors.contract import (
    Batch,
    Detector,
    Scores,
    Settings,
    State,
    TrainingImages,
    parameter,
    references_of,
)
from anomalens.detectors.folds import MAX_CALIBRATION_IMAGES, fold_of_groups, some_groups
from anomalens.detectors.made_pairs import taken_again
from anomalens.detectors.network import LARGEST, FeatureNetwork, taps_at
from anomalens.detectors.patches.feature_differences import differences
from anomalens.detectors.patches.registration import aligned
from anomalens.detectors.patches.views.maps import MapMaker
from anomalens.errors import ModelFileError, SettingError
from anomalens.images.arrays import Pixels
from anomalens.job import Job

Floats = NDArray[np.float32]

FOLDS: Final = 10
STRIDES: Final = (4, 8, 16)
_LEAST: Final = 1e-3  # of a scale: pairs without any difference must not make every speck infinite


@dataclass(frozen=True)
class TemplateSettings(Settings):
    """Parameters of the comparison."""

    backbone: str = parameter(
        "efficientnet-lite0", "a name from `anomalens backbones`, or an ONNX file with a card"
    )
    taps: tuple[str, ...] = parameter(
        (), "layers of the backbone, comma-separated; default: those at 1/4, 1/8 and 1/16"
    )
    max_shift: int = parameter(
        32, "largest shift between image and reference, in prepared pixels", limits=(0, 1024)
    )
    search: int = parameter(1, "how far aside a feature may lie, in positions of its layer", limits=(0, 8))
    sigma: float = parameter(2.0, "smoothing of the map, in pixels", limits=(0.0, 100.0))


class Template(Detector):
    """What differs between an image and its own reference, in pretrained features."""

    name: ClassVar[str] = "template"
    family: ClassVar[str] = "patches"
    pixel_level: ClassVar[bool] = True
    uses_references: ClassVar[bool] = True
    settings_type: ClassVar[type[Settings]] = TemplateSettings
    settings: TemplateSettings

    _network: FeatureNetwork
    scales_: Floats
    made_: tuple[int, int] = (0, 0)

    def fit(self, images: TrainingImages, job: Job) -> Scores:
        if not len(images):
            raise SettingError("template needs at least one normal image to fit and was given none.")
        self._network, self._grids = _network(self.settings, size=images.size, runtime=job.runtime)
        self._set_maps(images.size)
        wanted = some_groups(images.groups, MAX_CALIBRATION_IMAGES, job.seed)
        found: dict[int, list[Floats]] = {}
        made = 0
        pairs = job.progress(_pairs(images), label="comparing pairs", total=len(images))
        for index, (image, reference) in enumerate(pairs):
            if not wanted[index]:
                continue
            found[index] = self._differences(image, reference)
            if not any(layer.any() for layer in found[index]):
                again = taken_again(image, np.random.default_rng([job.seed, index]))
                found[index] = self._differences(again, reference)
                made += 1
        self.made_ = made, len(found)
        rows = np.array(list(found))
        highest = np.array([[np.quantile(d, 0.99) for d in layers] for layers in found.values()], np.float64)
        self.scales_ = _scales(highest)
        scores = np.full(len(images), np.nan)
        maxima = np.full((len(images), 1, 1), np.nan, np.float32)
        folds = fold_of_groups(images.groups[rows], FOLDS, job.seed)
        for place, row in enumerate(rows):
            others = folds != folds[place]
            if others.any():
                scores[row] = maxima[row] = self._map(found[row], _scales(highest[others])).max()
        return Scores(scores, maxima)

    def score(self, batch: Batch) -> Scores:
        if batch.references is None:
            raise SettingError(
                "template compares each image with its own reference and was given none; give them with "
                "--reference (in Python references=)."
            )
        maps = np.empty((len(batch), *self._size), np.float32)
        for i, (image, reference) in enumerate(zip(batch.images, batch.references, strict=True)):
            maps[i] = self._map(self._differences(image, reference), self.scales_)
        return Scores(maps.max((1, 2)).astype(np.float64), maps)

    @property
    def notes(self) -> tuple[str, ...]:
        made, of = self.made_
        if not made:
            return ()
        if made < of:
            return (
                f"{made} of {of} images equal their reference: pairs were made from those by slight changes, "
                "and where there are enough others the threshold rests on these alone.",
            )
        return (
            "no normal pair was given: pairs were made from templates by slight changes, so the threshold "
            "may be too low for real ones; give normal images with --reference, or run  anomalens calibrate  "
            "with some.",
        )

    def state(self) -> State:
        s = self.settings
        return State(
            numbers={
                **self._network.numbers(),
                "grids": [list(grid) for grid in self._grids],
                "max_shift": s.max_shift,
                "search": s.search,
                "sigma": s.sigma,
            },
            arrays={"scales": self.scales_},
            graphs={"features": self._network.graph},
        )

    @classmethod
    def from_state(cls, state: State, *, size: tuple[int, int], runtime: Runtime) -> Self:
        n = state.numbers
        settings = TemplateSettings(
            max_shift=int(n["max_shift"]), search=int(n["search"]), sigma=float(n["sigma"])
        )
        detector = cls(settings)
        detector._grids = [(int(h), int(w)) for h, w in n["grids"]]
        if not all(1 <= h <= size[0] and 1 <= w <= size[1] for h, w in detector._grids):
            raise ValueError(f"the grids {detector._grids} do not fit images of {list(size)}")
        detector.scales_ = np.asarray(state.arrays["scales"], np.float32)
        if detector.scales_.shape != (len(detector._grids),) or not all(
            _LEAST / 2 <= scale < LARGEST for scale in detector.scales_
        ):
            raise ValueError("the scales of the layers are no positive numbers, one each")
        detector._network = FeatureNetwork.from_numbers(
            n, state.graphs["features"], size=size, runtime=runtime
        )
        detector._set_maps(size)
        return detector

    def _set_maps(self, size: tuple[int, int]) -> None:
        self._size = size
        self._enlarge = [MapMaker(grid, size, self.settings.sigma) for grid in self._grids]

    def _differences(self, image: Pixels, reference: Pixels) -> list[Floats]:
        """d_l of every layer, [h, w] each."""
        there = aligned(reference, image, max_shift=self.settings.max_shift)
        ours, theirs = self._network(image), self._network(there)
        given = [f.shape[1:] for f in ours]
        if given != self._grids:
            raise ModelFileError(
                f"The model's network gives maps of {[list(grid) for grid in given]} and others were learnt "
                "from; fit the model again."
            )
        return [differences(f, g, reach=self.settings.search) for f, g in zip(ours, theirs, strict=True)]

    def _map(self, layers: list[Floats], scales: Floats) -> Floats:
        parts = [enlarge(d / s) for enlarge, d, s in zip(self._enlarge, layers, scales, strict=True)]
        total: Floats = parts[0]
        for part in parts[1:]:
            total += part
        return total


def _scales(highest: NDArray[np.float64]) -> Floats:
    """s_l from the pairs' 99th percentiles [n, layers]."""
    return np.asarray(np.maximum(highest.mean(0), _LEAST), np.float32)


def _pairs(images: TrainingImages) -> Iterator[tuple[Pixels, Pixels]]:
    """Each image with its reference; a template alone is its own."""
    references = references_of(images)
    if references is None:
        for template in images:
            yield template, template
    else:
        yield from zip(images, references, strict=True)


def _network(
    settings: TemplateSettings, *, size: tuple[int, int], runtime: Runtime
) -> tuple[FeatureNetwork, list[tuple[int, int]]]:
    """The backbone up to its taps, and the grid of each."""
    from anomalens.backbones.embedding import tap_grids
    from anomalens.backbones.graph_surgery import Graph
    from anomalens.backbones.registry import load_backbone

    backbone = load_backbone(settings.backbone)
    backbone.card.check_size(size)
    taps = settings.taps or taps_at(backbone.card, STRIDES)
    edited = Graph.parse(backbone.graph(taps))
    grids = tap_grids(edited, taps, size, runtime)
    edited.pin_size(size)
    shapes: list[tuple[str, list[Any]]] = [(tap, ["n", None, *grids[tap]]) for tap in taps]
    graph = edited.finish(shapes)
    network = FeatureNetwork.from_card(graph, backbone.card, used=taps, size=size, runtime=runtime)
    return network, [grids[tap] for tap in taps]
