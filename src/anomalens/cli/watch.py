"""`anomalens watch`: video, cameras and folders, live."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import Field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from anomalens.cli.printing import count
from anomalens.options import flag
from anomalens.streams.watch_options import WatchOptions

if TYPE_CHECKING:
    from anomalens.streams.session import WatchSession

_EVERY_SECONDS: Final = 5.0  # between two lines of figures
_ABOVE_ZERO: Final = ("fps", "per_hour", "seconds")


def _watch_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for f in reversed(fields(WatchOptions)):
        command = click.option(flag(f.name), f.name, **_about(f))(command)
    return command


def _about(f: Field[Any]) -> dict[str, Any]:
    about: dict[str, Any] = {"help": f.metadata["help"], "metavar": f.metadata["metavar"]}
    if f.default is False:
        return {**about, "is_flag": True}
    if f.metadata["role"] == "place":
        return {**about, "type": click.Path(path_type=Path)}
    if f.metadata["limits"]:
        low, high = f.metadata["limits"]
        whole = isinstance(f.default, int)
        above = f.name in _ABOVE_ZERO
        about["type"] = click.IntRange(low, high) if whole else click.FloatRange(low, high, min_open=above)
    return {**about, "default": f.default, "show_default": "[default" not in f.metadata["help"]}


@click.command(short_help="Video, cameras and folders, live: events.")
@click.argument("source", metavar="SOURCE")
@click.option(
    "--model", type=click.Path(path_type=Path), metavar="FILE", help="The model that judges frames."
)
@click.option(
    "--areas",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help='JSON of the parts to watch: {"areas": [{"name": …, "polygon": [[x, y], …], "model": FILE}]}, in '
    "pixels or in shares of the frame. --model judges those that name none.",
)
@_watch_options
def watch(source: str, model: Path | None, areas: Path | None, **options: Any) -> int:
    """Watch SOURCE: a video file, a folder of frames, a hot folder, a camera's number, rtsp:// or http://.

    \b
      anomalens fit walkway/normal.mp4 --detector motion --out walkway.anomalens
      anomalens watch walkway/today.mp4 --model walkway.anomalens --per-hour 2
      anomalens watch 0 --model part.anomalens --page live
      anomalens watch inbox --hot --model part.anomalens --webhook http://line.local/event --spool spool

    One JSON object a line for each event that begins or ends, and for gaps in the stream; figures go to
    standard error. Live streams drop the oldest frames when they come faster than they are scored.

    Exit code 0: no event, 1: some, 2: the stream or a model cannot be used.
    """
    from anomalens.inspector import Inspector
    from anomalens.streams.session import WatchSession

    inspector = None if model is None else Inspector.load(model)
    session = WatchSession(source, inspector, WatchOptions(**options), areas=areas, write=click.echo)
    with session:
        for sentence in session.said:
            click.echo(sentence, err=True)
        try:
            _follow(session)
        except KeyboardInterrupt:
            click.echo("stopped", err=True)
    _tell(session, "in all: ")
    return 1 if session.figures.events else 0


def _follow(session: WatchSession) -> None:
    told = time.monotonic()
    for _ in session:
        if time.monotonic() - told >= _EVERY_SECONDS:
            told = time.monotonic()
            _tell(session)


def _tell(session: WatchSession, before: str = "") -> None:
    figures = session.figures
    failed = f", {figures.failed} not scored" if figures.failed else ""
    click.echo(
        f"{before}{count(figures.frames, 'frame')}, {figures.per_second():.1f} a second, latency "
        f"{figures.latency(0.5):.0f} ms (99 %: {figures.latency(0.99):.0f}), {session.waiting.dropped} "
        f"dropped, {len(session.waiting)} waiting{failed}; {count(figures.events, 'event')}",
        err=True,
    )
