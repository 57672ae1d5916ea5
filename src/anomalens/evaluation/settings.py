"""How a detector is fitted in an evaluation: the options of `anomalens fit`, as one record."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final

from anomalens import defaults
from anomalens.errors import SettingError, unknown_name
from anomalens.inspector import Inspector
from anomalens.progress import Progress, silent

_PLACES: Final = {"checkpoints", "feature_cache"}


@dataclass(frozen=True)
class FitSettings:
    """The options of `Inspector.fit`; `size` None chooses by the images' own size and the detector."""

    detector: str = defaults.DETECTOR
    parameters: Mapping[str, Any] = field(default_factory=dict)
    size: int | str | None = None
    preprocess: str = "stretch"
    augment: str | None = None
    copies: int = 4
    policy: str | None = None
    runtime: str = "auto"
    precision: str = "float32"
    threads: int | None = None
    checkpoints: Path | None = None
    feature_cache: Path | None = None

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> FitSettings:
        """Read a table of a suite; unknown keys are refused, the nearest is suggested."""
        known = {f.name for f in fields(cls)} - _PLACES
        for key in data:
            if key not in known:
                raise unknown_name("setting", key, known)
        parameters = data.get("parameters", {})
        if not isinstance(parameters, Mapping):
            raise SettingError(f"The setting 'parameters' was given {parameters!r}; give a table of values.")
        return cls(**{**data, "parameters": dict(parameters)})

    def to_json(self) -> dict[str, Any]:
        """Plain data; where things are kept decides nothing and is left out."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name not in _PLACES}

    def fit(self, images: Any, *, seed: int, progress: Progress = silent) -> Inspector:
        """Fit and calibrate with these settings."""
        return Inspector.fit(
            images,
            detector=self.detector,
            parameters=self.parameters,
            size=self.size,
            preprocess=self.preprocess,
            augment=self.augment,
            copies=self.copies,
            policy=self.policy,
            runtime=self.runtime,
            precision=self.precision,
            threads=self.threads,
            checkpoints=self.checkpoints,
            feature_cache=self.feature_cache,
            seed=seed,
            progress=progress,
        )

    def options(self) -> str:
        """The options as the command line takes them, without those at their default."""
        default = FitSettings()
        words = [f"--detector {shlex.quote(self.detector)}"]
        for name in ("size", "preprocess", "augment", "policy", "runtime", "precision", "threads"):
            value = getattr(self, name)
            if value != getattr(default, name):
                words.append(f"--{name} {shlex.quote(str(value))}")
        if self.augment and self.copies != default.copies:
            words.append(f"--copies {self.copies}")
        for key, value in self.parameters.items():
            text = ",".join(value) if isinstance(value, list | tuple) else str(value)
            words.append(f"-p {shlex.quote(f'{key}={text}')}")
        return " ".join(words)
