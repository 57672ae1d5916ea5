"""The hash of a task's images: whether a result card is of the data as they are now."""

from __future__ import annotations

import hashlib

from anomalens.datasets.task import Task
from anomalens.errors import ImageError


def data_hash(task: Task) -> str:
    """SHA-256 over the training and the test images, by content and name, whatever their order."""
    parts = []
    for images in (task.train, task.test):
        try:
            parts.append(images.data_sha256())
        except ImageError as error:  # an unreadable file has no content to hash, but a name
            parts.append(error.image)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
