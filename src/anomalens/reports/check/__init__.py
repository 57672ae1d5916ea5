"""The page that `anomalens check --out` writes, from findings and a record of the model."""

from anomalens.reports.check.model import ModelRecord
from anomalens.reports.check.report import CheckReport

__all__ = ["CheckReport", "ModelRecord"]
