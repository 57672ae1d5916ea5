"""Reading ahead: in order, bounded, stopping when the consumer stops."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing

import numpy as np
import pytest

from anomalens.errors import ImageError, SettingError
from anomalens.images import ImageEntry, ImageSet, stream


def numbered(n: int) -> ImageSet:
    return ImageSet.from_arrays([np.full((4, 4), i % 256, np.uint8) for i in range(n)])


def value(entry: ImageEntry) -> int:
    return int(entry.read().pixels[0, 0, 0])


def readers() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name.startswith("anomalens-read")]


@pytest.mark.parametrize(("workers", "ahead"), [(1, 1), (2, 8), (4, 3), (3, 500)])
def test_all_in_order(workers: int, ahead: int) -> None:
    found = list(stream(numbered(100), value, workers=workers, ahead=ahead))
    assert [(entry.id, number) for entry, number in found] == [(f"array-{i:04d}", i) for i in range(100)]
    assert not readers()


def test_errors_are_answers() -> None:
    images = ImageSet.from_arrays([np.zeros((4, 4), kind) for kind in (np.uint8, bool, np.uint8)])

    def prepare(entry: ImageEntry) -> str:
        if entry.read().size != (4, 4):
            raise AssertionError
        return "fine"

    results = [result for _, result in stream(images, prepare)]
    assert results[0] == results[2] == "fine"
    assert isinstance(results[1], ImageError)

    def refuse(entry: ImageEntry) -> None:
        raise ImageError("x", "prepared badly.")

    assert all(isinstance(result, ImageError) for _, result in stream(images, refuse))


def test_other_exceptions_are_raised() -> None:
    def broken(entry: ImageEntry) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(stream(numbered(5), broken))
    assert not readers()


def test_memory_is_bounded_and_an_early_stop_ends_the_threads() -> None:
    prepared = []
    with closing(stream(numbered(1000), lambda p: prepared.append(value(p)), ahead=5)) as images:
        for index, _ in enumerate(images):
            assert len(prepared) <= index + 5
            if index == 20:
                break
    assert len(prepared) <= 26
    assert not readers()


def test_an_interrupt_of_the_consumer_ends_the_threads() -> None:
    images = stream(numbered(1000), value)
    next(images)
    with pytest.raises(KeyboardInterrupt):
        images.throw(KeyboardInterrupt)
    assert not readers()


def test_settings_are_checked_at_the_call() -> None:
    for wrong in ({"workers": 0}, {"ahead": 0}):
        with pytest.raises(SettingError, match="at least one"):
            stream(numbered(1), value, **wrong)


def test_one_image_needs_no_threads() -> None:
    found = list(stream(numbered(1), lambda entry: threading.current_thread().name))
    assert [name for _, name in found] == [threading.current_thread().name]
    bad = ImageSet.from_arrays([np.zeros((4, 4), bool)])
    assert isinstance(next(stream(bad, value))[1], ImageError)


@pytest.mark.parametrize("workers", [1, 3])
def test_a_source_without_length_is_answered_as_it_comes(workers: int) -> None:
    shown = threading.Semaphore(1)

    def camera() -> Iterator[ImageEntry]:
        for entry in numbered(20):
            assert shown.acquire(timeout=20)  # the next picture comes only after the answer to the last
            yield entry

    found = []
    for _, number in stream(camera(), value, workers=workers):
        found.append(number)
        shown.release()
    assert found == list(range(20))


def test_of_a_source_without_length_memory_is_bounded_and_an_early_stop_ends_the_threads() -> None:
    prepared: list[int] = []
    with closing(stream(iter(numbered(1000)), lambda e: prepared.append(value(e)), ahead=5)) as images:
        for index, _ in enumerate(images):
            assert len(prepared) <= index + 6
            if index == 20:
                break
    assert len(prepared) <= 27
    assert not readers()


def test_what_a_source_raises_is_raised() -> None:
    def camera() -> Iterator[ImageEntry]:
        yield from numbered(3)
        raise ConnectionError("the cable")

    found = []
    with pytest.raises(ConnectionError, match="the cable"):
        for _, number in stream(camera(), value):
            found.append(number)
    assert found == [0, 1, 2]
    assert not readers()
