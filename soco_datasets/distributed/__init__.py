"""Evaluations and builds on the workers of a Ray cluster (extra `ray`). See docs/howto/distributed.md."""
