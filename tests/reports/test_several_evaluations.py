"""Several cards on one page: means, curves together, comparisons; sweeps as curves."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from anomalens.reports.evaluation import sweep_curves


def test_several_detectors_have_means_and_curves_together(card, tmp_path, page_of):
    cards = [
        replace(card, dataset=dataset, detector=name, image_auroc=auroc)
        for dataset, name, auroc in (
            ("plates", "knn", 0.9), ("bolts", "knn", 0.8), ("plates", "padim", 0.7), ("bolts", "padim", 0.6)
        )
    ]  # fmt: skip
    page = page_of(cards, tmp_path)
    rows = re.findall(
        r"<tr><td[^>]*><b>mean of 2 tasks</b></td><td[^>]*><b>(\w+)</b></td>.*?</tr>", page.source
    )
    assert rows == ["knn", "padim"]
    markdown = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "| **mean of 2 tasks** | **knn** | **1** |  | **0.8500** |" in markdown
    assert "| **mean of 2 tasks** | **padim** | **1** |  | **0.6500** |" in markdown
    overview = page.source.partition("Each evaluation")[0]
    charts = re.findall(r'<svg class="curve".*?</svg>', overview)
    assert len(charts) == 2  # one a task
    for chart in charts:
        assert [chart.count(f"<title>{name}</title>") for name in ("knn", "padim")] == [1, 1]
        assert chart.count('class="line c0"') == chart.count('class="line c1"') == 2  # with the legend
    # one task has no mean, one detector no curve beside others
    assert "<b>mean of" not in page_of(cards[::2], tmp_path / "one").source
    assert "ROC curves" not in page_of(cards[:2], tmp_path / "alone").text


def test_sweeps_are_no_seeds_and_are_compared(card, tmp_path, page_of, make_card):
    other = make_card([s.score for s in card.scores[:60]], [s.score * 0.5 for s in card.scores[60:]])
    other = replace(other, settings={**card.settings, "parameters": {"sigma": 2.0}})
    page = page_of([card, other], tmp_path)
    assert "patchcore (sigma 4)" in page.text and "patchcore (sigma 2)" in page.text
    assert "Paired differences on the same images" in page.text and "mean rank" in page.text


def test_the_curves_of_a_sweep_are_drawn(card, tmp_path, page_of):
    cards = [
        replace(card, image_auroc=auroc, settings={**card.settings, "swept": {"latent": n, "policy": policy}})
        for n, auroc in (("8", 0.7), ("64", 0.9), ("512", 0.8))
        for policy in ("max", "mean-sigma=3")
    ]
    failed = replace(
        card, error="no room", settings={**card.settings, "swept": {"latent": "0", "policy": "max"}}
    )
    page = page_of([*cards, failed], tmp_path)
    assert "Sweep over latent and policy" in page.text
    assert 'aria-label="image_auroc over latent, from 0.7 to 0.9"' in page.source
    assert "policy mean-sigma=3" in page.text
    # ranking does not depend on the policy: one line, where rates have two
    ranking, rates = (
        page.source.partition(f'aria-label="{name} over latent')[2].partition("</figcaption>")[0]
        for name in ("image_auroc", "false_alarm_rate")
    )
    assert (ranking.count("<path"), rates.count("<path")) == (1, 4)  # with samples in a legend
    assert "Paired differences" not in page.text and "mean rank" not in page.text
    assert page.text.index("Sweep over") < page.text.index("Each evaluation")
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "| 64 | max | 0.9 |" in text and "failed: no room" in text
    hostile = replace(card, settings={**card.settings, "swept": "<script>"})
    assert "Sweep over" not in page_of([hostile, card], tmp_path / "hostile").text


@pytest.mark.parametrize(
    ("low", "high"), [(0.9961, 0.9999), (0.98712, 0.98713), (1.0, 1.0), (0.0, 0.0), (0.2, 0.9), (3e-9, 4e-9)]
)
def test_the_axis_of_a_sweep_tells_its_values_apart(low, high, card, tmp_path, page_of):
    cards = [
        replace(card, image_auroc=value, settings={**card.settings, "swept": {"size": size}})
        for size, value in (("64", low), ("128", high), ("256", low))
    ]
    for source in (page_of(cards, tmp_path).source, sweep_curves(cards)):
        chart = re.search(r'<svg[^>]*aria-label="image_auroc.*?</svg>', source)[0]
        ticks = re.findall(r'<text x="42" y="([\d.]+)" text-anchor="end">([^<]+)</text>', chart)
        places, texts = [float(y) for y, _ in ticks], [text for _, text in ticks]
        assert len(texts) > 1 and len(set(texts)) == len(texts)
        assert sorted(texts, key=float, reverse=True) == [
            t for _, t in sorted(zip(places, texts, strict=True))
        ]
        assert re.findall(r'text-anchor="\w+">(64|128|256)<', chart) == ["64", "128", "256"]
