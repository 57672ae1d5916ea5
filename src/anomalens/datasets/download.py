"""Fetching a published file: only when asked, resumable, to the pinned size and checksum and no further.

The file grows beside its place under `<name>.part` and takes its name only when its SHA-256 is right,
so that a half-fetched file is never read as data, and an interrupted fetch goes on where it stopped.
"""

from __future__ import annotations

import hashlib
import http.client
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Final

from anomalens.datasets.catalogue import Dataset, Download
from anomalens.errors import InputError, SettingError
from anomalens.progress import Progress, silent

CHUNK: Final = 1 << 20
TIMEOUT: Final = 30.0
_RANGE: Final = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")


def download_dataset(dataset: Dataset, root: Path, *, progress: Progress = silent) -> list[Path]:
    """Fetch all files of a dataset into `root/<name>`; files that are there already are checked.

    Raises
    ------
    SettingError
        When no stable address with a checksum is known for it.
    InputError
        When a file cannot be fetched or is not what was published.
    """
    if not dataset.downloads:
        get = f"install it ({dataset.package}), or fetch" if dataset.package else "fetch"
        raise SettingError(
            f"No stable address with a checksum is known for {dataset.name}: {get} {dataset.fetch} from "
            f"{dataset.page} and put it in a folder that you name with --root."
        )
    return [fetch(one, root / dataset.name, progress=progress) for one in dataset.downloads]


def fetch(download: Download, folder: Path, *, progress: Progress = silent) -> Path:
    """Fetch one file into a folder, going on where an earlier attempt stopped.

    Raises
    ------
    InputError
        When the address does not answer, the place cannot be written, or size or checksum differ.
    """
    place = folder / download.file_name
    part = folder / f"{download.file_name}.part"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if place.is_file():
            if _sha256(place) != download.sha256:
                raise InputError(
                    f"{place} is there already and is not the published file (its SHA-256 differs); remove "
                    "it and repeat."
                )
            return place
        if not part.is_file() or part.stat().st_size < download.size:
            _transfer(download, part, progress)
        _verify(download, part)
        part.replace(place)
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
        raise InputError(
            f"{download.url} cannot be fetched ({_reason(error)}): repeat the command to go on where it "
            f"stopped, or fetch the file by hand into {folder}."
        ) from None
    except OSError as error:
        raise InputError(
            f"{part} cannot be written ({error.strerror or error}); choose another --root."
        ) from None
    return place


def _transfer(download: Download, part: Path, progress: Progress) -> None:
    have = part.stat().st_size if part.is_file() else 0
    request = urllib.request.Request(download.url, headers={"Accept-Encoding": "identity"})
    if have:
        request.add_header("Range", f"bytes={have}-")
    with _opener().open(request, timeout=TIMEOUT) as answer:
        # a server without ranges answers 200 and sends everything again
        resumed = answer.status == 206 and _starts_at(answer, have, download)
        if have and not resumed and answer.status == 206:
            raise InputError(
                f"{download.url} sends another part than was asked for; remove {part} and repeat."
            )
        done = have if resumed else 0
        total = -(-(download.size - done) // CHUNK)
        with part.open("ab" if resumed else "wb") as file:
            for chunk in progress(_chunks(answer, download, done), label=download.file_name, total=total):
                file.write(chunk)


def _starts_at(answer: Any, have: int, download: Download) -> bool:
    found = _RANGE.fullmatch(answer.headers.get("Content-Range", ""))
    return found is not None and int(found[1]) == have and found[2] in ("*", str(download.size))


def _chunks(answer: IO[bytes], download: Download, done: int) -> Iterator[bytes]:
    while done < download.size:
        chunk = answer.read(min(CHUNK, download.size - done))
        if not chunk:
            raise http.client.IncompleteRead(b"", download.size - done)
        done += len(chunk)
        yield chunk
    if answer.read(1):
        raise InputError(
            f"{download.url} sends more than the published {download.size} bytes; it is another file now, "
            "so fetch the data by hand."
        )


def _verify(download: Download, part: Path) -> None:
    if part.stat().st_size == download.size and _sha256(part) == download.sha256:
        return
    part.unlink()
    raise InputError(
        f"What {download.url} sent is not the published file (its SHA-256 differs), and was removed; "
        "repeat, or fetch the data by hand."
    )


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _opener() -> urllib.request.OpenerDirector:
    """HTTP and HTTPS only: the standard opener also reads local files and FTP when redirected."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.UnknownHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPRedirectHandler(),
        urllib.request.HTTPErrorProcessor(),
    ):
        opener.add_handler(handler)
    return opener


def _reason(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"the server answers {error.code} {error.reason}"
    if isinstance(error, http.client.IncompleteRead):
        return "the connection ended early"
    reason = getattr(error, "reason", error)
    return " ".join(str(getattr(reason, "strerror", None) or reason).split())[:120] or type(error).__name__
