"""A training run on disk: weights, optimisers and curves in one safetensors file, replaced whole.

Only where a folder is named (`Job.checkpoints`; the command line's `--checkpoints`). A run is found again by
a hash of all that decides it, so it is never gone on with by another.
"""

from __future__ import annotations

import copy
import hashlib
import json
import math
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from anomalens.errors import AnomalensWarning
from anomalens.places import written_beside

_DAMAGED: Final = (SafetensorError, OSError, ValueError, KeyError, TypeError, RuntimeError)


@dataclass
class State:
    """All that changes while training; what a checkpoint holds."""

    weights: dict[str, Tensor]  # the best so far
    best_loss: float = math.inf
    best_epoch: int = 0
    done: int = 0
    batches: int = 0  # seen in all epochs: who plays every third one does so across short epochs too
    curves: dict[str, list[float]] = field(default_factory=dict)


class Checkpoint:
    """The file of one run.

    Parameters
    ----------
    path : Path
    every : float
        Seconds between two writes, at least.
    """

    def __init__(self, path: Path, *, every: float = 20.0) -> None:
        self.path = path
        self._every = every
        self._written = time.monotonic()

    @classmethod
    def of(cls, folder: Path | None, *decides: Any) -> Checkpoint | None:
        """The run that these values decide, in a folder; None without one."""
        if folder is None:
            return None
        text = json.dumps([*decides, _own_version(), torch.__version__], sort_keys=True, default=str)
        name = hashlib.sha256(text.encode()).hexdigest()[:24]
        return cls(folder / f"training-{name}.safetensors")

    def resume(self, module: nn.Module, optimisers: Sequence[torch.optim.Optimizer]) -> State | None:
        """Put the run back as it was kept; None, and a warning, where that cannot be read."""
        if not self.path.is_file():
            return None
        # torch may change some weights before it says that others do not fit
        before = copy.deepcopy((module.state_dict(), [optimiser.state_dict() for optimiser in optimisers]))
        try:
            with safe_open(self.path, framework="pt") as file:
                kept = json.loads(file.metadata()["run"])
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            best = _under("best/", tensors)
            curves = {str(name): [float(v) for v in values] for name, values in kept["curves"].items()}
            module.load_state_dict(_under("module/", tensors))
            for place, optimiser in enumerate(optimisers):
                _restore(optimiser, _under(f"optimiser/{place}/", tensors))
            _check_fits(best, module)
            state = State(
                best,
                float(kept["best_loss"]),
                int(kept["best_epoch"]),
                int(kept["done"]),
                int(kept["batches"]),
                curves,
            )
        except _DAMAGED as error:
            module.load_state_dict(before[0])
            for optimiser, values in zip(optimisers, before[1], strict=True):
                optimiser.load_state_dict(values)
            warnings.warn(
                f"{self.path.name} cannot be gone on with ({_brief(error)}); training begins anew.",
                AnomalensWarning,
                stacklevel=3,
            )
            return None
        return state

    def keep(self, module: nn.Module, optimisers: Sequence[torch.optim.Optimizer], state: State) -> None:
        """Write the run down, where enough time has passed since it last was."""
        if time.monotonic() - self._written >= self._every:
            self._write(module, optimisers, state)

    def finish(self, module: nn.Module, optimisers: Sequence[torch.optim.Optimizer], state: State) -> None:
        """Write the ended run: asked for again, it is there at once."""
        self._write(module, optimisers, state)

    def _write(self, module: nn.Module, optimisers: Sequence[torch.optim.Optimizer], state: State) -> None:
        tensors = {f"module/{name}": value for name, value in module.state_dict().items()}
        tensors |= {f"best/{name}": value for name, value in state.weights.items()}
        for place, optimiser in enumerate(optimisers):
            for row, values in optimiser.state_dict()["state"].items():
                for name, value in values.items():
                    tensors[f"optimiser/{place}/{row}/{name}"] = torch.as_tensor(value)
        run = {
            "best_loss": state.best_loss,
            "best_epoch": state.best_epoch,
            "done": state.done,
            "batches": state.batches,
            "curves": state.curves,
        }
        self._written = time.monotonic()
        # copies: weights may share memory, which safetensors refuses
        copies = {name: tensor.detach().cpu().clone() for name, tensor in tensors.items()}
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with written_beside(self.path) as beside:
                save_file(copies, beside, {"run": json.dumps(run)})
        except (OSError, SafetensorError) as error:  # a full disk costs the checkpoint, not hours of training
            warnings.warn(
                f"{self.path.name} cannot be written ({_brief(error)}); training goes on, but could not be "
                "resumed from here.",
                AnomalensWarning,
                stacklevel=4,
            )


def _own_version() -> str:
    try:
        return version("anomalens")
    except PackageNotFoundError:  # run from its sources
        return ""


def _check_fits(weights: dict[str, Tensor], module: nn.Module) -> None:
    """ValueError where these are not the module's."""
    shapes = {name: value.shape for name, value in module.state_dict().items()}
    if {name: value.shape for name, value in weights.items()} != shapes:
        raise ValueError("its best weights are those of another network")


def _brief(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:120]


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _restore(optimiser: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        row, _, key = name.partition("/")
        state.setdefault(int(row), {})[key] = value
    optimiser.load_state_dict({**optimiser.state_dict(), "state": state})
