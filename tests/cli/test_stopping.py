"""Ctrl-C, closed pipes, and terminals."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals and terminals of POSIX")


@pytest.fixture(scope="module")
def many(tiles, tmp_path_factory) -> Path:
    """Enough images that a stop comes in time."""
    folder = tmp_path_factory.mktemp("many")
    for index, tile in enumerate(tiles):
        for turn in range(4):
            tile.rotate(90 * turn).save(folder / f"{index:03d}-{turn}.jpg", quality=95)
    return folder


def stop_when_the_bar_appears(process, label: str, *arguments: object) -> tuple[int, str]:
    """Run on a terminal, press Ctrl-C at the bar with this label; exit code and all it showed."""
    import pty

    ours, theirs = pty.openpty()
    with process(*arguments, stderr=theirs, stdout=theirs) as running:
        os.close(theirs)
        shown = b""
        pressed = False
        while True:
            try:
                piece = os.read(ours, 4096)
            except OSError:  # Linux reports the end of a terminal so
                break
            if not piece:
                break
            shown += piece
            if not pressed and label.encode() in shown:
                pressed = True
                running.send_signal(signal.SIGINT)
        os.close(ours)
        running.wait(timeout=60)
    assert pressed, shown
    return running.returncode, shown.decode()


@pytest.mark.parametrize("label", ["reading images", "choosing the coreset"])
def test_ctrl_c_during_fit_leaves_the_old_model_and_nothing_else(process, many, tmp_path, label):
    out = tmp_path / "m.anomalens"
    out.write_bytes(b"the old model")
    code, shown = stop_when_the_bar_appears(process, label, "fit", many, "--out", out)
    assert code == 130, shown
    assert "stopped; no half-written file was left." in shown
    assert "Traceback" not in shown
    assert out.read_bytes() == b"the old model"
    assert [path.name for path in tmp_path.iterdir()] == ["m.anomalens"]


def test_ctrl_c_during_preprocess_leaves_nothing(process, many, tmp_path):
    code, shown = stop_when_the_bar_appears(
        process, "preparing", "preprocess", many, "--out", tmp_path / "out", "--size", 512
    )
    assert code == 130, shown
    assert "Traceback" not in shown
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_during_check_leaves_no_half_written_report(process, model, normal, tmp_path):
    # Far more lines than a pipe holds: it is still writing when the signal comes.
    with process("check", model, *[normal] * 500, "--json", "--out", tmp_path / "report") as running:
        first = running.stdout.readline()
        running.send_signal(signal.SIGINT)
        _, err = running.communicate(timeout=60)
    assert running.returncode == 130
    assert json.loads(first)["error"] is None
    assert "stopped" in err and "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_during_check_leaves_the_former_report(process, model, normal, tmp_path):
    report = tmp_path / "report"
    with process("check", model, normal, "--out", report) as running:
        running.communicate(timeout=60)
    before = {path: path.read_bytes() for path in report.rglob("*") if path.is_file()}
    with process("check", model, *[normal] * 500, "--json", "--out", report) as running:
        running.stdout.readline()
        running.send_signal(signal.SIGINT)
        running.communicate(timeout=60)
    assert running.returncode == 130
    assert {path: path.read_bytes() for path in report.rglob("*") if path.is_file()} == before


def test_a_closed_pipe_ends_it_quietly_and_not_as_a_verdict(process, model, normal):
    with process("check", model, *[normal] * 500, "--json") as running:
        first = running.stdout.readline()
        running.stdout.close()
        err = running.stderr.read()
        running.wait(timeout=60)
    assert json.loads(first)["anomalous"] is False
    assert err == ""
    assert running.returncode == 141  # neither 0, none flagged, nor 1, some flagged


def test_head_gets_its_line(process, model, parts):
    with (
        process("check", model, parts / "train", stderr=subprocess.DEVNULL) as running,
        subprocess.Popen(
            ["head", "-n", "1"], stdin=running.stdout, stdout=subprocess.PIPE, text=True
        ) as head,
    ):
        running.stdout.close()
        assert head.communicate(timeout=60)[0].startswith("ok ")


def test_no_bar_where_standard_error_is_no_terminal(process, parts, tmp_path):
    model = tmp_path / "m.anomalens"
    for arguments in (
        ("fit", parts, "--out", model, "--size", 32, "--false-alarm-rate", 0.1),
        ("check", model, parts / "train", "--out", tmp_path / "report"),
        ("inspect", parts),
        ("preprocess", parts / "test", "--out", tmp_path / "prepared", "--size", 16),
    ):
        with process(*arguments) as running:
            out, err = running.communicate(timeout=60)
        for text in (out, err):
            assert "\r" not in text and "\x1b" not in text and "#" not in text


def test_a_bar_where_it_is_one(process, model, parts):
    import pty

    ours, theirs = pty.openpty()
    with process("check", model, parts / "train", "--json", stderr=theirs) as running:
        os.close(theirs)
        lines = running.stdout.readlines()
        running.wait(timeout=60)
        shown = os.read(ours, 65536).decode()
        os.close(ours)
    assert "checking" in shown and "30/30" in shown
    assert len([json.loads(line) for line in lines]) == 30


def on_a_terminal(process, *arguments, **environment):
    """What a person sees where both streams are one terminal."""
    import pty

    ours, theirs = pty.openpty()
    with process(*arguments, stdout=theirs, stderr=theirs, environment=environment) as running:
        os.close(theirs)
        shown = b""
        while True:
            try:
                part = os.read(ours, 65536)
            except OSError:  # Linux tells the end of a terminal by an error
                break
            if not part:
                break
            shown += part
        running.wait(timeout=60)
    os.close(ours)
    return shown.decode().replace("\r\n", "\n")


def test_verdicts_are_lines_of_their_own_on_a_terminal(process, model, normal, broken):
    shown = on_a_terminal(process, "check", model, normal, broken, NO_COLOR="1", TERM="xterm")
    # what a terminal leaves on the screen of each line
    lines = [line.rpartition("\r\x1b[K")[2] for line in shown.split("\n")]
    assert sum(line.startswith("ok     score") for line in lines) == 1
    assert sum(line.startswith("REJECT score") for line in lines) == 1
    assert not re.search(r"\x1b\[\d+m", shown)


def test_verdicts_have_colours_on_a_terminal_only(process, model, broken):
    told = "\x1b[31m\x1b[1mREJECT\x1b[0m score"
    assert told in on_a_terminal(process, "check", model, broken, TERM="xterm", NO_COLOR="")
    assert told not in on_a_terminal(process, "check", model, broken, TERM="dumb", NO_COLOR="")
    with process("check", model, broken, environment={"TERM": "xterm", "NO_COLOR": ""}) as running:
        assert "\x1b" not in "".join(running.communicate(timeout=60))
