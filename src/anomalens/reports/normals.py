"""A page of normal images, those first that the others do not explain, to be looked through by a person."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from anomalens.errors import ImageError
from anomalens.images import ImageSet
from anomalens.inspector.doubtful import LIMIT, doubts
from anomalens.inspector.thumbnails import jpeg
from anomalens.reports.parts import document as doc
from anomalens.reports.parts.owned_folder import OwnedFolder
from anomalens.reports.parts.page import html_page
from anomalens.reports.parts.texts import counted

_SHOWN: Final = 60
_SIDE: Final = 240


def write_normals(out: Path, images: ImageSet, left_out: Mapping[str, float]) -> Path:
    """Write index.html: the images that stand out most, with pictures.

    Parameters
    ----------
    out : Path
        A folder; made if it does not exist.
    images : ImageSet
        The normal images.
    left_out : mapping of str to float
        Scores by id; see `Model.left_out`.

    Raises
    ------
    InputError
        `out` cannot be used.
    """
    ranked = doubts(left_out)
    places = {entry.id: i for i, entry in enumerate(images)}
    odd = sum(far >= LIMIT for far in ranked.values())
    title = f"{odd or 'None'} of {counted(len(ranked), 'normal image')} unlike the others"
    entries = []
    for name, far in list(ranked.items())[:_SHOWN]:
        try:
            picture = images.read(places[name], reduce_to=_SIDE).pixels
        except ImageError:  # it was readable a moment ago
            continue
        source = f"data:image/jpeg;base64,{base64.b64encode(jpeg(picture, _SIDE)).decode()}"
        badge, style = ("doubtful", "flagged") if far >= LIMIT else ("like the others", "unflagged")
        figures = (("deviation ", doc.Mark(f"{far:.1f}")), ("score ", doc.Mark(f"{left_out[name]:.4g}")))
        photo = doc.Photo(source, f"The picture {name}", "as it is")
        entries.append(doc.Entry(badge, name, style, (photo,), figures))
    blocks: list[doc.Block] = [
        doc.Heading(1, title, "flagged" if odd else "unflagged"),
        doc.Paragraph(
            "Each is scored by a model that has not learnt from it; the deviation is from the middle of all, "
            f"in robust standard deviations, doubtful from {LIMIT:g}. A defect that hides here is taken for "
            "normal.",
            "lead",
        ),
        doc.Paragraph(doc.with_code("Leave the doubtful ones out with `anomalens fit … --doubtful drop`.")),
        doc.Box(tuple(entries), "entries"),
    ]
    folder = OwnedFolder(out, fixed=("index.html",), listed_in=".anomalens-normals.json")
    folder.write("index.html", html_page(title, blocks, beside=(), images="data:"))
    folder.finish()
    return folder.out / "index.html"
