"""The demonstration: the main job on real photographs that an installed package carries."""

from anomalens.demo.record import Trial
from anomalens.demo.trial import run_demo

__all__ = ["Trial", "run_demo"]
