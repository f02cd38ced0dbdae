"""Tasks, matching, PCK, records."""
