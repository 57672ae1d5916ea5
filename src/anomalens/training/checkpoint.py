"""A training run on disk: weights, optimisers and curves in one safetensors file, replaced whole.

Only where the environment names a folder (`ANOMALENS_CHECKPOINTS`; the command line's `--checkpoints`). A run
is found again by a hash of all that decides it, so it is never gone on with by another.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from anomalens.errors import AnomalensWarning
from anomalens.training import CHECKPOINTS

if TYPE_CHECKING:
    from anomalens.training.loop import State

_SECONDS: Final = 20.0  # between two writes
_DAMAGED: Final = (SafetensorError, OSError, ValueError, KeyError, TypeError, RuntimeError)


class Checkpoint:
    """The file of one run.

    Parameters
    ----------
    path : Path
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._written = time.monotonic()

    @classmethod
    def of(cls, *decides: Any) -> Checkpoint | None:
        """The run that these values decide, or None where no folder is named."""
        folder = os.environ.get(CHECKPOINTS)
        if not folder:
            return None
        text = json.dumps([*decides, torch.__version__], sort_keys=True, default=str)
        name = hashlib.sha256(text.encode()).hexdigest()[:24]
        return cls(Path(folder) / f"training-{name}.safetensors")

    def resume(self, module: nn.Module, optimisers: Sequence[torch.optim.Optimizer]) -> State | None:
        """Put the run back as it was kept; None, and a warning, where that cannot be read."""
        from anomalens.training.loop import State

        if not self.path.is_file():
            return None
        try:
            with safe_open(self.path, framework="pt") as file:
                kept = json.loads(file.metadata()["run"])
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            best = _under("best/", tensors)
            curves = {str(name): [float(v) for v in values] for name, values in kept["curves"].items()}
            module.load_state_dict(_under("module/", tensors))
            for place, optimiser in enumerate(optimisers):
                _restore(optimiser, _under(f"optimiser/{place}/", tensors))
            state = State(best, float(kept["best_loss"]), int(kept["best_epoch"]), int(kept["done"]), curves)
        except _DAMAGED as error:
            warnings.warn(
                f"{self.path.name} cannot be gone on with ({error}); training begins anew.",
                AnomalensWarning,
                stacklevel=3,
            )
            return None
        return state

    def keep(self, module: nn.Module, optimisers: Sequence[torch.optim.Optimizer], state: State) -> None:
        """Write the run down, but not more often than every twenty seconds."""
        if time.monotonic() - self._written >= _SECONDS:
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
            "curves": state.curves,
        }
        self.path.parent.mkdir(parents=True, exist_ok=True)
        beside = self.path.with_name(f"{self.path.name}.{os.getpid()}.part")
        # copies: weights may share memory, which safetensors refuses
        save_file({n: t.detach().cpu().clone() for n, t in tensors.items()}, beside, {"run": json.dumps(run)})
        beside.replace(self.path)
        self._written = time.monotonic()


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _restore(optimiser: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        row, _, key = name.partition("/")
        state.setdefault(int(row), {})[key] = value
    optimiser.load_state_dict({**optimiser.state_dict(), "state": state})
