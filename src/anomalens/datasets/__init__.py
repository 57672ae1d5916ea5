"""Benchmark data by name or by path, as tasks to fit and test: readers, protocols, split hygiene."""

from anomalens.datasets.hygiene import Hygiene, check_hygiene
from anomalens.datasets.load import dataset_rows, load_tasks
from anomalens.datasets.masks import read_mask
from anomalens.datasets.task import PROTOCOLS, Task

__all__ = [
    "PROTOCOLS",
    "Hygiene",
    "Task",
    "check_hygiene",
    "dataset_rows",
    "load_tasks",
    "read_mask",
]
