"""Vision-language models on SOCO: multiple-choice questions, runs and scores."""
