"""Cases of the downstream oracles and what computes them."""
