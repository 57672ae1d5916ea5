"""Coverage-guided fuzzing of the weight reader, by hand and without end.

    pip install atheris
    python tests/fuzz/atheris_weights.py FOLDER [WEIGHTS.pth …] -max_total_time=60

FOLDER collects inputs that reach new code; it is made, and seeded with a small weight file in the
old torch format. Anything but a `BackboneError`, or more than 512 MB, ends the run and leaves the
input in a file named `crash-…`.
"""

from __future__ import annotations

import struct
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["anomalens"]):
    import numpy as np

    from anomalens.backbones.weights import read_state_dict
    from anomalens.errors import BackboneError

PLACE = Path(tempfile.mkdtemp()) / "fuzzed.pth"


def read(data: bytes) -> None:
    PLACE.write_bytes(data)
    try:
        arrays = read_state_dict(PLACE, sha256=None)
    except BackboneError:
        return
    assert all(type(array) is np.ndarray for array in arrays.values())
    assert sum(array.nbytes for array in arrays.values()) <= len(data)


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def small_file() -> bytes:
    """Two floats named `w`, written opcode by opcode as torch's old format has them."""
    magic = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
    protocol = b"\x80\x02M\xe9\x03."
    system = b"\x80\x02}q\x00(" + text("protocol_version") + b"M\xe9\x03" + text("little_endian")
    system += b"\x88" + text("type_sizes") + b"}(" + text("short") + b"K\x02" + text("int")
    system += b"K\x04" + text("long") + b"K\x04uu."
    storage = b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text("0") + text("cpu")
    storage += b"K\x02NtQ"
    tensor = b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + b"K\x00K\x02\x85K\x01\x85\x89"
    tensor += b"ccollections\nOrderedDict\n)RtR"
    program = b"\x80\x02ccollections\nOrderedDict\n)R" + text("w") + tensor + b"s."
    keys = b"\x80\x02]q\x00" + text("0") + b"a."
    return magic + protocol + system + program + keys + struct.pack("<q2f", 2, 1.0, 2.0)


if __name__ == "__main__":
    places = [Path(name) for name in sys.argv[1:] if not name.startswith("-")]
    if not places:
        sys.exit("usage: python tests/fuzz/atheris_weights.py FOLDER [-max_total_time=60]")
    folder, *examples = places
    folder.mkdir(exist_ok=True)
    (folder / "small").write_bytes(small_file())
    for example in examples:
        (folder / example.name).write_bytes(example.read_bytes())
    PLACE.write_bytes(small_file())
    if list(read_state_dict(PLACE, sha256=None)) != ["w"]:
        sys.exit("the seed is no weight file that the reader takes; correct it")
    options = [name for name in sys.argv[1:] if name.startswith("-")]
    atheris.Setup([sys.argv[0], str(folder), *options, "-rss_limit_mb=512", "-max_len=4096"], read)
    atheris.Fuzz()
