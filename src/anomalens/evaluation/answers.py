"""What an inspector answers about a task's test images, as far as figures need it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from anomalens.calibration import Calibration
from anomalens.datasets.task import Task
from anomalens.errors import InputError
from anomalens.evaluation.cards import ImageScore
from anomalens.evaluation.ground_truth import Map, Mask, mask_on_map, visible_map
from anomalens.images.image_entry import ImageEntry
from anomalens.images.labels import GOOD
from anomalens.inspector import Finding, Inspector
from anomalens.progress import Progress, silent

OnFinding = Callable[[ImageEntry, Finding, Calibration], None]
_MOST: Final = 0.5  # of a picture; a defect that is larger is rare


@dataclass
class Answers:
    """Scores, and maps beside their ground truth.

    Attributes
    ----------
    scores : list of ImageScore
        One per test image.
    parts : dict of str to {"normal": list of float, "anomalous": list of float}
        What the scores were made of, by name.
    maps : list of (map float32 [h, w], mask bool [h, w] or None for a normal image)
        Empty where no test image has a mask.
    bad_masks : list of str
        What is wrong with masks that are left out.
    marked, mostly_marked : int
        Anomalous images with a mask, and those of them of which more than half is marked.
    unmarked, marked_normals : int
        Anomalous images without a mask, whose maps are left out; normal ones whose mask marks something.
    seconds : float
        Spent on checking, decoding included.
    """

    scores: list[ImageScore] = field(default_factory=list)
    parts: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    maps: list[tuple[Map, Mask | None]] = field(default_factory=list)
    bad_masks: list[str] = field(default_factory=list)
    marked: int = 0
    mostly_marked: int = 0
    unmarked: int = 0
    marked_normals: int = 0
    seconds: float = 0.0

    @classmethod
    def of(
        cls,
        inspector: Inspector,
        task: Task,
        *,
        on_finding: OnFinding | None = None,
        progress: Progress = silent,
    ) -> Answers:
        """Ask about every test image; `on_finding` sees what comes, and its time is no part of checking."""
        found = cls()
        paired = inspector.detector.uses_references and task.references is not None
        with_masks = any(entry.mask is not None for entry in task.test)  # else no map is kept
        start, reading = time.perf_counter(), 0.0
        steps = inspector.check(
            task.test,
            references=task.references if paired else None,
            pictures=on_finding is not None,
            progress=progress,
        )
        for entry, finding in zip(task.test, steps, strict=True):
            begin = time.perf_counter()
            found._add(entry, finding)
            if on_finding is not None:
                on_finding(entry, finding, inspector.calibration)
            if finding.map is not None and with_masks:
                found._add_map(entry, finding)
            reading += time.perf_counter() - begin  # masks are read: that is no part of checking
        found.seconds = time.perf_counter() - start - reading
        return found

    @property
    def notes(self) -> Iterator[str]:
        """What is to be said of the masks."""
        if self.bad_masks:
            many = len(self.bad_masks)
            which = "A mask is left out" if many == 1 else f"{many} masks are left out, for example"
            yield f"{which}: {self.bad_masks[0]}"
        if self.mostly_marked:
            yield (
                f"{self.mostly_marked} of {self.marked} masks mark more than half of their picture: if they "
                "mark what is normal, invert them; pixel figures mean little as they are."
            )
        if self.marked_normals:
            yield (
                f"{self.marked_normals} normal test images have a mask that marks something; they count as "
                "normal."
            )
        if self.unmarked and any(mask is not None for _, mask in self.maps):
            yield f"{self.unmarked} anomalous test images have no mask and are left out of the pixel figures."

    @property
    def answered(self) -> Sequence[ImageScore]:
        """The scores of the images that could be read."""
        return [score for score in self.scores if score.score is not None]

    def arrays(self) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_]]:
        """Scores [n], labels [n] (True = anomalous) and verdicts [n] (True = flagged)."""
        rows = self.answered
        return (
            np.array([row.score for row in rows], np.float64),
            np.array([row.label != GOOD for row in rows]),
            np.array([bool(row.anomalous) for row in rows]),
        )

    def _add(self, entry: ImageEntry, finding: Finding) -> None:
        label = entry.label or GOOD
        self.scores.append(
            ImageScore(entry.id, label, finding.score, finding.p_value, finding.anomalous, finding.error)
        )
        for name, value in finding.parts.items():
            kinds = self.parts.setdefault(name, {"normal": [], "anomalous": []})
            kinds["normal" if label == GOOD else "anomalous"].append(value)

    def _add_map(self, entry: ImageEntry, finding: Finding) -> None:
        mask: Mask | None = None
        try:
            mask = mask_on_map(entry, finding)
        except InputError as error:  # one bad mask must not cost the image figures
            self.bad_masks.append(str(error))
        if (entry.label or GOOD) == GOOD:
            self.marked_normals += mask is not None
            self.maps.append((visible_map(finding), None))
        elif mask is not None:
            self.marked += 1
            self.mostly_marked += bool(mask.mean() > _MOST)
            self.maps.append((visible_map(finding), mask))
        else:
            self.unmarked += 1
