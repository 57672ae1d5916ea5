"""Evaluation: figures computed from raw scores, each with what is needed to trust it.

`metrics` knows images (scores and labels), `pixel_metrics` knows anomaly maps and masks, `intervals`
says how far the figures can be trusted and whether two detectors differ. They never rescale, clip or
round a score, so any strictly increasing rescaling leaves every figure as it was.
"""
