"""How much a dataset's file may hold: far above what is published, far below what kills a machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from anomalens.errors import ImageSetError

MAX_ARRAY_BYTES: Final = 4 * 1024**3
"""The most that one array takes after it was unpacked."""

MAX_TEXT_BYTES: Final = 64 * 1024**2
"""The most that a list of labels, names or splits takes."""

MAX_MEMBERS: Final = 1_000_000
"""The most that an archive holds."""

MAX_MEMBER_BYTES: Final = 512 * 1024**2
"""The most that one file in an archive takes."""

MAX_CLASSES: Final = 10_000


def check_array_bytes(file: Path, declared: int) -> None:
    """Refuse an array before memory is taken for it."""
    if declared > MAX_ARRAY_BYTES:
        raise ImageSetError(
            f"{file} declares an array of {declared / 1e9:.1f} GB and at most "
            f"{MAX_ARRAY_BYTES / 1e9:.1f} GB are accepted; split it, or unpack the images to files."
        )


@contextmanager
def reading(file: Path, *damages: type[Exception]) -> Iterator[None]:
    """Turn what the file system refuses, and what tells of damage, into one sentence."""
    try:
        yield
    except damages as error:
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise ImageSetError(f"{file} is damaged or of another kind ({reason}); fetch it again.") from None
    except OSError as error:
        raise ImageSetError(f"{file} cannot be read ({error.strerror or error}); check the path.") from None


def read_text(file: Path) -> str:
    """A small UTF-8 text file, or `ImageSetError`."""
    with reading(file):
        if file.stat().st_size > MAX_TEXT_BYTES:
            raise ImageSetError(
                f"{file} is larger than {MAX_TEXT_BYTES // 1024**2} MiB, too much for a list; check it."
            )
        try:
            return file.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError:
            raise ImageSetError(f"{file} is not UTF-8 text; save it again as UTF-8.") from None
