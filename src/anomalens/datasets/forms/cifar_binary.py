"""CIFAR-10 and CIFAR-100 in their binary version: records of label bytes and 3 x 32 x 32 pixels.

The files may lie in a folder or still in the published `.tar.gz`, which is read through once. The
"python version" of the same data is pickles, which can run code: it is never opened.
"""

from __future__ import annotations

import tarfile
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

import numpy as np

from anomalens.datasets.labelled_arrays import labelled_arrays
from anomalens.datasets.limits import MAX_TEXT_BYTES, reading
from anomalens.datasets.task import Classes, Form
from anomalens.errors import ImageSetError
from anomalens.images.image_set import ImageSet

_PIXELS: Final = 3 * 32 * 32
_MAX_RECORDS: Final = 1_000_000
_MAX_ARCHIVE_MEMBERS: Final = 1_000


@dataclass(frozen=True)
class Cifar:
    """How one of the two is packed.

    Attributes
    ----------
    train, test, names : tuple of str
        File names; `names` lists the classes of the last label byte.
    label_bytes : int
        1, or 2 where a coarse label comes first.
    label : int
        Which label byte is used.
    archive : str
    """

    train: tuple[str, ...]
    test: tuple[str, ...]
    names: str
    label_bytes: int
    label: int
    archive: str

    @property
    def files(self) -> tuple[str, ...]:
        return (*self.train, *self.test, self.names)


_TEN: Final = Cifar(
    tuple(f"data_batch_{i}.bin" for i in range(1, 6)), ("test_batch.bin",), "batches.meta.txt", 1, 0,
    "cifar-10-binary.tar.gz",
)  # fmt: skip
# the 20 coarse classes are what one-vs-rest papers use; 100 classes of 500 images are few
_HUNDRED: Final = Cifar(
    ("train.bin",), ("test.bin",), "coarse_label_names.txt", 2, 0, "cifar-100-binary.tar.gz"
)
_HUNDRED_FINE: Final = Cifar(
    ("train.bin",), ("test.bin",), "fine_label_names.txt", 2, 1, "cifar-100-binary.tar.gz"
)


def cifar_form(kind: Cifar) -> Form:
    """The binary version of one of the two, in a folder or in its archive."""

    def recognises(root: Path) -> bool:
        if root.is_file():
            return root.name == kind.archive
        return all((root / name).is_file() for name in kind.files) or (root / kind.archive).is_file()

    def read(root: Path, seed: int) -> Classes:
        content = _content(root, kind)
        listed = content[kind.names].decode("utf-8", "replace").splitlines()
        names = tuple(line.strip() for line in listed if line.strip())
        if not names or len(set(names)) < len(names):
            raise ImageSetError(f"{root}: {kind.names} must list each class once; fetch the data again.")

        def part(name: str, files: tuple[str, ...]) -> ImageSet:
            records = np.concatenate([_records(root, file, content[file], kind) for file in files])
            pixels = records[:, kind.label_bytes :].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
            return labelled_arrays(name, pixels, records[:, kind.label], names, str(root))

        return Classes(names, part("train", kind.train), part("test", kind.test))

    return Form(f"{', '.join(kind.files)} (binary version), or {kind.archive}", recognises, read)


def _records(root: Path, name: str, data: bytes, kind: Cifar) -> np.ndarray:
    width = kind.label_bytes + _PIXELS
    if not data or len(data) % width:
        raise ImageSetError(
            f"{root}: {name} has {len(data)} bytes, not a whole number of records of {width}; fetch it again."
        )
    return np.frombuffer(data, np.uint8).reshape(-1, width)


def _content(root: Path, kind: Cifar) -> dict[str, bytes]:
    archive = root if root.is_file() else root / kind.archive
    if root.is_dir() and all((root / name).is_file() for name in kind.files):
        found = {}
        for name in kind.files:
            path = root / name
            _check_size(path, name, path.stat().st_size, kind)
            found[name] = path.read_bytes()
        return found
    with reading(archive, tarfile.TarError, zlib.error, EOFError):
        return _from_archive(archive, kind)


def _from_archive(archive: Path, kind: Cifar) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    with tarfile.open(archive, "r|gz") as stream:
        for count, member in enumerate(stream):
            # every member is inflated on the way to the next, so strangers are bounded too
            _check_size(archive, member.name[:80], member.size, kind)
            if count >= _MAX_ARCHIVE_MEMBERS:
                raise ImageSetError(f"{archive} holds more files than the published one; fetch it again.")
            name = PurePosixPath(member.name).name
            if name in kind.files and member.isreg() and name not in found:
                file = stream.extractfile(member)
                found[name] = file.read() if file is not None else b""
    missing = [name for name in kind.files if name not in found]
    if missing:
        raise ImageSetError(f"{archive} lacks {', '.join(missing)}; the binary version is needed.")
    return found


def _check_size(path: Path, name: str, size: int, kind: Cifar) -> None:
    limit = _MAX_RECORDS * (kind.label_bytes + _PIXELS) if name.endswith(".bin") else MAX_TEXT_BYTES
    if size > limit:
        raise ImageSetError(f"{path}: {name} has {size} bytes, far more than is published; fetch it again.")


CIFAR_10: Final = cifar_form(_TEN)
CIFAR_100: Final = cifar_form(_HUNDRED)
CIFAR_100_FINE: Final = cifar_form(_HUNDRED_FINE)
