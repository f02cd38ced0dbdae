"""Release to dataset folder, pairs, loading. No torch."""
