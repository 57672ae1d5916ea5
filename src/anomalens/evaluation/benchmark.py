"""Run the cells of a suite, one process each; what is done stays done when the run is killed."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable, Hashable, Iterable, Mapping
from pathlib import Path
from typing import Final

from anomalens.errors import InputError
from anomalens.evaluation.cards import ResultCard, read_cards, write_cards
from anomalens.evaluation.cell import Cell
from anomalens.evaluation.cell_process import failed_card
from anomalens.evaluation.data_hash import data_hash
from anomalens.images.image_set import ImageSet
from anomalens.inspector.model_card import versions
from anomalens.places import require_folder
from anomalens.progress import Progress, silent

_HASHED: Final = 20_000  # images of a task up to which its data are compared with its card's


def run_in_process(cell: Cell, path: Path) -> ResultCard:
    """Evaluate a cell in a process of its own, which writes its card."""
    path.unlink(missing_ok=True)  # else the former card would stand for a run that ends without one
    done = subprocess.run(
        [sys.executable, "-m", "anomalens.evaluation.cell_process", str(path)],
        input=json.dumps(cell.to_json()),
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode == 0 and (found := _read(path)) is not None:
        return found
    card = failed_card(cell, _reason(done))
    write_cards(path, [card])
    return card


def run_cells(
    cells: Iterable[Cell | InputError],
    folder: Path,
    *,
    again: bool = False,
    run: Callable[[Cell, Path], ResultCard] = run_in_process,
    installed: Mapping[str, str] | None = None,
    progress: Progress = silent,
) -> tuple[list[ResultCard], list[str]]:
    """Evaluate what has no card yet, or one that no longer holds.

    A card holds while this version of Anomalens made it, the packages it names are installed, in whatever
    version, and the images are those it was made from. They are read once for all cells of a task. Tasks of
    more than 20,000 images are taken to be unchanged: reading them all to find out takes too long.

    Parameters
    ----------
    cells : iterable of Cell or InputError
    folder : Path
        Where the cards are; cells whose card is there, has figures and still holds are not run again.
    again : bool
        Run all of them anew.
    run : callable
        Evaluates a cell and leaves its card at the path.
    installed : mapping of str to str, optional
        The packages that are here and their versions, where those of this process are not meant.

    Returns
    -------
    cards, missing
        One card per cell, failed ones with their `error`; and a sentence per dataset that is not there.

    Raises
    ------
    InputError
        The folder cannot be made.
    SettingError
        It may not be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"The folder {folder} for result cards cannot be made: {error.strerror}.") from None
    require_folder(folder, "--out")
    wanted = list(cells)
    missing = [str(cell) for cell in wanted if isinstance(cell, InputError)]
    todo = [cell for cell in wanted if isinstance(cell, Cell)]
    cards = []
    hashes, now = _DataHashes(), versions() if installed is None else installed
    for cell in progress(todo, label="benchmark", total=len(todo)):
        path = folder / cell.file_name
        card = None if again else _read(path)
        if card is None or _packages_changed(card.versions, now) or not _holds(card, cell, hashes):
            card = run(cell, path)
        cards.append(card)
    return cards, missing


def _read(path: Path) -> ResultCard | None:
    """The card in this file; None where there is none or a damaged one."""
    if not path.exists():
        return None
    try:
        (card,) = read_cards([path])
    except (InputError, ValueError):
        return None
    return card


def _holds(card: ResultCard, cell: Cell, hashes: _DataHashes) -> bool:
    """Whether a card did not fail, and is of the data as they are now."""
    if card.error is not None:
        return False
    if card.data_sha256 is None or cell.n_images > _HASHED:
        return True
    try:
        return hashes.of(cell) == card.data_sha256
    except InputError:  # evaluating says what is wrong with the data
        return False


def _packages_changed(then: Mapping[str, str], now: Mapping[str, str]) -> bool:
    """Whether Anomalens has another version, or a package that the card names is no longer installed."""
    return not then.keys() <= now.keys() or ("anomalens" in then and then["anomalens"] != now["anomalens"])


class _DataHashes:
    """Hashes of the tasks of one run: images that several cells share are read once."""

    def __init__(self) -> None:
        self._by_draw: dict[Hashable, str] = {}
        self._by_images: dict[Hashable, str] = {}

    def of(self, cell: Cell) -> str:
        """The hash of a cell's data.

        Raises
        ------
        InputError
            The data cannot be loaded.
        """
        draw = (cell.selection, cell.options.seed)
        if draw not in self._by_draw:
            task = cell.load()
            # of one source, the same names are the same images: most seeds draw nothing
            images = (cell.selection, _names(task.train), _names(task.test))
            if images not in self._by_images:
                self._by_images[images] = data_hash(task)
            self._by_draw[draw] = self._by_images[images]
        return self._by_draw[draw]


def _names(images: ImageSet) -> bytes:
    """A digest, since a run may hold the names of a million images."""
    names = "\n".join(entry.id for entry in images.entries)
    return hashlib.sha256(names.encode("utf-8", "surrogateescape")).digest()


def _reason(done: subprocess.CompletedProcess[str]) -> str:
    if done.returncode < 0:
        return f"its process was ended by signal {-done.returncode}"
    lines = done.stderr.strip().splitlines()
    return lines[-1] if lines else f"its process ended with exit code {done.returncode}"
