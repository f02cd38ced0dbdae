"""The colors of every picture that the toolkit draws, told apart by color-blind readers too."""

from __future__ import annotations

INK, MUTED, LINE, PAPER = "#1f2430", "#5d6675", "#d5dae2", "#ffffff"
MARK_INK = "#101319"  # numbers on marks: 4.5:1 or more on every outcome's and every concept's color
SERIES = ("#0072b2", "#d55e00", "#008f6b", "#a64d8f", "#8a6d00", "#4f5bd5", "#3a3f4a", "#b03a48")  # one per model

# One fill per concept, in the order in which they come.
CONCEPT_COLORS = ("#56b4e9", "#e69f00", "#3fbf95", "#e0a3c6", "#f0e442", "#b9bfca", "#f58a5c", "#a9a4ef")
