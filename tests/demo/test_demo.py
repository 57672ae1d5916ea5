"""The demonstration, end to end on one photograph, and the folders it refuses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from anomalens.cli.main import run
from anomalens.demo import Trial, run_demo
from anomalens.demo.photographs import PHOTOGRAPHS, Tiles, load_photograph
from anomalens.demo.table import by_hand, header, row
from anomalens.errors import InputError
from anomalens.inspector import Inspector


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Trial:
    out = tmp_path_factory.mktemp("demo") / "out"
    (found,) = run_demo(out, photographs=["brick"], size=96)
    return found


def test_finds_defects_in_brick(trial: Trial) -> None:
    assert (trial.n_normal, trial.n_good, trial.n_defects) == (32, 16, 16)
    assert trial.image_auroc > 0.85 and trial.pixel_auroc > 0.85
    assert trial.found >= 8
    assert trial.false_alarms <= 5


def test_its_files_are_there_and_answer_the_same(trial: Trial) -> None:
    assert trial.page.is_file()
    page = trial.page.read_text(encoding="utf-8")
    assert f"{trial.found + trial.false_alarms} of 32 images flagged" in page
    inspector = Inspector.load(trial.model)
    findings = list(inspector.check(trial.folder / "test"))
    flagged = [f for f in findings if f.anomalous]
    assert len(flagged) == trial.found + trial.false_alarms
    masks = sorted((trial.folder / "ground_truth").rglob("*.png"))
    assert len(masks) == 16
    for mask in masks:
        assert np.asarray(Image.open(mask)).any()


def test_running_again_replaces_its_own_output(trial: Trial) -> None:
    out = trial.folder.parent
    note = trial.folder / "test" / "note.txt"
    note.write_text("mine")
    (again,) = run_demo(out, photographs=["brick"], size=96)
    assert again.image_auroc == trial.image_auroc and again.found == trial.found
    assert note.read_text() == "mine"


def test_table_and_commands(trial: Trial) -> None:
    assert len(row(trial)) == len(header())
    fit, check = by_hand(trial)
    assert fit.startswith("anomalens fit ") and "--size 96" in fit
    assert str(trial.folder / "test") in check


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
    for name in PHOTOGRAPHS:
        assert load_photograph(name).shape == (512, 512, 3)
    with pytest.raises(InputError, match="reinstall"):
        load_photograph("no-such-photograph")


def test_tiles_share_no_pixel_and_masks_are_exact() -> None:
    photograph = load_photograph("gravel")
    tiles = Tiles.cut(photograph, side=64)
    names = [*tiles.normal, *(name.split("/")[1] for name in tiles.test)]
    assert len(names) == len(set(names)) == 64
    assert len(tiles.masks) == 16
    for name, tile in tiles.test.items():
        x, y = (int(part[1:]) for part in Path(name).stem.split("-"))
        changed = (tile != photograph[y : y + 64, x : x + 64]).any(axis=2)
        np.testing.assert_array_equal(changed, tiles.masks.get(name, np.zeros((64, 64), bool)))
