"""Where the tests find real images; tests that need a set skip, with a reason, where it is missing."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

DATA = Path(os.environ.get("ANOMALENS_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))


@pytest.fixture(scope="session")
def real_set() -> Callable[[str], Path]:
    """A function that gives the folder of one set of real images."""

    def find(name: str) -> Path:
        folder = DATA / name
        if not folder.exists():
            pytest.skip(f"the set {name!r} of real images is not in {DATA} (set ANOMALENS_DATA)")
        return folder

    return find
