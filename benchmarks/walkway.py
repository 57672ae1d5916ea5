"""UCSD Ped2, three test clips: `python benchmarks/walkway.py`.

Frame AUROC of single frames, pooled and by clip, of `motion` over its two settings, then with the
settings that are best on the other two clips for each clip, and of detectors that see single frames.
Scores know the past alone.
"""

from __future__ import annotations

import itertools
import time
import warnings

import numpy as np
from real_sets import DATA

from anomalens import Inspector
from anomalens.datasets import load_tasks
from anomalens.errors import AnomalensWarning
from anomalens.metrics.ranking import auroc
from anomalens.streams.frame import Frame, Moment
from anomalens.streams.learning import with_normal_blocks
from anomalens.streams.rules import rules_for
from anomalens.streams.watching import AreaWatch, watch

GAPS, CELLS = (2, 3, 5), (5, 15, 30)
FPS = 10
OTHERS = ("auto", "padim", "gaussian", "knn")


def main() -> None:
    warnings.simplefilter("ignore", AnomalensWarning)
    (task,) = load_tasks(DATA / "ucsd_ped2")
    bad = np.array([entry.verdict != "normal" for entry in task.test])
    clip = np.array([entry.group for entry in task.test])
    names = sorted(set(clip))

    def row(name: str, scores: np.ndarray, ms: float) -> None:
        by_clip = (auroc(*_split(scores, bad, clip == one)) for one in names)
        cells = " | ".join(f"{value:.3f}" for value in by_clip)
        print(f"| {name} | {auroc(*_split(scores, bad)):.3f} | {cells} | {ms:.0f} |", flush=True)

    print(f"| detector | pooled | {' | '.join(names)} | ms a frame |\n| --- |{' --: |' * (len(names) + 2)}")
    found = {}
    for gap, cells in itertools.product(GAPS, CELLS):
        parameters = {"gap": gap, "cells": cells}
        found[gap, cells], ms = _scores(task, "motion", parameters)
        row(f"motion, gap {gap}, {cells} cells", found[gap, cells], ms)
    chosen = np.zeros(len(bad))
    for one in names:
        best = max(found, key=lambda key: auroc(*_split(found[key], bad, clip != one)))
        chosen[clip == one] = found[best][clip == one]
    row("motion, chosen on the other clips", chosen, float("nan"))
    for name in OTHERS:
        row(name, *_scores(task, name, {}))
    _events(task, names)


def _events(task: object, names: list[str]) -> None:
    """What is told of each clip at a budget of one false event a minute of normal video."""
    inspector = with_normal_blocks(Inspector.fit(task.train, detector="motion", threads=1), fps=FPS)
    rules, said = rules_for(inspector, per_hour=60)
    print(said)
    clips: dict[str, list[float]] = {}
    for name, score in inspector.left_out.items():
        clips.setdefault(name.rpartition("/")[0], []).append(score)
    own = {name: [score - np.mean(clip) for score in clip] for name, clip in clips.items()}
    for seconds in (0.1, 0.5, 1.0, 2.0):
        lag = round(seconds * FPS)
        found = []
        for kept in (clips, own):
            pairs = [pair for clip in kept.values() for pair in zip(clip[:-lag], clip[lag:], strict=True)]
            found.append(np.corrcoef(np.array(pairs).T)[0, 1])
        print(f"normal scores {seconds:g} s apart: correlation {found[0]:.2f}, within a clip {found[1]:.2f}")
    for name in names:
        entries = [entry for entry in task.test if entry.group == name]
        first = next(i for i, entry in enumerate(entries) if entry.verdict != "normal")
        frames = (Frame(e.read().pixels, Moment(i, i / FPS), e.id) for i, e in enumerate(entries))
        steps = watch(frames, [AreaWatch(inspector, rules)])
        events = [event for step in steps for one in step for event in one.events]
        told = ", ".join(f"{event.end.seconds:.1f} s" for event in events if not event.over)
        print(f"{name}: odd from {first / FPS:.1f} s on, events told at {told or '-'}", flush=True)


def _scores(task: object, detector: str, parameters: dict[str, int]) -> tuple[np.ndarray, float]:
    inspector = Inspector.fit(task.train, detector=detector, parameters=parameters, threads=1)
    begun = time.perf_counter()
    scores = np.array([finding.score for finding in inspector.check(task.test)])
    return scores, 1000 * (time.perf_counter() - begun) / len(scores)


def _split(
    scores: np.ndarray, bad: np.ndarray, of: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    of = np.ones(len(bad), bool) if of is None else of
    return scores[of & ~bad], scores[of & bad]


if __name__ == "__main__":
    main()
