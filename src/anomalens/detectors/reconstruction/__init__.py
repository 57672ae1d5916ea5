"""Detectors that give images back through a network that has learnt normal ones only."""
