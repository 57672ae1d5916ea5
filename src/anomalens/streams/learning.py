"""Normal video to learn from: frames on disk while a fit lasts, grouped; and blocks for the budget."""

from __future__ import annotations

import re
import tempfile
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from anomalens.detectors.spec import DetectorSpec
from anomalens.images.image_entry import ImageEntry
from anomalens.images.image_set import ImageSet
from anomalens.inspector import Inspector
from anomalens.inspector.fit_options import DETECTOR, FitOptions
from anomalens.progress import Progress, silent
from anomalens.streams.areas import Area, read_areas
from anomalens.streams.budget import BLOCK, NormalBlocks
from anomalens.streams.change import differs, small_picture
from anomalens.streams.folders import FPS
from anomalens.streams.frame import Frame, FrameStream, StreamError
from anomalens.streams.rules import SMOOTHING
from anomalens.streams.video_file import VideoFile

MOST: Final = 1000  # pictures to learn from
_ALIKE: Final = 1.0  # grey levels; a frame that differs by less from the last one kept says nothing new
_GROUPS: Final = 20  # of neighbouring frames, over all clips
_AT: Final = re.compile(r"@(\d+(?:\.\d+)?)s$")


@contextmanager
def frames_to_learn(
    streams: Sequence[FrameStream], *, earlier: int = 0, area: Area | None = None, most: int = MOST
) -> Iterator[ImageSet]:
    """Frames of normal video as images, which are there until the block ends.

    Of all streams at most `most` frames are kept, evenly over time. Where a detector compares each with an
    earlier one (`earlier` frames before), that is its reference; else frames that show what the one before
    them showed are left out. Neighbouring frames are one group. Ids end in the time, such as
    `door.mp4@12.480s`.

    Raises
    ------
    StreamError
        There is no frame.
    """
    with tempfile.TemporaryDirectory(prefix="anomalens-frames-") as folder:
        kept: list[list[ImageEntry]] = []
        for place, stream in enumerate(streams):
            share = most // len(streams)
            try:
                kept.append(_kept(stream, Path(folder) / str(place), share, earlier, area))
            finally:
                stream.close()
        total = sum(map(len, kept))
        if not total:
            raise StreamError("The videos give no frame to learn from; check that they play.")
        size = max(1, -(-total // _GROUPS))
        entries = tuple(
            replace(entry, group=f"{place}-{number // size}")
            for place, clip in enumerate(kept)
            for number, entry in enumerate(clip)
        )
        yield ImageSet(entries, ", ".join(stream.name for stream in streams))


def _kept(stream: FrameStream, folder: Path, most: int, earlier: int, area: Area | None) -> list[ImageEntry]:
    folder.mkdir()
    entries: list[ImageEntry] = []
    before: deque[np.ndarray] = deque(maxlen=max(1, earlier))
    last: np.ndarray | None = None
    step, number = 1, 0
    for frame in stream.frames():
        if not isinstance(frame, Frame):
            continue
        pixels = frame.pixels if area is None else area.cut(frame.pixels)[0]
        reference = before[0] if before else pixels
        before.append(pixels)
        if not earlier:
            small = small_picture(pixels)
            if last is not None and differs(small, last) < _ALIKE:
                continue
            last = small
        if number % step == 0:
            entries.append(_entry(frame, stream, folder, pixels, reference if earlier else None))
        number += 1
        if len(entries) > 2 * most:
            for entry in entries[1::2]:
                _remove(entry)
            entries, step = entries[::2], 2 * step
    if len(entries) > most:
        wanted = set(np.linspace(0, len(entries) - 1, most).astype(int).tolist())
        entries = [entry for i, entry in enumerate(entries) if i in wanted]
    return entries


def _entry(
    frame: Frame, stream: FrameStream, folder: Path, pixels: np.ndarray, reference: np.ndarray | None
) -> ImageEntry:
    name = f"{stream.name}@{frame.moment.seconds:.3f}s"
    entry = ImageEntry(name, _saved(folder / f"{frame.moment.frame:08d}.png", pixels))
    if reference is None:
        return entry
    path = _saved(folder / f"{frame.moment.frame:08d}-before.png", reference)
    return replace(entry, reference=ImageEntry(f"{name}-before", path))


def _saved(path: Path, pixels: np.ndarray) -> Path:
    shown = np.clip(np.rint(pixels), 0, 255).astype(np.uint8)
    Image.fromarray(shown).save(path, compress_level=1)
    return path


def _remove(entry: ImageEntry) -> None:
    for one in (entry, entry.reference):
        if one is not None and one.file is not None:
            one.file.unlink(missing_ok=True)


def fit_videos(
    made: type[Inspector],
    videos: Sequence[Path],
    options: FitOptions,
    *,
    area: str | None = None,
    progress: Progress = silent,
) -> Inspector:
    """An inspector of the frames of normal videos, which knows what a budget of events an hour means.

    Parameters
    ----------
    area : str, optional
        "FILE:NAME" of an area, of which alone is learnt.

    Raises
    ------
    InputError
        A video gives no frame, or there is no such area.
    """
    part = None if area is None else _named_area(area)
    earlier = DetectorSpec.parse(options.detector or DETECTOR).make(options.parameters).earlier
    streams = [VideoFile(path) for path in videos]
    with frames_to_learn(streams, earlier=earlier, area=part) as images:
        inspector = made.fit_with(options, images, progress=progress)
    return with_normal_blocks(inspector)


def _named_area(text: str) -> Area:
    file, _, name = text.rpartition(":")
    areas = {area.name: area for area in read_areas(Path(file))} if file else {}
    if name not in areas:
        raise StreamError(
            f"There is no area {text!r:.80}; write FILE:NAME with a name of the file"
            f"{': ' + ', '.join(areas) if areas else ''}."
        )
    return areas[name]


def with_normal_blocks(inspector: Inspector, smoothing: float = SMOOTHING, fps: float = FPS) -> Inspector:
    """The same inspector, whose card knows how high normal video scores in blocks of time.

    From scores of frames that the scoring model had not learnt from. Ids end in their time, or else frames
    follow each other `fps` a second in each folder.
    """
    clips: dict[str, list[tuple[float, float]]] = {}
    for name, score in inspector.left_out.items():
        at = _AT.search(name)
        clip = name[: at.start()] if at else str(Path(name).parent)
        series = clips.setdefault(clip, [])
        series.append((float(at[1]) if at else len(series) / fps, score))
    blocks = NormalBlocks.of([sorted(clip) for clip in clips.values()], smoothing)
    return replace(inspector, card={**inspector.card, "stream": {**blocks.to_json(), "block": BLOCK}})
