"""One score of a map: its maximum, or the mean of its highest values."""

from __future__ import annotations

from torch import Tensor


def image_score(maps: Tensor, share: float) -> Tensor:
    """Float32 [1, h, w] → [1, 1]: the mean of this share of the values, the highest ones, one at least."""
    values = maps.flatten(1)
    count = max(1, round(share * int(values.shape[1])))  # int: the exporter gives tensors for sizes
    return values.topk(count, dim=1).values.mean(1, keepdim=True)
