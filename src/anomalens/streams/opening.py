"""From what a user names to a stream."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from anomalens.streams.folders import FPS, FrameFolder, HotFolder
from anomalens.streams.frame import FrameStream, StreamError
from anomalens.streams.live import Camera
from anomalens.streams.mjpeg import MjpegStream
from anomalens.streams.video_file import VideoFile

_MOST_CAMERAS: Final = 64


def open_stream(source: str, *, hot: bool = False, fps: float | None = None) -> FrameStream:
    """The stream that a text names.

    Parameters
    ----------
    source : str
        A video file, a folder of frames, the number of a camera, or an address (rtsp://, http://, https://).
    hot : bool
        Whether a folder is one into which pictures arrive.
    fps : float, optional
        Frames a second of a folder of frames.

    Raises
    ------
    StreamError
        It names nothing that can be opened.
    """
    scheme = source.partition("://")[0].lower() if "://" in source else ""
    if scheme in ("http", "https"):
        return MjpegStream(source)
    if scheme in ("rtsp", "rtsps"):
        return Camera(source, f"{scheme}://{source.rpartition('@')[2].partition('://')[2] or source[7:]}")
    if scheme:
        raise StreamError(f"Streams of the kind {scheme}:// are not read; give rtsp://, http:// or a file.")
    if source.isdecimal() and not Path(source).exists():
        if int(source) >= _MOST_CAMERAS:
            raise StreamError(f"There is no camera {source}; cameras are numbered from 0.")
        return Camera(int(source), f"camera {source}")
    path = Path(source)
    if hot:
        return HotFolder(path)
    if path.is_dir():
        return FrameFolder(path, fps or FPS)
    return VideoFile(path)
