"""Regions: the connected parts of a map above a threshold."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from anomalens.calibration import find_regions
from anomalens.calibration.regions import Box

masks = hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=14))


def same(box: Box) -> Box:
    return box


def check_against_scipy(mask: np.ndarray) -> None:
    """Every value once, so that a peak names its region."""
    values = 1 + np.random.default_rng(0).permutation(mask.size).reshape(mask.shape)
    anomaly_map = np.where(mask, values, 0).astype(np.float32)
    labels, _ = ndimage.label(mask, structure=np.ones((3, 3)))
    wanted = {
        ((x.start, y.start, x.stop, y.stop), (labels == name).sum(), anomaly_map[labels == name].max())
        for name, (y, x) in enumerate(ndimage.find_objects(labels), start=1)
    }
    regions = find_regions(anomaly_map, 0, same, limit=mask.size)
    assert {(region.box, region.area, region.peak) for region in regions} == wanted
    assert len(regions) == len(wanted)


@given(mask=masks)
def test_components_are_those_of_scipy(mask: np.ndarray) -> None:
    check_against_scipy(mask)


@pytest.mark.parametrize("share", [0.2, 0.4, 0.5, 0.6])
def test_components_of_random_masks_too_small_to_bridge_gaps_are_those_of_scipy(share: float) -> None:
    check_against_scipy(np.random.default_rng(5).random((31, 120)) < share)


def test_a_spiral_is_one_component() -> None:
    spiral = np.array(
        [[1, 1, 1, 1, 1], [0, 0, 0, 0, 1], [1, 1, 1, 0, 1], [1, 0, 0, 0, 1], [1, 1, 1, 1, 1]], bool
    )
    (region,) = find_regions(spiral.astype(np.float32), 0.5, same)
    assert (region.box, region.area) == ((0, 0, 5, 5), spiral.sum())


def test_boxes_areas_and_peaks() -> None:
    anomaly_map = np.zeros((10, 12), np.float32)
    anomaly_map[2:4, 3:8] = 5
    anomaly_map[7, 1] = 9
    regions = find_regions(anomaly_map, 1.0, same)
    assert [(r.box, r.area, r.peak) for r in regions] == [
        ((1, 7, 2, 8), 1, 9.0),
        ((3, 2, 8, 4), 10, 5.0),
    ]


def test_only_values_strictly_above_belong() -> None:
    anomaly_map = np.full((4, 4), 2.0, np.float32)
    assert find_regions(anomaly_map, 2.0, same) == ()
    assert len(find_regions(anomaly_map, 1.9, same)) == 1


def test_corners_touch() -> None:
    (region,) = find_regions(np.eye(5, dtype=np.float32), 0.5, same)
    assert (region.box, region.area) == ((0, 0, 5, 5), 5)


def test_boxes_and_areas_are_in_original_pixels() -> None:
    anomaly_map = np.zeros((8, 8), np.float32)
    anomaly_map[2:4, 2:4] = 1
    (region,) = find_regions(anomaly_map, 0.5, lambda b: (b[0] * 3, b[1] * 2, b[2] * 3, b[3] * 2))
    assert (region.box, region.area) == ((6, 4, 12, 8), 24)


def test_the_highest_peaks_are_kept_up_to_a_limit() -> None:
    anomaly_map = np.zeros((20, 20), np.float32)
    anomaly_map[::2, ::2] = np.arange(1, 101).reshape(10, 10)
    regions = find_regions(anomaly_map, 0.5, same, limit=7)
    assert [r.peak for r in regions] == [100, 99, 98, 97, 96, 95, 94]


def test_a_long_crack_is_one_box_down_to_the_lower_level() -> None:
    crack = np.zeros((160, 160), np.float32)
    crack[80:83, 10:150] = 2
    crack[80:83, 60:67] = 0  # a gap of less than a cell
    crack[80:83, 140:150] = 5  # only its end is above the threshold
    crack[20:23, 20:60] = 2  # as high as the crack, but nothing in it is
    (box,) = [region.box for region in find_regions(crack, 4, same, low=1)]
    assert box[0] == 10 and box[2] == 150 and box[3] - box[1] == 8 and box[1] <= 80 and box[3] >= 83
    assert [region.box[0] for region in find_regions(crack, 4, same)] == [140]


@pytest.mark.parametrize("place", [(0, 0), (159, 159), (0, 159), (80, 80)])
def test_no_box_is_smaller_than_a_cell_or_beyond_the_map(place: tuple[int, int]) -> None:
    speck = np.zeros((160, 160), np.float32)
    speck[place] = 5
    (region,) = find_regions(speck, 4, same)
    x0, y0, x1, y1 = region.box
    assert (x1 - x0, y1 - y0) == (8, 8) and region.area == 1
    assert 0 <= x0 <= place[1] < x1 <= 160 and 0 <= y0 <= place[0] < y1 <= 160


def test_a_level_above_the_threshold_is_lowered_to_it() -> None:
    anomaly_map = np.zeros((20, 20), np.float32)
    anomaly_map[3:5, 3:5] = 5
    assert find_regions(anomaly_map, 4, same, low=9) == find_regions(anomaly_map, 4, same)


@given(mask=masks)
def test_areas_add_up_and_boxes_hold_every_pixel(mask: np.ndarray) -> None:
    regions = find_regions(mask.astype(np.float32), 0.5, same, limit=1000)
    covered = np.zeros_like(mask)
    for region in regions:
        x0, y0, x1, y1 = region.box
        covered[y0:y1, x0:x1] = True
    assert sum(region.area for region in regions) == mask.sum()
    assert covered[mask].all()
    assert all(covered.any() for _ in regions)


def test_a_region_is_written_as_plain_values() -> None:
    (region,) = find_regions(np.ones((2, 3), np.float32), 0.5, same)
    assert region.to_json() == {"box": [0, 0, 3, 2], "area": 6, "peak": 1.0}
