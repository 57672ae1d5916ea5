"""What of a dataset is taken, as one record."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from anomalens.options import option

if TYPE_CHECKING:
    from anomalens.datasets.task import Task


@dataclass(frozen=True)
class Selection:
    """One task of a dataset, or several; see `load_tasks`."""

    dataset: str = option("", "A name from `anomalens datasets`, or a folder, manifest, .npz or .tar.")
    root: str | None = option(None, "Where named datasets are.", metavar="DIR")
    protocol: str | None = option(
        None,
        "split, one-vs-rest, leave-one-class-out, in-vs-out or few-shot. [default: the dataset's]",
        metavar="NAME",
    )
    category: str | None = option(None, "One category of a dataset that has several.", metavar="NAME")
    normal_class: str | None = option(None, "One normal class of a one-vs-rest dataset.", metavar="NAME")
    against: str | None = option(None, "For in-vs-out: whose test images are the anomalies.", metavar="DATA")
    shots: int | None = option(None, "Learn from K normal images only.", metavar="K", limits=(1, None))

    def only(self, task: Task) -> Selection:
        """The selection of one task among those that it gives."""
        return replace(
            self,
            protocol=task.protocol,
            category=task.category,
            normal_class=task.normal_class,
            shots=task.shots,
        )
