"""One picture in hand, and pictures that come from anywhere, however many."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from anomalens import Inspector
from anomalens.errors import ImageSetError
from anomalens.images import ImageEntry
from anomalens.images.decode import Picture
from anomalens.images.source import FileSource


def test_one_picture_in_hand_is_answered_as_in_a_set(inspector: Inspector, fresh: np.ndarray) -> None:
    (expected,) = inspector.check([fresh[3]])
    finding = inspector.answer(fresh[3], "camera-1", explain="all")
    assert finding.image == "camera-1"
    assert (finding.score, finding.p_value) == (expected.score, expected.p_value)
    assert finding.map is not None and expected.map is not None and (finding.map == expected.map).all()
    assert inspector.answer(fresh[3][:, :, 0]).error is None
    broken = inspector.answer(np.full((4, 4, 7), 1.0))
    assert broken.score is None and broken.error is not None


def test_pictures_come_from_a_source_without_an_end(inspector: Inspector, fresh: np.ndarray) -> None:
    taken = 0

    def camera() -> Iterator[tuple[str, np.ndarray]]:
        nonlocal taken
        for number in itertools.count():
            taken += 1
            yield f"frame-{number}", fresh[number % len(fresh)]

    findings = list(itertools.islice(inspector.check(camera()), 20))
    assert [finding.image for finding in findings] == [f"frame-{i}" for i in range(20)]
    assert findings[0].score == findings[12].score == next(inspector.check(fresh[:1])).score
    assert taken < 60  # a few ahead, not all there are


def test_an_iterator_may_give_paths_arrays_and_entries(
    inspector: Inspector, fresh: np.ndarray, tmp_path: Path
) -> None:
    file = tmp_path / "a.png"
    Image.fromarray(fresh[0]).save(file)
    given = [file, str(file), fresh[0], ImageEntry("mine", FileSource(file)), tmp_path / "none.png"]
    findings = list(inspector.check(iter(given)))
    assert len({finding.score for finding in findings[:4]}) == 1
    assert findings[2].image == "array-0002" and findings[3].image == "mine"
    assert findings[4].error is not None
    with pytest.raises(ImageSetError, match="Image 1 is a int"):
        list(inspector.check(iter([3])))


def test_what_fails_in_the_source_reaches_the_caller(inspector: Inspector, fresh: np.ndarray) -> None:
    def failing() -> Iterator[np.ndarray]:
        yield fresh[0]
        raise RuntimeError("the cable is out")

    steps = inspector.check(failing())
    assert next(steps).error is None
    with pytest.raises(RuntimeError, match="the cable is out"):
        next(steps)


def test_a_source_of_ones_own(inspector: Inspector, fresh: np.ndarray) -> None:
    """Whatever reads and hashes itself is a source: a queue, a database, a shard."""

    class Shard:
        def read(self, name: str, *, reduce_to: int | None = None) -> Picture:
            return Picture(fresh[1], (fresh.shape[2], fresh.shape[1]))

        def sha256(self, name: str) -> str:
            return "0" * 64

    (finding,) = inspector.check(iter([ImageEntry("row 7", Shard())]))
    assert finding.score == inspector.answer(fresh[1]).score


def test_findings_carry_pictures_only_where_they_are_asked_for(
    inspector: Inspector, fresh: np.ndarray
) -> None:
    (without,), (with_one,) = inspector.check(fresh[:1]), inspector.check(fresh[:1], pictures=True)
    assert without.picture is None
    assert with_one.picture is not None and (with_one.picture.pixels == fresh[0]).all()
    assert "picture" not in with_one.to_json()
