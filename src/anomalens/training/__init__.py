"""Training: the only room that imports torch (`anomalens[train]`).

One loop for all networks that are learnt here (`loop.py`), the data and its split (`images.py`), export to
ONNX with its check against the module (`export.py`), and one file per method with its network and its loss.
Detectors come here inside `fit` only; what they make runs without torch.
"""

from __future__ import annotations

from collections.abc import Sequence

from anomalens.errors import MissingExtraError
from anomalens.packages import package_folder


def require_torch(what: str, search: Sequence[str] | None = None) -> None:
    """Raise MissingExtraError, naming the command that installs it, where torch is not (in these folders)."""
    if package_folder("torch", search) is None:
        raise MissingExtraError(what, "train")
