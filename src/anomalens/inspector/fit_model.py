"""From normal images and the options of a fit to a model."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

from anomalens.backbones.runtimes import Runtime, choose
from anomalens.calibration import Policy
from anomalens.detectors.contract import Detector
from anomalens.detectors.spec import DetectorSpec
from anomalens.detectors.tiled import can_be_tiled
from anomalens.errors import AnomalensWarning, SettingError, unknown_name
from anomalens.images.augment import Augmentation
from anomalens.images.image_set import ImageSet
from anomalens.images.preprocess import Preprocessing
from anomalens.images.sizes import lost_by_shrinking
from anomalens.inspector.fit_options import DETECTOR, TEMPLATE, FitOptions
from anomalens.inspector.fitting import fit_detector
from anomalens.inspector.golden import TOLERANCE, drift, score_golden
from anomalens.inspector.kind import Kind
from anomalens.inspector.model import Model
from anomalens.inspector.model_card import data_card, plain_settings, versions, warn_about, without_folders
from anomalens.inspector.preparation import preparation
from anomalens.inspector.thumbnails import collect
from anomalens.inspector.training_set import TrainingSet
from anomalens.job import Job
from anomalens.progress import Progress, silent


def fit_model(images: ImageSet, options: FitOptions, *, progress: Progress = silent) -> Model:
    """Learn from normal images, which may have references, and calibrate; see `Inspector.fit`."""
    if type(options.seed) is not int or options.seed < 0:
        raise SettingError(f"The seed must be a whole number from 0, not {options.seed!r:.40}.")
    if options.groups not in ("found", "declared"):
        raise unknown_name("way to group", options.groups, ("found", "declared"))
    if options.captures not in ("declared", "folders"):
        raise unknown_name("way to tell captures", options.captures, ("declared", "folders"))
    if options.p_values not in ("pooled", "class"):
        raise unknown_name("kind of p-values", options.p_values, ("pooled", "class"))
    images = images.in_order()
    spec, detector = _unfitted(images, options)
    if detector.earlier and not len(images.references):
        images = images.with_earlier(detector.earlier)
    augmentation, policy = _augmentation(options), _policy(options)
    job = Job(
        choose(options.runtime, precision=options.precision, threads=options.threads),
        options.seed,
        progress,
        options.checkpoints,
        options.feature_cache,
    )
    with _noted() as notes:
        preprocessing = preparation(
            options.preprocess, images, size=options.size, quality=options.quality, detector=detector
        )
        training = _training_set(images, spec, detector, preprocessing, augmentation, options, job)
        fit = partial(fit_detector, detector, training, policy=policy, by_class=options.p_values == "class")
        fitted, calibration, used, left_out = fit(job=job)
        if used.name != "onnxruntime" and (moved := _moved_by(used, fitted, training)) > 0:
            warnings.warn(
                f"{used.name} computes the given network otherwise than ONNX Runtime (golden scores differ "
                f"by {moved:.2g}); ONNX Runtime is used instead.",
                AnomalensWarning,
                stacklevel=2,
            )
            job = replace(job, runtime=Runtime("onnxruntime", threads=used.threads))
            fitted, calibration, used, left_out = fit(job=job)
        if calibration.threshold.note:
            warnings.warn(calibration.threshold.note, AnomalensWarning, stacklevel=2)
    augmented = None if augmentation is None else {**augmentation.to_json(), "copies": options.copies}
    card = {
        "detector": {"name": spec.name, "settings": plain_settings(detector.parameters)},
        "size": list(training.size),
        "augmentation": augmented,
        "seed": options.seed,
        "golden": score_golden(fitted, training.size),
        "calibrated_on": {"runtime": used.to_json(), "versions": versions()},
        "data": data_card(training),
        "kind": Kind.of(training.facts).to_json(),
        "versions": versions(),
        "notes": [without_folders(note, images) for note in notes],
    }
    thumbnails = collect(training, options.keep_thumbnails, seed=options.seed)
    return Model(preprocessing, fitted, calibration, used, card, thumbnails=thumbnails, left_out=left_out)


def _moved_by(runtime: Runtime, fitted: Detector, training: TrainingSet) -> float:
    """How far a runtime moves the golden scores of a network of the user's own; 0 within the tolerance.

    Nobody has tried such a network: OpenVINO passes over some attributes, and turns what is no number into 0.
    """
    own = (
        value
        for key, value in fitted.parameters.items()
        if key.rpartition(".")[2] == "backbone" and str(value).endswith((".onnx", ".json"))
    )
    if not any(own):
        return 0.0
    reference = Runtime("onnxruntime", threads=runtime.threads)
    exact = score_golden(fitted.on_runtime(reference, size=training.size), training.size)
    moved = drift(exact, fitted, training.size)
    return moved if moved > TOLERANCE[runtime.precision] else 0.0


def _unfitted(images: ImageSet, options: FitOptions) -> tuple[DetectorSpec, Detector]:
    usual = TEMPLATE if len(images.references) else DETECTOR
    spec = DetectorSpec.parse(options.detector or usual)
    if options.tile is not None:
        spec = spec.on_tiles()
    elif options.overlap is not None and not spec.tiled:
        raise SettingError(
            f"An overlap of {options.overlap} was given without a tile; give the tile's side too."
        )
    cut = {"tile": options.tile, "overlap": options.overlap}
    given = {key: value for key, value in cut.items() if value is not None}
    return spec, spec.make({**options.parameters, **given})


def _augmentation(options: FitOptions) -> Augmentation | None:
    return Augmentation.parse(options.augment) if isinstance(options.augment, str) else options.augment


def _policy(options: FitOptions) -> Policy:
    policy = Policy.parse(options.policy) if isinstance(options.policy, str) else options.policy or Policy()
    if policy.needs_labels:
        raise SettingError(
            f"The policy {str(policy)!r} needs labelled anomalies, and fit sees normal images only; fit "
            "with a false-alarm rate first, then run  anomalens calibrate  with a labelled manifest."
        )
    return policy


def _training_set(
    images: ImageSet,
    spec: DetectorSpec,
    detector: Detector,
    preprocessing: Preprocessing,
    augmentation: Augmentation | None,
    options: FitOptions,
    job: Job,
) -> TrainingSet:
    """The images made ready, with warnings about what is odd of them."""
    has_references = len(images.references) > 0
    if has_references and not detector.uses_references:
        warnings.warn(
            f"{spec.name} does not use references; use --detector {TEMPLATE} to compare each image with its "
            "own.",
            AnomalensWarning,
            stacklevel=2,
        )
    training = TrainingSet.collect(
        images,
        preprocessing,
        augmentation=augmentation,
        copies=options.copies,
        seed=job.seed,
        find_groups=options.groups == "found",
        paired=has_references and detector.uses_references,
        progress=job.progress,
    )
    training = replace(training, captures_by=options.captures)
    warn_about(training)
    tiles = can_be_tiled(detector)
    lost = lost_by_shrinking(training.images, preprocessing.output_size, tiles=tiles)
    if lost is not None and not spec.tiled:
        warnings.warn(lost, AnomalensWarning, stacklevel=2)
    return training


@contextmanager
def _noted() -> Iterator[list[str]]:
    """What is warned of inside, as texts; it is warned of once more when the block has ended."""
    notes: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield notes
    for item in caught:
        warnings.warn_explicit(item.message, item.category, item.filename, item.lineno)
    notes += [str(item.message) for item in caught if issubclass(item.category, AnomalensWarning)]
