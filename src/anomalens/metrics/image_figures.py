"""Every figure that the scores, labels and verdicts of one set of images allow, in one record."""

from __future__ import annotations

from dataclasses import dataclass

from numpy.typing import ArrayLike

from anomalens.metrics.ranking import (
    average_precision,
    checked,
    f1_max,
    fpr_at_tpr,
    image_auroc,
    missing_class,
)
from anomalens.metrics.verdicts import VerdictFigures, verdict_figures


@dataclass(frozen=True)
class ImageFigures:
    """All figures of one set of image scores, named as the keys of a result card.

    Attributes
    ----------
    n_normal, n_anomalous : int
    image_auroc, image_ap, image_f1_max, fpr95 : float or None
        None where one class is missing.
    f1_max_threshold : float or None
        Raw score; the highest threshold (score ≥ threshold) that reaches `image_f1_max`.
    undefined : str
        One sentence where the ranking figures are None, else empty.
    at_verdict : VerdictFigures or None
        None where no verdicts were given.
    """

    n_normal: int
    n_anomalous: int
    image_auroc: float | None
    image_ap: float | None
    image_f1_max: float | None
    f1_max_threshold: float | None
    fpr95: float | None
    undefined: str
    at_verdict: VerdictFigures | None


def image_figures(
    scores: ArrayLike, labels: ArrayLike, verdicts: ArrayLike | None = None, *, confidence: float = 0.95
) -> ImageFigures:
    """Every figure that the scores, labels and verdicts of one set of images allow.

    Parameters
    ----------
    scores : real [n]
    labels : bool [n], True = anomalous
    verdicts : bool [n], optional
        True = flagged, by a threshold chosen without these labels.
    confidence : float
        Of the exact intervals of the realised rates.

    Raises
    ------
    InputError
        See `checked`; a missing class is no error here.
    """
    values, truth = checked(scores, labels)
    n_anomalous = int(truth.sum())
    undefined = missing_class(truth)
    f1, threshold = (None, None) if undefined else f1_max(values, truth)
    return ImageFigures(
        n_normal=len(truth) - n_anomalous,
        n_anomalous=n_anomalous,
        image_auroc=None if undefined else image_auroc(values, truth),
        image_ap=None if undefined else average_precision(values, truth),
        image_f1_max=f1,
        f1_max_threshold=threshold,
        fpr95=None if undefined else fpr_at_tpr(values, truth),
        undefined=undefined,
        at_verdict=None if verdicts is None else verdict_figures(truth, verdicts, confidence=confidence),
    )
