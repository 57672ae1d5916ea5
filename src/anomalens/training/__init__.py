"""Training: the only room that imports torch (`anomalens[train]`).

One loop for all networks that are learnt here (`loop.py`), the data and its split (`images.py`), export to
ONNX with its check against the module (`export.py`), and one file per method with its network and its loss.
Detectors come here inside `fit` only; what they make runs without torch.
"""

from __future__ import annotations

from importlib.util import find_spec

from anomalens.errors import MissingExtraError


def require_torch(what: str) -> None:
    """Raise MissingExtraError, naming the command that installs it, where torch is not there."""
    if find_spec("torch") is None:
        raise MissingExtraError(what, "train")
