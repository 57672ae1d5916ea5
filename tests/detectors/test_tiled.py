"""`tiled:NAME`: the contract, no seams, faults on borders, honest left-out scores, names that are refused."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from PIL import Image

from anomalens import Inspector
from anomalens.backbones.runtimes import Runtime
from anomalens.bundle import Bundle, read_bundle, write_bundle
from anomalens.calibration import find_regions
from anomalens.detectors import Batch, Detector, Scores, State
from anomalens.detectors.checks import TexturedImages, check_detector, yield_checks
from anomalens.detectors.contract import Settings, parameter
from anomalens.detectors.cross_fit import cross_fit
from anomalens.detectors.spec import DetectorSpec
from anomalens.detectors.tiled import Tiled, TiledSettings
from anomalens.detectors.tiles import Layout, TileSet
from anomalens.errors import ModelFileError, SettingError
from anomalens.job import Job

SMALL = {"tile": 32, "overlap": 8, "min_bank": 100}
SIZES = [(64, 96), (75, 131), (32, 32), (20, 90), (9, 7), (33, 64)]


def made(name: str, **parameters: Any) -> Any:
    return DetectorSpec.parse(name).make(parameters)


@dataclass(frozen=True)
class LightSettings(Settings):
    gain: float = parameter(1.0, "factor of the map", limits=(0.1, 10.0))


class Light(Detector):
    """How far each pixel is from the mean brightness: its map does not depend on what lies around."""

    name: ClassVar[str] = "light"
    family: ClassVar[str] = "density"
    pixel_level: ClassVar[bool] = True
    settings_type: ClassVar[type[Settings]] = LightSettings
    settings: LightSettings

    def fit(self, images: Any, job: Any) -> Scores:
        grey = np.stack([image.mean(2) for image in images])
        self.mean_ = float(grey.mean())
        left_out = [
            abs(g - grey[images.groups != k].mean()) for g, k in zip(grey, images.groups, strict=True)
        ]
        maxima = np.array([m.max() for m in left_out])
        return Scores(maxima, maxima.astype(np.float32)[:, None, None])

    def score(self, batch: Batch) -> Scores:
        maps = np.stack([np.abs(image.mean(2) - self.mean_) * self.settings.gain for image in batch.images])
        return Scores(maps.max((1, 2)).astype(np.float64), maps.astype(np.float32))

    def state(self) -> State:
        return State({"mean": self.mean_})

    @classmethod
    def from_state(cls, state: State, *, size: Any, runtime: Any) -> Any:
        light = cls()
        light.mean_ = state.numbers["mean"]
        return light


class Even(Light):
    """The same map everywhere."""

    def score(self, batch: Batch) -> Scores:
        n = len(batch)
        return Scores(np.full(n, 3.7), np.full((n, *batch.images[0].shape[:2]), 3.7, np.float32))


def tiled(kind: type[Detector], **cut: Any) -> Tiled:
    return Tiled(kind(), TiledSettings(**cut))


def every_check() -> Iterator[Any]:
    for check in yield_checks(made("tiled:patchcore", **SMALL)):
        yield pytest.param(check, id=str(check))


@pytest.mark.parametrize("check", list(every_check()))
def test_it_keeps_the_contract(check: Any) -> None:
    check()


def test_it_keeps_the_contract_on_images_smaller_than_a_tile() -> None:
    check_detector(made("tiled:patchcore", tile=96, min_bank=100), size=(48, 64))


def test_it_keeps_the_contract_where_tiles_are_drawn() -> None:
    check_detector(made("tiled:patchcore", **SMALL, max_tiles=30))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("overlap", [0, 5, 16])
def test_weights_sum_to_one_and_tiles_cover_the_image(size: tuple[int, int], overlap: int) -> None:
    layout = Layout.of(size, 32, overlap)
    filled = layout.filled(np.zeros((*size, 3), np.uint8))
    total, count = layout.blank(), np.zeros(filled.shape[:2], int)
    for number, (y, x) in enumerate(layout.corners):
        assert layout.cut(filled, number).shape == (32, 32, 3)
        layout.add(total, number, np.ones((32, 32), np.float32))
        count[y : y + 32, x : x + 32] += 1
    assert count.min() == 1 and total.shape == filled.shape[:2]
    np.testing.assert_allclose(total, 1, atol=1e-6)
    for axis in (0, 1):
        starts = sorted({corner[axis] for corner in layout.corners})
        assert starts[-1] + 32 == max(32, size[axis])
        assert all(32 - (after - before) >= overlap for before, after in zip(starts, starts[1:]))  # noqa: B905, RUF007


@pytest.mark.parametrize("size", SIZES)
def test_maps_are_put_together_without_seams(size: tuple[int, int]) -> None:
    images = TexturedImages.make(3, size, seed=0)
    for kind in (Light, Even):
        found, whole = tiled(kind, tile=32, overlap=8), kind()
        for detector in (found, whole):
            detector.fit(images, Job(Runtime()))
        found.inner_.mean_ = whole.mean_  # tiles share pixels, so the means differ a little
        batch = Batch(images.pixels, images.ids)
        one, other = found.score(batch), whole.score(batch)
        assert one.maps.shape == (3, *size) and one.maps.dtype == np.float32
        np.testing.assert_allclose(one.maps, other.maps, rtol=1e-5)
        np.testing.assert_allclose(one.image, other.image)


def test_an_out_of_fold_score_is_the_highest_of_all_tiles_with_the_whole_group_left_out() -> None:
    images = replace(TexturedImages.make(8, (70, 90), seed=0), groups=np.array([0, 0, 1, 2, 3, 4, 5, 6]))
    found, inner = tiled(Light, tile=32, overlap=8), Light()
    scores = found.fit(images, Job(Runtime()))
    tiles = TileSet.of(images, tile=32, overlap=8, most=10**6, seed=0)
    expected = inner.fit(tiles, Job(Runtime())).image.reshape(8, -1)
    assert len(tiles.layout) == expected.shape[1] == 12
    np.testing.assert_array_equal(scores.image, expected.max(1))
    np.testing.assert_allclose(scores.maps, expected.max(1).astype(np.float32)[:, None, None])
    np.testing.assert_array_equal(tiles.groups, np.repeat(images.groups, 12))


def test_where_an_image_lacks_the_score_of_a_tile_it_is_left_to_a_cross_fit() -> None:
    images = TexturedImages.make(8, (70, 90), seed=0)
    found = tiled(Light, tile=32, overlap=8, max_tiles=95)
    assert found.fit(images, Job(Runtime())) is None
    assert found.notes[0].startswith("learnt from 95 of 96 tiles of 32 px")
    scores = cross_fit(found, images, Job(Runtime()))
    assert np.isfinite(scores.image).all()
    one_group = replace(images, groups=np.zeros(8, np.int64))
    assert made("tiled:patchcore", **SMALL).fit(one_group, Job(Runtime())) is None


class KeepsTwo(Light):
    """Learns from the first groups only, and scores the last two."""

    holds_out: ClassVar[bool] = True

    def fit(self, images: Any, job: Any) -> Scores:
        kept = images.groups >= images.groups.max() - 1
        super().fit(images, job)
        self.mean_ = float(
            np.mean([image.mean() for image, keep in zip(images, kept, strict=True) if not keep])
        )
        scores = self.score(Batch(list(images), images.ids))
        maxima = np.where(kept, scores.image, np.nan)
        return Scores(maxima, maxima.astype(np.float32)[:, None, None])


@pytest.mark.parametrize("most", [10**6, 40])
def test_a_detector_that_keeps_images_from_learning_scores_those_whole(most: int) -> None:
    images = TexturedImages.make(8, (70, 90), seed=0)
    found = tiled(KeepsTwo, tile=32, overlap=8, max_tiles=most)
    assert found.holds_out
    scores = found.fit(images, Job(Runtime()))
    whole = found.score(Batch(images.pixels, images.ids))
    np.testing.assert_array_equal(np.isfinite(scores.image), np.arange(8) >= 6)
    np.testing.assert_array_equal(scores.image[6:], whole.image[6:])
    np.testing.assert_array_equal(scores.maps[6:, 0, 0], whole.maps[6:].max((1, 2)))


def test_drawn_tiles_are_spread_over_all_images_and_repeat_with_the_seed() -> None:
    images = TexturedImages.make(5, (70, 90), seed=0)
    draw = {"tile": 32, "overlap": 8, "most": 17}
    tiles = TileSet.of(images, **draw, seed=1)
    assert sorted(len(numbers) for numbers in tiles.chosen) == [3, 3, 3, 4, 4]
    assert len(list(tiles)) == len(tiles) == len(tiles.ids) == len(set(tiles.ids)) == 17
    again, other = TileSet.of(images, **draw, seed=1), TileSet.of(images, **draw, seed=2)
    assert tiles.ids == again.ids != other.ids
    assert not tiles.complete
    few = TileSet.of(images, tile=32, overlap=8, most=2, seed=0)
    assert len(list(few)) == len(few.ids) == len(few.groups) == 2
    name = tiles.ids[0]
    x, y = (int(word.strip(",)")) for word in name.split()[-3::2])
    np.testing.assert_array_equal(next(iter(tiles)), images.pixels[0][y : y + 32, x : x + 32])


def cloudy(count: int, seed: int) -> np.ndarray:
    """uint8 [count, 110, 150, 3]: textured, and each with clouds of its own, so that none are near copies."""
    rng = np.random.default_rng(seed)
    clouds = [Image.fromarray(rng.normal(0, 25, (5, 6)).astype(np.float32)) for _ in range(count)]
    slow = np.stack([np.asarray(one.resize((150, 110), Image.Resampling.BICUBIC)) for one in clouds])
    textured = np.stack(TexturedImages.make(count, (110, 150), seed=seed).pixels)
    return np.clip(textured + slow[..., None], 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def normal() -> np.ndarray:
    return cloudy(12, 3)


@pytest.fixture(scope="module")
def inspector(normal: np.ndarray) -> Inspector:
    options = {"parameters": {"min_bank": 200}, "runtime": "onnxruntime", "threads": 1, "policy": "max"}
    return Inspector.fit(normal, detector="patchcore", tile=64, overlap=16, **options)


@pytest.mark.parametrize("corner", [(37, 58), (2, 3), (98, 138), (48, 90)])
def test_a_fault_is_found_where_it_is_also_across_borders_of_tiles(
    inspector: Inspector, corner: tuple[int, int]
) -> None:
    assert inspector.preprocessing.output_size == (150, 110)
    assert inspector.card["detector"]["name"] == "tiled:patchcore"
    image = cloudy(1, 9)[0]
    y, x = corner
    image[y : y + 10, x : x + 10] = (255, 0, 0)
    (finding,) = inspector.check([image])
    assert finding.anomalous
    assert finding.map is not None and finding.map.shape == (110, 150)
    peak = np.unravel_index(finding.map.argmax(), finding.map.shape)
    assert abs(peak[0] - (y + 5)) <= 12 and abs(peak[1] - (x + 5)) <= 12
    x0, y0, x1, y1 = finding.regions[0].box
    assert x0 <= x + 5 <= x1 and y0 <= y + 5 <= y1
    assert x1 - x0 < 100 and y1 - y0 < 100


def test_boxes_are_in_pixels_of_the_original_whatever_its_size(inspector: Inspector) -> None:
    image = np.repeat(np.repeat(cloudy(1, 9)[0], 2, 0), 3, 1)  # 220 high, 450 wide, prepared as 110 and 150
    image[140:180, 300:360] = (255, 0, 0)
    (finding,) = inspector.check([image])
    x0, y0, x1, y1 = finding.regions[0].box
    assert x0 <= 330 <= x1 and y0 <= 160 <= y1
    level = min(inspector.calibration.region_threshold, 0.9 * float(finding.map.max()))
    on_map = find_regions(finding.map, level, lambda box: box, low=inspector.calibration.region_floor)
    scaled = [(3 * x0, 2 * y0, 3 * x1, 2 * y1) for x0, y0, x1, y1 in (region.box for region in on_map)]
    assert [region.box for region in finding.regions] == scaled
    assert finding.original_size == (450, 220)


def test_a_saved_model_answers_bit_for_bit(inspector: Inspector, tmp_path: Path) -> None:
    loaded = Inspector.load(inspector.save(tmp_path / "m.anomalens"))
    images = cloudy(2, 11)
    for one, other in zip(inspector.check(images), loaded.check(images), strict=True):
        assert one.score == other.score
        np.testing.assert_array_equal(one.map, other.map)
    assert loaded.detector.settings.tile == 64 and loaded.detector.notes[0] == inspector.detector.notes[0]


@pytest.mark.parametrize(
    "change", [{"tile": 10**6}, {"overlap": 40}, {"learnt": []}, {"inner": {}}, {"tile": "x"}]
)
def test_a_model_file_that_was_changed_is_refused(
    inspector: Inspector, tmp_path: Path, change: dict[str, Any]
) -> None:
    bundle = read_bundle(inspector.save(tmp_path / "m.anomalens"))
    card = {**bundle.card, "state": {**bundle.card["state"], **change}}
    write_bundle(tmp_path / "bad.anomalens", Bundle(card, bundle.arrays, bundle.graphs))
    with pytest.raises(ModelFileError, match=r"bad\.anomalens"):
        Inspector.load(tmp_path / "bad.anomalens")


@pytest.mark.parametrize(
    "name", ["tiled:combine:auto,padim", "tiled:tiled:auto", "tiled:nothing", "tiled:knn"]
)
def test_a_model_file_with_an_impossible_name_is_refused(
    inspector: Inspector, tmp_path: Path, name: str
) -> None:
    bundle = read_bundle(inspector.save(tmp_path / "m.anomalens"))
    card = {**bundle.card, "detector": {**bundle.card["detector"], "name": name}}
    write_bundle(tmp_path / "bad.anomalens", Bundle(card, bundle.arrays, bundle.graphs))
    with pytest.raises(ModelFileError, match=r"bad\.anomalens"):
        Inspector.load(tmp_path / "bad.anomalens")


def test_parameters_say_how_to_cut_and_reach_the_detector() -> None:
    found = made("tiled: patchcore ", tile="64", overlap=0, min_bank="50", taps="stride8")
    assert found.name == "tiled:patchcore"
    given = {"tile": 64, "overlap": 0, "max_tiles": 2000, "min_bank": 50, "taps": ("stride8",)}
    assert given.items() <= found.parameters.items()
    assert found.parameters.keys() == DetectorSpec.parse("tiled:patchcore").parameters().keys()


def test_auto_says_why_of_the_tile_that_decides() -> None:
    images = TexturedImages.make(12, (64, 64), seed=0)
    found = made("tiled:auto", tile=32, overlap=0, min_bank=100)
    found.fit(images, Job(Runtime()))
    odd = images.pixels[0].copy()
    odd[40:50, 40:50] = (255, 0, 0)
    scores = found.score(Batch([odd], ["odd"]))
    assert sum(part.contribution for part in scores.explain(0).parts) == pytest.approx(scores.image[0])
    assert len(found.notes) == 2


@pytest.mark.parametrize(
    ("name", "parameters", "said"),
    [
        ("tiled:knn", {}, "gives no maps to put together; tile one that does: auto, patchcore"),
        ("tiled:template", {}, "compares each image with its own reference"),
        ("tiled:combine:auto,padim", {}, "name one, as in tiled:auto"),
        ("tiled:tiled:auto", {}, "name one, as in tiled:auto"),
        ("combine:tiled:auto,knn", {}, "combine detectors of whole images only"),
        ("tiled:patchcor", {}, "did you mean 'patchcore'"),
        ("tiled:patchcore", {"overlap": 129}, "at most half the tile, 128"),
        ("tiled:patchcore", {"tile": 4096}, "give a value from 32 to 2048"),
        ("tiled:patchcore", {"tile": "big"}, "needs a value like 256"),
        ("tiled:patchcore", {"tyle": 64}, "did you mean 'tile'"),
        ("tiled:patchcore", {"min_bnk": 64}, "did you mean 'min_bank'"),
    ],
)
def test_what_cannot_be_tiled_is_said_in_one_sentence(
    name: str, parameters: dict[str, Any], said: str
) -> None:
    with pytest.raises(SettingError) as caught:
        made(name, **parameters)
    assert said in str(caught.value) and "\n" not in str(caught.value)
