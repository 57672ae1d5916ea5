"""Suites, resumable benchmarks, sweeps, comparisons and the table of results."""

from __future__ import annotations

from dataclasses import replace

import pytest

from anomalens.cli.main import run
from anomalens.errors import InputError, SettingError
from anomalens.evaluation.benchmark import run_cells
from anomalens.evaluation.cards import read_cards, write_cards
from anomalens.evaluation.compare import compare_cards
from anomalens.evaluation.results_table import results_table
from anomalens.evaluation.settings import FitSettings
from anomalens.evaluation.suite import Suite
from anomalens.evaluation.sweep import draw, grid, sweep, sweep_rows

SETTINGS = FitSettings(size=64, parameters={"min_bank": 100}, runtime="onnxruntime", threads=1)
TEXT = """
title = "Two"
seeds = [0, 1]
[[dataset]]
name = "woven"
size = 64
[[dataset]]
name = "not-there"
[[detector]]
name = "patchcore"
runtime = "onnxruntime"
parameters = { min_bank = 100 }
"""


@pytest.fixture
def suite(woven, tmp_path):
    path = tmp_path / "suite.toml"
    path.write_text(TEXT.replace('"woven"', f'"{woven.name}"'))
    return path


def test_a_suite_gives_a_cell_for_each_combination_and_an_error_for_what_is_missing(suite, woven):
    cells = list(Suite.read(suite).cells(woven.parent))
    good = [cell for cell in cells if not isinstance(cell, InputError)]
    assert [cell.seed for cell in good] == [0, 1]
    assert len({cell.file_name for cell in good}) == 2
    assert len(cells) == 3 and "not-there" in str(cells[2])


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


def test_a_killed_benchmark_resumes_and_a_failed_cell_is_a_row(suite, woven, tmp_path):
    cells = [c for c in Suite.read(suite).cells(woven.parent) if not isinstance(c, InputError)]
    bad = replace(cells[1], arguments=(*cells[1].arguments, "-p", "nonsense=1"))
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


def test_one_vs_rest_classes_are_averaged(card):
    cards = [
        replace(card, protocol="one-vs-rest", normal_class=name, image_auroc=value, seed=seed)
        for name, value in (("a", 0.8), ("b", 0.6))
        for seed in (0, 1)
    ]
    assert "mean of 2 classes" in results_table(cards)
    assert "| 0.7000 ± 0.0000 |" in results_table(cards)


def test_a_sweep_takes_every_combination_and_draws_it(task):
    axes = {"coreset_ratio": ["0.01", "0.1"], "taps": ["stride8", "stride8+stride16"]}
    cards = list(sweep(task, SETTINGS, axes))
    assert [c.settings["swept"] for c in cards] == list(grid(axes))
    assert [list(c.settings["parameters"]["taps"]) for c in cards[:2]] == [
        ["stride8"],
        ["stride8", "stride16"],
    ]
    assert all(c.error is None for c in cards)
    rows = list(sweep_rows(cards))
    assert rows[0][:2] == ["coreset_ratio", "taps"] and len(rows) == 5
    svg = draw(cards)
    assert "image_auroc" in svg and "taps=stride8" in svg


def test_a_sweep_names_what_fails_and_goes_on(task):
    cards = list(sweep(task, SETTINGS, {"n_neighbors": ["0", "3"]}))
    assert "1 to 1000" in cards[0].error.replace("from ", "") and cards[1].error is None
    assert "failed" in list(sweep_rows(cards))[1][-1]


@pytest.mark.parametrize("axes", [{}, {"size": []}, {"a": ["1"] * 200, "b": ["1"] * 200}])
def test_a_grid_has_limits(axes):
    with pytest.raises(SettingError):
        list(grid(axes))


def test_detectors_are_compared_image_by_image(card):
    better = card
    worse = replace(
        card,
        detector="other",
        scores=tuple(replace(s, score=-s.score) for s in card.scores),
        image_auroc=1 - card.image_auroc,
    )
    found = compare_cards([better, worse])
    (difference,) = found.differences
    assert difference.test.auroc_a == pytest.approx(card.image_auroc)
    assert difference.test.difference == pytest.approx(2 * card.image_auroc - 1)
    assert found.mean_ranks == {"patchcore": 1.0, "other": 2.0}
    assert "| other |" in found.to_markdown()


def test_only_the_same_images_are_compared(card):
    other = replace(card, detector="other", data_sha256="0" * 64)
    assert "saw different images" in compare_cards([card, other]).to_markdown()


def test_one_detector_is_not_compared_with_itself(card):
    with pytest.raises(InputError, match="two detectors"):
        compare_cards([card])


def test_compare_prints_published_figures_of_the_dataset(card, tmp_path, capsys):
    named = [replace(card, dataset="mnist"), replace(card, dataset="mnist", detector="other")]
    write_cards(tmp_path / "c.json", named)
    reference = tmp_path / "reference.md"
    reference.write_text("| dataset | method |\n| --- | --- |\n| mnist | student |\n| visa | other |\n")
    assert run(["compare", str(tmp_path / "c.json"), "--reference", str(reference)]) == 0
    out = capsys.readouterr().out
    assert "| mnist | student |" in out and "visa" not in out
    assert len(read_cards([tmp_path / "c.json"])) == 2
