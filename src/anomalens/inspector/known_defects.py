"""A threshold from a few known defects (`calibrate --with-defects`)."""

from __future__ import annotations

from typing import Final

import numpy as np

from anomalens.calibration import Policy
from anomalens.errors import SettingError
from anomalens.images.image_set import ImageSet
from anomalens.inspector.inspector import Inspector
from anomalens.metrics.verdicts import clopper_pearson
from anomalens.progress import Progress, silent

LEAST: Final = 5  # defects, below which they say too little to choose by
HIGHEST: Final = 0.2  # the largest rate that is chosen; the lowest is what the normal images support


def calibrated_with_defects(
    inspector: Inspector,
    defects: ImageSet,
    *,
    references: object | None = None,
    progress: Progress = silent,
) -> tuple[Inspector, str]:
    """The inspector at the false-alarm rate that suits known defects best, and what that rests on.

    The share of defects that is found less the rate of false alarms is largest there; of equal ones the lower
    rate. The rate stays one that normal images realise: defects choose it and do not bend the p-values.

    Parameters
    ----------
    defects : ImageSet
        At least five pictures with defects of which the model has seen none.

    Raises
    ------
    SettingError
        Fewer than five can be read, or the model is uncalibrated, so that no rate is known.
    """
    if not inspector.calibration.calibrated:
        raise SettingError(
            f"The model {inspector.name} is uncalibrated, so its false alarms at a threshold are unknown; "
            "calibrate it on NORMAL pictures first."
        )
    found = inspector.check(defects, references=references, progress=progress)
    p = np.array([finding.p_value for finding in found if finding.p_value is not None])
    if len(p) < LEAST:
        raise SettingError(
            f"{len(p)} pictures with defects can be read and at least {LEAST} are needed; give more, or a "
            "--false-alarm-rate."
        )
    lowest = 1 / (len(inspector.calibration.scores) + 1)
    rates = np.unique(np.clip(p, min(lowest, HIGHEST), HIGHEST))
    gains = np.array([np.mean(p <= rate) - rate for rate in rates])
    rate = float(rates[int(np.argmax(gains))])
    chosen = inspector.calibrate(Policy("false-alarm-rate", rate))
    count = int(np.sum(p <= rate))
    share = clopper_pearson(count, len(p))
    said = (
        f"With {len(p)} known defects the false-alarm rate is set to {rate:.3g}: {count} of them "
        f"are found ({share.low:.0%} to {share.high:.0%} of such defects, somewhat fewer of new ones, since "
        "these chose it)."
    )
    chosen.card["notes"].append(said)
    return chosen, said
