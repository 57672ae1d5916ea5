"""The command line as users meet it: real photographs, one small model, and two ways to run it.

The photographs are tiles of the bricks that scikit-image carries, so that these tests run anywhere.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw

from anomalens.cli.main import run

SOURCE = Path(__file__).resolve().parents[2] / "src"
COMMAND = [sys.executable, "-c", "from anomalens.cli.main import main; main()"]


@dataclass(frozen=True)
class Answer:
    """What one call of the command line gave."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


@pytest.fixture
def anomalens(capsys: pytest.CaptureFixture[str]) -> Callable[..., Answer]:
    """A function that runs the command line in this process."""

    def call(*arguments: object) -> Answer:
        capsys.readouterr()
        code = run([str(argument) for argument in arguments])
        taken = capsys.readouterr()
        return Answer(code, taken.out, taken.err)

    return call


@pytest.fixture(scope="session")
def process() -> Callable[..., Any]:
    """A function that starts the command line as a process of its own, with pipes."""
    # started in the background of a script, these tests inherit that Ctrl-C is ignored, and so would it
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)

    def start(
        *arguments: object, environment: dict[str, str] | None = None, **options: Any
    ) -> subprocess.Popen[str]:
        path = os.pathsep.join(filter(None, [str(SOURCE), os.environ.get("PYTHONPATH", "")]))
        return subprocess.Popen(
            [*COMMAND, *map(str, arguments)],
            env={**os.environ, "PYTHONPATH": path, **(environment or {})},
            **{
                "stdin": subprocess.DEVNULL,
                "stdout": subprocess.PIPE,
                "stderr": subprocess.PIPE,
                "text": True,
                **options,
            },
        )

    return start


@pytest.fixture(scope="session")
def tiles() -> list[Image.Image]:
    """64 tiles of real bricks that do not overlap, 192 pixels wide and high."""
    from skimage.data import brick

    wall = Image.fromarray(brick()).convert("RGB")
    corners = [(x, y) for y in range(0, 512, 64) for x in range(0, 512, 64)]
    return [wall.crop((x, y, x + 64, y + 64)).resize((192, 192)) for x, y in corners]


@pytest.fixture(scope="session")
def parts(tiles: list[Image.Image], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of bricks: train/good 30, test/good 2, test/hole 2, and masks of the holes."""
    root = tmp_path_factory.mktemp("data") / "parts"
    for folder in ("train/good", "test/good", "test/hole", "ground_truth/hole"):
        (root / folder).mkdir(parents=True)
    for index, tile in enumerate(tiles[:30]):
        tile.save(root / "train" / "good" / f"{index:03d}.jpg", quality=95)
    for index, tile in enumerate(tiles[30:32]):
        tile.save(root / "test" / "good" / f"{index:03d}.jpg", quality=95)
    for index, tile in enumerate(tiles[32:34]):
        holed, mask = tile.copy(), Image.new("L", tile.size)
        for image, colour in ((holed, "black"), (mask, 255)):
            ImageDraw.Draw(image).ellipse((60, 60, 120, 130), fill=colour)
        holed.save(root / "test" / "hole" / f"{index:03d}.jpg", quality=95)
        mask.save(root / "ground_truth" / "hole" / f"{index:03d}_mask.png")
    return root


@pytest.fixture(scope="session")
def normal(parts: Path) -> Path:
    """A normal photograph that the model has learnt: never flagged."""
    return sorted((parts / "train" / "good").iterdir())[0]


@pytest.fixture(scope="session")
def broken(parts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same part with a thick scratch painted over it: flagged by any sane model."""
    path = tmp_path_factory.mktemp("broken") / "scratched.png"
    with Image.open(sorted((parts / "train" / "good").iterdir())[0]) as image:
        scratched = image.convert("RGB")
    pen = ImageDraw.Draw(scratched)
    for shift, colour in ((0, "yellow"), (30, "white"), (60, "magenta")):
        pen.line((10 + shift, 10, 110 + shift, 180), fill=colour, width=14)
    scratched.save(path)
    return path


@pytest.fixture(scope="session")
def model(parts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model fitted once, by the command line, on ONNX Runtime."""
    path = tmp_path_factory.mktemp("model") / "part.anomalens"
    code = run([
        "fit", str(parts), "--out", str(path), "--size", "64", "--runtime", "onnxruntime",
        "--false-alarm-rate", "0.05", "-p", "min_bank=300",
    ])  # fmt: skip
    assert code == 0
    return path


BRIGHTNESS = '''
"""A detector of another package: distance to the mean brightness. It fails on black images."""
from dataclasses import dataclass
import numpy as np
from anomalens.detectors.contract import Detector, Scores, Settings, State, parameter

@dataclass(frozen=True)
class BrightnessSettings(Settings):
    power: float = parameter(1.0, "exponent of the distance", limits=(0.5, 2.0))

class Brightness(Detector):
    """Distance to the mean brightness."""
    name, family, pixel_level, settings_type = "brightness", "density", False, BrightnessSettings

    def fit(self, images, job):
        self.mean_ = float(np.mean([image.mean() for image in images]))

    def score(self, batch):
        if any(image.max() == 0 for image in batch.images):
            raise ZeroDivisionError("no light")
        distances = [abs(image.mean() - self.mean_) for image in batch.images]
        return Scores(np.array(distances) ** self.settings.power)

    def state(self):
        return State({"mean": self.mean_, "power": self.settings.power})

    @classmethod
    def from_state(cls, state, *, size, runtime):
        made = cls(BrightnessSettings(state.numbers["power"]))
        made.mean_ = state.numbers["mean"]
        return made
'''


@pytest.fixture
def third_party(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another package with a detector of its own, installed for one test."""
    site = tmp_path / "site"
    metadata = site / "bright_detectors-1.0.dist-info"
    metadata.mkdir(parents=True)
    (site / "bright_detectors.py").write_text(BRIGHTNESS)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: bright-detectors\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(
        "[anomalens.detectors]\nbrightness = bright_detectors:Brightness\n"
    )
    monkeypatch.syspath_prepend(site)
    yield
    sys.modules.pop("bright_detectors", None)
