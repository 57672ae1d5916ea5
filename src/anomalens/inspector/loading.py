"""Make a saved model ready on this machine: the right runtime, or one that proves to agree with it."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anomalens.backbones.runtimes import Runtime, choose
from anomalens.bundle import Bundle, read_bundle
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
    with _naming(path):
        stored = _read_card(bundle)
        thumbnails, arrays = thumbnails_of(bundle)
    blank = _blank_detector(path, stored.detector)
    wanted = _wanted_runtime(stored.runtime, runtime, precision, threads)
    with _naming(path):
        state = State(bundle.card["state"], arrays, bundle.graphs)
        detector, used = _on_faithful_runtime(blank, state, stored, wanted)
    return Model(stored.preprocessing, detector, stored.calibration, used, bundle.card, path.name, thumbnails)


@dataclass(frozen=True)
class _Stored:
    """What of a card makes a model ready.

    Attributes
    ----------
    detector : str
        Its name.
    preprocessing : Preprocessing
    calibration : Calibration
    runtime : Runtime
        What calibrated the threshold, in these `versions`.
    versions : dict of str to str
    golden : dict
        The scores of the golden images then.
    """

    detector: str
    preprocessing: Preprocessing
    calibration: Calibration
    runtime: Runtime
    versions: Mapping[str, str]
    golden: dict[str, Any]

    @property
    def size(self) -> tuple[int, int]:
        width, height = self.preprocessing.output_size
        return height, width


def _read_card(bundle: Bundle) -> _Stored:
    """Nothing about the card is trusted; ValueError and the like where it is damaged."""
    card = bundle.card
    stored = _Stored(
        card["detector"]["name"],
        Preprocessing.from_json(card["preprocessing"]),
        Calibration.from_json(card["calibration"]),
        Runtime.from_json(card["calibrated_on"]["runtime"]),
        card["calibrated_on"]["versions"],
        card["golden"],
    )
    if not isinstance(stored.detector, str):
        raise ValueError("the detector's name is damaged")
    data, notes = card["data"], card["notes"]
    if type(data["n_images"]) is not int or not isinstance(notes, list):
        raise ValueError("the record of the normal images is damaged")
    if not all(isinstance(note, str) for note in notes):
        raise ValueError("the notes are no texts")
    if not isinstance(card["versions"], dict) or not isinstance(card["detector"]["settings"], dict):
        raise ValueError("the record of how the model was made is damaged")
    if not all(isinstance(name, str) for name in data["image_hashes"]):
        raise ValueError("the hashes of the normal images are damaged")
    if stored.size != (int(card["size"][0]), int(card["size"][1])):
        raise ValueError("the prepared size and the network's size differ")
    return stored


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
    blank: Detector, state: State, stored: _Stored, wanted: Runtime
) -> tuple[Detector, Runtime]:
    """The detector on the wanted runtime, or on one that agrees with what calibrated it."""
    then, now, recorded = stored.versions, versions(), stored.runtime
    tolerance = max(TOLERANCE[wanted.precision], TOLERANCE[recorded.precision])
    candidates = [wanted]
    for name in (recorded.name, "onnxruntime"):
        try:
            candidates.append(choose(name, precision="float32", threads=wanted.threads))
        except AnomalensError:  # not installed here
            continue
    worst = 0.0
    detector: Detector | None = None
    for runtime in dict.fromkeys(candidates):
        detector = blank.rebuilt(state, size=stored.size, runtime=runtime)
        same = (runtime.name, runtime.precision) == (recorded.name, recorded.precision)
        same = same and then.get(runtime.name) == now.get(runtime.name)
        moved = 0.0 if same else drift(stored.golden, detector, stored.size)
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
