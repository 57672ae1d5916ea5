"""docs/commands.md is what `--help` says."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from anomalens.cli.main import COMMANDS

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "commands.md"


def test_the_page_is_what_its_script_writes():
    script = runpy.run_path(str(ROOT / "scripts" / "generate_command_reference.py"))
    assert PAGE.read_text(encoding="utf-8") == script["reference"](), (
        "docs/commands.md is stale; run  python scripts/generate_command_reference.py"
    )


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_its_section_with_its_options(anomalens_help, name):
    page = PAGE.read_text(encoding="utf-8")
    section = page.partition(f"## anomalens {name}\n")[2].partition("\n## ")[0]
    assert f"Usage: anomalens {name}" in section
    options = {word for word in anomalens_help(name).split() if word.startswith("--")}
    assert options and options <= set(section.split())


@pytest.fixture
def anomalens_help(capsys):
    """A function that gives what a command's `--help` prints."""
    from anomalens.cli.main import run

    def ask(name: str) -> str:
        assert run([name, "--help"]) == 0
        return capsys.readouterr().out

    return ask
