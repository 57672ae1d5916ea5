"""What is loaded when: told by the interpreter's own list of modules, not by a clock."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[2] / "src"
HEAVY = {
    "torch", "scipy", "sklearn", "skimage", "onnx", "onnxruntime", "openvino",
}  # fmt: skip


def python(code: str, *arguments: object) -> dict:
    """Run code in a fresh interpreter; the last line that it prints is JSON."""
    path = os.pathsep.join(filter(None, [str(SOURCE), os.environ.get("PYTHONPATH", "")]))
    done = subprocess.run(
        [sys.executable, "-W", "error::UserWarning:anomalens", "-c", code, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


REPORT = """
def report(**more):
    import json, sys
    print(json.dumps({"loaded": sorted({name.partition(".")[0] for name in sys.modules}), **more}))
"""

COMMAND_LINE = (
    REPORT
    + """
import sys
from anomalens.cli.main import run
report(code=run(sys.argv[1:]))
"""
)


def test_importing_the_package_loads_nothing_heavy_not_even_numpy():
    loaded = set(python(REPORT + "import anomalens\nreport()")["loaded"])
    assert not loaded & HEAVY
    assert not loaded & {"numpy", "PIL", "click", "safetensors"}


@pytest.mark.parametrize(
    "arguments",
    [[], ["--help"], ["--version"], ["fit", "--help"], ["check", "--help"], ["demo", "--help"], ["chek"]],
)
def test_help_loads_nothing_heavy(arguments):
    loaded = set(python(COMMAND_LINE, *arguments)["loaded"])
    assert "click" in loaded
    assert not loaded & HEAVY
    assert not loaded & {"numpy", "PIL", "safetensors"}


@pytest.mark.parametrize("command", ["detectors", "backbones"])
def test_listing_what_there_is_loads_no_network_library(command):
    answer = python(COMMAND_LINE, command)
    assert answer["code"] == 0
    assert not set(answer["loaded"]) & (HEAVY - {"scipy"})


# The import system without the packages that are not named: as if they were not installed.
BARE = """
import sys
from importlib.machinery import PathFinder

installed = set(sys.argv.pop(1).split(","))
refused = set()

class Bare:
    @staticmethod
    def find_spec(name, path=None, target=None):
        top = name.partition(".")[0]
        if top in installed or top in sys.stdlib_module_names:
            return PathFinder.find_spec(name, path, target)
        refused.add(top)
        return None

    @staticmethod
    def find_distributions(*arguments, **options):
        return PathFinder.find_distributions(*arguments, **options)

sys.meta_path[:] = [
    finder for finder in sys.meta_path
    if getattr(finder, "__name__", "") in {"BuiltinImporter", "FrozenImporter"}
] + [Bare]
for name in [name for name in sys.modules if name.partition(".")[0] not in sys.stdlib_module_names]:
    if name != "__main__":
        del sys.modules[name]  # what a site's start-up files loaded
"""
EDGE = "anomalens,numpy,PIL,safetensors,onnxruntime"


@pytest.fixture(scope="module")
def fitted(tmp_path_factory) -> tuple[Path, Path]:
    """A patch detector's model file and an image to check: real bricks, cut into tiles."""
    from PIL import Image
    from skimage.data import brick

    from anomalens import Inspector

    folder = tmp_path_factory.mktemp("model")
    wall = brick()
    tiles = [wall[y : y + 64, x : x + 64] for y in range(0, 256, 64) for x in range(0, 512, 64)]
    Inspector.fit(tiles[1:], size=64, runtime="onnxruntime", policy="max", parameters={"min_bank": 200}).save(
        folder / "part.anomalens"
    )
    Image.fromarray(tiles[0]).save(folder / "new.png")
    return folder / "part.anomalens", folder / "new.png"


def test_an_edge_machine_needs_numpy_pillow_safetensors_and_the_runtime_only(fitted):
    code = (
        BARE
        + REPORT
        + """
from anomalens import Inspector
inspector = Inspector.load(sys.argv[1], runtime="onnxruntime")
finding = next(iter(inspector.check([sys.argv[2]])))
report(score=finding.score, error=finding.error, refused=sorted(refused))
"""
    )
    answer = python(code, EDGE, *fitted)
    assert answer["error"] is None and answer["score"] > 0
    third_party = set(answer["loaded"]) - set(sys.stdlib_module_names) - {"__main__"}
    assert third_party - _parts_of({"numpy", "onnxruntime"}) == set(EDGE.split(","))


def test_the_command_line_needs_click_besides(fitted):
    answer = python(BARE + COMMAND_LINE, f"{EDGE},click", "check", *fitted, "--json")
    assert answer["code"] in {0, 1}
    third_party = set(answer["loaded"]) - set(sys.stdlib_module_names) - {"__main__"}
    assert third_party - _parts_of({"numpy", "onnxruntime"}) == {*EDGE.split(","), "click"}


def test_so_does_its_report(fitted, tmp_path):
    answer = python(BARE + COMMAND_LINE, f"{EDGE},click", "check", *fitted, "--out", tmp_path / "report")
    assert answer["code"] in {0, 1}
    assert (tmp_path / "report" / "index.html").is_file()


def test_the_score_is_that_of_the_full_installation(fitted):
    from anomalens import Inspector

    model, image = fitted
    here = next(iter(Inspector.load(model, runtime="onnxruntime").check([image]))).score
    code = (
        BARE
        + REPORT
        + """
from anomalens import Inspector
inspector = Inspector.load(sys.argv[1], runtime="onnxruntime")
report(score=next(iter(inspector.check([sys.argv[2]]))).score)
"""
    )
    assert python(code, EDGE, model, image)["score"] == here


def test_the_bare_import_system_does_refuse_what_is_not_named(fitted):
    """Without the runtime the same call cannot work: the proofs above can fail."""
    path = os.pathsep.join(filter(None, [str(SOURCE), os.environ.get("PYTHONPATH", "")]))
    done = subprocess.run(
        [sys.executable, "-c", BARE + COMMAND_LINE, "anomalens,numpy,PIL,safetensors,click", "check",
         *map(str, fitted)],
        env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert json.loads(done.stdout.splitlines()[-1])["code"] == 2
    assert "onnxruntime" in done.stderr


def _parts_of(packages: set[str]) -> set[str]:
    """Top-level modules that only belong to these packages, such as compiled ones without a folder."""
    from importlib.metadata import packages_distributions

    return {
        module
        for module, owners in packages_distributions().items()
        if {owner.lower() for owner in owners} <= packages and module not in packages
    }
