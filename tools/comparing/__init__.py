"""The parts of `tools/compare_numbers.py`: what is run, what is kept of it, and how two records are compared."""
