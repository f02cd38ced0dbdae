"""Benchmarks: what each one is, and how its files become a dataset folder. No torch."""
