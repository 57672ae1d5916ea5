"""The page of evaluations, its Markdown and JSON twins, from result cards."""

from anomalens.reports.evaluation.album import Album
from anomalens.reports.evaluation.report import report_folder, write_report
from anomalens.reports.evaluation.sweeps import sweep_curves

__all__ = ["Album", "report_folder", "sweep_curves", "write_report"]
