"""The figures of the field, from arrays alone: images, verdicts, anomaly maps, and how sure each is.

`ranking` knows images (scores and labels), `verdicts` verdicts, `pixel_figures` anomaly maps and masks;
`intervals` and `pixel_intervals` say how far a figure can be trusted. They never rescale, clip or round a
score, so any strictly increasing rescaling leaves every figure as it was.
"""
