"""UCSD Ped2 as published: folders of frames, abnormal frames listed in a MATLAB script, pixel masks."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from anomalens.datasets.forms.folders import child
from anomalens.datasets.limits import read_text
from anomalens.datasets.masks import read_mask_file
from anomalens.datasets.task import Form, Split
from anomalens.errors import ImageSetError
from anomalens.images.files import find_files, folders_in
from anomalens.images.image_entry import ImageEntry
from anomalens.images.image_set import ImageSet
from anomalens.images.labels import NORMAL, judged

_TRUTH: Final = re.compile(r"gt_frame\s*=\s*\[([^\]]*)\]")


def _clips(part: Path | None) -> list[Path]:
    if part is None:
        return []
    return [sub for sub in folders_in(part) if re.fullmatch(r"(train|test)\d+", sub.name, re.IGNORECASE)]


def read_walkway(root: Path, seed: int) -> tuple[Split, ...]:
    """Train/TrainNNN/*.tif and Test/TestNNN/*.tif, truth in Test/*.m or Test/TestNNN_gt/*.bmp."""
    train_part, test_part = child(root, "Train"), child(root, "Test")
    assert train_part is not None and test_part is not None
    train = [
        ImageEntry(path.relative_to(root).as_posix(), path, verdict=NORMAL, group=clip.name)
        for clip in _clips(train_part)
        for path in find_files(clip)[0]
    ]
    script = next(iter(sorted(test_part.glob("*.m"))), None)
    clips = _clips(test_part)
    listed = _listed(script, len(clips)) if script is not None else None
    test: list[ImageEntry] = []
    for place, clip in enumerate(clips):
        masks = {path.stem: path for path in find_files(test_part / f"{clip.name}_gt")[0]}
        if listed is None and not masks:
            raise ImageSetError(
                f"{clip} has no truth: neither a script in {test_part} nor masks in {clip.name}_gt; unpack "
                "it again."
            )
        for number, path in enumerate(find_files(clip)[0], start=1):
            mask = masks.get(path.stem)
            if listed is not None:
                odd = number in listed[place]
            else:
                odd = mask is not None and bool(read_mask_file(mask).any())
            test.append(
                ImageEntry(
                    path.relative_to(root).as_posix(), path, verdict=judged(odd),
                    mask=mask if odd else None, group=clip.name,
                )
            )  # fmt: skip
    learnt, tested = (ImageSet(tuple(entries), str(root)) for entries in (train, test))
    return (Split(None, learnt, tested, ("frames of one clip are one group.",)),)


def _listed(script: Path, clips: int) -> list[set[int]]:
    """Numbers of the abnormal frames of each clip, from lines like `…gt_frame = [1:52, 65:115];`."""
    found: list[set[int]] = []
    for text in _TRUTH.findall(read_text(script)):
        frames: set[int] = set()
        for part in re.split(r"[,\s]+", text.strip()):
            bounds = re.fullmatch(r"(\d{1,6})(?::(\d{1,6}))?", part)
            if bounds is None:
                raise ImageSetError(
                    f"{script}: the frames {part[:40]!r} are not of the form 61:180; fetch it again."
                )
            frames.update(range(int(bounds[1]), int(bounds[2] or bounds[1]) + 1))
        found.append(frames)
    if len(found) != clips:
        raise ImageSetError(
            f"{script} describes {len(found)} clips and there are {clips}; unpack the data again."
        )
    return found


WALKWAY = Form(
    "Train/TrainNNN/*.tif, Test/TestNNN/*.tif, Test/TestNNN_gt/*.bmp, Test/*.m",
    lambda root: bool(_clips(child(root, "Train")) and _clips(child(root, "Test"))),
    read_walkway,
)
