"""The `anomalens` command: finds commands by name and turns errors into exit codes.

Exit codes: 0 nothing flagged or all done, 1 something flagged, 2 bad input, 3 an error of ours or of a
runtime, 130 stopped with Ctrl-C, 141 standard output was closed before the end.
"""

from __future__ import annotations

import io
import os
import sys
from importlib import import_module
from typing import Final

import click

from anomalens import __version__
from anomalens.cli.options import spoken_warnings
from anomalens.errors import AnomalensError, ExecutionError

# name -> module and attribute, in the order in which a newcomer needs them
COMMANDS: Final = {
    "demo": "demo:demo",
    "fit": "fit:fit",
    "check": "check:check",
    "watch": "watch:watch",
    "classify": "classify:classify",
    "calibrate": "calibrate:calibrate",
    "inspect": "inspect:inspect",
    "preprocess": "preprocess:preprocess",
    "detectors": "listings:detectors",
    "backbones": "listings:backbones",
    "evaluate": "evaluate:evaluate",
    "benchmark": "benchmark:benchmark",
    "sweep": "sweep:sweep",
    "compare": "compare:compare",
    "report": "report:report",
    "datasets": "datasets:datasets",
    "doctor": "doctor:doctor",
}


class _Commands(click.Group):
    """Loads a command's file only when it is named, or listed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name].partition(":")
        found: click.Command = getattr(import_module(f"anomalens.cli.{module}"), attribute)
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            from anomalens.errors import unknown_name

            raise unknown_name("command", args[0], COMMANDS)
        return super().resolve_command(ctx, args)


@click.group(
    cls=_Commands,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, "-V", "--version", prog_name="anomalens")
@click.pass_context
def cli(context: click.Context) -> None:
    """Show it normal pictures; it flags, locates and explains what does not belong.

    \b
      anomalens fit photos/normal --out part.anomalens
      anomalens check part.anomalens photos/new --out report

    Works offline, on a CPU. Start with `anomalens demo`.
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit."""
    for stream in (sys.stdout, sys.stderr):
        # a file's name may hold what the terminal's encoding lacks, or no text at all
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="backslashreplace")
    sys.exit(run(arguments))


def run(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    try:
        with spoken_warnings():
            code = cli.main(arguments, prog_name="anomalens", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except click.exceptions.Abort:
        return _stopped()
    except KeyboardInterrupt:
        return _stopped()
    except click.ClickException as error:
        error.show()
        if isinstance(error, click.NoSuchOption):
            for text in sys.argv[1:] if arguments is None else arguments:
                if text.startswith(error.option_name) and os.path.lexists(text):
                    click.echo(f"There is a file {text}: write -- before it.", err=True)
        return 2
    except AnomalensError as error:
        click.echo(f"error: {error}", err=True)
        return 3 if isinstance(error, ExecutionError) else 2
    except SystemExit:
        # Click leaves in this way when standard output was closed (`anomalens check … | head`), with
        # the code that means "flagged" here; a shell reports 141 of other programs then. The only
        # other case is its shell completion.
        if "_ANOMALENS_COMPLETE" in os.environ:
            raise
        return 141
    except Exception as error:
        if os.environ.get("ANOMALENS_TRACEBACK"):
            raise
        click.echo(
            f"internal error: {type(error).__name__}: {error}. This is a fault of Anomalens; please report "
            "it with what  ANOMALENS_TRACEBACK=1 anomalens …  prints.",
            err=True,
        )
        return 3


def _stopped() -> int:
    click.echo("stopped; no half-written file was left.", err=True)
    return 130
