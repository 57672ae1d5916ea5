"""Image-level detectors that draw a boundary around the features of normal images."""
