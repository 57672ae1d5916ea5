"""What a page opens with: the conclusion that a person drew from its figures, which a new run keeps."""

from __future__ import annotations

from pathlib import Path


def opening(page: Path) -> str:
    """The paragraph below the title, where the page is there: read it again when its figures have changed."""
    parts = page.read_text(encoding="utf-8").split("\n\n") if page.is_file() else []
    return parts[1] if parts[1:] else "Nobody has drawn a conclusion from these figures yet."
