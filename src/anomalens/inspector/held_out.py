"""Scores of images that a fitted model has not seen, for another calibration of it."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from anomalens.calibration import Calibration, Policy
from anomalens.errors import AnomalensWarning, ImageError, SettingError
from anomalens.images.duplicates import Thumbnails, group_images
from anomalens.images.facts import Facts
from anomalens.images.image_set import ImageSet
from anomalens.images.labels import GOOD
from anomalens.inspector.answering import answer
from anomalens.inspector.kind import Kind
from anomalens.inspector.model import Model
from anomalens.inspector.model_card import short_hash
from anomalens.inspector.pairs import stream_pairs
from anomalens.progress import Progress


def calibrated_on(
    model: Model, given: ImageSet, policy: Policy, progress: Progress
) -> tuple[Calibration, Kind]:
    """A calibration from images that the model has not learnt from, and what kind of pictures they are.

    What it has learnt from is left out, and so is a normal image that equals its own reference: such a pair
    scores next to nothing whatever the model is, and the threshold would flag every real one.

    Raises
    ------
    SettingError
        No normal image is left, or the policy needs anomalies and there are none.
    """
    known = set(model.card.get("data", {}).get("image_hashes", ()))
    images = given.subset(i for i in range(len(given)) if short_hash(given, i) not in known)
    _left_out(len(given) - len(images), given, "are among those the model learnt from and are")
    paired = model.detector.uses_references
    thumbnails = Thumbnails()
    normal: list[int] = []
    scores: list[float] = []
    anomalous: list[float] = []
    maxima: list[float] = []
    facts: list[Facts] = []
    unreadable = equal = 0
    pairs = stream_pairs(images, model.preprocessing, paired=paired)
    for i, (entry, pair) in enumerate(progress(pairs, label="checking", total=len(images))):
        is_normal = entry.label in (None, GOOD)
        if is_normal and not isinstance(pair, ImageError) and pair.equal:
            equal += 1
            continue
        finding = answer(model, entry, pair)
        if isinstance(pair, ImageError) or finding.score is None:
            unreadable += 1
        elif not is_normal:
            anomalous.append(finding.score)
        else:
            thumbnails.add(len(normal), pair.image.pixels)
            normal.append(i)
            scores.append(finding.score)
            assert finding.facts is not None  # it has a score
            facts.append(finding.facts)
            if finding.map is not None:
                maxima.append(float(finding.map.max()))
    _left_out(equal, images, "equal their own reference and are")
    _left_out(unreadable, images, "cannot be read and are")
    if not normal:
        raise SettingError(
            f"None of the {len(given)} images in {given.origin} is a readable normal image that the "
            f"model has not seen{' and that differs from its reference' if equal else ''}; give some to "
            "calibrate on."
        )
    groups = np.array(group_images(images.subset(normal), thumbnails))
    classes = np.array([images[i].class_name or "" for i in normal])

    found = _Found(np.array(scores), np.array(maxima) if maxima else None, groups, np.array(anomalous))
    calibration = found.calibration(np.ones(len(normal), bool), policy)
    if model.calibration.by_class and not policy.needs_labels:
        own = {str(name): found.calibration(classes == name, policy) for name in np.unique(classes) if name}
        calibration = calibration.with_classes(own)
    return calibration, Kind.of(facts)


@dataclass(frozen=True)
class _Found:
    """Scores and map maxima of normal images, their groups, and the scores of anomalous ones."""

    scores: NDArray[np.float64]
    maxima: NDArray[np.float64] | None
    groups: NDArray[np.str_]
    anomalous: NDArray[np.float64]

    def calibration(self, of: NDArray[np.bool_], policy: Policy) -> Calibration:
        """From some of the normal images."""
        return Calibration.from_scores(
            self.scores[of],
            None if self.maxima is None else self.maxima[of],
            policy=policy,
            method="held-out",
            n_groups=len(set(self.groups[of])),
            anomalous=self.anomalous,
        )


def _left_out(count: int, images: ImageSet, why: str) -> None:
    if count:
        warnings.warn(
            f"{count} of {len(images)} calibration images {why} left out.", AnomalensWarning, stacklevel=4
        )
