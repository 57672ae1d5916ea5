"""What a score is made of, part by part: how normal images and anomalies lie, as a table and charts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np

from anomalens.reports.parts.document import Block, Heading, Table
from anomalens.reports.parts.score_chart import Axis, Half, Scores, score_chart

_MOST: Final = 8
_LARGEST: Final = 1e300  # also of whole numbers, which a card may write as long as it likes
_HEAD: Final = (
    "part", "normal: mean", "normal: deviation", "anomalous: mean", "anomalous: deviation", "threshold",
)  # fmt: skip


def score_parts(settings: Mapping[str, Any]) -> Iterator[Block]:
    """What a card carries: `settings["densities"]`, name → {"normal", "anomalous"} → values."""
    densities, limits = settings.get("densities"), settings.get("part_thresholds")
    rows: list[tuple[str, ...]] = []
    charts: list[Block] = []
    for name, given in list(densities.items())[:_MOST] if isinstance(densities, Mapping) else ():
        if not isinstance(given, Mapping):
            continue
        normal, anomalous = (_finite(given.get(key)) for key in ("normal", "anomalous"))
        limit = _finite([limits.get(name)] if isinstance(limits, Mapping) else [])
        if len(normal) or len(anomalous):
            told = f"{limit[0]:.4g}" if len(limit) else "–"
            rows.append((str(name), *_moments(normal), *_moments(anomalous), told))
            charts += _chart(str(name), normal, anomalous, float(limit[0]) if len(limit) else None)
    if rows:
        yield Heading(3, "Parts of the score")
        yield Table(_HEAD, tuple(rows))
        yield from charts


def _chart(name: str, normal: Scores, anomalous: Scores, threshold: float | None) -> Iterator[Block]:
    both = np.sort(np.concatenate([normal, anomalous]))
    axis = Axis.around(both, both, float(np.median(both)) if threshold is None else threshold)
    if axis is not None:
        upper = Half.bars(normal, "normal image", "b-normal", axis, upwards=True)
        lower = Half.bars(anomalous, "anomaly", "b-flagged", axis, upwards=False)
        yield score_chart(upper, lower, axis, threshold, caption=name)


def _moments(values: Scores) -> tuple[str, str]:
    """Mean and standard deviation."""
    if not len(values):
        return "–", "–"
    with np.errstate(over="ignore", invalid="ignore"):
        return f"{values.mean():.4g}", f"{values.std():.4g}"


def _finite(values: object) -> Scores:
    given = values if isinstance(values, list) else []
    return np.sort(
        np.array([v for v in given if type(v) in (int, float) and -_LARGEST < v < _LARGEST], np.float64)
    )
