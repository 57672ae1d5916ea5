"""Benchmark data by name or by path, as tasks to fit and test: readers, protocols, split hygiene."""

from typing import TYPE_CHECKING

from anomalens.on_demand import on_demand

if TYPE_CHECKING:
    from anomalens.datasets.hygiene import Hygiene, check_hygiene
    from anomalens.datasets.load import dataset_rows, load_tasks, tasks_of
    from anomalens.datasets.masks import read_mask
    from anomalens.datasets.selection import Selection
    from anomalens.datasets.task import PROTOCOLS, Task

__all__ = [
    "PROTOCOLS",
    "Hygiene",
    "Selection",
    "Task",
    "check_hygiene",
    "dataset_rows",
    "load_tasks",
    "read_mask",
    "tasks_of",
]

# help texts are made of the selection, and load nothing else
__getattr__ = on_demand(
    __name__,
    {
        "hygiene": "Hygiene check_hygiene",
        "load": "dataset_rows load_tasks tasks_of",
        "masks": "read_mask",
        "selection": "Selection",
        "task": "PROTOCOLS Task",
    },
)
