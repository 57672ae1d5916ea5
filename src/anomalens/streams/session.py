"""One watch from beginning to end: stream, areas, rules and outputs put together, and taken down again."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from itertools import count
from pathlib import Path

from anomalens.errors import SettingError
from anomalens.inspector import Inspector
from anomalens.reports import ColourScale
from anomalens.streams.areas import Area, read_areas
from anomalens.streams.frame import FrameStream, Gap
from anomalens.streams.opening import open_stream
from anomalens.streams.outputs.lines import EventLines, ScoreList
from anomalens.streams.outputs.output import Output
from anomalens.streams.outputs.page import LivePage
from anomalens.streams.outputs.pictures import AnnotatedVideo, Snapshots
from anomalens.streams.outputs.webhook import Webhook
from anomalens.streams.rules import rules_for
from anomalens.streams.waiting import Waiting
from anomalens.streams.watch_options import WatchOptions
from anomalens.streams.watching import AreaWatch, Figures, Watched, ZonesWatch, watch
from anomalens.streams.zone_events import ZoneEvents
from anomalens.streams.zones import read_zones, write_learnt

_FPS = 25.0  # of an annotated video, where the stream says nothing


class WatchSession:
    """A stream that is being watched: iterate over it, and close it.

    Attributes
    ----------
    figures : Figures
        Counts and times so far.
    said : tuple of str
        What the thresholds rest on, in sentences.
    """

    def __init__(
        self,
        source: str | FrameStream,
        inspector: Inspector | None = None,
        options: WatchOptions | None = None,
        *,
        areas: Path | None = None,
        write: Callable[[str], None] | None = None,
    ) -> None:
        """Open everything.

        Parameters
        ----------
        source : str or FrameStream
            See `opening.open_stream`.
        inspector : Inspector, optional
            Judges the whole frame, or the areas that name no model.
        areas : Path, optional
            A JSON file; see `areas.py`.
        write : callable, optional
            Takes each event as a JSON line, where `options.events` names no file.

        Raises
        ------
        InputError
            The stream, a model, an area or a place cannot be used.
        """
        self.options = options or WatchOptions()
        self.figures = Figures()
        numbers = count(1)
        zones = None if self.options.zones is None else read_zones(self.options.zones)
        wanted = inspector is not None or areas is not None or zones is None
        looks, said = _looks(inspector, areas, self.options, numbers) if wanted else ([], [])
        self.areas, self.said = looks, tuple(dict.fromkeys(said))
        self._zones = None
        if zones is not None:
            self._zones = ZonesWatch(ZoneEvents(zones, pause=self.options.pause, numbers=numbers))
        if self.options.learn_zones is not None and zones is None:
            raise SettingError("Zones are to be learnt and there are none; add --zones FILE.")
        self.stream = _opened(source, self.options)
        self._stack = ExitStack()
        try:
            self._outputs = [self._kept(output) for output in self._made(write)]
        except BaseException:
            self._stack.close()
            self.stream.close()
            raise
        self.waiting = Waiting(self.stream, drop=self.stream.live and not self.options.hot)

    def __iter__(self) -> Iterator[Gap | list[Watched]]:
        """Gaps and what was found in each scored frame, after the outputs have it."""
        options = self.options
        if options.seconds is not None:  # also where nothing comes
            timer = threading.Timer(options.seconds, self.waiting.close)
            timer.daemon = True
            timer.start()
            self._stack.callback(timer.cancel)
        looks: list[AreaWatch | ZonesWatch] = list(self.areas)
        if self._zones is not None:
            looks.append(self._zones)
        steps = watch(self.waiting, looks, every=options.every, changed=options.changed, figures=self.figures)
        for step in steps:
            for output in self._outputs:
                if isinstance(step, Gap):
                    output.gap(step)
                else:
                    output.add(step)
            if not isinstance(step, Gap):
                self.stream.done(step[0].frame)
            yield step
        if self._zones is not None and options.zones is not None and options.learn_zones is not None:
            write_learnt(options.zones, options.learn_zones, self._zones.events.watches)

    def close(self) -> None:
        """Stop reading, and close what was written."""
        self.waiting.close()
        self._stack.close()

    def __enter__(self) -> WatchSession:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _kept(self, output: Output) -> Output:
        self._stack.callback(output.close)
        return output

    def _made(self, write: Callable[[str], None] | None) -> Iterator[Output]:
        options = self.options
        whole = self.areas[0].inspector if len(self.areas) == 1 else None
        scale = None if whole is None else ColourScale.of(whole.calibration)
        if options.events is not None:
            yield EventLines.to_file(options.events)
        elif write is not None:
            yield EventLines(write)
        if options.scores is not None:
            yield ScoreList(options.scores)
        if options.snapshots is not None:
            yield Snapshots(options.snapshots, scale)
        if options.video is not None:
            yield AnnotatedVideo(options.video, (self.stream.fps or _FPS) / options.every)
        if options.webhook is not None:
            if options.spool is None:
                raise SettingError("A webhook needs a place where events wait; add --spool DIR.")
            yield Webhook(options.webhook, options.spool)
        if options.page is not None:
            limit = max((area.maker.rules.high for area in self.areas), default=0.0)
            yield LivePage(options.page, self.stream.name, self.figures, limit, scale)


def _opened(source: str | FrameStream, options: WatchOptions) -> FrameStream:
    return open_stream(source, hot=options.hot, fps=options.fps) if isinstance(source, str) else source


def _looks(
    inspector: Inspector | None, areas: Path | None, options: WatchOptions, numbers: Iterator[int]
) -> tuple[list[AreaWatch], list[str]]:
    listed: Sequence[Area | None] = (None,) if areas is None else read_areas(areas)
    looks, said = [], []
    for area in listed:
        judge = inspector
        if area is not None and area.model is not None:
            judge = Inspector.load(area.model)
        if judge is None:
            what = "the stream" if area is None else f"the area {area.name!r}"
            raise SettingError(f"There is no model for {what}; add --model FILE.")
        rules, sentence = rules_for(
            judge,
            per_hour=options.per_hour,
            smoothing=options.smoothing,
            at_least=options.at_least,
            pause=options.pause,
        )
        looks.append(AreaWatch(judge, rules, area, numbers=numbers))
        said.append(sentence if area is None else f"{area.name}: {sentence}")
    return looks, said
