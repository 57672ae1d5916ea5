"""Classifiers that say where a picture belongs to none of their classes."""
