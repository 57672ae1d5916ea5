"""The scores of one check beside those of normal images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from anomalens.calibration import Calibration
from anomalens.reports.parts.document import Block, Paragraph
from anomalens.reports.parts.score_chart import WIDE, Axis, Half, score_chart

_TALL: Final = 42  # px, of two rows of ticks


def check_chart(calibration: Calibration, flagged: Sequence[float], unflagged: Sequence[float]) -> Block:
    """Bars of the normal images of the calibration; below them a tick for each checked image."""
    threshold = calibration.threshold.value
    checked = np.array([*flagged, *unflagged], np.float64)
    axis = Axis.around(calibration.scores, checked, threshold)
    if axis is None:
        return Paragraph("The scores lie too far apart to be drawn.", "soft")
    rows = []
    for scores, top, style in ((flagged, 4, "t-flagged"), (unflagged, 24, "t-normal")):
        # thousands of images share few pixels: each place is drawn once
        places = sorted({round(WIDE * float(s)) for s in axis.share(np.array(scores, np.float64))})
        rows.append(f'<path class="{style}" d="{"".join(f"M{x} {top}v16" for x in places)}"/>')
    text = f"checked: {len(flagged)} flagged, {len(unflagged)} not flagged"
    upper = Half.bars(calibration.scores, "normal image", "b-plain", axis, upwards=True)
    return score_chart(
        upper, Half(checked, "checked image", text, "".join(rows), _TALL), axis, threshold
    )  # fmt: skip
