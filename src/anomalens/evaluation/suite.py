"""Benchmark suites: a TOML file that names datasets, detectors and seeds; every combination is a cell.

    title = "What the suite is for"
    root = "../data"               # where datasets are, unless --root says otherwise
    seeds = [0, 1, 2]

    [[dataset]]
    name = "mvtec-ad"              # a name from `anomalens datasets`, or a path below root
    category = ["bottle", "cable"] # optional; also protocol, normal_class, shots, size

    [[detector]]
    name = "patchcore"             # any option of `anomalens evaluate`, and a table of parameters
    parameters = { coreset_ratio = 0.05 }

A cell is one `anomalens evaluate` command, run in a process of its own: its peak memory is its own, a crash
is one row, and the command on its card reproduces it.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from anomalens.datasets import load_tasks
from anomalens.errors import InputError, SettingError, unknown_name

_SUITE_KEYS: Final = ("title", "root", "seeds", "dataset", "detector")
_DATASET_KEYS: Final = ("name", "protocol", "category", "normal_class", "shots", "size")
_DETECTOR_KEYS: Final = (
    "name", "parameters", "backbone", "preprocess", "augment", "copies", "policy", "runtime", "precision",
)  # fmt: skip


@dataclass(frozen=True)
class Cell:
    """One evaluation: its title, the arguments of `anomalens evaluate`, and the name of its card's file."""

    title: str
    detector: str
    seed: int
    arguments: tuple[str, ...]

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
            A key is unknown (the nearest is suggested).
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
        for table, keys in ((datasets, _DATASET_KEYS), (detectors, _DETECTOR_KEYS)):
            for row in table:
                _known(row, keys)
                if not isinstance(row.get("name"), str):
                    raise InputError(f"The suite {path} has a dataset or detector without a name.")
        root = data.get("root")
        return cls(
            str(data.get("title", path.stem)),
            None if root is None else (path.parent / root).resolve(),
            tuple(int(seed) for seed in data.get("seeds", [0])),
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
                for detector in self.detectors:
                    for seed in self.seeds:
                        yield Cell(
                            task.name,
                            detector["name"],
                            seed,
                            tuple(_arguments(dataset, task, detector, seed, root)),
                        )


def _tasks(dataset: Mapping[str, Any], root: Path | None) -> list[Any]:
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
        )
    ]


def _place(name: str, root: Path | None) -> str:
    """A path below the root, where there is one of that name; else the name itself."""
    if root is not None and (root / name).exists():
        return str(root / name)
    return name


def _arguments(
    dataset: Mapping[str, Any], task: Any, detector: Mapping[str, Any], seed: int, root: Path | None
) -> Iterator[str]:
    place = _place(dataset["name"], root)
    yield place
    if root is not None and place == dataset["name"]:
        yield from ("--root", str(root))
    yield from ("--protocol", task.protocol)
    for option, value in (
        ("--category", task.category),
        ("--normal-class", task.normal_class),
        ("--shots", task.shots),
        ("--size", dataset.get("size")),
    ):
        if value is not None:
            yield from (option, str(value))
    yield from ("--detector", detector["name"], "--seed", str(seed))
    for key in _DETECTOR_KEYS[2:]:
        if key in detector:
            yield from (f"--{key}", str(detector[key]))
    for key, value in detector.get("parameters", {}).items():
        text = ",".join(str(v) for v in value) if isinstance(value, list) else str(value)
        yield from ("-p", f"{key}={text}")


def _several(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _known(table: Mapping[str, Any], keys: tuple[str, ...]) -> None:
    if not isinstance(table, Mapping):
        raise SettingError(f"A suite's [[dataset]] and [[detector]] are tables; {table!r} is none.")
    for key in table:
        if key not in keys:
            raise unknown_name("suite setting", key, keys)
