"""The SOCO benchmark: its release format, its facts, its tasks."""
