"""A threshold for a batch: as many images as a person can look at."""

from __future__ import annotations

from dataclasses import replace

from anomalens.calibration.policies import Threshold
from anomalens.errors import SettingError
from anomalens.images.image_set import ImageSet
from anomalens.inspector.inspector import Inspector
from anomalens.progress import Progress, silent


def within_budget(
    inspector: Inspector,
    images: ImageSet,
    share: float,
    *,
    references: object | None = None,
    workers: int = 2,
    progress: Progress = silent,
) -> Inspector:
    """The same inspector, which flags this share of these images: those that score highest, one at least.

    p-values stay what they were. The images are scored once to find the threshold; of equal scores fewer are
    flagged, never more.

    Parameters
    ----------
    share : float in (0, 1)

    Raises
    ------
    SettingError
        A share out of range.
    """
    if not 0 < share < 1:
        raise SettingError(f"The budget was given as {share:g}; give a share such as 0.05 or 5%.")
    steps = inspector.check(images, references=references, workers=workers, progress=progress)
    scores = sorted((finding.score for finding in steps if finding.score is not None), reverse=True)
    count = max(1, int(share * len(scores) + 1e-9))
    if not scores[count:]:
        return inspector
    note = f"The {count} highest of {len(scores)} scores are flagged, a budget of {share:g}."
    threshold = Threshold(scores[count], share, note=note)
    return replace(inspector, calibration=replace(inspector.calibration, threshold=threshold))
