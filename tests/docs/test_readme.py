"""What README.md and docs/*.md show does run.

Python blocks, and console lines that begin with `$ anomalens `, are executed in order, page by page, in
a folder with `photos/normal` and `photos/new`, and for classifiers `kinds` (train/<class>, test/<class>),
`strange`, `parts` (good, scratch) and `kinds.csv` with two columns of labels. In a fence marked `no-run`
commands are only parsed.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import click
import pytest
from PIL import Image, ImageDraw

from anomalens.cli.main import cli, run

ROOT = Path(__file__).resolve().parents[2]
PAGES = [path for path in [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))] if path.is_file()]
FENCE = re.compile(r"^```(?P<words>[^\n`]*)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)
SHELL_SIGNS = {"|", ">", "<", "&&", "||", ";", "&"}


@dataclass(frozen=True)
class Block:
    """One fenced block: its language, whether it is to run, its text."""

    language: str
    runs: bool
    text: str

    @property
    def commands(self) -> list[list[str]]:
        """Arguments of the lines that begin with `$ anomalens `, up to a pipe or a redirection."""
        joined = self.text.replace("\\\n", " ")
        found = []
        for line in joined.splitlines():
            if line.startswith("$ anomalens "):
                words = shlex.split(line.removeprefix("$ anomalens "), comments=True)
                end = next((i for i, word in enumerate(words) if word in SHELL_SIGNS), len(words))
                found.append(words[:end])
        return found


def blocks(page: Path) -> list[Block]:
    found = []
    for match in FENCE.finditer(page.read_text(encoding="utf-8")):
        words = match["words"].split()
        found.append(Block(words[0] if words else "", "no-run" not in words, match["text"]))
    return found


def shows(page: Path) -> bool:
    """Whether there is something to run on it."""
    return any(block.runs and (block.language == "python" or block.commands) for block in blocks(page))


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which a page's blocks run: real bricks, two of the new ones painted over."""
    data = pytest.importorskip("skimage.data", reason="scikit-image's brick photograph is needed")
    brick = Image.fromarray(data.brick()).convert("RGB")
    for folder in ("normal", "new"):
        (tmp_path / "photos" / folder).mkdir(parents=True)
    places = [(x, y) for y in range(0, 256, 64) for x in range(0, 449, 64)]
    for index, (x, y) in enumerate(places):
        tile = brick.crop((x, y, x + 64, y + 64)).resize((128, 128))
        folder = "new" if index % 8 == 3 else "normal"
        if folder == "new" and index % 16 == 3:
            ImageDraw.Draw(tile).line((10, 20, 110, 100), fill="white", width=12)
        tile.save(tmp_path / "photos" / folder / f"{index:03d}.png")
    of_classes(tmp_path, Path(data.__file__).parent)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def of_classes(folder: Path, pictures: Path) -> None:
    """Tiles of three photographs as classes, of a fourth as strangers, and bricks with and without a line."""
    places = [(x, y) for y in range(0, 449, 64) for x in range(0, 449, 64)]
    lines = ["path,surface,grown,split"]
    for name in ("brick", "grass", "gravel", "ihc"):
        whole = Image.open(pictures / f"{name}.png").convert("RGB")
        for index, (x, y) in enumerate(places[:32]):
            part = "test" if index >= 24 else "train"
            place = Path("strange") if name == "ihc" else Path("kinds") / part / name
            (folder / place).mkdir(parents=True, exist_ok=True)
            tile = whole.crop((x, y, x + 64, y + 64))
            tile.save(folder / place / f"{index:03d}.png")
            if name != "ihc":
                grown = "yes" if name == "grass" else "no"
                lines.append(f"{place.as_posix()}/{index:03d}.png,{name},{grown},{part}")
            if name == "brick":
                kind = "scratch" if index % 4 == 0 else "good"
                if kind == "scratch":
                    ImageDraw.Draw(tile).line((5, 10, 55, 50), fill="white", width=6)
                (folder / "parts" / kind).mkdir(parents=True, exist_ok=True)
                tile.save(folder / "parts" / kind / f"{index:03d}.png")
    (folder / "kinds.csv").write_text("\n".join(lines))


def test_the_pages_and_their_blocks_are_found():
    readme = blocks(ROOT / "README.md")
    assert any(block.language == "python" and block.runs for block in readme)
    assert any(block.commands and block.runs for block in readme)


@pytest.mark.parametrize("page", [page for page in PAGES if shows(page)], ids=name_of)
def test_what_a_page_shows_runs(page, photos, capsys):
    shown = [block for block in blocks(page) if block.runs]
    path = os.pathsep.join(filter(None, [str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]))
    for block in shown:
        if block.language == "python":
            done = subprocess.run(
                [sys.executable, "-c", block.text], cwd=photos, env={**os.environ, "PYTHONPATH": path},
                capture_output=True, text=True, timeout=300, check=False,
            )  # fmt: skip
            assert done.returncode == 0, f"{block.text}\n{done.stderr}"
        elif block.language == "console":
            for command in block.commands:
                code = run(command)
                taken = capsys.readouterr()
                fine = {0, 1} if command[0] == "check" else {0}
                assert code in fine, f"anomalens {shlex.join(command)}\n{taken.err}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_command_on_a_page_parses(page):
    for words in [command for block in blocks(page) for command in block.commands]:
        name, *arguments = words
        if name.startswith("-"):
            continue
        command = cli.get_command(click.Context(cli), name)
        assert command is not None, f"there is no command {name!r}"
        try:
            command.make_context(name, list(arguments), resilient_parsing=False)
        except click.exceptions.Exit:  # --help
            continue
        except click.ClickException as error:
            pytest.fail(f"anomalens {shlex.join(words)}: {error.format_message()}")


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_to_files_lead_somewhere(page):
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
        if "://" not in target and not target.startswith("mailto:"):
            assert (page.parent / target).exists(), target
