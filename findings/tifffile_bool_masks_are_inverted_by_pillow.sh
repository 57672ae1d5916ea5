#!/usr/bin/env bash
# A boolean mask that tifffile 2026.3.3 writes comes back inverted from Pillow 13.0.0.
#
# tifffile stores booleans with the photometric meaning "0 is white" (WhiteIsZero), so True is black for all who honour
# it, Pillow among them; tifffile itself gives the stored values back. The same array as uint8 keeps its meaning in both.
# Whoever writes ground truth with imwrite(mask) and reads it with Image.open marks the background instead.
# Seen: of a mask with 6 % True, Pillow says 94 %.
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

mask = np.zeros((40, 60), bool)
mask[10:20, 15:30] = True
tifffile.imwrite("bool.tif", mask)
tifffile.imwrite("bytes.tif", mask.astype(np.uint8))
with Image.open("bool.tif") as image:
    seen = np.asarray(image).astype(bool)
with Image.open("bytes.tif") as image:
    bytes_seen = np.asarray(image).astype(bool)
print("True", mask.mean(), "Pillow", seen.mean(), "tifffile", tifffile.imread("bool.tif").mean())
assert (tifffile.imread("bool.tif") == mask).all()
assert (bytes_seen == mask).all()
assert (seen == ~mask).all(), "it keeps its meaning now"
PYTHON
