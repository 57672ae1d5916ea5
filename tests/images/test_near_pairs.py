"""The quick search for near pairs finds what comparing everything with everything finds."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from anomalens.images import near_pairs as searched
from anomalens.images.near_pairs import SIDE, near_pairs


def noise(n: int) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (n, SIDE, SIDE), dtype=np.uint8)


def test_similarity_is_the_largest_correlation_over_the_shifts() -> None:
    detail = searched._detail(noise(6))
    pairs = np.array([(i, j) for i in range(6) for j in range(i, 6)])
    found = searched._similarity(searched._spectra(detail), pairs)
    images = detail.reshape(-1, SIDE, SIDE)
    steps = range(-searched.SHIFT, searched.SHIFT + 1)
    expected = [
        max(float((np.roll(images[i], (dy, dx), (0, 1)) * images[j]).sum()) for dy in steps for dx in steps)
        for i, j in pairs
    ]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_candidates_are_the_nearest_of_all_also_across_blocks() -> None:
    n = 2 * searched.BLOCK + searched.COLUMNS + 30
    coarse = np.random.default_rng(1).standard_normal((n, 16, 16), np.float32)
    coarse /= np.sqrt((coarse**2).sum((1, 2), keepdims=True))
    flat = coarse.reshape(n, -1)
    similar = np.max(
        [np.roll(coarse, (dy, dx), (1, 2)).reshape(n, -1) @ flat.T for dy in (-1, 0, 1) for dx in (-1, 0, 1)],
        axis=0,
    )
    np.fill_diagonal(similar, -2)
    nearest = np.argsort(-similar, axis=1)[:, : searched.NEIGHBOURS]
    expected = {(min(i, j), max(i, j)) for i, row in enumerate(nearest.tolist()) for j in row}
    assert {(i, j) for i, j in searched._candidates(coarse).tolist()} == expected


def test_copies_in_different_blocks_are_found_once() -> None:
    thumbnails = noise(700)
    thumbnails[[3, 300, 699]] = thumbnails[0]
    thumbnails[650] = np.roll(thumbnails[1], 2, axis=1)
    assert near_pairs(thumbnails).tolist() == [
        [0, 3], [0, 300], [0, 699], [1, 650], [3, 300], [3, 699], [300, 699],
    ]  # fmt: skip


def test_identical_detail_counts_in_the_smallest_sets() -> None:
    thumbnails = noise(3)
    thumbnails[2] = thumbnails[0] // 2 + 40  # another exposure
    assert near_pairs(thumbnails).tolist() == [[0, 2]]
    assert near_pairs(thumbnails[:1]).shape == near_pairs(thumbnails[:0]).shape == (0, 2)
