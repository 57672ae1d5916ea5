"""`anomalens datasets`: the list, one card, JSON, and its refusals."""

from __future__ import annotations

import json

import pytest

from anomalens.cli.main import run
from anomalens.datasets import dataset_rows
from anomalens.datasets.catalogue import ALIASES, DATASETS


@pytest.fixture
def command(capsys):
    def call(*arguments):
        capsys.readouterr()
        code = run(["datasets", *map(str, arguments)])
        taken = capsys.readouterr()
        return code, taken.out, taken.err

    return call


def test_the_list_names_every_dataset_and_what_was_found(command, real_set):
    code, out, _ = command("--root", real_set("mnist").parent)
    assert code == 0
    assert all(f"\n{name}  (" in f"\n{out}" for name in DATASETS)
    assert f"mnist  (one-vs-rest; found in {real_set('mnist')})" in out
    assert "visa  (split; not found)" in out


def test_the_card_says_how_to_get_it_and_what_its_tasks_are(command, real_set):
    code, out, _ = command("magnetic_tile", "--root", real_set("magnetic_tile"))
    assert code == 0
    assert "learn from 403 images, test with 536 (386 anomalous, 386 masks)" in out
    code, out, _ = command("svhn")
    assert code == 0
    assert "address:  http://ufldl.stanford.edu/housenumbers/train_32x32.mat (SHA-256 435e94d6" in out
    assert "anomalens datasets svhn --root DIR --download" in out and "found:    nothing" in out


def test_json(command, real_set):
    code, out, _ = command("--json")
    rows = json.loads(out)
    assert code == 0 and [row["name"] for row in rows] == list(DATASETS)
    code, out, _ = command("malaria", "--json", "--root", real_set("malaria_cells"))
    row = json.loads(out)
    assert row["installed"] is True
    assert row["tasks"][0] == {
        "task": "malaria/uninfected", "train": 2500, "test": 1200, "anomalous": 600, "masks": 0, "notes": [],
    }  # fmt: skip


def test_refusals(command, tmp_path):
    assert command("mvtec-da")[0::2] == (
        2, "error: There is no dataset named 'mvtec-da'; did you mean 'mvtec-ad'?\n",
    )  # fmt: skip
    code, _, err = command("mnist", "--download")
    assert code == 2 and "NAME --root DIR --download" in err
    code, _, err = command("visa", "--root", tmp_path, "--download")
    assert code == 2 and "No stable address" in err
    code, _, err = command("--root", tmp_path / "nowhere")
    assert code == 2 and "check --root" in err


def test_aliases_lead_to_datasets():
    assert set(ALIASES.values()) <= DATASETS.keys()
    assert all({"licence", "page", "layout", "protocol", "installed"} <= row.keys() for row in dataset_rows())
