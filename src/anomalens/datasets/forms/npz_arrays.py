"""`.npz` files of `x_train, y_train, x_test, y_test, class_names`, read without numpy's own loader.

An `.npz` is a zip of `.npy` files. Every size that the file declares is checked before memory is
taken, an array of Python objects (a pickle in disguise) is refused by its header, and inflation stops
at the declared size.
"""

from __future__ import annotations

import io
import math
import zipfile
import zlib
from pathlib import Path
from typing import IO, Final

import numpy as np

from anomalens.datasets.labelled_arrays import labelled_arrays, normal_by_name
from anomalens.datasets.limits import MAX_CLASSES, check_array_bytes, reading
from anomalens.datasets.task import Classes, Form
from anomalens.errors import ImageSetError
from anomalens.images.image_set import ImageSet

_KNOWN: Final = ("x_train", "y_train", "x_test", "y_test", "class_names")
_CHUNK: Final = 1 << 20
_MAX_HEADER: Final = 10_000
_DAMAGES: Final = (
    zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError
)  # fmt: skip


def read_npz(file: Path, seed: int) -> Classes:
    """Read the arrays of a dataset; `x_train` may be missing, `class_names` too.

    Raises
    ------
    ImageSetError
        For a damaged file, a missing or unusable array, or sizes beyond the limits.
    """
    arrays = _read_arrays(file)
    if "x_test" not in arrays or "y_test" not in arrays:
        raise ImageSetError(
            f"{file} holds {', '.join(arrays) or 'no array'}; x_test and y_test are needed (x_train, y_train "
            "and class_names too, where there are any)."
        )
    if ("x_train" in arrays) != ("y_train" in arrays):
        raise ImageSetError(f"{file} holds one of x_train and y_train; give both or neither.")
    names = _names(file, arrays)
    test = _part(file, arrays, "test", names)
    train = _part(file, arrays, "train", names) if "x_train" in arrays else ImageSet((), str(file))
    return Classes(names, train, test, normal_by_name(names))


def _part(file: Path, arrays: dict[str, np.ndarray], part: str, names: tuple[str, ...]) -> ImageSet:
    images, numbers = arrays[f"x_{part}"], arrays[f"y_{part}"]
    if numbers.dtype.kind not in "iu":
        raise ImageSetError(
            f"{file}: y_{part} has type {numbers.dtype}; whole numbers, places in class_names, are needed."
        )
    if images.dtype.kind not in "uf":
        raise ImageSetError(
            f"{file}: x_{part} has type {images.dtype}; convert to uint8 (0-255), uint16 or float (0-1)."
        )
    return labelled_arrays(part, images, numbers.reshape(-1), names, str(file))


def _names(file: Path, arrays: dict[str, np.ndarray]) -> tuple[str, ...]:
    if "class_names" not in arrays:
        highest = max(
            (int(arrays[key].max()) for key in ("y_train", "y_test")
             if key in arrays and arrays[key].size and arrays[key].dtype.kind in "iu"),
            default=-1,
        )  # fmt: skip
        if highest >= MAX_CLASSES:
            raise ImageSetError(
                f"{file} has labels up to {highest}, which are no class numbers; check y_train and y_test."
            )
        return tuple(str(number) for number in range(highest + 1))
    given = arrays["class_names"]
    if given.dtype.kind not in "US" or given.ndim != 1 or not 0 < len(given) <= MAX_CLASSES:
        raise ImageSetError(
            f"{file}: class_names has type {given.dtype} and shape {list(given.shape)}; a list of texts is "
            "needed (numpy.array(names), not of type object)."
        )
    try:
        names = tuple(name.decode() if isinstance(name, bytes) else str(name) for name in given.tolist())
    except UnicodeDecodeError:
        raise ImageSetError(f"{file}: class_names is not UTF-8 text; write it again.") from None
    if len(set(names)) < len(names):
        raise ImageSetError(f"{file}: a name occurs twice in class_names; give each class its own.")
    return names


def _read_arrays(file: Path) -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = {}
    with reading(file, *_DAMAGES), zipfile.ZipFile(file) as archive:
        for info in archive.infolist():
            name = info.filename.removesuffix(".npy")
            if name not in _KNOWN:
                continue
            if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise ImageSetError(f"{file}: {name} is packed in an unusual way; write it with numpy.savez.")
            if name in found:
                raise ImageSetError(f"{file} holds two arrays {name}; write it again.")
            with archive.open(info) as member:
                found[name] = _read_array(file, name, info.file_size, member)
    return found


def _read_array(file: Path, name: str, declared: int, member: IO[bytes]) -> np.ndarray:
    version = np.lib.format.read_magic(member)
    # the header's own length comes first: a forged one must not fill memory
    width = 2 if version == (1, 0) else 4
    length = int.from_bytes(member.read(width), "little")
    if version not in ((1, 0), (2, 0)) or length > _MAX_HEADER:
        raise ImageSetError(f"{file}: {name} has a header of an unknown kind; write it with numpy.savez.")
    header = io.BytesIO(length.to_bytes(width, "little") + member.read(length))
    reader = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = reader(header)
    if dtype.hasobject or dtype.kind not in "uifUSb":
        raise ImageSetError(
            f"{file}: {name} is an array of Python objects or records, which is not read because it can run "
            "code; save plain numbers or texts."
        )
    size = math.prod(shape) * dtype.itemsize
    check_array_bytes(file, size)
    if size > declared:
        raise ImageSetError(f"{file}: {name} is truncated; fetch the file again.")
    data = np.empty(size, np.uint8)
    place = 0
    while place < size:
        chunk = member.read(min(_CHUNK, size - place))
        if not chunk:
            raise ImageSetError(f"{file}: {name} is truncated; fetch the file again.")
        data[place : place + len(chunk)] = np.frombuffer(chunk, np.uint8)
        place += len(chunk)
    if member.read(1):
        raise ImageSetError(f"{file}: {name} holds more than its header says; write the file again.")
    array = data.view(dtype) if size else np.empty(0, dtype)
    return array.reshape(shape[::-1]).T if fortran else array.reshape(shape)


def only_npz(root: Path) -> Path | None:
    """The file itself, or the one `.npz` in a folder."""
    if root.is_dir():
        found = sorted(root.glob("*.npz"))
        return found[0] if len(found) == 1 else None
    return root if root.suffix.lower() == ".npz" and root.is_file() else None


def _read(root: Path, seed: int) -> Classes:
    return read_npz(only_npz(root) or root, seed)


NPZ = Form(
    ".npz of x_train, y_train, x_test, y_test, class_names", lambda root: only_npz(root) is not None, _read
)
