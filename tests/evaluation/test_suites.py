"""Suites and resumable benchmarks."""

from __future__ import annotations

import json
import shlex
import shutil
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest

from anomalens.cli.main import run
from anomalens.errors import InputError, SettingError
from anomalens.evaluation.benchmark import run_cells
from anomalens.evaluation.cards import read_cards, write_cards
from anomalens.evaluation.cell import Cell
from anomalens.evaluation.data_hash import data_hash
from anomalens.evaluation.results_table import results_table
from anomalens.evaluation.suite import Suite
from anomalens.images.image_set import ImageSet
from anomalens.inspector import FitOptions


def test_a_suite_gives_a_cell_for_each_combination_and_an_error_for_what_is_missing(suite, woven):
    cells = list(Suite.read(suite).cells(woven.parent))
    good = [cell for cell in cells if not isinstance(cell, InputError)]
    assert [cell.options.seed for cell in good] == [0, 1]
    assert len({cell.file_name for cell in good}) == 2
    assert len(cells) == 3 and "not-there" in str(cells[2])


def test_parameters_of_members_are_tables_and_reach_the_command_line(suite, woven):
    text = suite.read_text().replace('"patchcore"', '"combine:knn,gaussian"')
    text = text.replace("min_bank = 100", "features = 'pixels', knn = { n_neighbors = 3 }")
    suite.write_text(text)
    first = next(iter(Suite.read(suite).cells(woven.parent)))
    assert first.words[-4:] == ["-p", "features=pixels", "-p", "knn.n_neighbors=3"]
    assert first.words[first.words.index("--detector") + 1] == "combine:knn,gaussian"


def test_features_are_computed_once_for_all_cells_of_a_benchmark(suite, woven, tmp_path, capsys):
    text = suite.read_text().split('[[dataset]]\nname = "not-there"')[0].replace("[0, 1]", "[0]")
    detectors = "\n".join(f'[[detector]]\nname = "{name}"' for name in ("knn", "gaussian"))
    suite.write_text(f"{text}\n{detectors}\n")
    cache = tmp_path / "features"
    arguments = ["benchmark", str(suite), "--root", str(woven.parent), "--feature-cache", str(cache)]
    assert run([*arguments, "--out", str(tmp_path / "cards")]) == 0
    held = {file: file.stat().st_mtime_ns for file in cache.glob("*/*.npy")}
    images = len(list(woven.glob("train/good/*"))) + len(list(woven.glob("test/*/*")))
    assert images < len(held) <= images + 4  # the golden images are scored too
    assert run([*arguments, "--out", str(tmp_path / "again")]) == 0
    assert {file: file.stat().st_mtime_ns for file in cache.glob("*/*.npy")} == held
    cards = read_cards(sorted((tmp_path / "cards").glob("*.json")))
    again = read_cards(sorted((tmp_path / "again").glob("*.json")))
    assert [card.image_auroc for card in cards] == [card.image_auroc for card in again]
    assert all(any("from a cache" in note for note in card.notes) for card in cards)
    capsys.readouterr()


def test_a_place_for_features_that_cannot_be_used_is_refused(woven, tmp_path, capsys):
    (tmp_path / "file").touch()
    arguments = ["evaluate", str(woven), "--detector", "knn", "--feature-cache"]
    assert run([*arguments, str(tmp_path / "file" / "below")]) == 2
    assert "of --feature-cache cannot be made" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "hint"),
    [
        (("seeds", "seed"), "seeds"),
        (("[[detector]]", "[[detectors]]"), "detector"),
        (('title = "Two"', "title ="), "TOML"),
        (("size = 64", "sise = 64"), "size"),
    ],
)
def test_a_wrong_suite_is_one_sentence(suite, change, hint):
    suite.write_text(suite.read_text().replace(*change))
    with pytest.raises(InputError, match=hint):
        Suite.read(suite)


@pytest.mark.parametrize(
    ("change", "hint"),
    [
        (("seeds = [0, 1]", "seeds = 3"), "seeds = 3"),
        (("seeds = [0, 1]", "seeds = []"), "seeds"),
        (("seeds = [0, 1]", "seeds = [0.5]"), "seeds"),
        (("seeds = [0, 1]", "seeds = [-1]"), "seeds"),
        (("seeds = [0, 1]", "seeds = [true]"), "seeds"),
        (("seeds = [0, 1]", "root = 5"), "root = 5"),
        (("size = 64", 'size = "64"'), "size = '64'"),
        (("size = 64", 'shots = [1, "2"]'), "shots"),
        (("size = 64", "against = 3"), "against = 3"),
        (("parameters = { min_bank = 100 }", 'parameters = "min_bank=100"'), "parameters"),
        (("[[detector]]", "[detector]"), r"\[\[detector\]\]"),
    ],
)
def test_a_value_of_the_wrong_kind_is_one_sentence_that_names_the_suite(suite, change, hint):
    suite.write_text(suite.read_text().replace(*change))
    with pytest.raises(SettingError, match=hint) as caught:
        Suite.read(suite)
    assert str(suite) in str(caught.value) and "\n" not in str(caught.value)


def test_a_suite_sets_one_dataset_against_another(suite, woven, tmp_path):
    root = tmp_path / "root"
    shutil.copytree(woven, root / "in")
    shutil.copytree(woven, root / "out")
    text = suite.read_text().split("[[dataset]]")[0].replace("[0, 1]", "[1]")
    suite.write_text(
        f'{text}[[dataset]]\nname = "in"\nagainst = "out"\n'
        '[[detector]]\nname = "patchcore"\nparameters = { min_bank = 100 }\n'
    )
    (cell,) = Suite.read(suite).cells(root)
    assert cell.selection.against == str(root / "out")
    assert cell.words[cell.words.index("--against") + 1] == str(root / "out")
    assert cell.title == "in against out"
    task = cell.load()
    assert task.protocol == "in-vs-out" and len(task.train) + len(task.test) == cell.n_images


def test_the_suites_of_the_repository_are_read_and_name_known_datasets():
    from anomalens.datasets.load import known_dataset

    folder = Path(__file__).parents[2] / "suites"
    suites = {path.stem: Suite.read(path) for path in folder.glob("*.toml")}
    names = [known_dataset(row["name"]).name for row in suites["published"].datasets]
    assert len(names) == len(set(names)) >= 21
    assert [row["against"] for row in suites["shared"].datasets if "against" in row] == [
        "tiny_imagenet_ood",
        "dtd_textures_ood",
    ]


def test_a_cell_goes_to_its_process_and_comes_back_as_it_was(suite, woven, tmp_path):
    kept = FitOptions(checkpoints=tmp_path / "kept")
    for cell in Suite.read(suite).cells(woven.parent, kept=kept):
        if isinstance(cell, Cell):
            assert Cell.from_json(json.loads(json.dumps(cell.to_json()))) == cell
            assert cell.options.checkpoints == tmp_path / "kept"
            assert "kept" not in cell.command, "a place decides nothing"


def test_the_command_on_a_cell_evaluates_it(suite, woven, tmp_path):
    cell = next(iter(Suite.read(suite).cells(woven.parent)))
    (card,), _ = run_cells([cell], tmp_path / "cards")
    assert card.command == cell.command
    assert run([*shlex.split(card.command)[1:], "--json", str(tmp_path / "again.json")]) == 0
    (again,) = read_cards([tmp_path / "again.json"])
    volatile = {"fit_seconds": None, "ms_per_image": None, "peak_mb": None}
    assert replace(again, **volatile).to_json() == replace(card, **volatile).to_json()


class Evaluated:
    """Stands for the processes of cells: leaves the cards as they are, and counts."""

    def __init__(self):
        self.ran = []

    def __call__(self, cell, path):
        self.ran.append(path)
        return read_cards([path])[0]


def test_a_card_of_other_data_or_of_another_version_is_made_anew(suite, card, woven, tmp_path):
    root = tmp_path / "root"
    shutil.copytree(woven, root / woven.name)
    (cell,) = [c for c in Suite.read(suite).cells(root) if isinstance(c, Cell) and c.options.seed == 1]
    folder, fake = tmp_path / "cards", Evaluated()
    folder.mkdir()
    first = replace(card, versions={**card.versions, "anomalens": "0.1.0"})
    here = {"run": fake, "installed": {**first.versions, "new": "1"}}
    write_cards(folder / cell.file_name, [first])
    run_cells([cell], folder, **here)
    assert fake.ran == []
    write_cards(folder / cell.file_name, [replace(first, versions={"anomalens": "0.0.1"})])
    run_cells([cell], folder, **here)
    assert len(fake.ran) == 1
    write_cards(folder / cell.file_name, [replace(first, versions={**first.versions, "openvino-next": "1"})])
    run_cells([cell], folder, **here)
    assert len(fake.ran) == 2, "a package of the card is no longer installed"
    write_cards(folder / cell.file_name, [first])
    image = next((root / woven.name / "train/good").iterdir())
    shutil.copy(next((root / woven.name / "test/good").iterdir()), image)
    run_cells([cell], folder, **here)
    assert len(fake.ran) == 3
    run_cells([replace(cell, n_images=20_001)], folder, **here)
    assert len(fake.ran) == 3, "large sets are taken to be unchanged"


class Read(ImageSet):
    """Images that tell which of them were read."""

    told: ClassVar = []

    def sha256(self, index):
        self.told.append(self.entries[index].id)
        return super().sha256(index)


class ToldCell(Cell):
    """A cell of such images."""

    def load(self):
        task = super().load()
        train, test = (Read(**vars(images)) for images in (task.train, task.test))
        return replace(task, train=train, test=test)


def test_a_resume_reads_each_image_once_however_many_cells_are_finished(suite, card, woven, tmp_path):
    second = '[[detector]]\nname = "patchcore"\nparameters = { min_bank = 50 }\n'
    suite.write_text(suite.read_text().replace("[0, 1]", "[0, 1, 2]") + second)
    cells = [ToldCell(**vars(c)) for c in Suite.read(suite).cells(woven.parent) if isinstance(c, Cell)]
    folder, fake = tmp_path / "cards", Evaluated()
    folder.mkdir()
    for cell in cells:
        write_cards(folder / cell.file_name, [card])
    cards, _ = run_cells(cells, folder, run=fake, installed=card.versions)
    assert len(cards) == len(cells) == 6
    assert fake.ran == [], "no cell was run again"
    assert len(Read.told) == 24 + 16


def test_seeds_that_draw_other_images_are_not_taken_for_one_another(suite, card, woven, tmp_path):
    text = suite.read_text().replace("size = 64", "shots = 3")
    suite.write_text(text)
    cells = [c for c in Suite.read(suite).cells(woven.parent) if isinstance(c, Cell)]
    hashes = [data_hash(cell.load()) for cell in cells]
    assert len(set(hashes)) == 2
    folder, fake = tmp_path / "cards", Evaluated()
    folder.mkdir()
    for cell, found in zip(cells, hashes, strict=True):
        write_cards(folder / cell.file_name, [replace(card, data_sha256=found)])
    assert len(run_cells(cells, folder, run=fake, installed=card.versions)[0]) == 2
    assert fake.ran == []


def test_a_killed_benchmark_resumes_and_a_failed_cell_is_a_row(suite, woven, tmp_path):
    cells = [c for c in Suite.read(suite).cells(woven.parent) if not isinstance(c, InputError)]
    bad = replace(cells[1], options=replace(cells[1].options, parameters={"nonsense": "1"}))
    folder = tmp_path / "cards"
    cards, _ = run_cells([cells[0], bad], folder)
    assert cards[0].error is None and cards[0].image_auroc > 0.9
    assert "nonsense" in cards[1].error
    done = folder / cells[0].file_name
    before = done.stat().st_mtime_ns
    (folder / bad.file_name).write_text('[{"dataset": ')  # as a killed run of another program leaves it
    again, _ = run_cells([cells[0], bad], folder)
    assert done.stat().st_mtime_ns == before, "what is done is not run again"
    assert "nonsense" in again[1].error
    table = results_table(again)
    assert "Failed: " in table and "nonsense" in table


def test_the_benchmark_command_says_what_is_left_out(suite, woven, tmp_path, capsys):
    table = tmp_path / "table.md"
    code = run(["benchmark", str(suite), "--root", str(woven.parent), "--out", str(tmp_path / "c"),
                "--table", str(table)])  # fmt: skip
    assert code == 2
    assert "Left out: " in table.read_text() and "± " in table.read_text()
    assert "not-there" in capsys.readouterr().out
