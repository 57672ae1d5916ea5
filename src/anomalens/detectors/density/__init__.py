"""Image-level detectors that model where the features of normal images lie."""
