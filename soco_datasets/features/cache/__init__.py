"""Caches of feature maps: in memory, and on disk shared between runs."""
