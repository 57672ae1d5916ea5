"""The average of the past: what events and the budget of false ones are told by."""

from __future__ import annotations


class PastAverage:
    """An exponential average over `seconds` of time, not of frames; 0 takes values as they are."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._value: float | None = None
        self._last = 0.0

    def add(self, value: float, at: float) -> float:
        """The average with a value that was taken at this second."""
        if self._value is None or self._seconds <= 0:
            self._value = value
        else:
            passed = max(0.0, at - self._last)
            self._value += passed / (self._seconds + passed) * (value - self._value)
        self._last = at
        return self._value
