"""Benchmark suites: a TOML file that names datasets, detectors and seeds; every combination is a cell.

    title = "What the suite is for"
    root = "../data"               # where datasets are, unless --root says otherwise
    seeds = [0, 1, 2]

    [[dataset]]
    name = "mvtec-ad"              # a name from `anomalens datasets`, or a path below root
    category = ["bottle", "cable"] # optional; also protocol, normal_class, shots, size,
                                   # and against: a name or path as well, for in-vs-out;
                                   # size = 256, "4000x3000" or "native"

    [[detector]]
    name = "patchcore"             # any option of `anomalens evaluate`, and a table of parameters
    parameters = { coreset_ratio = 0.05 }

    [[detector]]
    name = "combine:knn,gmm"
    parameters = { knn.n_neighbors = 5 }

A cell is one `anomalens evaluate` command, run in a process of its own: its peak memory is its own, a crash
is one row, and the command on its card reproduces it.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

from anomalens.datasets import load_tasks
from anomalens.datasets.task import Task
from anomalens.errors import InputError, SettingError, unknown_name
from anomalens.images.sizes import SIDE, read_size

_SUITE_KEYS: Final = ("title", "root", "seeds", "dataset", "detector")
_DATASET_KEYS: Final = ("name", "protocol", "category", "normal_class", "against", "shots", "size")
_DETECTOR_KEYS: Final = (
    "name", "parameters", "backbone", "preprocess", "augment", "copies", "policy", "runtime", "precision",
)  # fmt: skip


@dataclass(frozen=True)
class Cell:
    """One evaluation: its title, the arguments of `anomalens evaluate`, and the name of its card's file.

    `n_images` counts the images of its task, which `load` reads as `anomalens evaluate` will. Cells of
    equal `data` have the same task, but for what `seed` draws.
    """

    title: str
    detector: str
    seed: int
    arguments: tuple[str, ...]
    n_images: int = field(default=0, compare=False)
    data: tuple[str, ...] = field(default=(), compare=False, repr=False)
    load: Callable[[], Task] | None = field(default=None, compare=False, repr=False)

    @property
    def file_name(self) -> str:
        """Readable, and unique to the arguments."""
        digest = hashlib.sha256("\0".join(self.arguments).encode()).hexdigest()[:10]
        readable = re.sub(r"[^A-Za-z0-9._-]+", "-", f"{self.title}-{self.detector}-{self.seed}")[:80]
        return f"{readable}-{digest}.json"


@dataclass(frozen=True)
class Suite:
    """A parsed suite."""

    title: str
    root: Path | None
    seeds: tuple[int, ...]
    datasets: tuple[Mapping[str, Any], ...]
    detectors: tuple[Mapping[str, Any], ...]

    @classmethod
    def read(cls, path: Path) -> Suite:
        """Read a suite.

        Raises
        ------
        InputError
            The file is missing, no TOML, or lacks datasets or detectors.
        SettingError
            A key is unknown (the nearest is suggested), or a value is of the wrong kind.
        """
        try:
            data = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise InputError(f"The suite {path} cannot be read: {error.strerror}.") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise InputError(f"The suite {path} is no readable TOML: {error}.") from None
        _known(data, _SUITE_KEYS)
        datasets, detectors = data.get("dataset", []), data.get("detector", [])
        if not datasets or not detectors:
            raise InputError(f"The suite {path} needs at least one [[dataset]] and one [[detector]].")
        for head, table, keys in (
            ("dataset", datasets, _DATASET_KEYS),
            ("detector", detectors, _DETECTOR_KEYS),
        ):
            if not isinstance(table, list):
                raise SettingError(f"The suite {path} has a {head} that is no list; write [[{head}]].")
            for row in table:
                _known(row, keys)
                if not isinstance(row.get("name"), str):
                    raise InputError(f"The suite {path} has a dataset or detector without a name.")
        _check_values(path, data)
        root = data.get("root")
        return cls(
            str(data.get("title", path.stem)),
            None if root is None else (path.parent / root).resolve(),
            tuple(data.get("seeds", [0])),
            tuple(datasets),
            tuple(detectors),
        )

    def cells(self, root: Path | None) -> Iterator[Cell | InputError]:
        """Every combination, dataset by dataset; a dataset that is not there is an error among them."""
        root = root or self.root
        for dataset in self.datasets:
            try:
                tasks = _tasks(dataset, root)
            except InputError as error:
                yield error
                continue
            for task in tasks:
                data = tuple(_data_arguments(dataset, task, root))
                for detector in self.detectors:
                    for seed in self.seeds:
                        yield Cell(
                            _title(dataset, task),
                            detector["name"],
                            seed,
                            (*data, *_detector_arguments(dataset, detector, seed)),
                            len(task.train) + len(task.test),
                            data,
                            _reader(dataset, task, seed, root),
                        )


def _check_values(path: Path, data: Mapping[str, Any]) -> None:
    seeds = data.get("seeds", [0])
    if not isinstance(seeds, list) or not seeds or not all(_is_whole(seed) and seed >= 0 for seed in seeds):
        raise SettingError(f"The suite {path} has seeds = {seeds!r}; give a list of whole numbers from 0.")
    if not isinstance(data.get("root", ""), str):
        raise SettingError(f"The suite {path} has root = {data['root']!r}; give a folder as a text.")
    for row in data["dataset"]:
        if not all(_is_whole(value) for value in _several(row.get("shots", 1))):
            raise SettingError(f"The suite {path} has shots = {row['shots']!r}; give whole numbers.")
        size = row.get("size", SIDE)
        if not _is_whole(size) and not (isinstance(size, str) and not size.isdecimal()):
            raise SettingError(
                f'The suite {path} has size = {size!r}; give a whole number, "4000x3000" or "native".'
            )
        read_size(size)
        if not isinstance(row.get("against", ""), str):
            raise SettingError(f"The suite {path} has against = {row['against']!r}; give a name or path.")
    for row in data["detector"]:
        if not isinstance(row.get("parameters", {}), dict):
            raise SettingError(
                f"The suite {path} has parameters = {row['parameters']!r}; give a table such as "
                "{ coreset_ratio = 0.05 }."
            )


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _title(dataset: Mapping[str, Any], task: Task) -> str:
    return f"{task.name} against {dataset['against']}" if "against" in dataset else task.name


def _reader(dataset: Mapping[str, Any], task: Task, seed: int, root: Path | None) -> Callable[[], Task]:
    """Reads the task anew with a cell's seed; it does not hold the images that `task` may hold."""
    return partial(
        _one_task,
        _place(dataset["name"], root),
        root=root,
        protocol=task.protocol,
        category=task.category,
        normal_class=task.normal_class,
        shots=task.shots,
        seed=seed,
        against=_against(dataset, root),
    )


def _one_task(name: str, **options: Any) -> Task:
    return load_tasks(name, **options)[0]


def _tasks(dataset: Mapping[str, Any], root: Path | None) -> list[Task]:
    name = _place(dataset["name"], root)
    return [
        task
        for category in _several(dataset.get("category"))
        for normal_class in _several(dataset.get("normal_class"))
        for shots in _several(dataset.get("shots"))
        for task in load_tasks(
            name,
            root=root,
            protocol=dataset.get("protocol"),
            category=category,
            normal_class=normal_class,
            shots=shots,
            against=_against(dataset, root),
        )
    ]


def _against(dataset: Mapping[str, Any], root: Path | None) -> str | None:
    return _place(dataset["against"], root) if "against" in dataset else None


def _place(name: str, root: Path | None) -> str:
    """A path below the root, where there is one of that name; else the name itself."""
    if root is not None and (root / name).exists():
        return str(root / name)
    return name


def _data_arguments(dataset: Mapping[str, Any], task: Task, root: Path | None) -> Iterator[str]:
    place, against = _place(dataset["name"], root), _against(dataset, root)
    yield place
    if root is not None and (place == dataset["name"] or (against and against == dataset["against"])):
        yield from ("--root", str(root))
    yield from ("--protocol", task.protocol)
    for option, value in (
        ("--category", task.category),
        ("--normal-class", task.normal_class),
        ("--against", against),
        ("--shots", task.shots),
    ):
        if value is not None:
            yield from (option, str(value))


def _detector_arguments(dataset: Mapping[str, Any], detector: Mapping[str, Any], seed: int) -> Iterator[str]:
    if "size" in dataset:
        yield from ("--size", str(dataset["size"]))
    yield from ("--detector", detector["name"], "--seed", str(seed))
    for key in _DETECTOR_KEYS[2:]:
        if key in detector:
            yield from (f"--{key}", str(detector[key]))
    for key, value in _flat(detector.get("parameters", {})):
        text = ",".join(str(v) for v in value) if isinstance(value, list) else str(value)
        yield from ("-p", f"{key}={text}")


def _flat(parameters: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Parameters of a combination's members are tables in TOML and `MEMBER.KEY` on the command line."""
    for key, value in parameters.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _several(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _known(table: Mapping[str, Any], keys: tuple[str, ...]) -> None:
    if not isinstance(table, Mapping):
        raise SettingError(f"A suite's [[dataset]] and [[detector]] are tables; {table!r} is none.")
    for key in table:
        if key not in keys:
            raise unknown_name("suite setting", key, keys)
