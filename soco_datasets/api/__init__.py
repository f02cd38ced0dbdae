"""The Python interface: evaluate a model in one call, look at the result, evaluate during training."""
