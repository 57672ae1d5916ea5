#!/usr/bin/env bash
# Pillow 13.0.0 reads an uncompressed 16-bit colour TIFF whose planes stand one after another as another picture.
#
# tifffile writes an array [3, h, w] so, and microscopes do. Pillow takes every plane for bytes: the picture that comes
# out has the right size and mode, and no word is said, but each row shows bytes of the wrong place, and what lies in the
# lower half is never seen. The same planes compressed with zlib, and the same pixels interleaved, are read rightly.
# Seen: two pictures that differ in their lower half alone decode to equal pixels.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check numpy==2.4.6 pillow==13.0.0 tifffile==2026.3.3
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import numpy as np
import tifffile
from PIL import Image

rng = np.random.default_rng(0)
whole = rng.integers(20_000, 60_000, (3, 96, 128), np.uint16)
holed = whole.copy()
holed[:, 60:80, 40:90] = 0  # in the lower half

def read(values, compression):
    tifffile.imwrite("one.tif", values, photometric="rgb", planarconfig="separate", compression=compression)
    with Image.open("one.tif") as image:
        return np.asarray(image)

for compression in (None, "zlib"):
    first, second = read(whole, compression), read(holed, compression)
    right = np.abs(first.astype(int) - np.moveaxis(whole >> 8, 0, -1)).max()
    print(compression, "differs from the picture by", right, "equal with a hole below:", (first == second).all())
    if compression is None:
        assert first.shape == (96, 128, 3) and right > 50 and (first == second).all(), "it is read rightly now"
    else:
        assert right <= 1 and not (first == second).all()
PYTHON
