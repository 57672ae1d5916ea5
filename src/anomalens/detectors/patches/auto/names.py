"""What the views of `auto` are called: those of the image's score, and in its graph those of the map."""

from __future__ import annotations

from typing import Final

PATCHES: Final = "patches"
LAYOUT: Final = "layout"
CONTEXT: Final = "context"
VIEWS: Final = (PATCHES, LAYOUT, CONTEXT)  # that make the score

NEAREST: Final = "nearest"
DETAIL: Final = "mahalanobis"
FINE: Final = "fine_distance"
