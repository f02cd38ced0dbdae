"""Readers of data sets as people have them: no torch, one file per data set."""
