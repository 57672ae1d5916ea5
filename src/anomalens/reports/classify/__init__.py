"""The page of a classifier's evaluation, and the page of labels that look wrong."""
