"""Pages and pictures for people: overlays, and the page that `anomalens check --out` writes."""

from anomalens.reports.check_report import CheckReport
from anomalens.reports.colours import ColourScale
from anomalens.reports.overlay import render_overlay

__all__ = ["CheckReport", "ColourScale", "render_overlay"]
