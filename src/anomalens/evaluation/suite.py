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

A cell is one evaluation, in a process of its own: its peak memory is its own, a crash is one row, and the
command on its card reproduces it.
"""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import Field, dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any, Final

from anomalens.datasets.load import tasks_of
from anomalens.datasets.selection import Selection
from anomalens.errors import InputError, SettingError, unknown_name
from anomalens.evaluation.cell import Cell
from anomalens.images.sizes import read_size
from anomalens.inspector.fit_options import FitOptions
from anomalens.options import checked, known_options, text_of

_SUITE_KEYS: Final = ("title", "root", "seeds", "dataset", "detector")
_SEVERAL: Final = ("category", "normal_class", "shots")  # each may be a list: every combination is taken
_OF_DATASETS: Final = known_options(Selection, leave_out=("dataset", "root"))
_OF_DETECTORS: Final = known_options(FitOptions, leave_out=("detector", "parameters", "size"))


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
        where = f"The suite {path}"
        datasets, detectors = data.get("dataset", []), data.get("detector", [])
        if not datasets or not detectors:
            raise InputError(f"{where} needs at least one [[dataset]] and one [[detector]].")
        _check_rows(where, "dataset", datasets, _OF_DATASETS, more=("size",))
        _check_rows(where, "detector", detectors, _OF_DETECTORS, more=("parameters", "backbone"))
        seeds, root = data.get("seeds", [0]), data.get("root")
        if not isinstance(seeds, list) or not seeds or not all(_is_seed(seed) for seed in seeds):
            raise SettingError(f"{where} has seeds = {seeds!r}; give a list of whole numbers from 0.")
        if root is not None and not isinstance(root, str):
            raise SettingError(f"{where} has root = {root!r}; give a folder as a text.")
        return cls(
            str(data.get("title", path.stem)),
            None if root is None else (path.parent / root).resolve(),
            tuple(seeds),
            tuple(datasets),
            tuple(detectors),
        )

    def cells(self, root: Path | None, *, kept: FitOptions | None = None) -> Iterator[Cell | InputError]:
        """Every combination, dataset by dataset; a dataset that is not there is an error among them.

        Parameters
        ----------
        root : Path or None
            Where datasets are, instead of where the suite says.
        kept : FitOptions, optional
            Its places are those of every cell.
        """
        kept = kept or FitOptions()
        for dataset in self.datasets:
            try:
                selected = list(_selections(dataset, root or self.root))
            except InputError as error:
                yield error
                continue
            for selection, title, n_images in selected:
                for detector in self.detectors:
                    for seed in self.seeds:
                        options = replace(
                            _options(detector),
                            size=dataset.get("size"),
                            seed=seed,
                            checkpoints=kept.checkpoints,
                            feature_cache=kept.feature_cache,
                        )
                        yield Cell(selection, options, title, n_images)


def _selections(dataset: Mapping[str, Any], root: Path | None) -> Iterator[tuple[Selection, str, int]]:
    """Each task of a [[dataset]]: its selection, its title, and how many images it has."""
    against = dataset.get("against")
    asked = Selection(
        _place(dataset["name"], root),
        root=None if root is None else str(root),
        protocol=dataset.get("protocol"),
        against=None if against is None else _place(against, root),
    )
    # a path below the root needs no root: the command on the card is shorter without
    named = dataset["name"] == asked.dataset or (against is not None and against == asked.against)
    for values in product(*(_several(dataset.get(key)) for key in _SEVERAL)):
        one = replace(asked, **dict(zip(_SEVERAL, values, strict=True)))
        for task in tasks_of(one):
            title = task.name if against is None else f"{task.name} against {against}"
            found = one.only(task) if named else replace(one.only(task), root=None)
            yield found, title, len(task.train) + len(task.test)


def _place(name: str, root: Path | None) -> str:
    """A path below the root, where there is one of that name; else the name itself."""
    return str(root / name) if root is not None and (root / name).exists() else name


def _options(detector: Mapping[str, Any]) -> FitOptions:
    """The options of a [[detector]]; its parameters are read as `-p` reads texts."""
    given = dict(_flat(detector.get("parameters", {})))
    if "backbone" in detector:
        given = {"backbone": detector["backbone"], **given}
    settings = {key: detector[key] for key in _OF_DETECTORS if key in detector}
    return FitOptions(detector["name"], {key: text_of(value) for key, value in given.items()}, **settings)


def _flat(parameters: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Parameters of a combination's members are tables in TOML and `MEMBER.KEY` on the command line."""
    for key, value in parameters.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _check_rows(
    where: str, head: str, rows: Any, options: Mapping[str, Field[Any]], *, more: tuple[str, ...]
) -> None:
    """Refuse tables with unknown keys, or with values of the wrong kind."""
    if not isinstance(rows, list):
        raise SettingError(f"{where} has a {head} that is no list; write [[{head}]].")
    for row in rows:
        _known(row, ("name", *options, *more))
        if not isinstance(row.get("name"), str):
            raise InputError(f"{where} has a dataset or detector without a name.")
        for key, value in row.items():
            if key in options:
                for one in _several(value) if key in _SEVERAL else [value]:
                    checked(options[key], one, where)
        size, parameters = row.get("size", 256), row.get("parameters", {})
        a_side_as_text = isinstance(size, str) and size.isdecimal()
        if type(size) not in (int, str) or a_side_as_text:
            raise SettingError(f'{where} has size = {size!r}; give a whole number, "4000x3000" or "native".')
        read_size(size)
        if not isinstance(parameters, dict):
            raise SettingError(
                f"{where} has parameters = {parameters!r}; give a table such as {{ coreset_ratio = 0.05 }}."
            )


def _is_seed(value: object) -> bool:
    return type(value) is int and value >= 0


def _several(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _known(table: Any, keys: Collection[str]) -> None:
    if not isinstance(table, Mapping):
        raise SettingError(f"A suite's [[dataset]] and [[detector]] are tables; {table!r} is none.")
    for key in table:
        if key not in keys:
            raise unknown_name("suite setting", key, keys)
