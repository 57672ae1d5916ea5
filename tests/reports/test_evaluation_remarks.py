"""What the page concludes: badges, strengths, limits, advice; and what it says of the method."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from anomalens.detectors import detector_names
from anomalens.reports.evaluation.method import method_of
from anomalens.reports.parts.as_markdown import as_markdown

DOCS = Path(__file__).parents[2] / "docs" / "detectors"


def test_remarks_follow_from_the_figures(card, tmp_path, page_of, make_card):
    rng = np.random.default_rng(3)
    shifted = make_card(rng.normal(1.5, 0.5, 80), rng.normal(3, 0.4, 40), threshold=1.0)
    page = page_of([shifted], tmp_path / "a")
    assert "Normal test images score visibly higher" in page.text
    assert "More false alarms than the 5 % that was asked" in page.text and "not good enough" in page.text
    pixels = replace(card, image_auroc=0.97, pixel_auroc=0.98, pixel_ap=0.1, aupro=0.4)
    page = page_of([pixels], tmp_path / "b")
    assert "outlines defects poorly (AUPRO 0.400)" in page.text and "flatters" in page.text
    mislabelled = make_card([*rng.normal(0, 0.1, 40), 9.0], rng.normal(2, 0.2, 40))
    page = page_of([mislabelled], tmp_path / "c")
    assert "1 normal image above the middle anomaly, perhaps labelled wrongly: good/40.png" in page.text
    high = make_card(rng.normal(0, 0.3, 60), rng.normal(1.6, 0.2, 60), threshold=1.7)
    assert "a false-alarm rate of 10 % would have found 60 instead of" in page_of([high], tmp_path / "d").text


def badge_of(page) -> str:
    return re.search(r'class="badge (\w+)">[^<]*</span></h2>', page.source)[1]


ORDER = ["weak", "mixed", "few", "good"]


@pytest.mark.parametrize("n_normal", [12, 16, 25, 40])
def test_who_does_better_in_everything_is_never_graded_lower(n_normal, tmp_path, page_of, make_card):
    """The same test images, ever fewer misses: the badge never falls, and of 48 the best has no worse one."""
    rng = np.random.default_rng(0)
    normal = np.linspace(-1, 0.9, n_normal)
    badges = []
    for overlapping in (30, 12, 6, 2, 0):
        bad = np.concatenate([rng.uniform(-0.5, 0.9, overlapping), rng.uniform(2, 3, 48 - overlapping)])
        badges.append(badge_of(page_of([make_card(normal, bad)], tmp_path / f"{overlapping}")))
    ranks = [ORDER.index(badge) for badge in badges]
    assert ranks == sorted(ranks) and ranks[0] < ranks[-1]
    assert badges[-1] == ("good" if n_normal >= 20 else "few")
    assert "good, on few images" in page_of([make_card(normal[:12], bad)], tmp_path / "few").text


def test_who_finds_nothing_has_no_credit_for_false_alarms_or_speed(card, tmp_path, page_of, make_card):
    rng = np.random.default_rng(0)
    nothing = make_card(rng.normal(0, 0.3, 60), rng.normal(0.3, 0.1, 40), threshold=5.0)
    text = page_of([nothing], tmp_path / "a").text
    assert "0 of 40 anomalies found" in text and "Keeps the false-alarm rate" not in text
    assert "Fast:" not in text and "None that these figures prove." in text
    text = page_of([make_card(rng.normal(0, 0.3, 60), rng.normal(3, 0.1, 40))], tmp_path / "b").text
    assert "Keeps the false-alarm rate" in text and "Fast:" in text


@pytest.mark.parametrize("detector", [*detector_names(), "combine:knn,gmm", "tiled:padim"])
def test_every_detector_has_a_method_in_plain_words(detector, tmp_path):
    names = [name for part in detector.split(":") for name in part.split(",")]
    blocks = list(method_of(detector))
    text = as_markdown(blocks)
    assert all(f"**{name}** (" in text for name in names) and "not installed" not in text
    sentences = re.split(r"(?<=[.])\s", text.strip())
    assert text.count("When it fails.") == len(names) < len(sentences)
    assert all(part.rstrip("*")[-1] in ".)" for part in sentences)
    for name in names:
        page = (DOCS / f"{name}.md").read_text(encoding="utf-8")
        for year in re.findall(r"\b(?:19|20)\d\d\b", text.partition(f"**{name}** (")[2].partition(")")[0]):
            assert year in page, f"the paper of {name} is not on its page"
