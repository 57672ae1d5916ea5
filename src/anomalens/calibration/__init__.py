"""From scores to verdicts: p-values, threshold policies, regions. Knows only arrays of scores."""

from anomalens.calibration.conformal import Calibration, p_values
from anomalens.calibration.policies import Policy, Threshold
from anomalens.calibration.regions import Region, find_regions

__all__ = ["Calibration", "Policy", "Region", "Threshold", "find_regions", "p_values"]
