"""Write docs/commands.md from the command line's own help texts.

    python scripts/generate_command_reference.py

A test fails where the page is stale.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from anomalens.cli.main import COMMANDS, cli

PAGE: Final = Path(__file__).resolve().parents[1] / "docs" / "commands.md"
WIDTH: Final = 100

_OPENING: Final = """\
# Commands

What `--help` says, written by `scripts/generate_command_reference.py`.

| exit code | means |
| --- | --- |
| 0 | done; of `check`: nothing is flagged |
| 1 | `check`: at least one image is flagged |
| 2 | something given cannot be used: an image, a model file, an option (also when others were flagged) |
| 3 | a fault of Anomalens |
| 130 | stopped with Ctrl-C; no half-written file is left |
| 141 | standard output was closed before the end, as by `head` |
"""


def reference() -> str:
    """The whole page, in Markdown."""
    top = _context(cli, "anomalens", None)
    parts = [_OPENING, _block(top)]
    for name in COMMANDS:
        command = cli.get_command(top, name)
        assert command is not None
        context = _context(command, name, top)
        parts.append(f"## anomalens {name}\n\n{_block(context)}")
        for below, sub in command.commands.items() if isinstance(command, click.Group) else ():
            parts.append(f"### anomalens {name} {below}\n\n{_block(_context(sub, below, context))}")
    return "\n".join(parts)


def _context(command: click.Command, name: str, parent: click.Context | None) -> click.Context:
    return click.Context(
        command,
        info_name=name,
        parent=parent,
        terminal_width=WIDTH,
        max_content_width=WIDTH,
        help_option_names=["-h", "--help"],
    )


def _block(context: click.Context) -> str:
    lines = (line.rstrip() for line in context.get_help().splitlines())
    return "```text\n" + "\n".join(lines) + "\n```\n"


if __name__ == "__main__":
    PAGE.write_text(reference(), encoding="utf-8")
    print(f"wrote {PAGE.name}")
