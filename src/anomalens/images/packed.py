"""Image files inside an archive: found by where their bytes lie, so nothing has to be unpacked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from anomalens.errors import ImageError


@dataclass(frozen=True)
class Packed:
    """A file that lies uncompressed inside another one, as in a tar.

    Attributes
    ----------
    archive : Path
    offset, size : int
        Where its bytes begin, and how many they are.
    suffix : str
        Lower-case suffix of its name; only a TGA is recognised by it.
    """

    archive: Path
    offset: int
    size: int
    suffix: str = ""

    def read_bytes(self, name: str) -> bytes:
        """The file's bytes; `name` is what errors call it. Raises `ImageError`."""
        try:
            with self.archive.open("rb") as file:
                file.seek(self.offset)
                data = file.read(self.size)
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise ImageError(name, f"{self.archive.name} cannot be read ({reason}).") from None
        if len(data) < self.size:
            raise ImageError(name, f"{self.archive.name} is truncated; copy or fetch it again.")
        return data
