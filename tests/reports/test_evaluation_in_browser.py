"""The report's script in a real browser: the policy lets it run, and it counts what the card counts."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from anomalens.evaluation.cards import ImageScore, ResultCard
from anomalens.reports.evaluation import write_report

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")

PROBE = """
const told = [], slider = document.querySelector('input');
const say = name => document.querySelector(`[data-say=${name}]`).textContent;
for (const step of STEPS) {
  slider.value = step;
  slider.dispatchEvent(new Event('input'));
  told.push([say('cut'), say('alarms'), say('misses'), slider.getAttribute('aria-valuetext'),
    document.querySelector('[data-dot=roc]').getAttribute('cx'),
    document.querySelector('.chart .cut').getAttribute('x1')]);
}
document.querySelector('button').click();
told.push([say('cut'), say('alarms'), say('misses'), String(document.activeElement === slider), '', '']);
const out = document.createElement('output');
out.id = 'probe'; out.textContent = JSON.stringify(told); document.body.append(out);
"""


def dom(page: Path, profile: Path, *options: str) -> str:
    """The page's HTML after its script ran."""
    done = subprocess.run(
        [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync",
         f"--user-data-dir={profile}", *options, "--dump-dom", page.as_uri()],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    return done.stdout


@pytest.fixture(scope="module")
def card() -> ResultCard:
    rng = np.random.default_rng(5)
    scores = [(s, "good") for s in rng.normal(0, 1, 70)] + [(s, "dent") for s in rng.normal(2, 1, 50)]
    return ResultCard(
        dataset="plates", protocol="split", detector="patchcore", seed=0, threshold=1.0, image_auroc=0.9,
        confusion={"tp": 0, "fp": 0, "fn": 0, "tn": 0},
        calibration={"policy": "max", "scores": rng.normal(0, 1, 50).tolist()},
        scores=tuple(
            ImageScore(f"{i}.png", k, float(s), None, bool(s > 1)) for i, (s, k) in enumerate(scores)
        ),
    )  # fmt: skip


def test_the_script_runs_under_the_policy(card, tmp_path):
    page = write_report([card], tmp_path / "r")
    text = dom(page, tmp_path / "profile")
    assert '--threshold <span data-say="given">1</span> --out FILE' in text
    assert re.search(r'<input type="range"(?![^>]*\bhidden\b)[^>]*aria-valuetext="1:', text)


def test_the_slider_counts(card, tmp_path):
    page = write_report([card], tmp_path / "r")
    source = page.read_text(encoding="utf-8")
    data = json.loads(html.unescape(re.search(r'data-live="([^"]*)"', source)[1]))
    steps = [0, 60, 133, 200, 311, 400]
    probe = PROBE.replace("STEPS", json.dumps(steps))
    # without the policy, that the probe may run; the page itself is tested with it above
    source = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", source)
    page.write_text(source.replace("</body>", f"<script>{probe}</script></body>"), encoding="utf-8")
    text = dom(page, tmp_path / "profile")
    told = json.loads(html.unescape(re.search(r'<output id="probe">(.*?)</output>', text)[1]))
    normal = np.array([s.score for s in card.scores if s.label == "good"])
    bad = np.array([s.score for s in card.scores if s.label != "good"])
    for step, (cut, alarms, misses, spoken, dot, line) in zip(steps, told, strict=False):
        threshold = data["low"] + (data["high"] - data["low"]) * step / 400
        assert float(cut) == pytest.approx(threshold, rel=1e-5)
        n_alarms, n_misses = int(np.sum(normal > threshold)), int(np.sum(bad <= threshold))
        assert alarms.startswith(f"{n_alarms} of 70 (") and misses.startswith(f"{n_misses} of 50 (")
        assert f"false alarms {n_alarms} of 70" in spoken and f"misses {n_misses} of 50" in spoken
        assert float(dot) == pytest.approx(46 + 240 * n_alarms / 70, abs=0.01)
        assert float(line.rstrip("%")) == pytest.approx(step / 4, abs=1e-6)
    assert told[-1][0] == "1" and told[-1][3] == "true"
    assert told[-1][1].startswith(f"{int(np.sum(normal > 1))} of 70")


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_wider_than_the_window(width, card, tmp_path):
    """At a phone's width too: what is wider, such as tables, scrolls inside its own box."""
    cards = [replace(card, detector=name, dataset="a-dataset-with-a-long-name") for name in ("knn", "padim")]
    page = write_report(cards, tmp_path / "r")
    source = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page.read_text(encoding="utf-8"))
    # a frame of that width: browsers without a screen have no narrow windows
    (tmp_path / "inner.html").write_text(source, encoding="utf-8")
    outer = tmp_path / "outer.html"
    outer.write_text(
        f'<iframe src="inner.html" width="{width}" height="900"></iframe><output></output><script>'
        "const frame = document.querySelector('iframe'); frame.onload = () => {"
        "const root = frame.contentDocument.documentElement;"
        "const cut = [...root.querySelectorAll('table, svg, p, h2')].filter(part => "
        "!part.closest('.scroll') && part.getBoundingClientRect().right > root.clientWidth + 1);"
        "document.querySelector('output').textContent = JSON.stringify("
        "[root.clientWidth, root.scrollWidth, cut.length]); };</script>",
        encoding="utf-8",
    )
    text = dom(outer, tmp_path / "profile", "--allow-file-access-from-files")
    shown, wide, cut = json.loads(re.search(r"<output>(.*?)</output>", text)[1])
    assert width - 30 < shown <= width and wide == shown and cut == 0
