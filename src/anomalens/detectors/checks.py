"""The contract as tests: `check_detector(cls)` for any detector class, ours or another package's.

    def test_contract():
        check_detector(MyDetector)

or, one test a check: `@pytest.mark.parametrize("check", list(yield_checks(MyDetector)), ids=str)`. Needs
numpy alone, makes its own images (`check_trial.py`) and fits about six times on a dozen of them; the rules
are in `check_rules.py`. It does not measure how good a detector is: the one defect it paints is one that
nothing should miss.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from anomalens.backbones.runtimes import Runtime
from anomalens.detectors.check_rules import RULES
from anomalens.detectors.check_trial import SIZE, BrokenRule, TexturedImages, Trial, painted
from anomalens.detectors.contract import Detector, Settings

__all__ = ["SIZE", "Check", "TexturedImages", "check_detector", "painted", "yield_checks"]


def check_detector(
    detector: type[Detector] | Detector,
    *,
    settings: Settings | None = None,
    size: tuple[int, int] = SIZE,
    runtime: Runtime | None = None,
) -> None:
    """Run every check.

    Parameters
    ----------
    detector : Detector class, or an unfitted detector
    settings : Settings, optional
        For a class whose defaults do not suit a dozen small images (e.g. names a backbone).
    size : (height, width)
        The images' size in pixels, at least 32 each.
    runtime : Runtime, optional
        What executes graphs; by default ONNX Runtime on one thread.

    Raises
    ------
    AssertionError
        The first broken rule in one sentence that begins with the check's name.
    """
    for check in yield_checks(detector, settings=settings, size=size, runtime=runtime):
        check()


def yield_checks(
    detector: type[Detector] | Detector,
    *,
    settings: Settings | None = None,
    size: tuple[int, int] = SIZE,
    runtime: Runtime | None = None,
) -> Iterator[Check]:
    """The checks one by one, to be called in any order; they share one fitted detector."""
    trial = Trial(detector, settings, size, runtime or Runtime())
    for rule in RULES:
        yield Check(rule.__name__, rule, trial)


@dataclass(frozen=True)
class Check:
    """One named check; call it."""

    name: str
    _rule: Callable[[Trial], None]
    _trial: Trial

    def __str__(self) -> str:
        return self.name

    def __call__(self) -> None:
        who = self._trial.who
        try:
            self._rule(self._trial)
        except BrokenRule as broken:
            raise AssertionError(f"{self.name}: {who} {broken}") from None
        except Exception as error:  # a detector may fail in any way
            raise AssertionError(f"{self.name}: {who} raised {type(error).__name__}: {error}") from error
