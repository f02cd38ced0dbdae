"""Records: predictions and the results recomputed from them. No torch."""
