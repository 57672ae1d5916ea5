"""The options of watching a stream, as one record that the command line is made from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from anomalens.options import option


@dataclass(frozen=True)
class WatchOptions:
    """How a stream is read, when events begin and end, and where all of it goes."""

    hot: bool = option(False, "SOURCE is a folder into which pictures arrive; each is answered once.")
    fps: float | None = option(None, "Frames a second of a folder of frames. [default: 25]", limits=(0, 1000))
    every: int = option(1, "Score each N-th frame only.", metavar="N", limits=(1, None))
    changed: float = option(
        0.0,
        "Score a frame only if it differs from the last scored one by so many grey levels (of 255, in the "
        "tenth that differs most). [default: score all]",
        metavar="LEVELS",
        limits=(0, 255),
    )
    seconds: float | None = option(None, "Stop after so long. [default: never]", limits=(0, None))
    per_hour: float | None = option(
        None,
        "False events an hour of normal video, for models that were fitted on video. [default: 6, or as few "
        "as their video supports; of other models an event begins where a frame would be flagged]",
        metavar="N",
        limits=(0, None),
    )
    smoothing: float | None = option(
        None, "Seconds that scores are averaged over, of the past alone. [default: 0.2]", limits=(0, 60)
    )
    at_least: float = option(0.2, "Seconds that an event lasts at least.", limits=(0, 3600))
    pause: float = option(1.0, "Seconds of calm that end an event.", limits=(0, 3600))
    zones: Path | None = option(
        None,
        'JSON of zones and what may not happen there: {"zones": [{"name": …, "kind": "loitering", '
        '"polygon": [[x, y], …], "limit": 30}]}; kinds are forbidden, loitering, left-behind, crowd, empty '
        "and wrong-way (with a line).",
        metavar="FILE",
        role="place",
    )
    learn_zones: Path | None = option(
        None,
        "SOURCE is normal: write the zones with limits that it stays below, where none is given.",
        metavar="FILE",
        role="place",
    )
    events: Path | None = option(
        None,
        "Append events to a file, as JSON lines. [default: standard output]",
        metavar="FILE",
        role="place",
    )
    scores: Path | None = option(None, "A JSON list, one score a frame.", metavar="FILE", role="place")
    snapshots: Path | None = option(
        None, "A folder for the frames at the peaks of events.", metavar="DIR", role="place"
    )
    video: Path | None = option(
        None, "An MP4 with what was seen drawn into it.", metavar="FILE", role="place"
    )
    webhook: str | None = option(
        None, "Post each event as JSON; what is not taken is sent again, from --spool.", metavar="URL"
    )
    spool: Path | None = option(
        None,
        "A folder in which events wait for the webhook, also over restarts.",
        metavar="DIR",
        role="place",
    )
    page: Path | None = option(
        None, "A folder for a page with the live picture, to open in a browser.", metavar="DIR", role="place"
    )
