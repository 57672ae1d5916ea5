"""The frame of every page: one HTML file, no outside resource, a policy that lets nothing else in."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime
from html import escape
from importlib.resources import files

from anomalens import __version__
from anomalens.reports.parts import document as doc
from anomalens.reports.parts.as_html import as_html, escaped


def html_page(
    title: str,
    blocks: Iterable[doc.Block],
    *,
    beside: tuple[str | doc.Mark, ...],
    images: str,
    script: str = "",
) -> str:
    """A whole page; `title` is the window's.

    Parameters
    ----------
    beside : tuple of str and Mark
        What the footer says of the files beside the page.
    images : str
        Where its pictures may come from, in the words of a content security policy.
    script : str
        The one script that the policy allows, by its hash; none by default.
    """
    style = files(__package__).joinpath("style.css").read_text(encoding="utf-8")
    policy = f"default-src 'none'; img-src {images}; style-src 'unsafe-inline'"
    policy += "; base-uri 'none'; form-action 'none'"
    if script:
        hashed = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        policy += f"; script-src 'sha256-{hashed}'"
        script = f"<script>{script}</script>"
    written = f"Written {datetime.now(UTC):%Y-%m-%d %H:%M} UTC by Anomalens {__version__}. "
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(policy)}">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f'<meta name="generator" content="Anomalens {escape(__version__)}">\n'
        f"<title>{escaped(title)} · Anomalens</title>\n<style>{style}</style></head><body>\n"
        f"{as_html([*blocks, doc.Paragraph((written, *beside), 'foot')])}\n{script}</body></html>\n"
    )
