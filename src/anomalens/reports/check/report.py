"""The report of `anomalens check --out DIR`: index.html, overlays/, pictures/, findings.jsonl."""

from __future__ import annotations

import heapq
import json
import re
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Final

from PIL import Image

from anomalens.errors import ImageError
from anomalens.images import ImageSet
from anomalens.inspector import Finding
from anomalens.inspector.thumbnails import decoded
from anomalens.reports.check.entry import Checked
from anomalens.reports.check.model import ModelRecord
from anomalens.reports.check.page import check_page
from anomalens.reports.parts.colours import ColourScale
from anomalens.reports.parts.overlay import overlaid, picture_to_show, plain_picture
from anomalens.reports.parts.owned_folder import OwnedFolder

UNFLAGGED_PICTURES: Final = 500
_PAGE: Final = "index.html"
_LINES: Final = "findings.jsonl"
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9._-]+")


class CheckReport:
    """Takes findings as they come and writes a page to look at.

    Memory grows by a few hundred bytes an image; pictures go to disk at once.

    Parameters
    ----------
    out : Path
        Folder of the report. Files of an earlier report are replaced when this one is finished,
        other files are left alone.
    model : ModelRecord
        The model that was asked.
    images : ImageSet
        The images that are checked.
    unflagged_pictures : int
        Flagged images always get pictures, of the others as many, those that score highest.

    Raises
    ------
    InputError
        `out` cannot be used.
    """

    def __init__(
        self,
        out: str | Path,
        model: ModelRecord,
        images: ImageSet,
        *,
        unflagged_pictures: int = UNFLAGGED_PICTURES,
    ) -> None:
        self._folder = OwnedFolder(Path(out), fixed=(_PAGE, _LINES), listed_in=".anomalens-report.json")
        self._model = model
        self._images = images
        self._scale = ColourScale.of(model.calibration)
        self._room = unflagged_pictures
        # Images that are not flagged and have pictures, a heap: the lowest score gives way first.
        self._shown: list[tuple[float, int]] = []
        self._checked: list[Checked] = []
        self._normal: dict[str, str] = {}  # pictures of normal images by id
        self._lines = self._folder.place(_LINES)
        with self._folder.writing():
            self._lines.touch()

    def add(self, finding: Finding) -> None:
        """Take the finding of the next image of the set.

        Where it has no picture, or one that was decoded too small to be shown well, the image is decoded
        again if the page shows it.
        """
        line = json.dumps(finding.to_json(), ensure_ascii=False) + "\n"
        with self._folder.writing(), self._lines.open("ab") as file:
            # a name that is no Unicode text; in JSON its escape is read back as it was
            file.write(line.encode("utf-8", "backslashreplace"))
        index = len(self._checked)
        checked = Checked(replace(finding, map=None, picture=None), index, self._images[index].label)
        if finding.error is None and (finding.anomalous or self._is_worth_room(finding)):
            checked = replace(self._with_pictures(checked, finding), similar=self._similar(finding))
        self._checked.append(checked)

    def pictures(self, index: int) -> tuple[str | None, str | None]:
        """Names beside the page of an image's picture and overlay; None where it has none."""
        checked = self._checked[index]
        return checked.picture, checked.overlay

    def finish(self) -> Path:
        """Write the page and put everything in place; returns the page's path."""
        self._folder.write(_PAGE, check_page(self._model, self._checked, origin=self._images.origin))
        self._folder.finish()
        return self._folder.out / _PAGE

    def _is_worth_room(self, finding: Finding) -> bool:
        """Whether an un-flagged image gets pictures; a lower one gives up its place if need be."""
        item = (finding.score or 0.0, len(self._checked))
        if len(self._shown) < self._room:
            heapq.heappush(self._shown, item)
            return True
        if not self._shown or item[0] <= self._shown[0][0]:
            return False
        _, lost = heapq.heapreplace(self._shown, item)
        former = self._checked[lost]
        for name in (former.overlay, former.picture):
            if name is not None:
                self._folder.drop(name)
        self._checked[lost] = replace(former, overlay=None, picture=None)
        return True

    def _with_pictures(self, checked: Checked, finding: Finding) -> Checked:
        try:
            picture = picture_to_show(self._images[checked.index], finding.picture)
        except ImageError:
            return checked  # it was readable a moment ago: its answer stands, its picture is gone
        stem = f"{checked.index + 1:04d}-{safe_stem(finding.image)}"
        plain = plain_picture(picture.pixels, finding.original_size or picture.size)
        shown = replace(checked, picture=self._save(plain, "pictures", stem), shown=plain.size)
        if finding.map is None and not finding.regions:
            return shown
        overlay = overlaid(plain, finding, self._scale)
        return replace(shown, overlay=self._save(overlay, "overlays", stem))

    def _similar(self, finding: Finding) -> dict[str, str]:
        """Pictures of the most similar normal images, where the model has them; each is written once."""
        found = {}
        for near in finding.reasons.nearest if finding.reasons is not None else ():
            data = self._model.thumbnails.get(near.image)
            if data is not None and near.image not in self._normal:
                shown = decoded(data)
                if shown is not None:
                    self._normal[near.image] = self._save(
                        shown, "pictures", f"normal-{safe_stem(near.image)}"
                    )
            if near.image in self._normal:
                found[near.image] = self._normal[near.image]
        return found

    def _save(self, picture: Image.Image, folder: str, stem: str) -> str:
        name = self._folder.free_name(folder, stem, ".jpg")
        place = self._folder.place(name)
        with self._folder.writing():
            picture.save(place, "JPEG", quality=88)
        return name


def safe_stem(image: str) -> str:
    """The end of an image's id as a file name that every system takes."""
    path, hash_sign, page = image.rpartition("#page")
    stem = PurePosixPath(path if hash_sign else image).stem + (f"-page{page}" if hash_sign else "")
    return _UNSAFE.sub("-", stem)[:60].strip("-.") or "image"
