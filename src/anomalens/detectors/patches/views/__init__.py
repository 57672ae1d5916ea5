"""Views: models of what the patches of normal images look like, each in numpy and as nodes of a graph."""
