"""From a model and what a user asks for to the rules of its events."""

from __future__ import annotations

import numpy as np

from anomalens.errors import SettingError
from anomalens.inspector import Inspector
from anomalens.streams.budget import NormalBlocks
from anomalens.streams.events import Rules

SMOOTHING, AT_LEAST, PAUSE = 0.2, 0.2, 1.0  # seconds
PER_HOUR = 6.0  # false events of normal video, where there is enough of it


def rules_for(
    inspector: Inspector,
    *,
    per_hour: float | None = None,
    smoothing: float | None = None,
    at_least: float = AT_LEAST,
    pause: float = PAUSE,
) -> tuple[Rules, str]:
    """When events begin and end, and in a sentence what that rests on.

    An event ends below what half of the blocks of normal video do not reach: what single frames reach now
    and then would keep it going.

    Parameters
    ----------
    per_hour : float, optional
        False events an hour of normal video; for models that were fitted on video, by default 6, or as few
        as their video supports. Of other models an event begins where a single frame is flagged.
    smoothing : float, optional
        Seconds; by default those with which a model's normal video was smoothed.

    Raises
    ------
    SettingError
        The model has seen no normal video and a budget is asked for, or another smoothing than its own.
    """
    stream = inspector.card.get("stream")
    blocks = None if stream is None else NormalBlocks.from_json(stream)
    if blocks is not None and per_hour is None and smoothing in (None, blocks.smoothing) and blocks.enough:
        per_hour = blocks.supported(PER_HOUR)
    if per_hour is None:
        high = inspector.calibration.threshold.value
        said = f"An event begins where a frame would be flagged ({inspector.calibration.policy})."
    elif blocks is None:
        raise SettingError(
            f"The model {inspector.name} has seen no normal video, which a budget of events an hour rests "
            "on; fit it on a video, or leave --per-hour out."
        )
    elif smoothing is not None and abs(smoothing - blocks.smoothing) > 1e-9:
        raise SettingError(
            f"A smoothing of {smoothing:g} s was asked for and the model's normal video was smoothed over "
            f"{blocks.smoothing:g} s; leave one of --smoothing and --per-hour out."
        )
    else:
        high, said = blocks.threshold(per_hour)
    middle = float(np.median(inspector.calibration.scores))
    low = (middle + high) / 2 if blocks is None else min(high, float(np.median(blocks.maxima)))
    own = SMOOTHING if blocks is None else blocks.smoothing
    return Rules(high, low, own if smoothing is None else smoothing, at_least, pause), said
