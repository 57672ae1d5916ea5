"""Classifier: an inspector whose detector names classes; it answers through the same one scoring path."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from anomalens.calibration import Calibration
from anomalens.datasets.classes import load_classes, without_classes
from anomalens.detectors.classifier.classifier import Classifier as ClassifierDetector
from anomalens.errors import AnomalensWarning, SettingError
from anomalens.inspector.finding import Finding
from anomalens.inspector.fit_options import FitOptions
from anomalens.inspector.inspector import Inspector
from anomalens.inspector.presets import with_preset
from anomalens.progress import Progress, silent


@dataclass(frozen=True)
class Classifier:
    """Says which class an image shows, how sure that is, and where it is none of the known classes.

    Attributes
    ----------
    inspector : Inspector
        What answers.
    """

    inspector: Inspector

    @classmethod
    def fit(
        cls,
        labelled: object,
        *,
        root: str | os.PathLike[str] | None = None,
        label: str | None = None,
        leave_out: Sequence[str] = (),
        preset: str | None = None,
        options: FitOptions | None = None,
        progress: Progress = silent,
        **parameters: Any,
    ) -> Self:
        """Learn from the training part of labelled images, and calibrate on what was left out.

        Parameters
        ----------
        labelled : folder of class folders, CSV, .npz, tar, name of a dataset, or ImageSet with classes
        root : path-like, optional
            Where a named dataset is.
        label : str, optional
            The column of a CSV that says the class.
        leave_out : sequence of str
            Classes not to learn from, say to ask about them later.
        preset : "cifar10", "emotions" or "defects", optional
        options : FitOptions, optional
            Size, policy, seed and whatever else a fit takes.
        parameters
            The classifier's own: `head="mlp"`, `score="vim"`, `balance=True`; see docs/classifier.md.

        Raises
        ------
        InputError
            One class only, a class with one image, images without a class, or an unknown name.
        """
        options = options or FitOptions()
        classes = load_classes(labelled, root=root, label=label, seed=options.seed)
        classes = without_classes(classes, leave_out)
        for note in classes.notes:
            warnings.warn(note[:1].upper() + note[1:], AnomalensWarning, stacklevel=2)
        if not len(classes.train):
            raise SettingError(
                f"{labelled} has no training part, only images to test with; give images to learn from."
            )
        made = with_preset(preset, options, parameters)
        return cls(Inspector.fit_with(made, classes.train, progress=progress))

    @property
    def classes(self) -> tuple[str, ...]:
        """The known classes' names."""
        return self.detector.classes_

    @property
    def detector(self) -> ClassifierDetector:
        """What names the classes."""
        assert isinstance(self.inspector.detector, ClassifierDetector)
        return self.inspector.detector

    def check(self, images: object, *, progress: Progress = silent) -> Iterator[Finding]:
        """Findings with `label`, `confidence` and, where an image is of no known class, `anomalous`."""
        return self.inspector.check(images, progress=progress)

    def with_score(self, name: str) -> Self:
        """The same classifier, which finds images of no class by another score, and is calibrated for it.

        Raises
        ------
        SettingError
            The score is unknown, or the model file is from before it was there.
        """
        if name == self.detector.score_:
            return self
        detector, calibration = self.detector.with_score(name), self._calibrations([name])[name]
        return type(self)(replace(self.inspector, detector=detector, calibration=calibration))

    def telling(self, names: Sequence[str]) -> tuple[Self, Mapping[str, Calibration]]:
        """One whose findings also tell these scores, as `parts`, and what each is calibrated by."""
        inspector = replace(self.inspector, detector=self.detector.telling(names))
        return type(self)(inspector), self._calibrations(names)

    def _calibrations(self, names: Sequence[str]) -> dict[str, Calibration]:
        own, found = self.inspector.calibration, {}
        for name in names:
            scores = self.detector.left_out_scores(name)
            found[name] = (
                own
                if name == self.detector.score_
                else Calibration.from_scores(
                    scores, None, policy=own.policy, method=own.method, n_groups=own.n_groups
                )
            )
        return found

    def save(self, path: str | Path) -> Path:
        """Write one file, which `Inspector.load` reads too."""
        return self.inspector.save(path)

    @classmethod
    def load(cls, path: str | Path, **runtime: Any) -> Self:
        """Read a classifier's file; `runtime`, `precision` and `threads` as of `Inspector.load`.

        Raises
        ------
        InputError
            The file cannot be read, or its detector knows no classes.
        """
        inspector = Inspector.load(path, **runtime)
        if not isinstance(inspector.detector, ClassifierDetector):
            raise SettingError(
                f"{path} holds the detector {inspector.detector.name}, which knows no classes; fit one with  "
                "anomalens classify fit."
            )
        return cls(inspector)
