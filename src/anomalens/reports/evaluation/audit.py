"""Whether false-alarm rates are kept: the p-values of held-out normal images, drawn and told."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from anomalens.metrics.p_values import PValueAudit
from anomalens.reports.evaluation.numbers import CardNumbers
from anomalens.reports.parts import document as doc
from anomalens.reports.parts.line_chart import Line, Scale, line_chart
from anomalens.reports.parts.texts import per_cent

_HALVES = ((0.0, "0"), (0.5, "0.5"), (1.0, "1"))


def audit_blocks(numbers: CardNumbers) -> Iterator[doc.Block]:
    """A sentence, a chart and a table; nothing where no audit was asked for."""
    if (audit := numbers.audit) is None:
        return
    yield doc.Heading(3, "Audit of the p-values")
    yield doc.Paragraph(audit.sentence)
    rows = []
    for asked, rate in audit.rates:
        kept = "as asked" if rate.low <= asked <= rate.high else "too many" if rate.low > asked else "too few"
        interval = f"{100 * rate.low:.3g} to {100 * rate.high:.3g} %"
        realised = (doc.Mark(f"{per_cent(rate.value)} ({rate.count} of {rate.total})"),)
        rows.append((per_cent(asked), realised, interval, kept))
    yield doc.Table(("asked rate", "flagged", "95 % interval", "false alarms"), tuple(rows))
    yield doc.Box((_chart(audit),), "curves")


def _chart(audit: PValueAudit) -> doc.Drawing:
    """The share of p-values up to each value, beside the diagonal."""
    n = len(audit.p_values)
    x = np.concatenate([[0.0], np.repeat(audit.p_values, 2), [1.0]])
    y = np.repeat(np.arange(n + 1) / n, 2)
    return line_chart(
        [Line(np.stack([x, y], axis=1))],
        Scale("p-value", 0, 1, _HALVES),
        Scale("share of normal images", 0, 1, _HALVES),
        spoken=f"Distribution of p-values. {audit.sentence}",
        caption="p-values of normal test images; dashed: uniform",
        aside=np.array([[0.0, 0.0], [1.0, 1.0]]),
    )
