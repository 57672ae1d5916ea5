"""Pages and pictures for people, of a check and of evaluations: made from data, never from a live model."""

from anomalens.reports.check import CheckReport, ModelRecord
from anomalens.reports.parts.colours import ColourScale
from anomalens.reports.parts.overlay import render_overlay

__all__ = ["CheckReport", "ColourScale", "ModelRecord", "render_overlay"]
