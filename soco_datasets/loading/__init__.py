"""Loading through Hugging Face `datasets` and `evaluate`: feature types, splits, registration."""
