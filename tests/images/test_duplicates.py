"""Duplicates on real sets: copies, exposures and frames are found, equal-looking parts are not."""

from __future__ import annotations

import io
import re
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from anomalens.images import (
    Duplicates,
    ImageSet,
    Thumbnails,
    find_duplicates,
    group_images,
    stream,
)

RealSet = Callable[[str], Path]


def merged(found: Duplicates) -> int:
    return sum(len(group) - 1 for group in found.near)


def test_exposures_of_one_tile_are_found(real_set: RealSet) -> None:
    images = ImageSet.open(real_set("magnetic_tile") / "train/good")
    numbers = np.array([int(re.findall(r"\d+", entry.id)[1]) for entry in images])
    order = np.argsort(numbers)
    tile = np.empty(len(numbers), int)
    # Captures whose numbers differ by at most 50 are one tile, as the set's description says.
    tile[order] = np.r_[0, np.cumsum(np.diff(numbers[order]) > 50)]
    names = np.array(group_images(images))
    first, second = np.triu_indices(len(images), 1)
    same = tile[first] == tile[second]
    joined = names[first] == names[second]
    assert (same & joined).sum() / same.sum() > 0.85
    assert (same & joined).sum() / joined.sum() > 0.95
    # Nearly all the others are one tile too, with numbers a little further apart than 50.
    near = np.abs(numbers[first] - numbers[second]) <= 150
    assert (joined & (same | near)).sum() / joined.sum() > 0.985


@pytest.mark.parametrize(
    ("name", "at_most"),
    [
        ("mvtec_transistor/train/good", 4),
        ("mvtec_loco_juice_bottle/train/good", 0),
        ("mvtec_leather_fewshot/train/good", 0),
        ("paper_piped/bdp01_tl/train/good", 0),
        ("paper_piped/brg01_rl/train/good", 0),
        ("paper_piped/brg03_tl/train/good", 0),
        ("paper_piped/flr01_tl/train/good", 0),
    ],
)
def test_parts_that_look_alike_are_not_copies(real_set: RealSet, name: str, at_most: int) -> None:
    top, _, below = name.partition("/")
    found = find_duplicates(ImageSet.open(real_set(top) / below))
    assert found.exact == []
    assert merged(found) <= at_most


def test_exact_copies_in_a_real_set(real_set: RealSet) -> None:
    images = ImageSet.open(real_set("brick_cracks") / "train/good")
    found = find_duplicates(images)
    assert len(found.exact) == 7
    assert len(found.near) <= 9
    assert found.compared == len(images)
    assert all(any(set(pair) <= set(group) for group in found.near) for pair in found.exact)


def test_neighbouring_frames_of_a_video(real_set: RealSet, tmp_path: Path) -> None:
    with tarfile.open(real_set("ucsd_ped2") / "train_01.tar") as tar:
        tar.extractall(tmp_path, filter="data")
    images = ImageSet.open(tmp_path)
    names = group_images(images)
    ends = [i for i in range(1, len(names)) if names[i] != names[i - 1]]
    assert len(set(names)) == len(ends) + 1  # groups follow each other
    assert 20 <= len(set(names)) <= 30  # a film is one chain: it is cut, so that some can be left out


def test_exposures_that_follow_each_other_are_no_film(real_set: RealSet) -> None:
    """Fewer than twenty tiles in their order: a film would be cut within a tile."""
    images = ImageSet.open(real_set("magnetic_tile") / "train/good")
    numbers = np.array([int(re.findall(r"\d+", entry.id)[1]) for entry in images])
    order = np.argsort(numbers)[:60]
    tile = np.r_[0, np.cumsum(np.diff(numbers[order]) > 50)]
    names = np.array(group_images(images.subset(order.tolist())))
    first, second = np.triu_indices(len(order), 1)
    same = tile[first] == tile[second]
    assert len(set(tile.tolist())) < 20
    assert (names[first] == names[second])[same].mean() > 0.8


def test_parts_that_lie_turned_alike_are_no_copies(real_set: RealSet) -> None:
    files = sorted((real_set("mvtec_transistor") / "train/good").glob("*.jpg"))
    rng = np.random.default_rng(0)

    def turned(path: Path) -> np.ndarray:
        image = (
            Image.open(path)
            .convert("RGB")
            .resize((150, 150))
            .rotate(rng.uniform(0, 360), fillcolor=(60, 50, 45))
        )
        ground = Image.new("RGB", (256, 256), (60, 50, 45))
        ground.paste(image, tuple(int(v) for v in rng.integers(40, 66, 2)))
        return np.asarray(ground)

    images = ImageSet.from_arrays([turned(path) for path in files])
    assert merged(find_duplicates(images)) <= 10  # of 213; most lie like another, and that like a third


def test_a_declared_group_is_what_its_maker_says(real_set: RealSet) -> None:
    folder = real_set("brick_cracks") / "train/good"
    copies = [[group[0], group[1]] for group in find_duplicates(ImageSet.open(folder)).exact]
    pixels = [entry.read().pixels for entry in ImageSet.open(folder)]
    groups = [str(i % 50) for i in range(len(pixels))]
    images = ImageSet.from_arrays(pixels, groups=groups)
    assert copies
    assert len(set(group_images(images))) == 50


def test_changed_copies_are_found_among_equal_parts(real_set: RealSet, tmp_path: Path) -> None:
    parts = sorted((real_set("mvtec_transistor") / "train/good").glob("*.jpg"))[::4]
    for path in parts:
        (tmp_path / path.name).write_bytes(path.read_bytes())
    for place, path in enumerate(parts[:6]):
        image = Image.open(path)
        if place % 3 == 0:
            image.save(tmp_path / f"{path.stem}_again.jpg", quality=50)
        elif place % 3 == 1:
            image.resize((180, 180)).save(tmp_path / f"{path.stem}_again.png")
        else:
            image.point([min(255, int(v * 1.3)) for v in range(256)] * 3).save(
                tmp_path / f"{path.stem}_again.png"
            )
    images = ImageSet.open(tmp_path)
    found = {frozenset(images[i].id[:3] for i in group) for group in find_duplicates(images).near}
    assert {frozenset({path.name[:3]}) for path in parts[:6]} <= found
    assert len(found) <= 7


def test_a_few_images(real_set: RealSet) -> None:
    folder = real_set("mvtec_transistor") / "train/good"
    first, second = (np.asarray(Image.open(folder / f"{name}.jpg")) for name in ("000", "050"))
    buffer = io.BytesIO()
    Image.fromarray(first).save(buffer, "JPEG", quality=90)
    again = np.asarray(Image.open(buffer))
    images = ImageSet.from_arrays([first, second, again, first])
    found = find_duplicates(images)
    assert found.exact == [[0, 3]]
    assert found.near == [[0, 2, 3]]
    assert find_duplicates(images.subset([0])).near == []
    assert find_duplicates(images.subset([])) == Duplicates([], [], 0)


def test_blank_images_are_alike_only_when_they_are_equal() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, 64, 64, 3), dtype=np.uint8)
    blank = [np.full((64, 64, 3), value, np.uint8) for value in (0, 128, 255, 255)]
    found = find_duplicates(ImageSet.from_arrays([*noise, *blank]))
    assert found.near == found.exact == [[42, 43]]


def test_copies_join_those_of_no_declared_group() -> None:
    noise = list(np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), dtype=np.uint8))
    images = ImageSet.from_arrays(
        [*noise, noise[0]], groups=[None, "a", None, "b", "a", None], ids=list("uvwxyz")
    )
    assert group_images(images) == ["u", "v", "w", "x", "v", "u"]


def test_thumbnails_collected_on_the_way(real_set: RealSet) -> None:
    images = ImageSet.open(real_set("paper_piped") / "fvn01_tl/train/good")
    thumbnails = Thumbnails()
    for index, (_, pixels) in enumerate(stream(images, lambda entry: entry.read().pixels)):
        thumbnails.add(index, pixels)
    assert len(thumbnails) == len(images)
    assert find_duplicates(images, thumbnails) == find_duplicates(images)
    assert len(find_duplicates(images, thumbnails).exact) == 3


def test_unreadable_images_stay_alone(tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"x")
    images = ImageSet.open([tmp_path / "bad.png", tmp_path / "none.png"])
    assert group_images(images) == [entry.id for entry in images]
    assert find_duplicates(images).compared == 0
