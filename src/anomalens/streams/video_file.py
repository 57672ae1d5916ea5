"""Video files, read from their beginning to their end and never sought in: seeks land on other frames."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from anomalens.errors import SettingError
from anomalens.images.arrays import size_problem
from anomalens.packages import opencv
from anomalens.streams.frame import Frame, Gap, Moment, StreamError

SUFFIXES: Final = frozenset({
    ".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".ts", ".mts", ".wmv", ".flv", ".ogv",
    ".3gp",
})  # fmt: skip
_PATIENCE: Final = 30  # frames that cannot be decoded one after the other, before a file counts as ended


def are_videos(names: Sequence[str]) -> bool:
    """Whether all are called like videos; SettingError where some are and some are not."""
    videos = [Path(name).suffix.lower() in SUFFIXES for name in names]
    if any(videos) and not all(videos):
        raise SettingError(f"{names[videos.index(False)]} is no video and others are; fit one or the other.")
    return all(videos)


class VideoFile:
    """A video file's frames, each with the time that the file gives for it."""

    live = False

    def __init__(self, path: Path) -> None:
        self.name, self._path = path.name, path
        if not path.is_file():
            raise StreamError(f"There is no video {path}; check the path.")
        self._capture = opened(str(path))
        if self._capture is None:
            raise StreamError(f"{path} is no video that OpenCV can read; convert it to MP4 with H.264.")
        fps = float(self._capture.get(opencv().CAP_PROP_FPS))
        self.fps = fps if 0 < fps < 1000 else None

    def frames(self) -> Iterator[Frame | Gap]:
        cv2, number, failures, shape = opencv(), 0, 0, None
        moment = Moment(0, 0.0)
        while self._capture is not None and failures <= _PATIENCE:
            good, picture = self._capture.read()
            if not good or picture is None:
                failures += 1
                continue
            if failures:
                yield Gap("undecoded", moment, f"{failures} frames of {self.name} could not be decoded")
                failures = 0
            told = float(self._capture.get(cv2.CAP_PROP_POS_MSEC)) / 1000
            later = moment.seconds + (1 / self.fps if self.fps else 0.04) if number else 0.0
            moment = Moment(number, told if told > moment.seconds or not number else later)
            if shape is not None and picture.shape != shape:
                size = f"{picture.shape[1]} x {picture.shape[0]}"
                yield Gap("resized", moment, f"{self.name} now has {size} px")
            shape = picture.shape
            if (problem := size_problem(picture.shape[1], picture.shape[0])) is not None:
                raise StreamError(f"{self.name}: {problem}")
            yield Frame(rgb(picture), moment, f"{self.name}#{number}")
            number += 1
        if not number and self._capture is not None:
            raise StreamError(
                f"{self._path} opens and gives no frame: this OpenCV lacks its codec (AV1 is often one); "
                "convert it to MP4 with H.264."
            )

    def done(self, frame: Frame) -> None:
        pass

    def close(self) -> None:
        if self._capture is not None:
            self._capture.release()
            self._capture = None


def opened(source: str | int, *, seconds: float | None = None) -> Any:
    """OpenCV's capture of a file, an address or a camera; None where it does not open."""
    cv2 = opencv()
    if seconds is None:
        capture = cv2.VideoCapture(source)
    else:
        wait = int(1000 * seconds)
        limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, wait, cv2.CAP_PROP_READ_TIMEOUT_MSEC, wait]
        capture = cv2.VideoCapture(source, cv2.CAP_FFMPEG, limits)
    if not capture.isOpened():
        capture.release()
        return None
    return capture


def rgb(picture: np.ndarray) -> np.ndarray:
    """OpenCV's order of colours turned into ours, uint8 [h, w, 3]."""
    if picture.ndim == 2 or picture.shape[2] == 1:
        return np.repeat(picture.reshape(*picture.shape[:2], 1), 3, axis=2)
    return np.ascontiguousarray(picture[..., 2::-1])
