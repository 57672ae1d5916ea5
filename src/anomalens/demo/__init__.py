"""The demonstration: the main job on real photographs that an installed package carries."""

from anomalens.demo.trial import Trial, run_demo

__all__ = ["Trial", "run_demo"]
