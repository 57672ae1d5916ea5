"""Fit a detector and score the normal images as if it had not seen them."""

from __future__ import annotations

import warnings
from dataclasses import replace
from itertools import islice
from typing import Final

import numpy as np
from numpy.typing import NDArray

from anomalens.backbones.runtimes import Runtime
from anomalens.calibration import Calibration, Policy
from anomalens.calibration.conformal import MIN_GROUPS, Method
from anomalens.detectors.contract import Detector, Scores
from anomalens.detectors.cross_fit import batches, cross_fit, stand_in_scores, stand_ins
from anomalens.errors import AnomalensWarning, SettingError
from anomalens.inspector.training_set import TrainingSet
from anomalens.job import Job
from anomalens.progress import silent
from anomalens.threads import one_blas_thread

# bfloat16 is kept where it moves scores (RMS) by at most this share of their standard deviation.
BFLOAT16_DRIFT: Final = 0.1
_DRIFT_IMAGES: Final = 16
UNCALIBRATED: Final = "verdicts are uncalibrated"  # until `calibrate` is given other images
_TOO_FEW_PAIRS: Final = (
    "There are fewer than three normal pictures with references of their own to calibrate on: "
    f"{UNCALIBRATED}; add normal pictures with --reference."
)
_FITS_OF_SOME: Final = 5  # groups; models of two or three pictures are unlike the one of all
_STAND_IN_COPIES: Final = 20  # of each image,
_STAND_INS: Final = 2000  # and of all together: more would only take time


def fit_detector(
    detector: Detector, training: TrainingSet, *, policy: Policy, job: Job, by_class: bool = False
) -> tuple[Detector, Calibration, Runtime, dict[str, float]]:
    """Fit, then calibrate, also each class by itself if asked to.

    Falls back to float32 where bfloat16 moves the scores too much.

    Returns
    -------
    detector, calibration, the runtime that computed the calibration scores, and by id the scores of images
    that the scoring model had not learnt from; empty where there were too few to leave any out.
    """
    with one_blas_thread():
        return _fit(detector, training, policy=policy, job=job, by_class=by_class)


def _fit(
    detector: Detector, training: TrainingSet, *, policy: Policy, job: Job, by_class: bool
) -> tuple[Detector, Calibration, Runtime, dict[str, float]]:
    scores = detector.fit(training, job)
    if job.runtime.precision == "bfloat16" and _drifts(detector, training, job.runtime):
        job = replace(job, runtime=replace(job.runtime, precision="float32"))
        scores = detector.fit(training, job)
    if training.n_groups < MIN_GROUPS:
        return detector, _augmented(detector, training, policy=policy, job=job), job.runtime, {}
    method: Method = "held-out" if detector.holds_out else "out-of-fold"
    by_captures = _without_captures(detector, training, job)
    if by_captures is not None:
        method, scores = "out-of-fold", by_captures
    elif scores is None or _groups_of(scores, training) < MIN_GROUPS:
        method, scores = "out-of-fold", cross_fit(detector, training, job, which=training.originals)
    if training.n_groups < _FITS_OF_SOME and not detector.pixel_level:
        method = "unlike"
        _warn_uncalibrated(
            f"{training.n_groups} normal groups are too few for {detector.name} to be fitted without one of "
            "them: what such a model scores says little of this one"
        )
    if training.poses_added:
        method = "unlike"
        _warn_uncalibrated(
            "Copies were turned, scaled or cropped, and the threshold rests on the pictures as they are; "
            "real pictures in such poses are sharper and noisier than copies"
        )
    chosen = training.originals[np.isfinite(scores.image[training.originals])]
    if detector.uses_references:
        # pairs that were made of one picture are no pictures of real parts
        real = chosen[training.real_pairs[chosen]]
        if len(np.unique(training.groups[real])) >= MIN_GROUPS:
            chosen = real
        else:
            method = "augmented"
            warnings.warn(_TOO_FEW_PAIRS, AnomalensWarning, stacklevel=4)
    if not len(chosen):
        raise SettingError(
            f"The detector {detector.name!r} gave no finite score to any normal image; "
            "try another backbone or other parameters."
        )

    calibration = _calibration(scores, training, chosen, policy, method)
    if by_class:
        of = np.array([name or "" for name in training.classes])[chosen]
        rows = {str(name): chosen[of == name] for name in np.unique(of) if name}
        calibration = calibration.with_classes(
            {name: _calibration(scores, training, some, policy, method) for name, some in rows.items()}
        )
    ids = [training.images[int(row) // (training.copies + 1)].id for row in chosen]
    left_out = dict(zip(ids, scores.image[chosen].tolist(), strict=True))
    return detector, calibration, job.runtime, left_out


def _without_captures(detector: Detector, training: TrainingSet, job: Job) -> Scores | None:
    """Scores by models that have seen nothing of an image's capture; None where there are no such models."""
    captures = training.capture_numbers
    if captures is None:
        return None
    scores = cross_fit(detector, training, job, which=training.originals, captures=captures)
    if _groups_of(scores, training) >= MIN_GROUPS:
        return scores
    warnings.warn(
        "Nearly all groups reach into several captures, so none can be left out: the threshold does not know "
        "how much captures differ.",
        AnomalensWarning,
        stacklevel=5,
    )
    return None


def _drifts(detector: Detector, training: TrainingSet, runtime: Runtime) -> bool:
    """Whether bfloat16 moves the scores too far, which is said."""
    moved = _bfloat16_drift(detector, training, runtime)
    if moved <= BFLOAT16_DRIFT:
        return False
    warnings.warn(
        f"bfloat16 moves the scores of normal images by {moved:.2f} standard deviations, more than "
        f"{BFLOAT16_DRIFT:g}; float32 is used instead.",
        AnomalensWarning,
        stacklevel=6,
    )
    return True


def _warn_uncalibrated(why: str) -> None:
    warnings.warn(
        f"{why}. So {UNCALIBRATED}; give normal pictures to  anomalens calibrate.",
        AnomalensWarning,
        stacklevel=5,
    )


def _groups_of(scores: Scores, training: TrainingSet) -> int:
    """How many independent groups the scored originals form."""
    finite = training.originals[np.isfinite(scores.image[training.originals])]
    return len(np.unique(training.groups[finite]))


def _calibration(
    scores: Scores, training: TrainingSet, rows: NDArray[np.int64], policy: Policy, method: Method
) -> Calibration:
    return Calibration.from_scores(
        scores.image[rows],
        _maxima(scores, rows),
        policy=policy,
        method=method,
        n_groups=len(np.unique(training.groups[rows])),
    )


def _maxima(scores: Scores, chosen: NDArray[np.int64]) -> NDArray[np.float64] | None:
    if scores.maps is None:
        return None
    return np.asarray(scores.maps[chosen].max((1, 2)), np.float64)


def _augmented(detector: Detector, training: TrainingSet, *, policy: Policy, job: Job) -> Calibration:
    """Too few groups: score slightly changed copies of the images.

    Two groups are each scored by a detector fitted to the other; copies of what a model has learnt score
    far lower than new images do. With one group there is nothing else.
    """
    warnings.warn(
        f"{len(training.images)} normal images form {training.n_groups} independent group"
        f"{'s' if training.n_groups > 1 else ''}, and calibration needs {MIN_GROUPS}: "
        f"{UNCALIBRATED}, from slightly changed copies of these images; add normal images.",
        AnomalensWarning,
        stacklevel=5,
    )
    judges = {}
    for name in dict.fromkeys(training.group_names):
        others = [i for i, other in enumerate(training.group_names) if other != name]
        judges[name] = detector.fresh() if others else detector
        if others:
            judges[name].fit(training.subset(others), replace(job, progress=silent))
    n = len(training.images)
    originals = islice(batches(training), 0, None, training.copies + 1)
    scores = stand_in_scores(
        zip((judges[name] for name in training.group_names), originals, strict=True),
        total=n,
        copies=max(1, min(_STAND_IN_COPIES, _STAND_INS // n)),
        seed=job.seed,
        progress=job.progress,
    )
    return Calibration.from_scores(
        scores.image,
        _maxima(scores, np.arange(len(scores.image))),
        policy=policy,
        method="augmented",
        n_groups=training.n_groups,
    )


def _bfloat16_drift(detector: Detector, training: TrainingSet, runtime: Runtime) -> float:
    """RMS change of scores against float32, in standard deviations of the scores.

    On slightly changed copies: the model has not learnt from those, as it has not from new images.
    """
    exact = detector.on_runtime(replace(runtime, precision="float32"), size=training.size)
    copies = [
        copy
        for index, batch in zip(range(_DRIFT_IMAGES), batches(training), strict=False)
        for copy in stand_ins(detector, batch, index=index, n=1, seed=0)
    ]
    reference = np.array([exact.score(copy).image[0] for copy in copies])
    found = np.array([detector.score(copy).image[0] for copy in copies])
    change = np.sqrt(np.mean((found - reference) ** 2))
    return float(change / max(float(reference.std()), 1e-12))
