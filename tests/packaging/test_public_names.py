"""What `anomalens` offers to Python, and that its metadata agree."""

from __future__ import annotations

import tomllib
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

import anomalens

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("name", anomalens.__all__)
def test_every_public_name_is_there(name):
    assert getattr(anomalens, name) is not None
    assert name in dir(anomalens)


def test_a_star_import_gives_exactly_the_public_names():
    names: dict[str, object] = {}
    exec("from anomalens import *", names)
    assert set(names) - {"__builtins__"} == set(anomalens.__all__)


def test_the_public_names_are_sorted_and_unique():
    from_a = [name for name in anomalens.__all__ if name != "__version__"]
    assert from_a == sorted(set(from_a))


def test_an_unknown_name_is_an_attribute_error_that_names_it():
    with pytest.raises(AttributeError, match="'anomalens' has no attribute 'Inspektor'"):
        anomalens.Inspektor  # noqa: B018
    with pytest.raises(ImportError):
        exec("from anomalens import Inspektor", {})


@pytest.mark.parametrize(
    "room", ["images", "backbones", "calibration", "detectors", "inspector", "reports", "demo"]
)
def test_every_room_offers_what_it_lists(room):
    module = import_module(f"anomalens.{room}")
    for name in getattr(module, "__all__", ()):
        assert hasattr(module, name), name


def test_the_version_is_that_of_the_metadata():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert anomalens.__version__ == project["version"]
    try:
        installed = version("anomalens")
    except PackageNotFoundError:
        pytest.skip("anomalens is not installed, only found on PYTHONPATH")
    assert anomalens.__version__ == installed


def test_the_command_that_is_installed_is_the_one_that_is_tested():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    module, _, function = project["scripts"]["anomalens"].partition(":")
    assert callable(getattr(import_module(module), function))


def test_imports_point_one_way(monkeypatch, capsys):
    """The contract in pyproject.toml, by import-linter."""
    pytest.importorskip("importlinter", reason="import-linter is not installed")
    from importlinter.application.use_cases import lint_imports
    from importlinter.configuration import configure

    monkeypatch.chdir(ROOT)
    configure()
    assert lint_imports(cache_dir=None), capsys.readouterr().out


def test_no_two_modules_import_each_other_not_even_inside_of_functions():
    grimp = pytest.importorskip("grimp", reason="import-linter is not installed")
    graph = grimp.build_graph("anomalens", cache_dir=None)
    circles = {
        frozenset((one, other))
        for one in graph.modules
        for other in graph.find_modules_directly_imported_by(one)
        if graph.chain_exists(importer=other, imported=one)
    }
    assert not circles
