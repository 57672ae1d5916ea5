"""Evaluation: figures computed from raw scores, each with what is needed to trust it.

`metrics` knows images (scores and labels), `verdict_metrics` verdicts, `pixel_metrics` anomaly maps and
masks; `intervals` and `pixel_intervals` say how far the figures can be trusted, `compare` whether two
detectors differ. They never rescale, clip or round a score, so any strictly increasing rescaling leaves
every figure as it was.
"""
