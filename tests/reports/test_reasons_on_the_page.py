"""The page of a check says why, and shows similar normal images where the model holds them."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from anomalens.demo.photographs import Tiles
from anomalens.images import ImageSet
from anomalens.inspector import Inspector
from anomalens.reports import CheckReport, ModelRecord


@pytest.fixture(scope="module")
def knn(tiles: Tiles) -> Inspector:
    stack = np.stack(list(tiles.normal.values()))
    return Inspector.fit(
        stack, detector="knn", size=64, groups="declared", policy="max", keep_thumbnails=1000
    )


def page_of(inspector: Inspector, photos: Path, out: Path) -> str:
    images = ImageSet.open(photos)
    report = CheckReport(out, ModelRecord.of(inspector), images)
    for finding in inspector.check(images, explain="flagged"):
        report.add(finding)
    return report.finish().read_text()


def test_bars_and_similar_images_are_on_the_cards_of_flagged_images(
    knn: Inspector, photos: Path, tmp_path: Path
) -> None:
    page = page_of(knn, photos, tmp_path / "report")
    flagged = page.count('<article class="entry flagged">')
    assert flagged >= 1
    assert page.count('<ul class="parts">') == page.count('<div class="similar">') == flagged
    assert re.search(r'style="width:\d+%"></span>stride\d+ (mean|std) <b>\d+ %</b>', page)
    shown = re.findall(r'<figure><a href="(pictures/normal-[^"]+)"', page)
    assert len(shown) == 3 * flagged
    for name in set(shown):
        with Image.open(tmp_path / "report" / name) as picture:
            assert max(picture.size) <= 96
    assert len(list((tmp_path / "report" / "pictures").glob("normal-*"))) == len(set(shown))


def test_a_second_report_leaves_no_picture_of_the_first(knn: Inspector, photos: Path, tmp_path: Path) -> None:
    page_of(knn, photos, tmp_path / "report")
    first = {path.name for path in (tmp_path / "report" / "pictures").iterdir()}
    page_of(knn, photos, tmp_path / "report")
    assert {path.name for path in (tmp_path / "report" / "pictures").iterdir()} == first


def test_normal_images_of_one_name_have_pictures_of_their_own(
    tiles: Tiles, photos: Path, tmp_path: Path
) -> None:
    stack = list(tiles.normal.values())
    images = ImageSet.from_arrays(stack, ids=[f"{i}/same.png" for i in range(len(stack))])
    options = {"detector": "knn", "size": 64, "groups": "declared", "policy": "max", "keep_thumbnails": 1000}
    page = page_of(Inspector.fit(images, **options), photos, tmp_path / "report")
    shown = re.findall(r'<a href="(pictures/normal-[^"]+)"><img [^>]*></a><figcaption>(\d+)/same.png', page)
    assert len({name for name, _ in shown}) == len({image for _, image in shown}) > 1


def test_without_thumbnails_the_names_stand_alone(knn: Inspector, photos: Path, tmp_path: Path) -> None:
    from dataclasses import replace

    page = page_of(replace(knn, thumbnails={}), photos, tmp_path / "report")
    assert '<div class="similar"><figure><figcaption>array-' in page
    assert "pictures/normal-" not in page


def test_a_thumbnail_that_is_no_picture_is_left_out(knn: Inspector, photos: Path, tmp_path: Path) -> None:
    from dataclasses import replace

    bad = dict.fromkeys(knn.thumbnails, b"<script>")
    page = page_of(replace(knn, thumbnails=bad), photos, tmp_path / "report")
    assert "pictures/normal-" not in page


def test_names_of_normal_images_are_escaped(tiles: Tiles, photos: Path, tmp_path: Path) -> None:
    stack = list(tiles.normal.values())
    images = ImageSet.from_arrays(stack, ids=[f"<b>{i}</b>" for i in range(len(stack))])
    fitted = Inspector.fit(images, detector="knn", size=64, groups="declared", policy="max")
    page = page_of(fitted, photos, tmp_path / "report")
    assert "&lt;b&gt;" in page and "<figcaption><b>" not in page
