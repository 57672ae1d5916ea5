"""`combine:A,B`: the contract, parameters, one scale, files, and names that are refused."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from anomalens.backbones.runtimes import Runtime
from anomalens.bundle import Bundle, read_bundle, write_bundle
from anomalens.detectors import Batch, Detector, Scores, State
from anomalens.detectors.checks import TexturedImages, painted, yield_checks
from anomalens.detectors.combine import Combine
from anomalens.detectors.contract import Settings
from anomalens.detectors.cross_fit import cross_fit
from anomalens.detectors.spec import DetectorSpec
from anomalens.errors import AnomalensWarning, ModelFileError, SettingError
from anomalens.inspector import Inspector
from anomalens.job import Job

PIXELS = {"features": "pixels"}


def made(name: str, **parameters: Any) -> Any:
    return DetectorSpec.parse(name).make(parameters)


def every_check() -> Iterator[Any]:
    for name, parameters in (
        ("combine:knn,gaussian", PIXELS),
        ("combine:patchcore,knn", {}),
        ("combine:pca,gmm", {}),
    ):
        for check in yield_checks(made(name, **parameters)):
            yield pytest.param(check, id=f"{name}-{check}")


@pytest.mark.parametrize("check", list(every_check()))
def test_it_keeps_the_contract(check: Any) -> None:
    check()


@pytest.fixture(scope="module")
def images() -> TexturedImages:
    return TexturedImages.make(16, (64, 64), seed=0)


@pytest.fixture(scope="module")
def fitted(images: TexturedImages) -> tuple[Combine, Scores]:
    found = made("combine:knn,gaussian", **PIXELS)
    scores = found.fit(images, Job(Runtime()))
    assert scores is not None
    return found, scores


def test_the_fused_score_is_the_mean_of_the_members_places_on_their_scales(
    fitted: tuple[Combine, Scores], images: TexturedImages
) -> None:
    found, _ = fitted
    batch = Batch([*images.pixels[:3], painted(images.pixels[0])[0]], list("abcd"))
    places = [member.scale(member.detector.score(batch).image) for member in found.members_]
    np.testing.assert_allclose(found.score(batch).image, np.mean(places, 0))
    alone = [made(name, **PIXELS) for name in ("knn", "gaussian")]
    for member, detector in zip(found.members_, alone, strict=True):
        unseen = detector.fit(images, Job(Runtime())).image
        np.testing.assert_array_equal(member.scale.scores, type(member.scale).fit(unseen).scores)
        np.testing.assert_array_equal(detector.score(batch).image, member.detector.score(batch).image)


def test_it_rises_with_each_member_and_has_no_ties_beyond_the_normal_scores(
    fitted: tuple[Combine, Scores],
) -> None:
    found, _ = fitted
    for member in found.members_:
        grid = np.linspace(member.scale.scores[0] - 10, member.scale.scores[-1] + 100, 500)
        assert (np.diff(member.scale(grid)) > 0).all()


def test_its_own_out_of_fold_scores_are_on_the_scale_of_new_images(
    fitted: tuple[Combine, Scores],
) -> None:
    found, scores = fitted
    fresh = TexturedImages.make(16, (64, 64), seed=9)
    new = found.score(Batch(fresh.pixels, fresh.ids)).image
    assert abs(np.median(new) - np.median(scores.image)) < 0.5


def test_maps_are_those_of_the_members_that_have_some(images: TexturedImages) -> None:
    found = made("combine:patchcore,knn", **{"patchcore.min_bank": 100, "knn.features": "pixels"})
    scores = found.fit(images, Job(Runtime()))
    member = found.members_[0]
    assert [m.map_scale is None for m in found.members_] == [False, True]
    batch = Batch(images.pixels[:2], ["a", "b"])
    expected = member.scaled(member.detector.score(batch).maps)
    np.testing.assert_array_equal(found.score(batch).maps, expected)
    assert np.median(scores.maps) == pytest.approx(0, abs=1e-4)
    assert scores.maps[scores.maps > 0].mean() == pytest.approx(1, abs=1e-3)


def test_parameters_go_to_one_member_or_to_all_that_have_them() -> None:
    given = {"backbone": "efficientnet-lite2", "pca.backbone": "efficientnet-lite1", "knn.n_neighbors": "7"}
    found = made("combine:patchcore,knn,pca", **given).parameters
    assert [found[f"{label}.backbone"] for label in ("patchcore", "knn", "pca")] == [
        "efficientnet-lite2", "efficientnet-lite2", "efficientnet-lite1",
    ]  # fmt: skip
    assert (found["knn.n_neighbors"], found["patchcore.n_neighbors"]) == (7, 9)
    assert found.keys() == DetectorSpec.parse("combine:patchcore,knn,pca").parameters().keys()


def test_a_detector_named_twice_has_two_names() -> None:
    found = made("combine: gaussian, gaussian ", **{"gaussian2.features": "texture"})
    assert found.name == "combine:gaussian,gaussian"
    features = [found.parameters[f"{label}.features"] for label in ("gaussian", "gaussian2")]
    assert features == ["pretrained", "texture"]


@pytest.mark.parametrize(
    ("name", "parameters", "words"),
    [
        ("combine:knn,gaussian", {"backbon": "x"}, "did you mean 'backbone'"),
        ("combine:knn,gaussian", {"knn.neighbors": "3"}, "did you mean 'n_neighbors'"),
        ("combine:knn,gaussian", {"gausian.shrinkage": "oas"}, "no member named 'gausian'; did you mean"),
        ("combine:knn,gaussian", {"n_neighbors": "0"}, "from 1 to 1000"),
        ("combine:knn,gausian", {}, "did you mean 'gaussian'"),
        ("combine:knn", {}, "names 1 members; name 2 to 8"),
        ("combine:", {}, "names 0 members"),
        ("combine", {}, "names 0 members"),
        ("combine:knn,combine:pca,gmm", {}, "combines a combination"),
        ("combine:" + ",".join(["knn"] * 9), {}, "names 9 members"),
    ],
)
def test_bad_names_and_parameters_are_refused_in_one_sentence(
    name: str, parameters: dict[str, str], words: str
) -> None:
    with pytest.raises(SettingError, match=words):
        made(name, **parameters)


class Bright(Detector):
    """Brightness; leaves its out-of-fold scores to others."""

    name: ClassVar[str] = "bright"
    family: ClassVar[str] = "density"
    pixel_level: ClassVar[bool] = True
    settings_type: ClassVar[type[Settings]] = Settings
    fits: ClassVar[list[tuple[str, ...]]] = []

    def fit(self, images: Any, job: Any) -> None:
        type(self).fits.append(tuple(images.ids))
        self.mean_ = float(np.mean([image.mean() for image in images]))

    def score(self, batch: Batch) -> Scores:
        values = [abs(float(image.mean()) - self.mean_) for image in batch.images]
        return Scores(np.array(values), np.stack([image[:, :, 0] for image in batch.images]).astype("f4"))

    def state(self) -> State:
        return State({"mean": self.mean_})

    @classmethod
    def from_state(cls, state: State, *, size: Any, runtime: Any) -> Bright:
        found = cls()
        found.mean_ = state.numbers["mean"]
        return found


def test_cross_fitting_leaves_whole_groups_out_and_scores_what_is_asked_for(images: TexturedImages) -> None:
    Bright.fits.clear()
    grouped = replace(images, groups=np.arange(16) // 4)
    scores = cross_fit(Bright(), grouped, Job(Runtime()), which=np.arange(0, 16, 2))
    assert np.isfinite(scores.image).tolist() == [True, False] * 8
    assert scores.maps is not None and scores.maps.shape == (16, 1, 1)
    assert [len(ids) for ids in Bright.fits] == [12] * 4
    for ids in Bright.fits:
        assert {int(name.split("-")[1]) // 4 for name in ids} < set(range(4))
    means = np.array([image.mean() for image in images.pixels])
    assert scores.image[0] == pytest.approx(abs(means[0] - means[4:].mean()))


def test_a_member_without_own_out_of_fold_scores_is_cross_fitted(images: TexturedImages) -> None:
    found = Combine({"knn": made("knn", **PIXELS), "bright": Bright()})
    Bright.fits.clear()
    scores = found.fit(images, Job(Runtime()))
    assert len(Bright.fits) == 6
    assert scores is not None and np.isfinite(scores.image).all()
    assert scores.maps is not None and scores.maps.shape == (16, 1, 1)


def test_members_read_an_image_through_the_network_once(
    images: TexturedImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    from anomalens.detectors.features.pixels import SmallPicture

    asked: list[int] = []
    plain = SmallPicture.__call__

    def counted(self: SmallPicture, image: Any) -> Any:
        asked.append(id(image))
        return plain(self, image)

    monkeypatch.setattr(SmallPicture, "__call__", counted)
    found = made("combine:knn,gaussian,pca", **PIXELS)
    found.fit(images, Job(Runtime()))
    assert len(asked) == len(images)
    found.score(Batch(images.pixels[:3], ["a", "b", "c"]))
    assert len(asked) == len(images) + 3
    loaded = found.rebuilt(found.state(), size=images.size, runtime=Runtime())
    asked.clear()
    changed = images.pixels[0].copy()
    first = loaded.score(Batch([changed], ["a"])).image[0]
    changed[:] = painted(changed)[0]  # the same array, another image
    assert loaded.score(Batch([changed], ["a"])).image[0] > first
    assert len(asked) == 2


def test_equal_graphs_are_stored_once(images: TexturedImages) -> None:
    found = made("combine:gaussian,pca")
    found.fit(images, Job(Runtime()))
    state = found.state()
    assert list(state.graphs) == ["m0-features"]
    assert {name.split(".")[0] for name in state.arrays} == {"m0", "m1"}


def test_why_names_the_members_and_similar_images(
    fitted: tuple[Combine, Scores], images: TexturedImages
) -> None:
    found, _ = fitted
    odd, _ = painted(images.pixels[3])
    reasons = found.score(Batch([odd], ["odd"])).explain(0)
    assert {part.name for part in reasons.parts} == {"knn", "gaussian"}
    total = sum(part.contribution for part in reasons.parts)
    assert total == pytest.approx(found.score(Batch([odd], ["a"])).image[0])
    assert len(reasons.nearest) == 3
    assert found.score(Batch([images.pixels[3]], ["x"])).explain(0).nearest[0].image == "image-3"


@pytest.fixture(scope="module")
def bricks(real_set: Callable[[str], Path]) -> Inspector:
    paths = sorted((real_set("brick_cracks") / "train" / "good").iterdir())[:40]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AnomalensWarning)  # two of them look alike
        return Inspector.fit(
            paths, detector="combine:patchcore,knn", size=64, parameters={"min_bank": 100}, policy="max"
        )


def test_a_saved_combination_answers_the_same(
    bricks: Inspector, real_set: Callable[[str], Path], tmp_path: Path
) -> None:
    loaded = Inspector.load(bricks.save(tmp_path / "bricks.anomalens"))
    assert loaded.detector.name == "combine:patchcore,knn"
    new = sorted((real_set("brick_cracks") / "test").rglob("*.jpg"))[::40]
    for one, two in zip(bricks.check(new), loaded.check(new), strict=True):
        assert one.score == two.score
        np.testing.assert_array_equal(one.map, two.map)


def edited(path: Path, **changes: Any) -> Path:
    bundle = read_bundle(path)
    card = json.loads(json.dumps(bundle.card))
    for place, value in changes.items():
        inner = card
        *keys, last = place.split("__")
        for key in keys:
            inner = inner[int(key) if key.isdigit() else key]
        inner[last] = value
    write_bundle(path, Bundle(card, bundle.arrays, bundle.graphs))
    return path


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"detector__name": "combine:patchcore,nothing"}, "needs the detector 'nothing'"),
        ({"detector__name": "combine:patchcore"}, "names 1 members"),
        ({"detector__name": "combine:patchcore,combine"}, "combines a combination"),
        ({"detector__name": "combine:knn,patchcore"}, "not those that the detector's name says"),
        ({"state__members": []}, "not those that the detector's name says"),
        ({"state__members__0__scale": {"scores": [1, 0]}}, "lacks what a model needs"),
        ({"state__members__0__map_scale": None}, "map's scale is missing"),
        ({"state__members__0__map_scale": [0, -1]}, "no positive number"),
        ({"state__members__1__graphs": {"features": "gone"}}, "lacks what a model needs"),
    ],
)
def test_a_damaged_combination_is_refused(
    changes: dict[str, Any], words: str, bricks: Inspector, tmp_path: Path
) -> None:
    path = edited(bricks.save(tmp_path / "bricks.anomalens"), **changes)
    with pytest.raises(ModelFileError, match=words):
        Inspector.load(path)
