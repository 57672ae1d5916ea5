"""Every option of a fit is on the command line, and those of size and groups do there what they say."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from anomalens import Inspector
from anomalens.cli.main import run
from anomalens.inspector.fit_options import FitOptions
from anomalens.options import flag


@pytest.mark.parametrize(
    ("command", "others"),
    [
        ("fit", {"feature_cache"}),
        ("evaluate", {"tile", "overlap", "keep_thumbnails"}),  # and `tiled:` names say the first two
    ],
)
def test_no_option_of_a_fit_is_missing(command: str, others: set[str], capsys: Any) -> None:
    assert run([command, "--help"]) == 0
    said = capsys.readouterr().out
    for f in fields(FitOptions):
        if f.name not in others | {"parameters"}:
            assert f"{flag(f.name)} " in said, f.name


@pytest.fixture(scope="module")
def strips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Long pictures, two exposures of each."""
    folder, rng = tmp_path_factory.mktemp("strips"), np.random.default_rng(0)
    for i in range(12):
        values = np.kron(rng.normal(128, 30, (36, 96)), np.ones((8, 8)))
        for shot in range(2):
            noisy = np.clip(values + rng.normal(0, 2, values.shape), 0, 255).astype(np.uint8)
            Image.fromarray(noisy).save(folder / f"{i:02d}-{shot}.png")
    return folder


@pytest.mark.parametrize(
    ("given", "size"),
    [
        ((), (224, 608)),
        (("--quality", "fast"), (160, 416)),
        (("--quality", "best"), (288, 768)),
        (("--size", "341x256"), (256, 352)),
        (("--ms", "60000"), (288, 768)),
    ],
)
def test_the_size_is_what_was_asked_for(
    strips: Path, tmp_path: Path, anomalens: Any, given: tuple[str, ...], size: tuple[int, int]
) -> None:
    out = tmp_path / "s.anomalens"
    answer = anomalens("fit", strips, "--detector", "padim", "--out", out, *given)
    assert answer.code == 0
    assert Inspector.load(out).size == size


def test_two_ways_to_the_size_are_refused(strips: Path, tmp_path: Path, anomalens: Any) -> None:
    out = tmp_path / "s.anomalens"
    answer = anomalens("fit", strips, "--out", out, "--size", "64", "--quality", "best")
    assert answer.code == 2 and "quality best was given beside a size" in answer.err


def test_groups_are_found_or_only_declared(strips: Path, tmp_path: Path, anomalens: Any) -> None:
    out, options = tmp_path / "s.anomalens", ("--detector", "gaussian", "--size", "64")
    assert "of 12 groups" in anomalens("fit", strips, "--out", out, *options).out
    assert "of 24 groups" in anomalens("fit", strips, "--out", out, *options, "--groups", "declared").out


def test_a_card_repeats_the_quality_in_its_command(parts: Path, tmp_path: Path, anomalens: Any) -> None:
    cards = tmp_path / "cards.json"
    given = ("--detector", "padim", "--quality", "fast", "--runtime", "onnxruntime")
    assert anomalens("evaluate", parts, *given, "--json", cards).code == 0
    (card,) = json.loads(cards.read_text())
    assert "--quality fast" in card["command"]
