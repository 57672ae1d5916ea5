"""Defects that hide among normal pictures: named, left out on demand, and shown on a page."""

from __future__ import annotations

import json
import os
import shutil

import pytest

FAST = ("--size", 128, "--runtime", "onnxruntime", "--threads", 1)
HIDDEN = ("zz_1.jpg", "zz_2.jpg", "zz_3.jpg")


@pytest.fixture(scope="module")
def mixed(real_set, tmp_path_factory):
    """32 clean papers, and three with an impurity that are called as if they were clean."""
    papers = real_set("paper_piped") / "bdp01_tl"
    folder = tmp_path_factory.mktemp("mixed") / "papers"
    shutil.copytree(papers / "train" / "good", folder)
    for name, impure in zip(HIDDEN, sorted((papers / "test" / "impurity").iterdir()), strict=False):
        shutil.copy(impure, folder / name)
    return folder


def scored(anomalens, model, mixed):
    lines = anomalens("check", model, *(mixed / name for name in HIDDEN), "--json").lines
    return [json.loads(line)["anomalous"] for line in lines]


def test_three_hidden_defects_are_left_out_and_then_found(anomalens, mixed, tmp_path):
    out = tmp_path / "m.anomalens"
    kept = anomalens("fit", mixed, "--out", out, *FAST)
    assert kept.code == 0 and "learnt from 35 normal" in kept.out
    for name in HIDDEN:
        assert f"doubtful: {name} is" in kept.err
    assert kept.err.count("; kept") == 3 and "--doubtful drop leaves them out" in kept.err
    assert scored(anomalens, out, mixed) == [False] * 3  # learnt, and so normal
    dropped = anomalens("fit", mixed, "--out", out, "--doubtful", "drop", *FAST)
    assert dropped.code == 0 and dropped.err.count("; left out") == 3
    assert "learnt from 32 normal" in dropped.out
    assert scored(anomalens, out, mixed) == [True] * 3


def test_each_is_asked_about_on_a_terminal(process, mixed, tmp_path):
    import pty

    ours, theirs = pty.openpty()
    asked = ("fit", mixed, "--out", tmp_path / "m.anomalens", "--doubtful", "ask", *FAST)
    with process(*asked, stdin=theirs) as running:
        os.write(ours, b"y\nn\ny\n")
        out, err = running.communicate(timeout=120)
    os.close(theirs)
    os.close(ours)
    assert running.returncode == 0 and out.count("leave it out?") == 3
    assert (err.count("; left out"), err.count("; kept")) == (2, 1)
    assert "learnt from 33 normal" in out


def test_asking_needs_a_terminal(anomalens, mixed, tmp_path):
    answer = anomalens("fit", mixed, "--out", tmp_path / "m.anomalens", "--doubtful", "ask")
    assert answer.code == 2 and "needs a terminal" in answer.err


def test_the_page_shows_them_first(anomalens, mixed, tmp_path):
    answer = anomalens("inspect", mixed, "--normals", tmp_path / "look")
    assert answer.code == 0 and "page: " in answer.out
    page = (tmp_path / "look" / "index.html").read_text(encoding="utf-8")
    assert "<h1" in page and "3 of 35 normal images unlike the others" in page
    places = [page.index(f">{name}<") for name in HIDDEN]
    assert max(places) < page.index("like the others</span>") and page.count("data:image/jpeg") == 35
