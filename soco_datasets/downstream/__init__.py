"""Downstream tasks on the same frozen features."""
