"""Decoding ahead of the consumer in threads: Pillow releases the interpreter while it decodes."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sized
from concurrent.futures import Future, ThreadPoolExecutor
from queue import Queue
from typing import TypeVar

from anomalens.errors import ImageError, SettingError
from anomalens.images.image_entry import ImageEntry

T = TypeVar("T")
Answers = Generator[tuple[ImageEntry, T | ImageError], None, None]


def stream(
    images: Iterable[ImageEntry],
    prepare: Callable[[ImageEntry], T],
    *,
    workers: int = 2,
    ahead: int = 8,
) -> Answers[T]:
    """Read and prepare images, in order.

    Parameters
    ----------
    images : iterable of ImageEntry
        An `ImageSet`, or a source without a known length, such as a camera: its pictures are answered as
        they come.
    prepare : callable
        Reads and prepares one image, in a worker thread, or in the caller's where there is one image.
    workers : int
        Threads.
    ahead : int
        At most this many images are being read or wait for the consumer, which bounds memory.

    Yields
    ------
    (ImageEntry, T or ImageError)
        An `ImageError` from reading or preparing is yielded, so that one bad image costs one answer. Other
        exceptions are raised.

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

    def work(entry: ImageEntry) -> T | ImageError:
        try:
            return prepare(entry)
        except ImageError as error:
            return error

    if isinstance(images, Sized) and len(images) == 1:
        return _alone(images, work)  # threads would cost a camera's picture most of a millisecond
    return _pooled(images, work, workers, ahead)


def _alone(images: Iterable[ImageEntry], work: Callable[[ImageEntry], T | ImageError]) -> Answers[T]:
    for entry in images:
        yield entry, work(entry)


def _pooled(
    images: Iterable[ImageEntry], work: Callable[[ImageEntry], T | ImageError], workers: int, ahead: int
) -> Answers[T]:
    pool = ThreadPoolExecutor(workers, thread_name_prefix="anomalens-read")
    begun = _begun if isinstance(images, Sized) else _begun_as_they_come
    steps = begun(images, lambda entry: pool.submit(work, entry), ahead)
    try:
        for entry, future in steps:
            yield entry, future.result()
    finally:
        steps.close()
        pool.shutdown(wait=True, cancel_futures=True)


Begun = Generator[tuple[ImageEntry, Future[T | ImageError]], None, None]


def _begun(
    images: Iterable[ImageEntry], submit: Callable[[ImageEntry], Future[T | ImageError]], ahead: int
) -> Begun[T]:
    """Images that wait to be read, begun `ahead` of the consumer."""
    waiting: Iterator[ImageEntry] = iter(images)
    pending: deque[tuple[ImageEntry, Future[T | ImageError]]] = deque()
    while True:
        while len(pending) < ahead and (entry := next(waiting, None)) is not None:
            pending.append((entry, submit(entry)))
        if not pending:
            return
        yield pending.popleft()


def _begun_as_they_come(
    images: Iterable[ImageEntry], submit: Callable[[ImageEntry], Future[T | ImageError]], ahead: int
) -> Begun[T]:
    """Images of a source that may let one wait: a thread of its own asks it, so that none is held back."""
    come: Queue[tuple[ImageEntry, Future[T | ImageError]] | BaseException | None] = Queue()
    room = threading.Semaphore(ahead)
    stopped = threading.Event()

    def ask() -> None:
        try:
            for entry in images:
                room.acquire()
                if stopped.is_set():
                    return
                come.put((entry, submit(entry)))
            come.put(None)
        except BaseException as error:  # raised again where it is seen
            come.put(error)

    # a source that never gives another picture must not keep the process alive
    threading.Thread(target=ask, name="anomalens-source", daemon=True).start()
    try:
        while (item := come.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
            room.release()
    finally:
        stopped.set()
        room.release()
