"""Manifests: a CSV file that lists images with their labels, masks, groups and references.

Columns: `path` (needed), `label`, `class`, `mask`, `group`, `split`, `reference` (optional), separated by
commas or semicolons, UTF-8 with or without a byte-order mark. Paths are relative to the CSV's folder. A label
is "good" or a kind of anomaly, or 0 and 1 (see `anomalens.images.labels`); a class says what is shown,
whatever is thought of it.
"""

from __future__ import annotations

import csv
import io
import os
from dataclasses import dataclass
from pathlib import Path

from anomalens.errors import ImageSetError
from anomalens.images.labels import Known, Verdict, read_labels

COLUMNS = ("path", "label", "class", "mask", "group", "split", "reference")
SPLITS = ("train", "test")


@dataclass(frozen=True)
class ManifestRow:
    """One line of a manifest: `label` is as written, as are the paths `id` and `reference_id` but for forward
    slashes; `split` is "train", "test" or None."""

    id: str
    path: Path
    label: str
    class_name: str | None
    verdict: Verdict | None
    mask: Path | None
    group: str | None
    split: str | None = None
    reference: Path | None = None
    reference_id: str = ""


def read_manifest(file: str | os.PathLike[str]) -> list[ManifestRow]:
    """Read a manifest; image files are not opened, so a missing one is reported when it is read.

    Raises
    ------
    ImageSetError
        For a missing, empty or undecodable file, a missing `path` column or value, an unknown
        column, or a line with more fields than columns.
    """
    manifest = Path(file)
    text = _text(manifest)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text))
    try:
        lines = [(reader.line_num, line) for line in reader if any(cell.strip() for cell in line)]
    except csv.Error as error:
        raise ImageSetError(f"The manifest {manifest} is no CSV file: {error}.") from None
    columns = [name.strip().lower() for name in lines[0][1]]
    _check_columns(manifest, columns)
    if len(lines) == 1:
        raise ImageSetError(f"The manifest {manifest} lists no image; add a line for each image.")
    lines_by_column = [_cells(manifest, columns, number, line) for number, line in lines[1:]]
    labels = read_labels([cells.get("label") for cells in lines_by_column])  # a column is read as a whole
    return [
        _row(manifest, number, cells, known)
        for (number, _), cells, known in zip(lines[1:], lines_by_column, labels, strict=True)
    ]


def _text(manifest: Path) -> str:
    try:
        text = manifest.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ImageSetError(f"There is no manifest {manifest}; check the path.") from None
    except OSError as error:
        raise ImageSetError(f"The manifest {manifest} cannot be read ({error.strerror}).") from None
    except UnicodeDecodeError:
        raise ImageSetError(f"The manifest {manifest} is not UTF-8 text; save it as CSV UTF-8.") from None
    if not text.strip():
        raise ImageSetError(
            f"The manifest {manifest} is empty; give a line of column names "
            f"({', '.join(COLUMNS)}) and a line for each image."
        )
    return text


def _delimiter(text: str) -> str:
    # The header tells: column names hold neither sign, while paths below it may.
    header = text.lstrip().splitlines()[0]
    return ";" if header.count(";") > header.count(",") else ","


def _check_columns(manifest: Path, columns: list[str]) -> None:
    if "path" not in columns:
        raise ImageSetError(
            f"The manifest {manifest} has no column 'path' (its first line reads "
            f"{', '.join(columns)[:80]!r}); name the columns in the first line."
        )
    for place, name in enumerate(columns):
        if name not in COLUMNS:
            raise ImageSetError(
                f"The manifest {manifest} has an unknown column {name!r}; use only {', '.join(COLUMNS)}."
            )
        if name in columns[:place]:
            raise ImageSetError(f"The manifest {manifest} has two columns {name!r}; keep one.")


def _cells(manifest: Path, columns: list[str], number: int, line: list[str]) -> dict[str, str]:
    if len(line) > len(columns):
        raise ImageSetError(
            f"Line {number} of the manifest {manifest} has {len(line)} fields for "
            f"{len(columns)} columns; quote fields that hold the separator."
        )
    return dict(zip(columns, (cell.strip() for cell in line), strict=False))


def _row(manifest: Path, number: int, cells: dict[str, str], known: Known) -> ManifestRow:
    # Manifests written on Windows are read everywhere.
    path, mask, reference = (cells.get(name, "").replace("\\", "/") for name in ("path", "mask", "reference"))
    if not path:
        raise ImageSetError(f"Line {number} of the manifest {manifest} has no path; fill it in.")
    split = cells.get("split", "").lower()
    if split and split not in SPLITS:
        raise ImageSetError(
            f"Line {number} of the manifest {manifest} has the split {split!r}; write train or test."
        )
    return ManifestRow(
        id=path,
        path=manifest.parent / path,
        label=cells.get("label", ""),
        class_name=cells.get("class") or known[0],
        verdict=known[1],
        mask=manifest.parent / mask if mask else None,
        group=cells.get("group") or None,
        split=split or None,
        reference=manifest.parent / reference if reference else None,
        reference_id=reference,
    )
