"""A page of pictures whose given label a classifier doubts most, and a table of all."""

from __future__ import annotations

import base64
import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from anomalens.errors import ImageError
from anomalens.images import ImageSet
from anomalens.inspector.thumbnails import jpeg
from anomalens.metrics.label_doubts import label_doubts
from anomalens.reports.parts import document as doc
from anomalens.reports.parts.owned_folder import OwnedFolder
from anomalens.reports.parts.page import html_page
from anomalens.reports.parts.texts import counted, per_cent

_SHOWN: Final = 100
_SIDE: Final = 160


def write_doubts(
    out: Path,
    images: ImageSet,
    labels: NDArray[np.int64],
    probabilities: NDArray[np.float64],
    names: Sequence[str],
) -> tuple[Path, int]:
    """Write index.html, the most doubted labels with pictures, and doubts.csv, all of them in order.

    Parameters
    ----------
    out : Path
        A folder; made if it does not exist.
    images : ImageSet
    labels : int64 [n]
        As given: places in `names`.
    probabilities : float64 [n, c]
        Out of fold; see `label_doubts`.
    names : sequence of str, c

    Returns
    -------
    Path of index.html, and how many images would be named otherwise.

    Raises
    ------
    InputError
        Numbers that do not fit, or a folder that cannot be written to.
    """
    found = label_doubts(labels, probabilities)
    photos: list[doc.Photo] = []
    table = io.StringIO()
    rows = csv.writer(table, lineterminator="\n")
    rows.writerow(("id", "given", "suggested", "p_given", "p_suggested", "doubt"))
    for row, other, doubt in zip(found.rows.tolist(), found.suggested.tolist(), found.doubt, strict=True):
        own = int(labels[row])
        p_own, p_other = float(probabilities[row, own]), float(probabilities[row, other])
        name = images[row].id
        rows.writerow((name, names[own], names[other], f"{p_own:.4g}", f"{p_other:.4g}", f"{doubt:.4g}"))
        if len(photos) < _SHOWN and doubt > 0:
            told = (
                doc.Mark(names[own]),
                f" or {names[other]} ({per_cent(p_other)})?",
                doc.Mark(name, "under"),
            )
            photos.append(doc.Photo(_picture(images, row), f"The picture {name}", told))
    otherwise = int(np.sum(found.doubt > 0))
    title = "Labels in doubt"
    blocks: list[doc.Block] = [
        doc.Heading(1, title),
        doc.Paragraph(
            f"A classifier that did not learn from them would name {otherwise} of "
            f"{counted(len(labels), 'picture')} otherwise. Where the doubt is largest wrong labels gather; "
            "further down are pictures that are only hard, and errors of the classifier. A person decides. "
            "In bold the given label.",
            "lead",
        ),
        doc.Photos(tuple(photos), "small doubts"),
    ]
    if otherwise > len(photos):
        blocks.append(doc.Paragraph(f"{otherwise - len(photos)} more are in doubts.csv.", "soft"))
    folder = OwnedFolder(out, fixed=("index.html", "doubts.csv"), listed_in=".anomalens-doubts.json")
    folder.write("doubts.csv", table.getvalue())
    beside = ("Beside it: ", doc.Mark("doubts.csv", "link"), ", all pictures in this order.")
    folder.write("index.html", html_page(title, blocks, beside=beside, images="data:"))
    folder.finish()
    return folder.out / "index.html", otherwise


def _picture(images: ImageSet, row: int) -> str | None:
    try:
        pixels = images.read(row, reduce_to=_SIDE).pixels
    except ImageError:  # it was readable a moment ago
        return None
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg(pixels, _SIDE)).decode()}"
