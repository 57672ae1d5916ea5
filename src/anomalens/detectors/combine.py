"""Combine: several detectors on one scale, and the mean of what they say.

What it does. Every member learns from the same images. Its scores of images it had not learnt from become
a tail scale (`calibration.tail_scale`): minus log₁₀ of the share of normal images that score as high,
continued beyond the highest. The fused score is the mean of the members' places on their scales.

    s(x) = 1/m Σᵢ −log₁₀ P(score of member i on a normal image ≥ sᵢ(x))

This is Fisher's way to combine tests (1932), up to a factor, without its assumption that they are
independent: the threshold comes from the fused scores of normal images. It rises with every member's
score. The map is the mean of those members' maps that have one, each less the median and divided by the
mean excess of its largest values on normal images.

When it fails. Every member has the same say, also one that is no better than chance here. A fault that
one member alone sees is diluted by the others.

Decided. Maxima of fused maps are taken to be the mean of the members' maxima, since members give no maps
out of fold: exact with one pixel-level member, never too low with several, so regions are rather too
small than too large. Out-of-fold scores go through scales that were learnt from all of them: a scale has
few degrees of freedom, and refitting it for each image would change no order within a member. Members
see an image's features once (`FeatureMemory`), and graphs that are equal are stored once.

Memory. The members', one after another while fitting, all of them while scoring; 250 MB of features that
members share while fitting.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, ClassVar, Final, Self

import numpy as np
from numpy.typing import NDArray

from anomalens.backbones.runtimes import Runtime
from anomalens.calibration.tail_scale import TailScale
from anomalens.detectors.contract import (
    Batch,
    Detector,
    Part,
    Reasons,
    Scores,
    Settings,
    State,
    TrainingImages,
)
from anomalens.detectors.cross_fit import batches, cross_fit, stand_in_scores
from anomalens.detectors.features.cache import FeatureMemory
from anomalens.detectors.image_level import ImageLevelDetector
from anomalens.errors import SettingError
from anomalens.job import Job

SHARED_BYTES: Final = 250 * 10**6
# Where no image can be left out, this many stand-ins of this many images set the scales.
_STAND_IN_IMAGES: Final = 10
_STAND_IN_COPIES: Final = 4


@dataclass(frozen=True)
class Member:
    """A fitted detector and what puts it on the common scale.

    Attributes
    ----------
    label : str
    detector : Detector
    scale : TailScale
    map_scale : (offset, factor) or None
        A map becomes (map − offset) · factor.
    """

    label: str
    detector: Detector
    scale: TailScale
    map_scale: tuple[float, float] | None

    def scaled(self, maps: NDArray[np.float32]) -> NDArray[np.float32]:
        """Maps, or their maxima, on the common scale."""
        assert self.map_scale is not None
        offset, factor = self.map_scale
        return (maps - np.float32(offset)) * np.float32(factor)


class Combine(Detector):
    """The mean of several detectors' scores, each on the scale of its own tail.

    Parameters
    ----------
    members : mapping of str to Detector
        By what tells them apart; they are not fitted themselves, others like them are.
    """

    settings_type: ClassVar[type[Settings]] = Settings
    members_: tuple[Member, ...]

    def __init__(self, members: Mapping[str, Detector]) -> None:
        super().__init__()
        self._members = dict(members)
        self._memory = FeatureMemory(max_bytes=SHARED_BYTES)

    @property
    def name(self) -> str:
        return f"combine:{','.join(member.name for member in self.made_of)}"

    @property
    def family(self) -> str:
        return self.made_of[0].family

    @property
    def pixel_level(self) -> bool:
        return any(member.pixel_level for member in self.made_of)

    @property
    def from_scratch(self) -> bool:
        return all(member.from_scratch for member in self.made_of)

    @property
    def uses_references(self) -> bool:
        return any(member.uses_references for member in self.made_of)

    @property
    def made_of(self) -> Sequence[Detector]:
        return tuple(self._members.values())

    @property
    def parameters(self) -> dict[str, Any]:
        return {
            f"{label}.{key}": value
            for label, member in self._members.items()
            for key, value in member.parameters.items()
        }

    def fresh(self) -> Self:
        return type(self)({label: member.fresh() for label, member in self._members.items()})

    def fit(self, images: TrainingImages, job: Job) -> Scores | None:
        self._memory = FeatureMemory(max_bytes=SHARED_BYTES)
        found, unseen = [], []
        for label, unfitted in self._members.items():
            detector = unfitted.fresh()
            self._share(detector)
            scores = detector.fit(images, job)
            if scores is None:
                scores = cross_fit(detector, images, job)
            member = _on_its_scale(label, detector, scores, images, job.seed)
            unseen.append(_placed(member, scores))
            found.append(member)
        self.members_ = tuple(found)
        self._memory.clear()
        fused = self._fused(unseen)
        # members that drew different images leave none that all have scored: fit the whole on parts
        each_has = all(np.isfinite(scores.image).any() for scores in unseen)
        return None if each_has and not np.isfinite(fused.image).any() else fused

    def score(self, batch: Batch) -> Scores:
        answers, asked = [], []
        for number, (image, name) in enumerate(zip(batch.images, batch.ids, strict=True)):
            reference = None if batch.references is None else [batch.references[number]]
            one = Batch([image], [name], references=reference)
            asked.append([m.detector.score(one) for m in self.members_])
            placed = [_placed(m, scores) for m, scores in zip(self.members_, asked[-1], strict=True)]
            answers.append(self._fused(placed))
            self._memory.clear()
        maps = [answer.maps for answer in answers if answer.maps is not None]
        if not answers:
            return Scores(np.empty(0))
        return Scores(
            np.concatenate([a.image for a in answers]),
            np.concatenate(maps) if maps else None,
            explain=lambda i: self._reasons(asked[i]),
        )

    def _reasons(self, given: Sequence[Scores]) -> Reasons:
        """What each member adds to the fused score, and the first member's word on similar normal images."""
        parts = [
            Part(m.label, float(m.scale(scores.image)[0]) / len(self.members_))
            for m, scores in zip(self.members_, given, strict=True)
        ]
        said = (scores.explain(0) for scores in given if scores.explain is not None)
        nearest = next((reasons.nearest for reasons in said if reasons.nearest), ())
        return Reasons(tuple(sorted(parts, key=lambda part: -part.contribution)), nearest)

    def state(self) -> State:
        numbers: list[dict[str, Any]] = []
        arrays: dict[str, NDArray[Any]] = {}
        graphs: dict[str, bytes] = {}
        for number, member in enumerate(self.members_):
            inner = member.detector.state()
            arrays |= {f"m{number}.{name}": array for name, array in inner.arrays.items()}
            places = {}
            for name, graph in inner.graphs.items():
                same = (place for place, other in graphs.items() if other == graph)
                places[name] = next(same, f"m{number}-{name}")
                graphs[places[name]] = graph
            numbers.append({
                "label": member.label,
                "numbers": dict(inner.numbers),
                "graphs": places,
                "scale": member.scale.to_json(),
                "map_scale": None if member.map_scale is None else list(member.map_scale),
            })  # fmt: skip
        return State({"members": numbers}, arrays, graphs)

    def rebuilt(self, state: State, *, size: tuple[int, int], runtime: Runtime) -> Self:
        entries = state.numbers["members"]
        if [entry["label"] for entry in entries] != list(self._members):
            raise ValueError("the members are not those that the detector's name says")
        combined = self.fresh()
        members = []
        for number, (unfitted, entry) in enumerate(zip(self.made_of, entries, strict=True)):
            prefix = f"m{number}."
            inner = State(
                entry["numbers"],
                {n.removeprefix(prefix): a for n, a in state.arrays.items() if n.startswith(prefix)},
                {name: state.graphs[place] for name, place in entry["graphs"].items()},
            )
            detector = unfitted.rebuilt(inner, size=size, runtime=runtime)
            combined._share(detector)
            scale = TailScale.from_json(entry["scale"])
            members.append(Member(entry["label"], detector, scale, _read_map_scale(detector, entry)))
        combined.members_ = tuple(members)
        return combined

    def _share(self, detector: Detector) -> None:
        if isinstance(detector, ImageLevelDetector):
            detector.share_features(self._memory)

    def _fused(self, placed: list[Scores]) -> Scores:
        """The mean of the members' scores and maps; NaN where a member has none."""
        # summed one by one: a sum along an axis may round by the number of images
        image = sum((scores.image for scores in placed), np.zeros(())) / len(placed)
        maps = [scores.maps for scores in placed if scores.maps is not None]
        if not maps:
            return Scores(np.asarray(image, np.float64))
        total = maps[0]
        for more in maps[1:]:
            total = total + more
        return Scores(np.asarray(image, np.float64), np.asarray(total / np.float32(len(maps)), np.float32))


def _on_its_scale(
    label: str, detector: Detector, scores: Scores, images: TrainingImages, seed: int
) -> Member:
    """The member with scales from its out-of-fold scores, or from stand-ins where there are none."""
    known = np.isfinite(scores.image)
    if known.sum() < 2:
        some = islice(batches(images), _STAND_IN_IMAGES)
        scores = stand_in_scores(
            ((detector, batch) for batch in some), total=_STAND_IN_IMAGES, copies=_STAND_IN_COPIES, seed=seed
        )
        known = np.isfinite(scores.image)
    if known.sum() < 2:
        raise SettingError(
            f"The detector {label!r} gave no finite score to any normal image; try another backbone or other "
            "parameters."
        )
    map_scale = None
    if detector.pixel_level and scores.maps is not None:
        maxima = scores.maps[known].max((1, 2)).astype(np.float64)
        middle = float(np.median(maxima))
        above = maxima[maxima > middle] - middle
        excess = max(float(above.mean()) if len(above) else 0.0, 1e-6 * abs(middle), 1e-12)
        map_scale = (middle, 1 / excess)
    return Member(label, detector, TailScale.fit(scores.image[known]), map_scale)


def _placed(member: Member, scores: Scores) -> Scores:
    """A member's scores, and its maps or their maxima, on the common scales."""
    maps = None if scores.maps is None or member.map_scale is None else member.scaled(scores.maps)
    return Scores(member.scale(scores.image), maps)


def _read_map_scale(detector: Detector, entry: dict[str, Any]) -> tuple[float, float] | None:
    given = entry["map_scale"]
    if (given is None) == detector.pixel_level:
        raise ValueError("a map's scale is missing, or is there for a detector without maps")
    if given is None:
        return None
    offset, factor = (float(number) for number in given)
    if not np.isfinite([offset, factor]).all() or factor <= 0:
        raise ValueError("a map's scale is no positive number")
    return offset, factor
