"""Round values along an axis, in as many digits as tell them apart."""

from __future__ import annotations

import math


def ticks(low: float, high: float, most: int) -> list[tuple[float, str]]:
    """Values from low to high in steps of 1, 2 or 5 times a power of ten, and their texts.

    Parameters
    ----------
    low, high : float, low < high
    most : int
        About so many steps at most.
    """
    raw = (high - low) / most
    if not math.isfinite(raw):
        return []
    power = 10.0 ** math.floor(math.log10(raw)) if raw > 1e-300 else raw
    step = next((m * power for m in (1, 2, 5, 10) if m * power >= raw), raw)
    values = [i * step for i in range(math.ceil(low / step), math.floor(high / step) + 1)]
    for digits in (6, 9, 12, 17):
        texts = [f"{value:.{digits}g}" for value in values]
        if len(set(texts)) == len(texts):
            break
    return list(zip(values, texts, strict=True))
