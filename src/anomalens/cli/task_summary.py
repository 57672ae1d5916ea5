"""What `inspect` says of data that is more than a folder of images: archives, arrays, several categories."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anomalens.cli.bars import bar

if TYPE_CHECKING:
    from anomalens.datasets import Task

_SAMPLE = 100  # images of a part that are opened to learn their size
_FEW_TASKS = 10  # above, images are compared by their bytes only


def benchmark_tasks(data: Sequence[str]) -> list[Task] | None:
    """The tasks of an archive, or of a folder with more in it than one set; None for anything else."""
    from anomalens.datasets import load_tasks
    from anomalens.errors import InputError
    from anomalens.images import recognise

    if len(data) != 1:
        return None
    path = Path(data[0])
    if path.is_dir():
        try:
            if recognise(path).kind != "flat":
                return None  # one set in the usual layout: every image is looked at
            tasks = load_tasks(path)
        except OSError:  # not for this user to read; the plain way says so
            return None
        except InputError:
            try:
                tasks = load_tasks(path)
            except (InputError, OSError):
                return None
        tested = any(entry.label not in (None, "good") for task in tasks for entry in task.test)
        return tasks if tested else None
    if path.suffix.lower() in (".npz", ".tar") and path.is_file():
        return load_tasks(path)
    return None


def examine_tasks(name: str, tasks: Sequence[Task]) -> dict[str, Any]:
    """The same keys as for a folder, from the tasks and their split hygiene."""
    from anomalens.calibration.conformal import MIN_GROUPS
    from anomalens.datasets import check_hygiene

    protocols = ", ".join(dict.fromkeys(task.protocol for task in tasks))
    many = f"{len(tasks)} tasks" if len(tasks) > 1 else "one task"
    parts: dict[str, Any] = {}
    sizes: Counter[str] = Counter()
    leaks: list[dict[str, str]] = []
    notes: list[str] = []
    for task in bar(tasks, label="looking for leaks", total=len(tasks)):
        for part, images in (("train", task.train), ("test", task.test)):
            parts[f"{task.name} {part}"] = {
                "images": len(images),
                "labels": dict(Counter(entry.label or "unlabelled" for entry in images)),
                "masks": sum(entry.mask is not None for entry in images),
                "groups": len({entry.group or entry.id for entry in images}),
            }
            sizes.update(_sizes(images))
        found = check_hygiene(task, limit=2000 if len(tasks) <= _FEW_TASKS else 0)
        leaks += [{"train": learnt, "test": tested} for learnt, tested in found.exact_examples]
        notes += [f"{task.name}: {text}" for text in (*task.notes, *found.warnings)]
    smallest = min(parts[f"{task.name} train"]["groups"] for task in tasks)
    return {
        "layout": f"{name}: {many}, protocol {protocols}.",
        "parts": parts,
        "sizes": [{"size": size, "images": n} for size, n in sizes.most_common(10)],
        "odd_sizes": [],
        "unreadable": [],
        "not_images": [],
        "duplicates": {},
        "leaks": leaks,
        "split": (
            f"evaluate would fit each task on its own; the smallest has {smallest} groups to learn from"
            + (" – too few to calibrate." if smallest < MIN_GROUPS else ".")
        ),
        "notes": list(dict.fromkeys(notes)),
    }


def _sizes(images: Any) -> Counter[str]:
    from anomalens.errors import ImageError

    found: Counter[str] = Counter()
    step = max(1, len(images) // _SAMPLE)
    for index in range(0, len(images), step):
        try:
            width, height = images.read(index, reduce_to=64).size
        except ImageError:
            continue
        found[f"{width}×{height}"] += 1
    return found
