"""From a prepared image to a finding: score, p-value, verdict, regions, words."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Literal

from anomalens.calibration import Region, find_regions
from anomalens.calibration.regions import Box
from anomalens.detectors.contract import Batch
from anomalens.errors import ImageError, InputError
from anomalens.images.facts import Facts
from anomalens.images.geometry import Affine
from anomalens.images.image_entry import ImageEntry
from anomalens.inspector.finding import Finding, calibration_summary, class_in_words, explain
from anomalens.inspector.kind import notes_of
from anomalens.inspector.model import Model
from anomalens.inspector.pairs import Pair
from anomalens.threads import one_blas_thread

Explain = Literal["none", "flagged", "all"]


def answer(model: Model, entry: ImageEntry, pair: Pair | ImageError, *, why: Explain = "none") -> Finding:
    """Score one image and judge it; what cannot be read or scored is a finding with an `error`."""
    page = entry.page + 1 if "#page" in entry.id else None
    detector, calibration = model.detector, model.calibration.of(entry.class_name)
    of_all = calibration is model.calibration
    blank = Finding(image=entry.id, page=page, detector=detector.name, model=model.name)
    if isinstance(pair, ImageError):
        return replace(blank, error=pair.problem)
    prepared, references = pair.image, None if pair.reference is None else [pair.reference]
    try:
        with one_blas_thread():
            scores = detector.score(Batch([prepared.pixels], [entry.id], references=references))
    except InputError as error:
        return replace(blank, error=str(error))
    score = float(scores.image[0])
    if not math.isfinite(score):
        return replace(blank, error=f"its score is {score}, no finite number; use another backbone")
    anomalous = calibration.is_anomalous(score)
    anomaly_map = None if scores.maps is None else scores.maps[0]
    regions: tuple[Region, ...] = ()
    threshold = calibration.region_threshold if anomalous else None
    if anomaly_map is not None and threshold is not None:
        # a flagged image always shows where: at least the surroundings of its peak
        level = min(threshold, 0.9 * float(anomaly_map.max()))
        to_original = box_mapper(prepared.to_original, prepared.original_size)
        regions = find_regions(anomaly_map, level, to_original, low=calibration.region_floor)
    label, confidence, said = None, None, []
    if scores.labels and scores.confidence is not None:
        label, confidence = scores.labels[0], float(scores.confidence[0])
        said = [f"{class_in_words(label, confidence, known=not anomalous)}."]
    facts = Facts.of(prepared)
    notes = notes_of(facts, model.kind)
    asked = why == "all" or (why == "flagged" and anomalous)
    reasons = scores.explain(0) if asked and scores.explain is not None else None
    return replace(
        blank,
        score=score,
        p_value=calibration.p_value(score),
        percentile=calibration.percentile(score),
        anomalous=anomalous,
        verdict=calibration.verdict(score),
        threshold=calibration.threshold.value,
        calibration=calibration_summary(calibration, None if of_all else entry.class_name),
        regions=regions,
        label=label,
        confidence=confidence,
        explanation=" ".join([*said, explain(calibration, score, regions, reasons), *notes]),
        notes=notes,
        facts=facts,
        reasons=reasons,
        parts={name: float(values[0]) for name, values in scores.parts.items()},
        map=anomaly_map,
        map_to_original=prepared.to_original,
        original_size=prepared.original_size,
        picture=pair.picture,
    )


def box_mapper(to_original: Affine, size: tuple[int, int]) -> Callable[[Box], Box]:
    """Boxes of map pixels to boxes of original pixels, clipped to the image."""

    def convert(box: Box) -> Box:
        x0, y0, x1, y1 = to_original.box(box)
        left = min(max(0, math.floor(x0)), size[0] - 1)
        top = min(max(0, math.floor(y0)), size[1] - 1)
        right = min(max(left + 1, math.ceil(x1)), size[0])
        bottom = min(max(top + 1, math.ceil(y1)), size[1])
        return left, top, right, bottom

    return convert
