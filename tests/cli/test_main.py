"""The front door: help, version, names, and exit codes that scripts can rely on."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from PIL import Image

import anomalens as package
from anomalens.cli.main import COMMANDS, cli

STABLE = {
    "demo", "fit", "check", "calibrate", "inspect", "preprocess", "detectors", "backbones", "doctor",
}  # fmt: skip


def test_without_arguments_it_prints_its_help_and_succeeds(anomalens):
    answer = anomalens()
    assert answer.code == 0
    assert answer.out == anomalens("--help").out
    assert "anomalens demo" in answer.out
    assert answer.err == ""


def test_the_stable_commands_are_all_there_and_listed_with_a_purpose(anomalens):
    assert COMMANDS.keys() >= STABLE
    listed = anomalens("--help").out.partition("Commands:\n")[2].splitlines()
    purposes = {line.split()[0]: line.split(maxsplit=1)[1] for line in listed}
    assert list(purposes) == list(COMMANDS)
    for name, purpose in purposes.items():
        assert purpose.endswith((".", "here.")) and not purpose.endswith("..."), name


@pytest.mark.parametrize("flag", ["--version", "-V"])
def test_version(anomalens, flag):
    answer = anomalens(flag)
    assert (answer.code, answer.out) == (0, f"anomalens, version {package.__version__}\n")


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_of_a_command_states_its_purpose_and_gives_an_example(anomalens, name, flag):
    answer = anomalens(name, flag)
    assert answer.code == 0
    usage, _, rest = answer.out.partition("\n\n")
    assert usage.startswith(f"Usage: anomalens {name}")
    assert len(rest.split("\n\n")[0].split()) >= 5  # a sentence
    assert f"\n    anomalens {name}" in rest


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_of_a_command_is_explained(name):
    command = cli.get_command(None, name)
    unexplained = [
        option.name for option in command.params if isinstance(option, click.Option) and not option.help
    ]
    assert not unexplained


def test_an_unknown_command_suggests_the_nearest(anomalens):
    answer = anomalens("chek", "m.anomalens")
    assert answer.code == 2
    assert answer.err == "error: There is no command named 'chek'; did you mean 'check'?\n"


def test_an_unknown_command_that_resembles_none_lists_them(anomalens):
    answer = anomalens("zzz")
    assert answer.code == 2
    assert all(name in answer.err for name in COMMANDS)


def test_an_unknown_option_suggests_the_nearest(anomalens):
    answer = anomalens("check", "--jsn", "m.anomalens", "x.png")
    assert answer.code == 2
    assert "--jsn" in answer.err and "--json" in answer.err


@pytest.mark.parametrize(
    "arguments",
    [["fit"], ["fit", "photos"], ["check"], ["check", "m.anomalens"], ["calibrate"], ["inspect"],
     ["preprocess", "photos"]],
)  # fmt: skip
def test_a_missing_argument_is_named(anomalens, arguments):
    answer = anomalens(*arguments)
    assert answer.code == 2
    assert "Missing" in answer.err
    assert answer.out == ""


def test_our_own_fault_exits_with_3_and_asks_for_a_report(anomalens, third_party, parts, normal, tmp_path):
    black = tmp_path / "black.png"
    Image.new("RGB", (64, 64)).save(black)
    model = tmp_path / "m.anomalens"
    made = anomalens("fit", parts, "--detector", "brightness", "--size", 16, "--out", model)
    assert made.code == 0
    answer = anomalens("check", model, normal, black)
    assert answer.code == 3
    assert normal.name in answer.out  # what came before it was answered
    assert "ZeroDivisionError: no light" in answer.err
    assert "ANOMALENS_TRACEBACK=1" in answer.err
    assert "Traceback" not in answer.err


def test_the_traceback_of_our_own_fault_can_be_asked_for(
    anomalens, third_party, parts, tmp_path, monkeypatch
):
    black = tmp_path / "black.png"
    Image.new("RGB", (64, 64)).save(black)
    model = tmp_path / "m.anomalens"
    anomalens("fit", parts, "--detector", "brightness", "--size", 16, "--out", model)
    monkeypatch.setenv("ANOMALENS_TRACEBACK", "1")
    with pytest.raises(ZeroDivisionError, match="no light"):
        anomalens("check", model, black)


def test_exit_codes_of_a_real_process(process, model, normal, broken, tmp_path):
    empty = tmp_path / "empty.png"
    empty.touch()
    running = {
        0: process("check", model, normal),
        1: process("check", model, normal, broken),
        2: process("check", model, normal, broken, empty),
    }
    for code, each in running.items():
        out, err = each.communicate(timeout=60)
        assert each.returncode == code, err
        assert len(out.splitlines()) == code + 1
        assert "Traceback" not in err


def test_an_option_like_file_name_gets_the_hint_to_write_two_dashes(
    anomalens, model, normal, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    Path("-dash.jpg").write_bytes(normal.read_bytes())
    refused = anomalens("check", model, "-dash.jpg")
    assert refused.code == 2
    assert "There is a file -dash.jpg: write -- before it." in refused.err
    answer = anomalens("check", model, "--", "-dash.jpg")
    assert answer.code == 0
    assert answer.lines[0].startswith("ok ") and answer.lines[0].endswith("-dash.jpg")
