"""Labels that look wrong to a classifier that did not learn from them.

Each image is doubted by how much likelier another class is than its own. That is the plainest of the measures
compared (`benchmarks/label_doubts.md`): confident learning (Northcutt et al. 2021, arXiv:1911.00068), which
first asks how sure the classifier usually is of each class, found fewer of the labels that were flipped.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from anomalens.errors import InputError
from anomalens.metrics.classification import checked_labels, checked_probabilities

_LEAST = 1e-12  # no probability is taken for smaller, so that all doubts are finite


@dataclass(frozen=True)
class LabelDoubts:
    """All images, most doubted first.

    Attributes
    ----------
    rows : int64 [n]
        Places of the images.
    suggested : int64 [n]
        The likeliest other class of each.
    doubt : float64 [n]
        log p(suggested) − log p(given), descending; above 0 the classifier would call it otherwise.
    """

    rows: NDArray[np.int64]
    suggested: NDArray[np.int64]
    doubt: NDArray[np.float64]


def label_doubts(labels: ArrayLike, probabilities: ArrayLike) -> LabelDoubts:
    """How doubtful each label is; of equal ones the first image comes first.

    Parameters
    ----------
    labels : int [n]
        As given, 0 to c − 1.
    probabilities : real [n, c]
        Each row by a classifier that did not learn from that image, nor from one of its group: what a
        classifier has learnt it hardly doubts.

    Raises
    ------
    InputError
        Shapes that do not fit, labels out of range, or rows that are no probabilities.
    """
    shares = checked_probabilities(probabilities)
    given = checked_labels(labels, shares.shape[1])
    if len(given) != len(shares):
        raise InputError(
            f"There are {len(shares)} rows of probabilities and {len(given)} labels; give one for each image."
        )
    places = np.arange(len(given))
    logs = np.log(np.maximum(shares, _LEAST))
    own = logs[places, given]
    logs[places, given] = -np.inf
    doubt = logs.max(axis=1) - own
    order = np.argsort(-doubt, kind="stable")
    return LabelDoubts(order, logs.argmax(axis=1)[order], doubt[order])
