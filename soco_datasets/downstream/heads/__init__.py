"""Heads on frozen features: each is a dictionary of named tensors and the functions that apply it."""
