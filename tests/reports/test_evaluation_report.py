"""The evaluation report: what it says of every kind of card, its size, its twins, what it never does."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html import unescape
from typing import Any

import numpy as np
import pytest

from anomalens.errors import InputError
from anomalens.evaluation.cards import ImageScore, ResultCard, read_cards, write_cards
from anomalens.reports.evaluation import write_report

HOSTILE = "<script>alert(1)</script>|`x`\"'&\n‮*_[a](javascript:x)"


def test_intervals_of_pixel_figures_are_on_the_page_and_its_twin(card, tmp_path, page_of):
    told = replace(card, pixel_auroc=0.91, aupro=0.8, aupimo=0.5)
    told = replace(told, ci={**card.ci, "pixel_auroc": [0.881, 0.943], "aupro": [0.717, 0.866]})
    page = page_of([told], tmp_path / "r")
    markdown = (tmp_path / "r/report.md").read_text()
    for text in ("0.881 to 0.943", "0.717 to 0.866"):
        assert text in page.text and text in markdown
    several = page_of([told, replace(told, seed=1)], tmp_path / "s")
    assert "(0.881–0.943)" in several.text and "(0.717–0.866)" in (tmp_path / "s/report.md").read_text()
    old = page_of([replace(told, ci=card.ci)], tmp_path / "o")
    assert "0.9100" in old.text and "0.881" not in old.text


def test_the_page_says_what_the_card_says(card, tmp_path, page_of):
    page = page_of([card], tmp_path / "r")
    counts = card.confusion
    assert f"{counts['tp']} of 40 anomalies found" in page.text
    assert f"{counts['fp']} false alarm" in page.text
    for name in ("image_auroc", "image_ap", "image_f1_max", "fpr95", "accuracy", "f1"):
        assert f"{getattr(card, name):.4f}" in page.text
    low, high = card.ci["image_auroc"]
    assert f"{low:.3f} to {high:.3f}" in page.text
    assert "A note of the data." in page.text and card.command in page.text
    assert "sha256 " + "ab" * 32 in page.text
    assert "Roth et al. 2022" in page.text and "128 × 128 px" in page.text
    assert "dent" in page.text and "crack" in page.text
    assert "12.5 ms an image" in page.text and "300 MB" in page.text
    assert "No pixel figures" in page.text and "a result card holds none" in page.text
    data = json.loads(unescape(re.search(r'data-live="([^"]*)"', page.source)[1]))
    assert data["at"] == [counts["fp"], counts["fn"], sum(s > 1 for s in card.calibration["scores"])]
    assert data["totals"] == [60, 40, 99]
    # every place of the slider has the counts of its threshold
    normal, bad = ([s.score for s in card.scores if (s.label == "good") is good] for good in (True, False))
    for step in range(0, 401, 25):
        cut = data["low"] + (data["high"] - data["low"]) * step / 400
        assert data["alarms"][step] == sum(s > cut for s in normal)
        assert data["misses"][step] == sum(s <= cut for s in bad)


def test_nothing_from_outside_and_only_our_script(card, tmp_path, page_of):
    page = page_of([card, replace(card, seed=1)], tmp_path / "r")
    assert page.links == [] and page.tags.count("script") == 1
    assert not {"link", "iframe", "object", "embed", "form", "base"} & set(page.tags)
    assert "http" not in page.source.replace("http-equiv", "")
    assert "default-src &#x27;none&#x27;" in page.source and "unsafe-inline&#x27;; script" not in page.source


def test_json_twin_gives_the_cards_back(card, tmp_path):
    failed = ResultCard(dataset="x", protocol="split", detector="patchcore", seed=0, error="no images")
    write_report([card, failed, card], tmp_path)
    assert [c.to_json() for c in read_cards([tmp_path / "report.json"])] == [card.to_json(), failed.to_json()]
    write_report(read_cards([tmp_path / "report.json"]), tmp_path / "again")
    assert (tmp_path / "again" / "report.json").read_bytes() == (tmp_path / "report.json").read_bytes()
    assert (tmp_path / "again" / "report.md").read_bytes() == (tmp_path / "report.md").read_bytes()


def test_markdown_twin_has_the_same_figures(card, tmp_path):
    write_report([card], tmp_path)
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert f"| image AUROC | **{card.image_auroc:.4f}** |" in text
    assert f"| anomalous | **{card.confusion['tp']}** found | **{card.confusion['fn']}** missed |" in text
    assert card.command in text


NOTHING = np.array([])
STATES: dict[str, tuple[Any, Any, str]] = {
    "no anomalies": (np.linspace(0, 2, 20), NOTHING, "cannot be judged"),
    "no normals": (NOTHING, np.linspace(0, 2, 20), "cannot be judged"),
    "one image": ([0.5], NOTHING, "cannot be judged"),
    "all equal": (np.ones(9), np.ones(9), "All test images have the same score"),
    "apart": (np.zeros(5), np.ones(5) * 9, "in the smaller class"),
    "few": ([0.1, 0.2], [5.0, 6.0], "Few test images (2 normal images and 2 anomalies)"),
    "backwards": (np.linspace(5, 6, 40), np.linspace(0, 0.5, 40), "Worse than chance"),
    "huge": (np.array([-1e308, 0.0]), np.array([1e308]), "image AUROC"),
    "tiny": (np.array([0.0, 5e-324]), np.array([1e-323]), "image AUROC"),
    "outlier": (np.linspace(0, 1, 30), [3.0, 1e12], "beyond, up to 1e+12"),
}


@pytest.mark.parametrize("state", STATES)
def test_every_state_has_a_page(state, tmp_path, page_of, make_card):
    normal, anomalous, words = STATES[state]
    page = page_of([make_card(normal, anomalous)], tmp_path)
    assert words in page.text
    assert "nan" not in re.sub(r"[a-z]nan|nan[a-z]", "", page.source.lower().split("<script>")[0])


def test_failed_and_bare_cards(tmp_path, page_of):
    failed = ResultCard(
        dataset="x", protocol="split", detector="nobody-has", seed=0, error="None can be read."
    )
    bare = ResultCard(dataset="y", protocol="", detector="nobody-has", seed=0)
    page = page_of([failed, bare], tmp_path)
    assert "1 evaluation failed." in page.text and "None can be read." in page.text
    assert "is not installed here" in page.text


def test_unreadable_images_are_counted_and_named(card, tmp_path, page_of):
    broken = (
        ImageScore("bad/gone.png", "dent", None, None, None, "the file is empty"),
        ImageScore("bad/nan.png", "dent", float("nan"), None, None),
    )
    page = page_of([replace(card, scores=(*card.scores, *broken))], tmp_path)
    assert "2 test images could not be read and count nowhere." in page.text
    assert "bad/gone.png (the file is empty)" in page.text


def test_every_table_scrolls_inside_its_own_box(card, tmp_path, page_of):
    page = page_of([card, replace(card, detector="padim")], tmp_path)
    assert (
        page.source.count("<table")
        == len(re.findall(r'<div class="scroll(?: stacked)?"><table', page.source))
        > 6
    )


def test_hostile_names_stay_text(card, tmp_path, page_of):
    scores = tuple(replace(s, image=f"{HOSTILE}{i}", label=HOSTILE if s.label == "dent" else s.label)
                   for i, s in enumerate(card.scores))  # fmt: skip
    bad = replace(
        card, dataset=HOSTILE, category=HOSTILE, detector=HOSTILE, notes=(HOSTILE,), command=HOSTILE,
        scores=scores,
        settings={HOSTILE: HOSTILE, "curves": {HOSTILE: [3, 2, 1.5]}, "parameters": {HOSTILE: [HOSTILE]}},
        versions={HOSTILE: HOSTILE}, data_sha256=HOSTILE,
    )  # fmt: skip
    failed = replace(bad, seed=4, error=HOSTILE, scores=())
    page = page_of([bad, replace(bad, seed=1), failed], tmp_path)
    assert page.tags.count("script") == 1 and "<script>alert" not in page.source and "a" not in page.tags
    assert "‮" not in page.source
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "‮" not in text
    assert not re.search(r"(?m)^(?!    ).*<script", text)


def test_names_that_are_no_unicode(card, tmp_path):
    scores = (replace(card.scores[-1], image="bad/\udcff.png", score=0.0, anomalous=False), *card.scores[:-1])
    write_report([replace(card, scores=scores)], tmp_path)
    assert read_cards([tmp_path / "report.json"])[0].scores[0].image == "bad/\udcff.png"


def test_curves_and_densities_are_drawn(card, tmp_path, page_of):
    settings = {
        **card.settings,
        "curves": {"loss": [3.0, 2.0, 1.0], "val": {"x": [10, 20], "y": [1.0, float("inf")]}, "bad": "text"},
        "densities": {
            "log p(x)": {"normal": [-5.0, -4.0, -4.5], "anomalous": [-1.0, "?", 10**400]},
            "bad": 3,
        },
    }
    page = page_of([replace(card, settings=settings)], tmp_path)
    assert "loss: from 3 to 1" in page.text and "log p(x)" in page.text
    assert "val:" not in page.text


def test_parts_of_the_score_have_a_table_and_a_threshold(card, tmp_path, page_of):
    settings = {
        **card.settings,
        "densities": {
            "error": {"normal": [1.0, 3.0], "anomalous": [7.0]},
            "one-sided": {"normal": [2.0], "anomalous": []},
        },
        "part_thresholds": {"error": 5.0, "one-sided": "high"},
    }
    page = page_of([replace(card, settings=settings)], tmp_path)
    assert "Parts of the score" in page.text and "threshold 5" in page.text
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "| error | 2 | 1 | 7 | 0 | 5 |" in text
    assert "| one-sided | 2 | 0 | – | – | – |" in text
    assert "part_thresholds" not in page.text.partition("Settings")[2]


def test_ten_thousand_images_and_many_cards_stay_small(tmp_path, page_of, page_at, make_card):
    rng = np.random.default_rng(0)
    large = make_card(rng.normal(0, 0.5, 5000), rng.normal(1.5, 1, 5000))
    page = page_of([large], tmp_path / "one")
    assert len(page.source.encode()) < 250_000
    small = make_card(rng.normal(0, 0.5, 50), rng.normal(1.5, 1, 50))
    many = [replace(small, dataset=f"set {i % 20}", seed=i // 20) for i in range(59)]
    path = write_report([large, *many], tmp_path / "many")
    assert path.stat().st_size < 5_000_000
    page = page_at(path)
    assert page.tags.count("details") == 60 and "± " in page.text
    cut = page_of(many, tmp_path / "cut", max_bytes=300_000)
    assert len(cut.source.encode()) <= 300_000
    assert "shortened" in cut.text and "set 19" in cut.text


@pytest.mark.parametrize(
    "wrong",
    [{"n_train": "many"}, {"ci": {"image_auroc": [0]}}, {"confusion": {"tp": 1}}, {"threshold": float("nan")},
     {"notes": "text"}, {"calibration": {"scores": ["a"]}}, {"dataset": 3},
     {"scores": (ImageScore("a", "good", "high", None),)}],
)  # fmt: skip
def test_cards_that_hold_nonsense_are_refused(card, wrong, tmp_path):
    with pytest.raises(InputError, match="is no value for it; evaluate again"):
        write_report([replace(card, **wrong)], tmp_path / "r")


def test_foreign_files_are_left_alone(card, tmp_path):
    (tmp_path / "report.md").write_text("mine")
    with pytest.raises(InputError, match="not listed as a file of an earlier report"):
        write_report([card], tmp_path)
    assert (tmp_path / "report.md").read_text() == "mine"
    with pytest.raises(InputError, match="is a file"):
        write_report([card], tmp_path / "report.md")
    with pytest.raises(InputError, match="no result card"):
        write_report([], tmp_path / "r")
    write_report([card], tmp_path / "r")
    write_report([card], tmp_path / "r")
    files = sorted(p.name for p in (tmp_path / "r").iterdir())
    assert files == [".anomalens-evaluation.json", "report.html", "report.json", "report.md"]


def test_the_command(card, tmp_path, capsys):
    from anomalens.cli.main import run

    write_cards(tmp_path / "cards.json", [card])
    assert run(["report", str(tmp_path / "cards.json"), "--out", str(tmp_path / "r")]) == 0
    assert "report.html" in capsys.readouterr().out
    assert run(["report", str(tmp_path / "none.json"), "--out", str(tmp_path / "r")]) == 2
    assert run(["report", str(tmp_path / "cards.json"), "--out", str(tmp_path / "cards.json")]) == 2
