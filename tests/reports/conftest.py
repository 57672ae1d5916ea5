"""A model of small brick tiles, fitted once, and tiles to check; result cards, and their pages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from anomalens.demo.photographs import Tiles, load_photograph
from anomalens.evaluation.card_figures import image_part
from anomalens.evaluation.cards import ImageScore, ResultCard
from anomalens.images import ImageSet
from anomalens.inspector import Inspector
from anomalens.reports import CheckReport, ModelRecord
from anomalens.reports.evaluation import write_report


@pytest.fixture(scope="session")
def tiles() -> Tiles:
    return Tiles.cut(load_photograph("brick.png"), side=64)


@pytest.fixture(scope="session")
def inspector(tiles: Tiles) -> Inspector:
    return Inspector.fit(
        np.stack(list(tiles.normal.values())),
        size=64,
        groups="declared",
        policy="false-alarm-rate=0.05",
        parameters={"min_bank": 200},
    )


@pytest.fixture()
def photos(tiles: Tiles, tmp_path: Path) -> Path:
    """A folder with two good and two painted tiles, one very odd one, and an empty file."""
    folder = tmp_path / "photos"
    folder.mkdir()
    good = [name for name in tiles.test if name.startswith("good/")][:2]
    for i, name in enumerate([*good, *list(tiles.masks)[:2]]):
        Image.fromarray(tiles.test[name]).save(folder / f"tile {i}.png")
    odd = tiles.test[good[0]].copy()
    odd[8:28, 8:28] = (255, 0, 0)
    Image.fromarray(odd).save(folder / "odd.png")
    (folder / "empty.png").write_bytes(b"")
    return folder


@pytest.fixture()
def check(inspector: Inspector) -> Callable[..., Path]:
    def run(out: Path, images: object, **options: int) -> Path:
        image_set = ImageSet.open(images)
        report = CheckReport(out, ModelRecord.of(inspector), image_set, **options)
        for finding in inspector.check(image_set):
            report.add(finding)
        return report.finish()

    return run


class Page(HTMLParser):
    """Tags, attributes and texts of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.source = path.read_text(encoding="utf-8")
        self.tags: list[str] = []
        self.links: list[str] = []
        self.texts: list[str] = []
        self.feed(self.source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "action")]
        assert not any(name.startswith("on") for name, _ in attrs)

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


def card_of(
    normal: Any, anomalous: Any, *, threshold: float = 1.0, seed: int = 0, **changed: Any
) -> ResultCard:
    """A card as `evaluate_task` makes it, from scores."""
    rng = np.random.default_rng(seed)
    scores = [
        ImageScore(f"good/{i}.png", "good", float(s), 0.5, bool(s > threshold)) for i, s in enumerate(normal)
    ]
    scores += [
        ImageScore(f"bad/{i}.png", ("dent", "crack")[i % 2], float(s), 0.01, bool(s > threshold))
        for i, s in enumerate(anomalous)
    ]
    values = np.array([s.score for s in scores], np.float64)
    labels = np.array([s.label != "good" for s in scores])
    figures, intervals, _ = image_part(values, labels, values > threshold)
    return replace(
        ResultCard(
            dataset="plates",
            protocol="split",
            detector="patchcore",
            seed=seed,
            n_train=99,
            n_test=len(scores),
            threshold=threshold,
            fit_seconds=3.2,
            ms_per_image=12.5,
            peak_mb=300.0,
            data_sha256="ab" * 32,
            settings={"fitted_size": [128, 128], "parameters": {"sigma": 4.0}, "preprocess": "stretch"},
            calibration={
                "method": "out-of-fold", "calibrated": True, "n": 99, "n_groups": 99, "supported": True,
                "policy": "false-alarm-rate=0.05", "rate": 0.05, "note": None,
                "scores": np.sort(rng.normal(0, 0.5, 99)).tolist(),
            },
            notes=("A note of the data.",),
            command="anomalens evaluate plates --seed 0 --detector patchcore",
            scores=tuple(scores),
            ci=intervals,
            **figures,
        ),
        **changed,
    )  # fmt: skip


@pytest.fixture(scope="session")
def make_card() -> Callable[..., ResultCard]:
    """A card as `evaluate_task` makes it, from scores of normal images and of anomalies."""
    return card_of


@pytest.fixture(scope="session")
def card() -> ResultCard:
    rng = np.random.default_rng(1)
    return card_of(rng.normal(0, 0.5, 60), rng.normal(2, 1, 40))


@pytest.fixture(scope="session")
def page_of() -> Callable[..., Page]:
    """The page of some cards, written and read."""

    def read(cards: list[ResultCard], out: Path, **options: Any) -> Page:
        return Page(write_report(cards, out, **options))

    return read


@pytest.fixture(scope="session")
def page_at() -> Callable[[Path], Page]:
    """A page that lies there."""
    return Page
