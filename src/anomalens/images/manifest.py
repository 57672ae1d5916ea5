"""Manifests: a CSV file that lists images with their labels, masks, groups, captures and references.

Columns: `path` (needed), `label`, `class`, `mask`, `group`, `capture`, `split`, `reference` (optional),
separated by commas, semicolons or tabs, UTF-8 with or without a byte-order mark or UTF-16 with one, as
spreadsheets write them: a first line `sep=;`, columns without a name (an index of pandas) and the text
`nan` in an empty cell mean nothing. Paths are relative to the CSV's folder; letters with marks may be
composed otherwise than in the file's name. A label is "good" or a kind of anomaly, or 0 and 1 (see
`anomalens.images.labels`); a class says what is shown, whatever is thought of it.
"""

from __future__ import annotations

import csv
import io
import os
import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from anomalens.errors import ImageSetError
from anomalens.images.labels import Known, Verdict, read_labels

COLUMNS = ("path", "label", "class", "mask", "group", "capture", "split", "reference")
SPLITS = ("train", "test")
_SEPARATOR = re.compile(r'"?sep=([,;\t])"?,*', re.I)
_NAMELESS = re.compile(r"(unnamed: \d+)?")
_EMPTY = frozenset({"nan", "n/a", "#n/a", "<na>"})


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
    capture: str | None = None


def read_manifest(file: str | os.PathLike[str], *, class_column: str | None = None) -> list[ManifestRow]:
    """Read a manifest; image files are not opened, so a missing one is reported when it is read.

    Parameters
    ----------
    class_column : str, optional
        The column that says what is shown, instead of `label` and `class`; other columns may then stand
        beside it.

    Raises
    ------
    ImageSetError
        For a missing, empty or undecodable file, a missing `path` column or value, an unknown
        column, or a line with more fields than columns.
    """
    manifest = Path(file)
    text, delimiter = _text(manifest)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        lines = [(reader.line_num, line) for line in reader if any(cell.strip() for cell in line)]
    except csv.Error as error:
        raise ImageSetError(f"The manifest {manifest} is no CSV file: {error}.") from None
    columns = [name.strip().lower() for name in lines[0][1]]
    own = None if class_column is None else class_column.strip().lower()
    if own is not None and own not in columns:
        raise ImageSetError(
            f"The manifest {manifest} has no column {class_column!r:.40}; it has "
            f"{', '.join(filter(None, columns))}."
        )
    _check_columns(manifest, columns, others=own is not None)
    if len(lines) == 1:
        raise ImageSetError(f"The manifest {manifest} lists no image; add a line for each image.")
    kept = COLUMNS if own is None else (*COLUMNS, own)
    lines_by_column = [_cells(manifest, columns, number, line, kept) for number, line in lines[1:]]
    if own is not None:
        lines_by_column = [{**cells, "label": "", "class": cells.get(own, "")} for cells in lines_by_column]
    labels = read_labels([cells.get("label") for cells in lines_by_column])  # a column is read as a whole
    return [
        _row(manifest, number, cells, known)
        for (number, _), cells, known in zip(lines[1:], lines_by_column, labels, strict=True)
    ]


def _text(manifest: Path) -> tuple[str, str]:
    """The text below a line `sep=;`, and what separates its columns."""
    try:
        data = manifest.read_bytes()
        text = data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except FileNotFoundError:
        raise ImageSetError(f"There is no manifest {manifest}; check the path.") from None
    except OSError as error:
        raise ImageSetError(f"The manifest {manifest} cannot be read ({error.strerror}).") from None
    except UnicodeDecodeError:
        raise ImageSetError(
            f"The manifest {manifest} is neither UTF-8 nor UTF-16 text; save it as CSV UTF-8."
        ) from None
    if not text.strip():
        raise ImageSetError(
            f"The manifest {manifest} is empty; give a line of column names "
            f"({', '.join(COLUMNS)}) and a line for each image."
        )
    first, _, rest = text.lstrip().partition("\n")
    if (said := _SEPARATOR.fullmatch(first.strip())) is not None:
        return rest, said[1]
    # The header tells: column names hold none of these signs, while paths below it may.
    return text, max(",;\t", key=first.count)


def _check_columns(manifest: Path, columns: list[str], *, others: bool) -> None:
    if "path" not in columns:
        raise ImageSetError(
            f"The manifest {manifest} has no column 'path' (its first line reads "
            f"{', '.join(columns)[:80]!r}); name the columns in the first line."
        )
    for place, name in enumerate(columns):
        if _NAMELESS.fullmatch(name):
            continue
        if name not in COLUMNS and not others:
            raise ImageSetError(
                f"The manifest {manifest} has an unknown column {name!r}; use only {', '.join(COLUMNS)}."
            )
        if name in columns[:place]:
            raise ImageSetError(f"The manifest {manifest} has two columns {name!r}; keep one.")


def _cells(
    manifest: Path, columns: list[str], number: int, line: list[str], kept: tuple[str, ...]
) -> dict[str, str]:
    if len(line) > len(columns):
        raise ImageSetError(
            f"Line {number} of the manifest {manifest} has {len(line)} fields for "
            f"{len(columns)} columns; quote fields that hold the separator."
        )
    cells = ("" if cell.strip().lower() in _EMPTY else cell.strip() for cell in line)
    return {name: cell for name, cell in zip(columns, cells, strict=False) if name in kept}


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
        path=_composed(manifest.parent / path),
        label=cells.get("label", ""),
        class_name=cells.get("class") or known[0],
        verdict=known[1],
        mask=_composed(manifest.parent / mask) if mask else None,
        group=cells.get("group") or None,
        split=split or None,
        reference=_composed(manifest.parent / reference) if reference else None,
        reference_id=reference,
        capture=cells.get("capture") or None,
    )


def _composed(path: Path) -> Path:
    """The path, or one that is there and differs only in how its letters with marks are composed."""
    if path.exists():
        return path
    forms = (Path(unicodedata.normalize(form, str(path))) for form in ("NFC", "NFD"))
    return next((other for other in forms if other.exists()), path)
