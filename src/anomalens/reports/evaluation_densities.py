"""What a score is made of, part by part: how normal images and anomalies lie, as charts and as a table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import Any, Final

import numpy as np

from anomalens.reports.evaluation_charts import Side, chart_axis, two_sided
from anomalens.reports.evaluation_numbers import Scores
from anomalens.reports.evaluation_texts import seen

_MOST: Final = 8
_LARGEST: Final = 1e300  # also of whole numbers, which a card may write as long as it likes


@dataclass(frozen=True)
class Density:
    """One part's values in the test, ascending, and its threshold where the card has one."""

    name: str
    normal: Scores
    anomalous: Scores
    threshold: float | None


def densities_of(settings: Mapping[str, Any]) -> list[Density]:
    """What a card carries: `settings["densities"]`, name → {"normal", "anomalous"} → values."""
    densities, limits = settings.get("densities"), settings.get("part_thresholds")
    found = []
    for name, given in list(densities.items())[:_MOST] if isinstance(densities, Mapping) else ():
        if not isinstance(given, Mapping):
            continue
        normal, anomalous = (_finite(given.get(key)) for key in ("normal", "anomalous"))
        limit = _finite([limits.get(name)] if isinstance(limits, Mapping) else [])
        if len(normal) or len(anomalous):
            found.append(Density(str(name), normal, anomalous, float(limit[0]) if len(limit) else None))
    return found


def density_rows(settings: Mapping[str, Any]) -> list[list[str]]:
    """Heading and one row a part: mean and standard deviation of either class, and the threshold."""
    rows = [[
        "part", "normal: mean", "normal: deviation", "anomalous: mean", "anomalous: deviation", "threshold",
    ]]  # fmt: skip
    for density in densities_of(settings):
        told = [_told(value) for side in (density.normal, density.anomalous) for value in _moments(side)]
        rows.append([seen(density.name), *told, _told(density.threshold)])
    return rows if len(rows) > 1 else []


def density_charts(settings: Mapping[str, Any]) -> str:
    """One chart a part, with its threshold."""
    drawn = []
    for density in densities_of(settings):
        both = np.concatenate([density.normal, density.anomalous])
        middle = float(np.median(both)) if density.threshold is None else density.threshold
        axis = chart_axis(both, both, middle)
        if axis is not None:
            chart = two_sided(
                Side(density.normal, "normal image", "b-normal"),
                Side(density.anomalous, "anomaly", "b-flagged"),
                axis,
                density.threshold,
            )
            drawn.append(f"<figure>{chart}<figcaption>{escape(seen(density.name))}</figcaption></figure>")
    return "".join(drawn)


def _moments(values: Scores) -> tuple[float | None, float | None]:
    if not len(values):
        return None, None
    with np.errstate(over="ignore", invalid="ignore"):
        return float(values.mean()), float(values.std())


def _told(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"


def _finite(values: object) -> Scores:
    given = values if isinstance(values, list) else []
    return np.sort(
        np.array([v for v in given if type(v) in (int, float) and -_LARGEST < v < _LARGEST], np.float64)
    )
