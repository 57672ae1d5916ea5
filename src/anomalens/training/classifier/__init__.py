"""Classifiers that are trained here: networks, recipes, and their graph."""

from __future__ import annotations

from anomalens.training.classifier.training import train

__all__ = ["train"]
