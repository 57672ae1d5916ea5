"""Self-supervised detectors: a network learns a task that needs no labels, on normal images only."""
