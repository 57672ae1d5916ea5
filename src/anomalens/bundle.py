"""The one-file model format: a zip of `card.json`, `arrays.safetensors` and ONNX graphs.

Members are stored, never compressed, so a declared size cannot lie and nothing can inflate. The card
lists the size and SHA-256 of every other member, the zip's comment holds the card's own; all of them
are checked before anything is parsed. No pickle is written or read. This guards against damage and
careless edits, not against a stranger who makes a whole file: sizes and names are limited for that,
and graphs may not point at other files (the runtime room refuses them).
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import struct
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from anomalens.errors import InputError, ModelFileError
from anomalens.places import whole_file

FORMAT: Final = "anomalens"
FORMAT_VERSION: Final = 1
SUFFIX: Final = ".anomalens"

MAX_FILE_BYTES: Final = 4 * 10**9
MAX_CARD_BYTES: Final = 32 * 10**6
MAX_DIRECTORY_BYTES: Final = 1 << 17
MAX_MEMBERS: Final = 64

_CARD: Final = "card.json"
_ARRAYS: Final = "arrays.safetensors"
_MEMBER: Final = re.compile(r"card\.json|arrays\.safetensors|[a-z0-9_-]{1,64}\.onnx")
_REFIT: Final = "copy the model file again or fit the model anew"

# One function per version step: card of version v in, card of version v + 1 out.
MIGRATIONS: Final[dict[int, Callable[[dict[str, Any]], dict[str, Any]]]] = {}


@dataclass(frozen=True)
class Bundle:
    """What a model file holds.

    Attributes
    ----------
    card : dict
        JSON-ready settings and numbers.
    arrays : dict of str to array
    graphs : dict of str to bytes
        Serialised ONNX models by name.
    """

    card: dict[str, Any]
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    graphs: Mapping[str, bytes] = field(default_factory=dict)


def write_bundle(path: Path, bundle: Bundle) -> None:
    """Write a model file: beside its place first, then renamed, so none is ever half-written.

    Raises
    ------
    InputError
        The folder is missing or cannot be written to.
    """
    from safetensors.numpy import save

    members: dict[str, bytes] = {
        _ARRAYS: save({name: np.ascontiguousarray(a) for name, a in bundle.arrays.items()}),
        **{f"{name}.onnx": graph for name, graph in bundle.graphs.items()},
    }
    for name in members:
        if not _MEMBER.fullmatch(name):
            raise ValueError(f"{name!r} is no member name of a model file")
    files = {
        name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        for name, data in members.items()
    }
    card = {"format": FORMAT, "format_version": FORMAT_VERSION, **bundle.card, "files": files}
    # ASCII: names of files that are no UTF-8 hold lone surrogates, which have no other encoding
    text = json.dumps(card, allow_nan=False, indent=1).encode()
    try:
        with whole_file(Path(path)) as file, zipfile.ZipFile(file, "w") as archive:
            archive.comment = hashlib.sha256(text).hexdigest().encode()
            for name, data in {_CARD: text, **members}.items():
                # a fixed date: the same model gives the same bytes
                archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), data)
    except OSError as error:
        raise InputError(
            f"The model cannot be written to {path}: {error.strerror}; make room or choose another --out."
        ) from None


def read_bundle(path: Path) -> Bundle:
    """Read and verify a model file.

    Raises
    ------
    ModelFileError
        Missing, not a model, truncated, damaged, edited, too large, or newer than this version.
    """
    path = Path(path)
    try:
        size = path.stat().st_size
        if path.is_dir():
            raise ModelFileError(f"{path} is a folder; give a model file ({SUFFIX}).")
        if size > MAX_FILE_BYTES:
            raise ModelFileError(f"{path} has {size} bytes; model files have {MAX_FILE_BYTES} at most.")
        with _Guarded(io.FileIO(path)) as file, zipfile.ZipFile(file) as archive:
            file.guarding = False
            return _read(path, archive, size)
    except FileNotFoundError:
        raise ModelFileError(
            f"There is no model file {path}; make one with  anomalens fit NORMAL --out {path}."
        ) from None
    except PermissionError:
        raise ModelFileError(f"{path} may not be read by this user; change its permissions.") from None
    except _TooLargeDirectory:
        raise ModelFileError(
            f"{path} is a zip file but not an Anomalens model: it lists too many members."
        ) from None
    # zipfile raises many kinds of errors on damaged archives
    except (
        zipfile.BadZipFile,
        OSError,
        EOFError,
        ValueError,
        NotImplementedError,
        OverflowError,
        RuntimeError,
        IndexError,
        KeyError,
        struct.error,
    ) as error:
        if isinstance(error, zipfile.BadZipFile) and not _starts_like_zip(path):
            raise ModelFileError(
                f"{path} is not an Anomalens model; give a file that `anomalens fit` wrote."
            ) from None
        raise ModelFileError(f"{path} is truncated or damaged; {_REFIT}.") from None


class _TooLargeDirectory(Exception):
    """The list of members is longer than that of any model."""


class _Guarded(io.BufferedReader):
    """A file whose list of members `zipfile` reads in one piece, and only if it is short.

    It would make an object of each entry, many times as large as the entry itself.
    """

    guarding = True

    def read(self, size: int | None = -1, /) -> bytes:
        if not self.guarding:
            return super().read(size)
        asked = MAX_DIRECTORY_BYTES + 1 if size is None or size < 0 else size
        data = super().read(min(asked, MAX_DIRECTORY_BYTES + 1))
        if len(data) > MAX_DIRECTORY_BYTES:
            raise _TooLargeDirectory
        return data


def _starts_like_zip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"PK\x03\x04"


def _read(path: Path, archive: zipfile.ZipFile, size: int) -> Bundle:
    members = archive.infolist()
    names = [member.filename for member in members]
    if _CARD not in names:
        raise ModelFileError(f"{path} is a zip file but not an Anomalens model: it has no {_CARD}.")
    if len(members) > MAX_MEMBERS or len(set(names)) != len(names):
        raise ModelFileError(f"{path} has too many or repeated members; {_REFIT}.")
    for member in members:
        if not _MEMBER.fullmatch(member.filename):
            raise ModelFileError(
                f"{path} holds a member {member.filename[:80]!r} that no Anomalens model has."
            )
        stored = member.compress_type == zipfile.ZIP_STORED and not member.flag_bits & 1
        if not stored or member.file_size != member.compress_size or member.file_size > size:
            raise ModelFileError(f"{path} is damaged or packed by another program; {_REFIT}.")
    if sum(member.file_size for member in members) > size:  # members that share their bytes
        raise ModelFileError(f"{path} is damaged or packed by another program; {_REFIT}.")
    card = _read_card(path, archive)
    files = card.get("files")
    if not isinstance(files, dict) or set(files) != set(names) - {_CARD}:
        raise ModelFileError(f"{path} does not hold the files that its card lists; {_REFIT}.")
    contents: dict[str, bytes] = {}
    for name, expected in files.items():
        data = archive.read(name)
        if not isinstance(expected, dict) or (hashlib.sha256(data).hexdigest() != expected.get("sha256")):
            raise ModelFileError(f"{path}: {name} was damaged or changed after fitting; {_REFIT}.")
        contents[name] = data
    return Bundle(
        card,
        _read_arrays(path, contents.pop(_ARRAYS, b"")),
        {name.removesuffix(".onnx"): data for name, data in contents.items()},
    )


def _read_card(path: Path, archive: zipfile.ZipFile) -> dict[str, Any]:
    if archive.getinfo(_CARD).file_size > MAX_CARD_BYTES:
        raise ModelFileError(f"{path} has a card of more than {MAX_CARD_BYTES} bytes; {_REFIT}.")
    text = archive.read(_CARD)
    try:
        card = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        card = None
    if not isinstance(card, dict) or card.get("format") != FORMAT:
        raise ModelFileError(f"{path} is a zip file but not an Anomalens model: its card says not so.")
    version = card.get("format_version")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise ModelFileError(f"{path} names no format version; {_REFIT}.")
    if version > FORMAT_VERSION:
        raise ModelFileError(
            f"{path} was made by a newer Anomalens (format {version}, this one reads up to "
            f"{FORMAT_VERSION}); run  pip install --upgrade anomalens."
        )
    if archive.comment != hashlib.sha256(text).hexdigest().encode():
        raise ModelFileError(f"{path}: the card was damaged or changed after fitting; {_REFIT}.")
    migrated: dict[str, Any] = card
    for step in range(version, FORMAT_VERSION):
        migrated = MIGRATIONS[step](migrated)
    return migrated


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} in a card")


def _read_arrays(path: Path, data: bytes) -> dict[str, NDArray[Any]]:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        arrays = dict(load(data))
        if any(array.dtype.kind not in "biuf" for array in arrays.values()):
            raise ValueError("complex numbers")
        return arrays
    except (SafetensorError, KeyError, ValueError, TypeError, OverflowError, MemoryError) as error:
        raise ModelFileError(f"{path}: its arrays cannot be read ({error}); {_REFIT}.") from None
