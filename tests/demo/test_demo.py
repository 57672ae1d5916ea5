"""The demonstration, end to end on one photograph, and the folders it refuses."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from anomalens.cli.main import run
from anomalens.demo import Trial, run_demo
from anomalens.demo.photographs import PHOTOGRAPHS, Photograph, Tiles, load_photograph
from anomalens.demo.table import by_hand, header, row
from anomalens.errors import InputError
from anomalens.inspector import Inspector
from anomalens.metrics.verdicts import clopper_pearson

BRICK, GRAVEL = PHOTOGRAPHS[0], PHOTOGRAPHS[-1]
HALF = replace(BRICK, square=(0, 0, 320))


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Trial:
    out = tmp_path_factory.mktemp("demo") / "out"
    (found,) = run_demo(out, photographs=[HALF])
    return found


def test_finds_defects_in_brick(trial: Trial) -> None:
    assert (trial.n_normal, trial.n_good, sum(trial.painted.values())) == (48, 8, 8)
    assert trial.image_auroc > 0.85
    assert sum(trial.found.values()) >= 5 and trial.false_alarms <= 3


def test_its_files_are_there_and_answer_the_same(trial: Trial) -> None:
    flagged = sum(trial.found.values()) + trial.false_alarms
    assert f"{flagged} of 16 images flagged" in trial.page.read_text(encoding="utf-8")
    inspector = Inspector.load(trial.model)
    findings = list(inspector.check(trial.folder / "test"))
    assert sum(bool(finding.anomalous) for finding in findings) == flagged
    masks = sorted((trial.folder / "ground_truth").rglob("*.png"))
    assert len(masks) == 8
    for mask in masks:
        assert np.asarray(Image.open(mask)).any()


def test_the_page_of_all_shows_pictures_that_are_there(trial: Trial) -> None:
    page = trial.folder.parent / "index.html"
    text = page.read_text(encoding="utf-8")
    assert f"A brick wall: {sum(trial.found.values())} of 8 painted tiles found" in text
    assert f"False alarms: {trial.false_alarms} of 8 intact tiles" in text
    sources = [part.split('"')[0] for part in text.split('<img src="')[1:]]
    assert len(sources) == 6 + 2 * trial.false_alarms
    assert all((page.parent / source).is_file() for source in sources)


def test_running_again_replaces_its_own_output(trial: Trial) -> None:
    out = trial.folder.parent
    note = trial.folder / "test" / "note.txt"
    note.write_text("mine")
    (again,) = run_demo(out, photographs=[HALF])
    assert again.image_auroc == trial.image_auroc and again.found == trial.found
    assert note.read_text() == "mine"


def test_table_and_commands(trial: Trial) -> None:
    assert len(row(trial)) == len(header())
    fit, check = by_hand(trial)
    assert fit.startswith("anomalens fit ") and fit.endswith("--false-alarm-rate 0.05")
    assert str(trial.folder / "test") in check


@pytest.mark.parametrize(
    "photograph", [one for one in PHOTOGRAPHS if not one.fails], ids=lambda one: one.name
)
def test_nine_in_ten_are_found_whatever_is_painted_where(photograph: Photograph) -> None:
    first = Tiles.cut(photograph.pixels(), side=photograph.tile)
    inspector = Inspector.fit(list(first.normal.values()), policy="false-alarm-rate=0.05", groups="declared")
    found = painted = 0
    for seed in range(5):
        tiles = Tiles.cut(photograph.pixels(), side=photograph.tile, seed=seed)
        findings = list(inspector.check([tiles.test[name] for name in tiles.masks]))
        found += sum(bool(finding.anomalous) for finding in findings)
        painted += len(findings)
    assert found >= 0.9 * painted
    intact = Tiles.cut(photograph.pixels(), side=photograph.tile, painted=0.0).test
    alarms = sum(bool(finding.anomalous) for finding in inspector.check(list(intact.values())))
    assert clopper_pearson(alarms, len(intact)).low <= 0.05


def test_the_commands_that_it_prints_find_the_same(
    trial: Trial, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    fit, check = (shlex.split(command)[1:] for command in by_hand(trial))
    assert run(fit) == 0
    run(check)
    flagged = sum(trial.found.values()) + trial.false_alarms
    assert f"{flagged} flagged" in capsys.readouterr().err


def test_refuses_a_folder_with_other_things(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match="new folder"):
        next(run_demo(tmp_path))
    assert run(["demo", "--out", str(tmp_path)]) == 2
    assert "new folder" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]
    with pytest.raises(InputError, match="is a file"):
        next(run_demo(tmp_path / "thesis.txt"))


def test_photographs_come_without_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    for photograph in PHOTOGRAPHS:
        height, width, channels = photograph.pixels().shape
        assert height == width >= 512 and channels == 3
    with pytest.raises(InputError, match="reinstall"):
        load_photograph("no-such-photograph.png")


def test_tiles_share_no_pixel_and_masks_are_exact() -> None:
    photograph = GRAVEL.pixels()
    tiles = Tiles.cut(photograph, side=64)
    names = [*tiles.normal, *(name.split("/")[1] for name in tiles.test)]
    assert len(names) == len(set(names)) == 64
    assert len(tiles.masks) == 8
    for name, tile in tiles.test.items():
        x, y = (int(part[1:]) for part in Path(name).stem.split("-"))
        changed = (tile != photograph[y : y + 64, x : x + 64]).any(axis=2)
        np.testing.assert_array_equal(changed, tiles.masks.get(name, np.zeros((64, 64), bool)))
