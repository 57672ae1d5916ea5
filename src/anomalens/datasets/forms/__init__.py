"""The layouts in which data comes: one file each, with how it is recognised and how it is read."""
