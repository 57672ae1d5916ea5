"""Groups among images that are similar pair by pair: those that stand apart, and frames of a film.

A group is earned by a gap. Clusters grow as the most similar images join first (single linkage); where one
joins others at a similarity o, and what had joined it, and its usual two, are nearer to identical than to o,
it was a group. So nothing chains: where A is like B, and B like C, and so on to images that have nothing in
common, there is no gap, or the usual two are unlike.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

_COMPARED: Final = 2000  # pairs at most, of one cluster
_NEAR_IN_ORDER: Final = 2
_FOLLOW: Final = 0.5  # of all images are most like one that is near in order: then the set is a film
FILM_GROUPS: Final = 20  # at least, of a film

Floats = NDArray[np.float32]
Pairs = NDArray[np.intp]
Similarity = Callable[[Pairs], Floats]


def standing_apart(
    n: int, pairs: Pairs, similar: Floats, usual: float, similarity: Similarity
) -> NDArray[np.intp]:
    """The group of each image, intp [n]: the number of one of its members; alone, its own.

    Parameters
    ----------
    n : int
    pairs : intp [p, 2]
        Each image with those most like it.
    similar : float32 [p]
        How similar these are.
    usual : float
        What nine in ten pairs of the set do not reach.
    similarity : function of pairs
        How similar any others are.
    """
    names = np.arange(n)
    members = {i: [i] for i in range(n)}
    above = list(range(n))
    formed = np.ones(n)

    def top(i: int) -> int:
        while above[i] != i:
            above[i] = above[above[i]]
            i = above[i]
        return i

    def settle(cluster: int, outside: float) -> None:
        inside = members[cluster]
        least = (1 + outside) / 2
        if len(inside) > 1 and formed[cluster] >= least and _usual_inside(inside, similarity) >= least:
            names[inside] = inside[0]

    for place in np.argsort(-similar, kind="stable").tolist():
        i, j = (top(int(image)) for image in pairs[place])
        if i == j:
            continue
        link = max(float(similar[place]), usual)
        if len(members[i]) < len(members[j]):
            i, j = j, i
        settle(i, link)
        settle(j, link)
        above[j] = i
        members[i] += members.pop(j)
        formed[i] = link
    for cluster in members:
        settle(cluster, usual)
    return names


def following(
    n: int, pairs: Pairs, similar: Floats, usual: float, similarity: Similarity
) -> NDArray[np.intp] | None:
    """The group of each frame of a film, intp [n], or None where the images are none.

    In a film most images are most like the one just before or after. It is cut where a frame is no more like
    the one before than any two are, and further into `FILM_GROUPS` groups, so that some can be left out.
    """
    nearest = np.full(n, -n)
    for place in np.argsort(similar, kind="stable"):  # the most similar come last, and stay
        first, second = pairs[place]
        nearest[first], nearest[second] = second, first
    if float((np.abs(nearest - np.arange(n)) <= _NEAR_IN_ORDER).mean()) < _FOLLOW:
        return None
    steps = similarity(np.stack([np.arange(n - 1), np.arange(1, n)], axis=1))
    scene = np.concatenate([[0], np.cumsum(steps < usual)])
    names = np.empty(n, np.intp)
    whole = len(np.unique(scene)) >= FILM_GROUPS
    for number in np.unique(scene):
        frames = np.flatnonzero(scene == number)
        length = len(frames) if whole else max(1, n // FILM_GROUPS)
        names[frames] = frames[0] + (np.arange(len(frames)) // length) * length
    return names


def _usual_inside(images: list[int], similarity: Similarity) -> float:
    """Median similarity of any two, of some two thousand pairs at most."""
    first, second = np.triu_indices(len(images), 1)
    if len(first) > _COMPARED:
        some = np.linspace(0, len(first) - 1, _COMPARED).astype(int)
        first, second = first[some], second[some]
    inside = np.array(images)
    return float(np.median(similarity(np.stack([inside[first], inside[second]], axis=1))))
