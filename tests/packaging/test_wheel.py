"""The wheel holds the package, its licence and notice, its type marker, and no picture."""

from __future__ import annotations

import subprocess
import sys
import tomllib
import zipfile
from email.parser import HeaderParser
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BUILD = """
import sys
from hatchling.build import build_wheel
print(build_wheel(sys.argv[1]))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel, built by the backend that pyproject.toml names, without a network."""
    pytest.importorskip("hatchling", reason="hatchling, which builds the wheel, is not installed")
    folder = tmp_path_factory.mktemp("wheel")
    done = subprocess.run(
        [sys.executable, "-c", BUILD, str(folder)],
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return zipfile.ZipFile(folder / done.stdout.splitlines()[-1])


def test_it_holds_every_module_and_the_type_marker(wheel):
    names = set(wheel.namelist())
    source = ROOT / "src"
    modules = {path.relative_to(source).as_posix() for path in source.rglob("*.py")}
    assert "anomalens/cli/main.py" in modules
    assert modules <= names
    assert "anomalens/py.typed" in names
    data = {path.relative_to(source).as_posix() for path in (source / "anomalens/reports").rglob("*.[!p]*")}
    assert "anomalens/reports/parts/style.css" in data and data <= names


@pytest.mark.parametrize("name", ["LICENSE", "NOTICE"])
def test_it_holds_the_licence_and_the_notice(wheel, name):
    found = [each for each in wheel.namelist() if each.endswith(f".dist-info/licenses/{name}")]
    assert len(found) == 1
    assert wheel.read(found[0]) == (ROOT / name).read_bytes()


def test_it_holds_no_picture_no_test_and_no_weights(wheel):
    unwanted = {
        ".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".gif", ".webp", ".npy", ".npz", ".onnx",
        ".pth", ".pt", ".safetensors", ".anomalens", ".pyc",
    }  # fmt: skip
    names = wheel.namelist()
    assert [name for name in names if Path(name).suffix.lower() in unwanted] == []
    top = {name.partition("/")[0] for name in names}
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    assert top == {"anomalens", f"anomalens-{version}.dist-info"}
    assert sum(item.file_size for item in wheel.infolist()) < 3e6


def test_its_metadata(wheel):
    name = next(name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    metadata = HeaderParser().parsestr(wheel.read(name).decode())
    assert metadata["Name"] == "anomalens"
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Requires-Python"] == ">=3.11"
    extras = set(metadata.get_all("Provides-Extra"))
    assert {"fast", "train", "backbones", "dev"} <= extras
    points = next(name for name in wheel.namelist() if name.endswith("entry_points.txt"))
    assert b"anomalens = anomalens.cli.main:main" in wheel.read(points)
