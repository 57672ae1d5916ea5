"""Pictures of an evaluation report: which, how many, and that an evaluation on real code gives them."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from anomalens.datasets.task import Task
from anomalens.evaluation.cards import ResultCard
from anomalens.evaluation.evaluate import evaluate_task
from anomalens.images import ImageSet
from anomalens.inspector import FitOptions, Inspector
from anomalens.reports.evaluation import Album, write_report
from anomalens.reports.evaluation.album import Exhibit, chosen, within
from anomalens.reports.evaluation.numbers import CardNumbers


@pytest.fixture(scope="module")
def task(tiles, tmp_path_factory) -> Task:
    """Brick tiles: good ones, painted ones with masks, and an empty file."""
    folder = tmp_path_factory.mktemp("tiles")
    rows = ["path,label,mask"]
    for i, name in enumerate([n for n in tiles.test if n.startswith("good/")][:5]):
        Image.fromarray(tiles.test[name]).save(folder / f"good {i}.png")
        rows.append(f"good {i}.png,good,")
    for i, (name, mask) in enumerate(list(tiles.masks.items())[:6]):
        Image.fromarray(tiles.test[name]).save(folder / f"bad {i}.png")
        Image.fromarray(np.asarray(mask, np.uint8) * 255).save(folder / f"mask {i}.png")
        rows.append(f"bad {i}.png,paint,mask {i}.png")
    (folder / "empty.png").write_bytes(b"")
    rows.append("empty.png,paint,")
    (folder / "test.csv").write_text("\n".join(rows))
    train = ImageSet.open(np.stack(list(tiles.normal.values())))
    return Task("tiles", "split", None, None, None, train, ImageSet.open(folder / "test.csv"))


@pytest.fixture(scope="module")
def evaluated(task, inspector) -> tuple[ResultCard, Album]:
    return evaluate(task, inspector, Album())


def evaluate(task: Task, inspector: Inspector, album: Album) -> tuple[ResultCard, Album]:
    """The card of the task, with the pictures that the album took meanwhile."""
    card = evaluate_task(task, FitOptions(), model=inspector, on_finding=album.see)
    assert card.error is None
    album.keep(card)
    return card, album


def test_an_evaluation_has_its_pictures(evaluated, tmp_path):
    card, album = evaluated
    exhibits = album.of(card)
    assert len(exhibits) == len(chosen(CardNumbers(card))) > 0
    assert all(e.plain[:2] == e.overlay[:2] == b"\xff\xd8" and max(e.size) <= 400 for e in exhibits)
    labels = {score.image: score.label for score in card.scores}
    assert [e.image for e in exhibits] == [score.image for _, score in chosen(CardNumbers(card))]
    assert all(e.outlined == (labels[e.image] == "paint") for e in exhibits)
    path = write_report([card], tmp_path, album=album)
    text = path.read_text(encoding="utf-8")
    assert len(re.findall(r'<img src="data:image/jpeg;base64,', text)) == 2 * len(exhibits)
    assert "Pictures are left out" not in text and "empty.png (" in text
    assert path.stat().st_size < 5_000_000


def test_every_finding_is_handed_over_with_its_map_and_costs_no_checking_time(task, inspector):
    seen = []

    def slow(entry, finding, calibration):
        seen.append((entry.id, finding.map is not None, calibration.threshold.value))
        time.sleep(0.2)

    card = evaluate_task(task, FitOptions(), model=inspector, on_finding=slow)
    threshold = inspector.calibration.threshold.value
    assert seen == [(s.image, s.error is None, threshold) for s in card.scores]
    assert card.ms_per_image < 200


def test_a_small_page_leaves_pictures_out_and_says_so(evaluated, tmp_path):
    card, album = evaluated
    bare = write_report([card], tmp_path / "bare").stat().st_size
    page = write_report([card], tmp_path / "r", album=album, max_bytes=int(bare * 1.3))
    assert page.stat().st_size <= bare * 1.3
    assert re.search("left out, to keep this page small", page.read_text(encoding="utf-8"))


def test_misses_and_false_alarms_come_first(evaluated):
    card, _ = evaluated
    scores = [replace(s, anomalous=s.label == "good") for s in card.scores if s.score is not None]
    wanted = chosen(CardNumbers(replace(card, scores=tuple(scores))))
    assert [group for group, _ in wanted[:4]] == ["miss", "false-alarm", "miss", "false-alarm"]
    alarms = [s.score for group, s in wanted if group == "false-alarm"]
    misses = [s.score for group, s in wanted if group == "miss"]
    assert alarms == sorted(alarms, reverse=True) and misses == sorted(misses)


def test_a_budget_is_shared_between_cards(evaluated):
    card, album = evaluated
    one = album.of(card)[0]
    assert within([[one] * 5, [one] * 2, []], 4 * one.n_bytes) == [2, 2, 0]
    assert within([[one] * 5, [one] * 2], 0) == [0, 0]


def test_the_album_keeps_within_its_pool(evaluated, task, inspector):
    _, full = evaluated
    small = Album(pool_bytes=2 * max(e.n_bytes for e in full.of(evaluated[0])))
    first, _ = evaluate(task, inspector, small)
    second, _ = evaluate(task, inspector, small)
    assert len(small.of(first)) == len(small.of(second)) == 1
    failed = replace(second, seed=2, error="failed")
    small.keep(failed)
    assert small.of(failed) == []


def test_evaluate_writes_a_report(task, tiles, tmp_path, capsys):
    from anomalens.cli.main import run

    folder = tmp_path / "bricks"
    for name, image in list(tiles.normal.items())[:20]:
        place = folder / "train" / "good" / Path(name).name
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(place.with_suffix(".png"))
    for entry, kind in ((task.test[0], "good"), (task.test[5], "paint")):
        place = folder / "test" / kind / Path(entry.id).name
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(task.test.read(0 if kind == "good" else 5).pixels).save(place)
    out = tmp_path / "out"
    assert run(["evaluate", str(folder), "--size", "64", "-p", "min_bank=100", "--report", str(out)]) == 0
    assert "page: " in capsys.readouterr().out
    assert 'src="data:image/jpeg' in (out / "report.html").read_text(encoding="utf-8")
    (tmp_path / "file").write_text("")
    assert run(["evaluate", str(folder), "--report", str(tmp_path / "file")]) == 2


def test_exhibits_know_their_size():
    assert Exhibit("a.png", b"x" * 300, b"", (1, 1)).n_bytes >= 400
