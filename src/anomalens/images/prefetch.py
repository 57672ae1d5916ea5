"""Decoding ahead of the consumer in threads: Pillow releases the interpreter while it decodes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from anomalens.errors import ImageError, SettingError
from anomalens.images.decode import Picture
from anomalens.images.image_set import ImageSet

T = TypeVar("T")


def stream(
    image_set: ImageSet,
    prepare: Callable[[Picture], T],
    *,
    workers: int = 2,
    ahead: int = 8,
    reduce_to: int | None = None,
) -> Generator[tuple[int, T | ImageError], None, None]:
    """Read and prepare all images of a set, in order.

    Parameters
    ----------
    prepare : callable
        Called with each `Picture` in a worker thread, or in the caller's where there is one image.
    workers : int
        Threads.
    ahead : int
        At most this many images are being read or wait for the consumer, which bounds memory.
    reduce_to : int, optional
        See `anomalens.images.decode.decode`.

    Yields
    ------
    (int, T or ImageError)
        Index in the set, and what `prepare` gave; an `ImageError` from reading or from `prepare` is
        yielded, so that one bad image costs one answer. Other exceptions are raised.

    Notes
    -----
    When the consumer stops (`close()`, an exception, Ctrl-C), images that were not begun are
    dropped and the threads have ended before the generator has.
    """
    if workers < 1 or ahead < 1:
        raise SettingError(
            f"Reading ahead needs at least one worker and one image, not workers={workers} and "
            f"ahead={ahead}; raise them to 1 or more."
        )

    def work(index: int) -> T | ImageError:
        try:
            return prepare(image_set.read(index, reduce_to=reduce_to))
        except ImageError as error:
            return error

    return _run(work, len(image_set), workers, ahead)


def _run(
    work: Callable[[int], T | ImageError], count: int, workers: int, ahead: int
) -> Generator[tuple[int, T | ImageError], None, None]:
    if (
        count == 1
    ):  # nothing to read ahead of: the threads would cost a camera's picture most of a millisecond
        yield 0, work(0)
        return
    pending: deque[Future[T | ImageError]] = deque()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="anomalens-read")
    try:
        submitted = 0
        for index in range(count):
            while submitted < count and len(pending) < ahead:
                pending.append(pool.submit(work, submitted))
                submitted += 1
            yield index, pending.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
