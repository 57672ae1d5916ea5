"""Arrays become PIXELS, or are refused with a sentence that says what to do."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from anomalens.errors import ImageError, ImageSetError
from anomalens.images import MAX_PIXELS, as_pixels, split_stack


@given(hnp.arrays(np.uint8, st.tuples(st.integers(2, 9), st.integers(2, 9), st.sampled_from([1, 3]))))
def test_eight_bits_stay_as_they_are(array: np.ndarray) -> None:
    pixels = as_pixels(array, "a")
    assert pixels.dtype == np.uint8
    assert np.array_equal(pixels, np.broadcast_to(array, pixels.shape))


@given(hnp.arrays(np.uint8, (4, 5)))
def test_all_depths_mean_the_same(grey: np.ndarray) -> None:
    deep = as_pixels(grey.astype(np.uint16) * 257, "a")
    assert deep.dtype == np.float32
    assert np.allclose(deep[..., 0], grey, atol=1e-4)
    for kind, tolerance in ((np.float64, 1e-4), (np.float32, 1e-4), (np.float16, 0.1)):
        pixels = as_pixels((grey / 255).astype(kind), "a")
        assert pixels.dtype == np.float32
        assert np.allclose(pixels[..., 1], grey, atol=tolerance)


@given(hnp.arrays(np.uint8, (3, 4, 4)))
def test_alpha_is_over_white_in_both_types(rgba: np.ndarray) -> None:
    exact = as_pixels(rgba, "a")
    deep = as_pixels(rgba.astype(np.uint16) * 257, "a")
    share = rgba[..., 3:] / 255
    expected = rgba[..., :3] * share + 255 * (1 - share)
    assert np.abs(exact - expected).max() <= 0.5 + 1e-6
    assert np.allclose(deep, expected, atol=1e-3)


REFUSED = {
    "bool": (np.ones((4, 4), bool), "convert to uint8"),
    "int64": (np.ones((4, 4), np.int64), "convert to uint8"),
    "complex": (np.ones((4, 4), complex), "convert to uint8"),
    "object": (np.full((4, 4), None), "convert to uint8"),
    "above 1": (np.full((4, 4), 1.01), "from 0 to 1"),
    "below 0": (np.full((4, 4), -0.01, np.float32), "from 0 to 1"),
    "nan": (np.full((4, 4), np.nan), "not finite"),
    "inf": (np.full((4, 4), np.inf, np.float16), "not finite"),
    "channels first": (np.zeros((3, 64, 64), np.uint8), "moveaxis"),
    "two channels": (np.zeros((64, 64, 2), np.uint8), "2 channels"),
    "empty": (np.zeros((0, 4, 3), np.uint8), "no pixel"),
    "1-D": (np.zeros(16, np.uint8), "no image"),
    "4-D": (np.zeros((1, 4, 4, 3), np.uint8), "no image"),
    "1x1": (np.zeros((1, 1, 3), np.uint8), "at least 2 x 2"),
    "thin": (np.zeros((500, 1), np.uint8), "at least 2 x 2"),
    "huge": (np.broadcast_to(np.uint8(0), (MAX_PIXELS // 100 + 1, 100)), "at most 200 million"),
    "list": ([[1, 2], [3, 4]], "numpy.asarray"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusals(name: str) -> None:
    array, said = REFUSED[name]
    with pytest.raises(ImageError, match=said) as caught:
        as_pixels(array, "camera 1")
    assert str(caught.value).startswith("camera 1: ")
    assert str(caught.value).endswith(".")


def test_stacks_are_split() -> None:
    for shape in ((5, 8, 9), (5, 8, 9, 1), (5, 8, 9, 3), (5, 8, 9, 4)):
        stack = np.arange(np.prod(shape)).reshape(shape).astype(np.uint8)
        images = split_stack(stack)
        assert len(images) == 5
        assert np.array_equal(images[3], stack[3])
    pair = [np.zeros((4, 4), np.uint8), np.zeros((9, 7, 3), np.uint8)]
    assert split_stack(pair) == pair
    assert len(split_stack(tuple(pair))) == 2


@pytest.mark.parametrize(
    ("given_", "said"),
    [
        (np.zeros((64, 64, 3)), "one colour image or 64 narrow"),
        (np.zeros((64, 64, 1)), "one colour image or"),
        (np.zeros((5, 3, 64, 64)), "moveaxis"),
        (np.zeros((5, 64, 64, 2)), "channels last"),
        (np.zeros((64, 64)), "one grey image"),
        (np.zeros(5), "no stack"),
        (np.zeros((0, 8, 8)), "holds no image"),
        ([], "empty"),
        ([np.zeros((4, 4)), "a.png"], "Item 1 of the list is str"),
        ("text", "must be an array"),
        (5, "must be an array"),
    ],
)
def test_stacks_that_are_refused(given_: object, said: str) -> None:
    with pytest.raises(ImageSetError, match=said):
        split_stack(given_)
