"""Self-check: whether a model gives the features it should, where it should."""
