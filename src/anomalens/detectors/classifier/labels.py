"""Class names of training images as numbers, and what is wrong with them in one sentence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from anomalens.errors import SettingError


def numbered(classes: Sequence[str | None], ids: Sequence[str]) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """The names in order, and each image's place among them, int64 [n].

    Raises
    ------
    SettingError
        An image has no class, there is one class only, or a class has one image.
    """
    bare = [name for name, given in zip(ids, classes, strict=True) if not given]
    if bare:
        raise SettingError(
            f"{len(bare)} of {len(ids)} images have no class, such as {bare[0]}, and a classifier learns "
            "from classes; give class folders, a column of a CSV with --label, or an .npz with y_train."
        )
    counts = Counter(name for name in classes if name)
    if len(counts) < 2:
        raise SettingError(
            f"All {len(ids)} images are of one class, {next(iter(counts), '')!r:.60}, and a classifier needs "
            "two; add another class, or use  anomalens fit,  which learns what is normal."
        )
    alone = sorted(name for name, n in counts.items() if n == 1)
    if alone:
        raise SettingError(
            f"The class {alone[0]!r:.60}{f' (and {len(alone) - 1} more)' if len(alone) > 1 else ''} has one "
            "image, and at least two are needed to leave one out; add images of it, or leave the class out."
        )
    names = tuple(sorted(counts))
    places = {name: place for place, name in enumerate(names)}
    return names, np.array([places[str(name)] for name in classes], np.int64)
