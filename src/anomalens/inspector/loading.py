"""Make a saved model ready on this machine: the right runtime, or one that proves to agree with it."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from anomalens.backbones.runtimes import Runtime, choose
from anomalens.bundle import read_bundle
from anomalens.calibration import Calibration
from anomalens.detectors.contract import Detector, State
from anomalens.detectors.registry import detector_names
from anomalens.detectors.spec import DetectorSpec
from anomalens.errors import AnomalensError, AnomalensWarning, InputError, ModelFileError, SettingError
from anomalens.images.preprocess import Preprocessing
from anomalens.inspector.golden import TOLERANCE, drift
from anomalens.inspector.model import Model
from anomalens.inspector.model_card import versions
from anomalens.inspector.thumbnails import thumbnails_of


def load_model(
    path: Path, *, runtime: str | None = None, precision: str | None = None, threads: int | None = None
) -> Model:
    """Read a model file and make it ready on this machine; see `Inspector.load`."""
    bundle = read_bundle(path)
    card = bundle.card
    with _naming(path):
        _check_card(card)
        preprocessing = Preprocessing.from_json(card["preprocessing"])
        if preprocessing.output_size != (int(card["size"][1]), int(card["size"][0])):
            raise ValueError("the prepared size and the network's size differ")
        calibration = Calibration.from_json(card["calibration"])
        recorded = Runtime.from_json(card["calibrated_on"]["runtime"])
        thumbnails, arrays = thumbnails_of(bundle)
        state = State(card["state"], arrays, bundle.graphs)
    blank = _blank_detector(path, card["detector"]["name"])
    wanted = _wanted_runtime(recorded, runtime, precision, threads)
    with _naming(path):
        detector, used = _on_faithful_runtime(blank, state, card, wanted)
    return Model(preprocessing, detector, calibration, used, card, path.name, thumbnails)


def _check_card(card: Mapping[str, Any]) -> None:
    """ValueError, KeyError and the like where what a card tells is damaged."""
    data, notes, detector = card["data"], card["notes"], card["detector"]
    for fits, what in (
        (isinstance(detector["name"], str), "the detector's name is damaged"),
        (isinstance(card["golden"], dict), "the golden scores are damaged"),
        (type(data["n_images"]) is int and isinstance(notes, list), "the record of the images is damaged"),
        (all(isinstance(note, str) for note in notes), "the notes are no texts"),
        (
            isinstance(card["versions"], dict) and isinstance(detector["settings"], dict),
            "the record of how the model was made is damaged",
        ),
        (
            all(isinstance(name, str) for name in data["image_hashes"]),
            "the hashes of the normal images are damaged",
        ),
    ):
        if not fits:
            raise ValueError(what)


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Say of which file a card or a state cannot be used."""
    try:
        yield
    except InputError as error:
        raise ModelFileError(f"{path} cannot be used: {error}") from None
    except (
        KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError,
    ) as error:  # fmt: skip
        raise ModelFileError(
            f"{path} lacks what a model needs ({type(error).__name__}: {error}); fit the model again."
        ) from None


def _blank_detector(path: Path, name: str) -> Detector:
    """A model file's detector, which has learnt nothing yet."""
    try:
        spec = DetectorSpec.parse(name)
        for needed in sorted(set(spec.members) - set(detector_names())):
            raise ModelFileError(
                f"{path} needs the detector {needed!r:.80}, which is not installed; install the package that "
                "brings it."
            )
        return spec.make()
    except SettingError as error:
        raise ModelFileError(f"{path} cannot be used: {error}") from None


def _wanted_runtime(
    recorded: Runtime, name: str | None, precision: str | None, threads: int | None
) -> Runtime:
    """What was asked for, else what calibrated the threshold, else what there is."""
    if name is None:
        try:
            return choose(recorded.name, precision=precision or recorded.precision, threads=threads)
        except AnomalensError:  # not installed here, or another processor
            return choose("auto", precision=precision or "float32", threads=threads)
    return choose(name, precision=precision or "float32", threads=threads)


def _on_faithful_runtime(
    blank: Detector, state: State, card: Mapping[str, Any], wanted: Runtime
) -> tuple[Detector, Runtime]:
    """The detector on the wanted runtime, or on one that agrees with what calibrated it."""
    recorded = Runtime.from_json(card["calibrated_on"]["runtime"])
    then, now = card["calibrated_on"]["versions"], versions()
    size = (int(card["size"][0]), int(card["size"][1]))
    tolerance = max(TOLERANCE[wanted.precision], TOLERANCE[recorded.precision])
    candidates = [wanted]
    for name in (recorded.name, "onnxruntime"):
        try:
            candidates.append(choose(name, precision="float32", threads=wanted.threads))
        except AnomalensError:  # not installed here
            continue
    # 8-bit products differ between processors, also on the same runtime
    quantised = any(b"DequantizeLinear" in graph for graph in state.graphs.values())
    worst = 0.0
    detector: Detector | None = None
    for runtime in dict.fromkeys(candidates):
        detector = blank.rebuilt(state, size=size, runtime=runtime)
        same = (runtime.name, runtime.precision) == (recorded.name, recorded.precision)
        same = same and not quantised and then.get(runtime.name) == now.get(runtime.name)
        moved = 0.0 if same else drift(card["golden"], detector, size)
        if moved <= tolerance:
            if runtime != wanted:
                warnings.warn(
                    f"{wanted.name} in {wanted.precision} moves the golden scores by {worst:.2g}, more than "
                    f"{tolerance:g}; {runtime.name} in {runtime.precision} is used instead.",
                    AnomalensWarning,
                    stacklevel=5,
                )
            return detector, runtime
        worst = max(worst, moved)
    assert detector is not None
    warnings.warn(
        f"No runtime here reproduces the golden scores (largest relative drift {worst:.2g}, tolerance "
        f"{tolerance:g}): the threshold may not hold; run  anomalens calibrate  with normal images.",
        AnomalensWarning,
        stacklevel=5,
    )
    return detector, runtime
