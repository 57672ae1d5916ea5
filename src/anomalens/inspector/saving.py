"""A model as one file."""

from __future__ import annotations

from pathlib import Path

from anomalens.bundle import Bundle, write_bundle
from anomalens.inspector.model import Model
from anomalens.inspector.thumbnails import packed


def save_model(model: Model, path: Path) -> None:
    """Write one file; see `Inspector.save`."""
    state = model.detector.state()
    listed, pictures = packed(model.thumbnails)
    card = {
        **model.card,
        "preprocessing": model.preprocessing.to_json(),
        "calibration": model.calibration.to_json(),
        "runtime": model.runtime.to_json(),
        "state": dict(state.numbers),
        **({"thumbnails": listed} if listed else {}),
    }
    write_bundle(path, Bundle(card, {**state.arrays, **pictures}, state.graphs))
