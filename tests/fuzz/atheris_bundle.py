"""Coverage-guided fuzzing of the model file's reader, by hand and without end.

    pip install atheris
    python tests/fuzz/atheris_bundle.py FOLDER -max_total_time=60

FOLDER collects inputs that reach new code; it is made, and seeded with a small model file. Half of
the inputs are bytes of a whole file, the other half are a card and arrays that get the right
hashes. Anything but an `InputError`, or more than 512 MB, ends the run and leaves the input in a
file named `crash-…`.
"""

from __future__ import annotations

import hashlib
import io
import json
import sys
import tempfile
import zipfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["anomalens", "zipfile", "json"]):
    import numpy as np

    from anomalens.bundle import Bundle, read_bundle, write_bundle
    from anomalens.errors import InputError

PLACE = Path(tempfile.mkdtemp()) / "fuzzed.anomalens"


def rehashed(data: bytes) -> bytes:
    """The first bytes as a card, the rest as arrays, packed with right hashes."""
    cut = int.from_bytes(data[:2], "big")
    text, arrays = data[2 : 2 + cut], data[2 + cut :]
    try:
        card = json.loads(text)
    except (ValueError, RecursionError):
        card = None
    if isinstance(card, dict):
        found = {"sha256": hashlib.sha256(arrays).hexdigest()}
        text = json.dumps({**card, "files": {"arrays.safetensors": found}}).encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.comment = hashlib.sha256(text).hexdigest().encode()
        archive.writestr("card.json", text)
        archive.writestr("arrays.safetensors", arrays)
    return buffer.getvalue()


def read(data: bytes) -> None:
    data = rehashed(data[1:]) if len(data) > 2 and data[0] % 2 else data[1:]
    PLACE.write_bytes(data)
    try:
        bundle = read_bundle(PLACE)
    except InputError:
        return
    assert all(isinstance(array, np.ndarray) for array in bundle.arrays.values())
    assert sum(array.nbytes for array in bundle.arrays.values()) <= len(data)


def seed(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    card = {"size": [32, 32], "notes": ["one"], "state": {"grid": [4, 4]}}
    write_bundle(PLACE, Bundle(card, {"bank": np.zeros((2, 3), np.float32)}, {"net": b"graph"}))
    whole = PLACE.read_bytes()
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        text, arrays = archive.read("card.json"), archive.read("arrays.safetensors")
    (folder / "whole").write_bytes(b"\0" + whole)
    parts = len(text).to_bytes(2, "big") + text + arrays
    (folder / "parts").write_bytes(b"\1" + parts)
    for data in (whole, rehashed(parts)):
        PLACE.write_bytes(data)
        assert set(read_bundle(PLACE).arrays) == {"bank"}, "the seeds must be readable"


if __name__ == "__main__":
    folders = [Path(text) for text in sys.argv[1:] if not text.startswith("-")]
    if not folders:
        sys.exit("usage: python tests/fuzz/atheris_bundle.py FOLDER [-max_total_time=60]")
    seed(folders[0])
    atheris.Setup([*sys.argv, "-rss_limit_mb=512", "-max_len=8192", "-len_control=0"], read)
    atheris.Fuzz()
