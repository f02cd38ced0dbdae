"""Studies over many models: tables of models by tasks, and what predicts what. No torch."""
