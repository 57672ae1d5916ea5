"""Texts for the terminal."""

from __future__ import annotations

import json
import sys
from typing import Any


def json_text(value: Any, *, indent: int | None = None) -> str:
    """JSON that standard output can carry: as it is where that can be encoded, else escaped.

    File names may hold bytes that are no text at all, and a pipe need not be UTF-8.
    """
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return json.dumps(value, indent=indent)
    return text


def count(n: int, noun: str) -> str:
    """`1 image`, `2 images`."""
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"
