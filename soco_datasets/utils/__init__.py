"""Helpers without a domain: files, hashes, progress, Hub errors."""
