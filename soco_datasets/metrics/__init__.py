"""Metrics: arrays in, numbers out; no torch."""
