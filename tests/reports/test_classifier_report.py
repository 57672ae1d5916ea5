"""The page of a classifier: made from a card, says what the figures say, and nothing else gets in."""

from __future__ import annotations

import io
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from anomalens.errors import InputError
from anomalens.metrics.classification import classification_figures, ood_figures
from anomalens.reports.classify.numbers import SetScores, WrongPicture
from anomalens.reports.classify.report import write_classify_report

NAMES = ("cat", "dog", "owl")


def made_card(*, names=NAMES, n=300, blur=0.1, rare=False, **more: Any) -> dict[str, Any]:
    """A card of drawn predictions; `rare`: the last class has 12 images, mostly taken for the first."""
    rng = np.random.default_rng(0)
    c = len(names)
    labels = rng.integers(0, c, n)
    shares = np.full((n, c), blur / c)
    shares[np.arange(n), np.where(rng.random(n) < 1 - blur, labels, (labels + 1) % c)] += 1 - blur
    if rare:
        keep = (labels != c - 1) | (np.cumsum(labels == c - 1) <= 12)
        labels, shares = labels[keep], shares[keep]
        shares[np.flatnonzero(labels == c - 1)[:9]] = np.eye(c)[0]
    card = {"dataset": "pets", **asdict(classification_figures(labels, shares, names)), **more}
    return json.loads(json.dumps(card))


def made_scores(shift: float, seed: int = 0) -> SetScores:
    rng = np.random.default_rng(seed)
    return SetScores(rng.standard_normal(200), {"cars": shift + rng.standard_normal(150)})


def with_ood(**scores: SetScores) -> list[dict[str, Any]]:
    return [
        {"dataset": name, "score": score, **asdict(ood_figures(found.known, strange))}
        for score, found in scores.items()
        for name, strange in found.unknown.items()
    ]


def pages(card, out: Path, **more: Any) -> tuple[str, str]:
    html = write_classify_report(card, out, **more)
    assert json.loads((out / "report.json").read_text()) == card
    return html.read_text(), (out / "report.md").read_text()


def test_both_tasks_with_pictures(tmp_path):
    scores = {"energy": made_scores(0.5), "vim": made_scores(4, 1)}
    card = made_card(
        ood=with_ood(**scores), score="energy", threshold=1.6, asked=0.05,
        known_flagged={"count": 11, "total": 200}, approach=["Features of `a-net`."],
        settings={"head": "linear"}, notes=["Seen before."], curves={"loss": [2.0, 1.0, 0.5]},
        command="anomalens classify evaluate pets.model --data pets",
    )  # fmt: skip
    card["ood"][0] |= {"precision": 0.7, "recall": 0.2, "f1": 0.31}
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "JPEG")
    wrong = [
        WrongPicture("a/1.png", "cat", "dog", 0.97, file.getvalue()),
        WrongPicture("a/2.png", "cat", "dog", 0.9, None),
    ]
    html, text = pages(card, tmp_path / "report", scores=scores, wrong=wrong)
    for part in (
        "Approach and method", "Task 1: which class", "Task 2: none of the known classes", "Strengths",
        "Limits", "What to do", "Reliability", "ROC", "Verdicts", "Confusion matrix", "Training",
        "Known classes against cars", "“cat” taken for “dog”", "data:image/jpeg;base64,", "97 % sure",
        "threshold 1.6", "Seen before.", "cat taken for dog:",
    ):  # fmt: skip
        assert part in html
    assert html.count("<img") == 1 and html.count("<svg") >= 4 and "http" not in html.split("</style>")[1]
    assert "| AUROC | cars | mean |" in text and "| energy **used** |" in text
    assert "The score `vim` tells these sets apart better than `energy`" in text
    assert "it calls only 20 % of cars none of the classes" in text
    assert "The false-alarm rate is kept: 5 % was asked, 5.5 % of new pictures" in text
    assert f"Pictures of cars ({card['ood'][0]['auroc']:.3f}) look much like known ones" in text


def test_a_rare_class_and_a_rate_that_is_not_kept(tmp_path):
    card = made_card(rare=True, asked=0.05, known_flagged={"count": 60, "total": 200})
    _, text = pages(card, tmp_path)
    assert "Of 12 pictures of “owl” it names only" in text
    assert "Collect more pictures of owl" in text
    assert "Fewer than 30 test pictures show owl" in text
    assert "The false-alarm rate is not kept: 5 % was asked, and 30 %" in text
    assert "no other set was given" in text and "`--ood DATASET`" in text
    assert "is not to be taken literally" in text or "can be believed" in text


def test_confidence_that_is_too_high_is_told(tmp_path):
    card = made_card(blur=0.3)
    shares = np.full((300, 3), 0.01)
    shares[:, 0] = 0.98
    labels = np.repeat([0, 1, 2], 100)
    card |= json.loads(json.dumps(asdict(classification_figures(labels, shares, NAMES))))
    _, text = pages(card, tmp_path)
    assert "too sure by 64.7 points" in text and "Fit the temperature" in text
    assert "always naming the commonest class" not in text  # no better than that


def test_perfect_and_bare(tmp_path):
    card = made_card(blur=0.0)
    for key in ("reliability", "calibration_error_if_perfect", "dataset"):
        del card[key]
    html, text = pages(card, tmp_path)
    assert "100 % right" in text and "taken for" not in text.split("Task 1")[1].split("Task 2")[0]
    assert "Reliability" not in html


@pytest.mark.parametrize("c", [2, 25, 80])
def test_few_and_many_classes(tmp_path, c):
    card = made_card(names=tuple(f"class number {k}" for k in range(c)), n=40 * c)
    html, _ = pages(card, tmp_path)
    assert ("Confusion matrix" in html) == (c <= 60)


def test_names_are_no_markup(tmp_path):
    nasty = "<script>alert(1)</script>"
    scores = {"msp": SetScores(np.arange(9.0), {nasty: np.arange(9.0) + 1})}
    card = made_card(names=("a", nasty, "c"), ood=with_ood(**scores), dataset=nasty, notes=[nasty])
    html, text = pages(card, tmp_path, scores=scores, wrong=[WrongPicture(nasty, "a", nasty, 0.5, None)])
    assert "<script" not in html and "<script" not in text


def test_cards_that_are_none(tmp_path):
    with pytest.raises(InputError, match="lacks or spoils 'per_class'; write it with"):
        write_classify_report({}, tmp_path / "a")
    with pytest.raises(InputError, match="3 classes and a confusion matrix of shape"):
        write_classify_report(made_card() | {"confusion": [[1]]}, tmp_path / "b")
    (tmp_path / "report.html").write_text("mine")
    with pytest.raises(InputError, match="not listed as a file of an earlier report"):
        write_classify_report(made_card(), tmp_path)
