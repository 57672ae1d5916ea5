"""Sweeps, comparisons, the table of results, and places for them that cannot be written to."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from anomalens.cli.main import run
from anomalens.errors import InputError, SettingError
from anomalens.evaluation.cards import read_cards, write_cards
from anomalens.evaluation.compare import compare_cards, published_rows
from anomalens.evaluation.results_table import LEGEND, results_page, results_table, summary_rows
from anomalens.evaluation.sweep import grid, sweep, sweep_rows, without_effect
from anomalens.inspector import FitOptions
from anomalens.reports.evaluation import sweep_curves

SETTINGS = FitOptions(
    detector="patchcore", size=64, parameters={"min_bank": 100}, runtime="onnxruntime", threads=1
)
NOT_WRITTEN_TO = pytest.mark.skipif(
    not Path("/proc/self").exists(), reason="needs a folder in which nobody may write"
)


def test_one_vs_rest_classes_are_averaged(card):
    cards = [
        replace(card, protocol="one-vs-rest", normal_class=name, image_auroc=value, seed=seed)
        for name, value in (("a", 0.8), ("b", 0.6))
        for seed in (0, 1)
    ]
    assert "mean of 2 classes" in results_table(cards)
    assert "| 0.7000 ± 0.0000 |" in results_table(cards)
    few = [replace(card, protocol="few-shot", shots=4) for card in cards]
    assert "(4 shots), mean of 2 classes" in results_table(few)
    objects = [replace(card, normal_class=None, category=card.normal_class) for card in few]
    assert "mean of" not in results_table(objects)


def test_cards_of_differing_settings_are_rows_of_their_own_and_not_seeds(card):
    small = replace(card, settings={**card.settings, "size": 128}, image_auroc=0.5)
    table = results_table([card, replace(card, seed=1), small])
    assert "| patchcore (size 64) | 2 |" in table and "| patchcore (size 128) | 1 |" in table
    volatile = {**card.settings, "runtime_used": {"name": "other"}, "fitted_size": [1, 1], "swept": {}}
    table = results_table([card, replace(card, seed=1, settings=volatile)])
    assert "| patchcore | 2 |" in table and "(size" not in table


def test_intervals_of_pixel_figures_are_shown_where_a_card_has_them(card, tmp_path, capsys):
    told = replace(card, aupro=0.5, ci={**card.ci, "aupro": [0.41, 0.62], "pixel_ap": [0.1, 0.2]})
    assert "0.5000 (0.410–0.620)" in results_table([told]) and "(0.100–0.200)" in results_table([told])
    heads, row = summary_rows([told])
    assert row[heads.index("AUPRO") + 1] == "0.410–0.620" and heads[heads.index("AUPRO") + 1] == "95 %"
    write_cards(tmp_path / "told.json", [told])
    assert run(["compare", str(tmp_path / "told.json")]) == 0
    assert "0.5000 (0.410–0.620)" in capsys.readouterr().out
    old = replace(told, ci={"image_auroc": card.ci["image_auroc"]})
    write_cards(tmp_path / "old.json", [old])
    (again,) = read_cards([tmp_path / "old.json"])
    assert "| 0.5000 |" in results_table([again])
    heads, row = summary_rows([again])
    assert row[heads.index("AUPRO") + 1] == "–"


def test_remarks_above_a_table_outlive_it(card, tmp_path):
    place = tmp_path / "page.md"
    first = results_page("A title", [card], earlier=place)
    assert first == f"# A title\n\n{LEGEND}\n\n{results_table([card])}"
    remarks = "One remark,\nof two lines.\n\nAnother."
    place.write_text(first.replace(LEGEND, f"Before.\n\n{LEGEND}\n\n{remarks}"), encoding="utf-8")
    second = results_page("New", [replace(card, seed=1)], earlier=place)
    assert second == f"# New\n\nBefore.\n\n{remarks}\n\n{LEGEND}\n\n{results_table([replace(card, seed=1)])}"
    of_before = f"Concluded.\n\n{LEGEND[:80]}, as of another version."
    place.write_text(first.replace(LEGEND, of_before), encoding="utf-8")
    assert results_page("New", [card], earlier=place).startswith(f"# New\n\nConcluded.\n\n{LEGEND}\n\n|")
    place.write_text("# Notes\n\nOf something else.\n\n| a |\n", encoding="utf-8")
    assert results_page("A title", [card], earlier=place) == first
    assert results_page("A title", [card]) == first


def test_of_cards_that_are_there_twice_the_last_counts(card):
    table = results_table([card, replace(card, error="half a card"), replace(card, image_auroc=0.1234)])
    assert "| patchcore | 1 |" in table and "0.1234" in table and "Failed" not in table


def test_settings_that_many_keys_tell_apart_never_share_a_row(card):
    changes = [(1, 1, 1, 1), (1, 1, 1, 2), (2, 2, 2, 1)]
    cards = [
        replace(card, settings={**card.settings, "parameters": dict(zip("abcd", values, strict=True))})
        for values in changes
    ]
    assert sum("| patchcore (" in line for line in results_table(cards).splitlines()) == 3


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
    svg = ElementTree.fromstring(sweep_curves(cards))
    texts = [text for part in svg.iter() if (text := (part.text or "").strip())]
    assert "image_auroc" in texts and "taps stride8" in texts and "coreset_ratio" in texts


def test_the_plus_of_a_number_is_no_comma(task):
    (card,) = sweep(task, SETTINGS, {"sigma": ["2e+0"]})
    assert card.error is None and card.settings["parameters"]["sigma"] == 2.0


def test_policies_of_a_sweep_share_one_fit_and_change_nothing_else(task):
    axes = {"policy": ["max", "mean-sigma=1", "nonsense"], "n_neighbors": ["1", "3"]}
    cards = list(sweep(task, SETTINGS, axes))
    swept = [card.settings["swept"] for card in cards]
    assert swept[0] == {"policy": "max", "n_neighbors": "1"} and swept[1]["policy"] == "mean-sigma=1"
    assert [card.fit_seconds is None for card in cards[:2]] == [False, True]
    assert cards[2].error and "nonsense" in cards[2].error
    alone = next(sweep(task, SETTINGS, {"policy": ["mean-sigma=1"], "n_neighbors": ["1"]}))
    for name in ("threshold", "image_auroc", "false_alarm_rate", "scores", "settings", "notes"):
        assert getattr(cards[1], name) == getattr(alone, name), name


def test_a_sweep_says_what_changed_nothing(task):
    cards = list(sweep(task, SETTINGS, {"min_bank": ["5000"], "coreset_ratio": ["0.01", "0.02"]}))
    (told,) = without_effect(cards)
    assert told.startswith("coreset_ratio 0.01, 0.02 gave the same answers")
    assert not list(without_effect(list(sweep(task, SETTINGS, {"n_neighbors": ["1", "3"]}))))


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


def test_one_detector_with_two_settings_is_compared_by_what_differs(card):
    other = replace(card, settings={**card.settings, "size": 128})
    (difference,) = compare_cards([card, other]).differences
    assert (difference.a, difference.b) == ("patchcore (size 64)", "patchcore (size 128)")


def test_the_compare_command_prints_what_there_is_of_one_detector(card, tmp_path, capsys):
    write_cards(tmp_path / "c.json", [replace(card, dataset="mnist")])
    reference = tmp_path / "reference.md"
    reference.write_text("| dataset | method |\n| --- | --- |\n| mnist | student |\n")
    assert run(["compare", str(tmp_path / "c.json"), "--reference", str(reference)]) == 0
    out = capsys.readouterr().out
    assert "| mnist | patchcore | 1 |" in out and "| mnist | student |" in out and "no two detectors" in out
    write_cards(tmp_path / "none.json", [])
    assert run(["compare", str(tmp_path / "none.json")]) == 2
    assert "no result card" in capsys.readouterr().err


def test_published_figures_are_of_the_dataset_and_not_of_one_with_a_longer_name(card, tmp_path):
    reference = tmp_path / "reference.md"
    reference.write_text(
        "| dataset | method |\n| --- | --- |\n| mnist | a |\n| fashion-mnist | b |\n| cifar-10 | c |\n"
    )
    rows = published_rows(reference, [replace(card, dataset="fashion_mnist")])
    assert rows[-1] == "| fashion-mnist | b |" and "| mnist | a |" not in rows
    assert published_rows(reference, [replace(card, dataset="cifar10")])[-1] == "| cifar-10 | c |"
    assert published_rows(reference, [replace(card, dataset="mnist_10k")]) == []


@NOT_WRITTEN_TO
@pytest.mark.parametrize(
    "command",
    ["benchmark --table", "compare --out", "sweep --curves", "sweep --json", "evaluate --json"],
)
def test_a_file_that_cannot_be_written_is_refused_before_the_work(
    command, suite, woven, card, tmp_path, capsys
):
    write_cards(tmp_path / "c.json", [card])
    name, option = command.split()
    words = {
        "benchmark": ["benchmark", str(suite), "--out", str(tmp_path / "c"), option],
        "compare": ["compare", str(tmp_path / "c.json"), option],
        "sweep": ["sweep", str(woven), "--detector", "patchcore", "--over", "n_neighbors=1,3", option],
        "evaluate": ["evaluate", str(woven), option],
    }[name]
    assert run([*words, str(tmp_path / "nowhere" / "file")]) == 2
    said = capsys.readouterr()
    assert "nowhere" in said.err and "make it first" in said.err and "patchcore" not in said.out
    assert option in said.err
    assert not (tmp_path / "c").exists()
    assert run([*words, "/proc/self/file"]) == 2
    assert "may not be written to" in capsys.readouterr().err


@NOT_WRITTEN_TO
def test_a_folder_that_cannot_be_written_to_is_refused_before_the_work(suite, capsys):
    assert run(["benchmark", str(suite), "--out", "/proc/self/task"]) == 2
    said = capsys.readouterr()
    assert "may not be written to" in said.err and "patchcore" not in said.out


@NOT_WRITTEN_TO
@pytest.mark.parametrize("command", ["evaluate", "sweep --over n_neighbors=1,3"])
def test_a_report_that_cannot_be_written_is_refused_before_the_work(command, woven, capsys):
    name, *options = command.split()
    assert run([name, str(woven), *options, "--report", "/proc/self/report"]) == 2
    said = capsys.readouterr()
    assert "cannot be written to /proc/self/report" in said.err and "choose another" in said.err
    assert "patchcore" not in said.out


def test_a_table_is_written_whole(card, tmp_path):
    write_cards(tmp_path / "c.json", [card])
    assert run(["compare", str(tmp_path / "c.json"), "--out", str(tmp_path / "t.md")]) == 0
    assert "patchcore" in (tmp_path / "t.md").read_text()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c.json", "t.md"]


def test_compare_prints_published_figures_of_the_dataset(card, tmp_path, capsys):
    named = [replace(card, dataset="mnist"), replace(card, dataset="mnist", detector="other")]
    write_cards(tmp_path / "c.json", named)
    reference = tmp_path / "reference.md"
    reference.write_text("| dataset | method |\n| --- | --- |\n| mnist | student |\n| visa | other |\n")
    assert run(["compare", str(tmp_path / "c.json"), "--reference", str(reference)]) == 0
    out = capsys.readouterr().out
    assert "| mnist | student |" in out and "visa" not in out
    assert len(read_cards([tmp_path / "c.json"])) == 2
