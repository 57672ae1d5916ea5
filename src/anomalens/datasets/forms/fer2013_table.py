"""FER2013: one CSV of emotion, 48 x 48 grey values as text, and the part each face belongs to."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Final

import numpy as np

from anomalens.datasets.labelled_arrays import labelled_arrays
from anomalens.datasets.task import Classes, Form
from anomalens.errors import ImageSetError

EMOTIONS: Final = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
_SIDE: Final = 48
_MAX_ROWS: Final = 200_000
_PARTS: Final = ("Training", "PublicTest", "PrivateTest")


def table_of(root: Path) -> Path | None:
    """The table itself, or `fer2013.csv` (or `icml_face_data.csv`) in a folder."""
    if root.is_file():
        return root if root.name.lower() in ("fer2013.csv", "icml_face_data.csv") else None
    return next(
        (root / name for name in ("fer2013.csv", "icml_face_data.csv") if (root / name).is_file()), None
    )


def read_fer2013(root: Path, seed: int) -> Classes:
    """Training against PrivateTest, the part that the challenge was decided on."""
    file = table_of(root)
    assert file is not None
    faces: dict[str, list[bytes]] = {part: [] for part in _PARTS}
    labels: dict[str, list[int]] = {part: [] for part in _PARTS}
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream, skipinitialspace=True)
            if not {"emotion", "pixels", "Usage"} <= set(reader.fieldnames or ()):
                raise ImageSetError(f"{file} needs the columns emotion, pixels and Usage; fetch it again.")
            for row in reader:
                if sum(map(len, labels.values())) >= _MAX_ROWS:
                    raise ImageSetError(
                        f"{file} has more than {_MAX_ROWS} lines; it is not the published table."
                    )
                part, emotion, face = row["Usage"], row["emotion"], row["pixels"]
                faces[part].append(_face(face))
                labels[part].append(int(emotion))
    except (KeyError, ValueError, TypeError, csv.Error):
        line = sum(map(len, labels.values())) + 2
        raise ImageSetError(
            f"{file}, line {line}: an emotion from 0 to 6, {_SIDE * _SIDE} grey values from 0 to 255 and one "
            f"of {', '.join(_PARTS)} are needed; fetch it again."
        ) from None
    except OSError as error:
        raise ImageSetError(f"{file} cannot be read ({error.strerror or error}).") from None
    notes: tuple[str, ...] = ()
    tested = "PrivateTest"
    if not labels[tested]:
        tested, notes = "PublicTest", ("the published validation part (PublicTest) is used as test.",)
    sets = [
        labelled_arrays(
            part,
            np.frombuffer(b"".join(faces[usage]), np.uint8).reshape(-1, _SIDE, _SIDE),
            np.array(labels[usage], np.int64),
            EMOTIONS,
            str(file),
        )
        for part, usage in (("train", "Training"), ("test", tested))
    ]
    return Classes(EMOTIONS, sets[0], sets[1], None, notes)


def _face(text: str) -> bytes:
    values = bytes(map(int, text.split()))
    if len(values) != _SIDE * _SIDE:
        raise ValueError
    return values


FER2013 = Form(
    "fer2013.csv with emotion, pixels, Usage", lambda root: table_of(root) is not None, read_fer2013
)
