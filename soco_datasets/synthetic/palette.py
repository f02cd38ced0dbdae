"""Colors."""

from __future__ import annotations

from .mesh import RGB
from .randomness import SeededDraw

BLACK: RGB = (0.06, 0.06, 0.07)
RUBBER: RGB = (0.09, 0.09, 0.10)
GLASS: RGB = (0.16, 0.22, 0.27)
STEEL: RGB = (0.72, 0.73, 0.75)
WHITE: RGB = (0.93, 0.93, 0.92)
AMBER: RGB = (1.0, 0.55, 0.08)
RED: RGB = (0.80, 0.10, 0.10)
LAMP: RGB = (0.98, 0.97, 0.85)

CAR_COLORS: tuple[RGB, ...] = (
    (0.74, 0.12, 0.12),
    (0.13, 0.28, 0.60),
    (0.80, 0.81, 0.83),
    (0.20, 0.45, 0.30),
    (0.88, 0.70, 0.15),
    (0.35, 0.36, 0.40),
    (0.55, 0.20, 0.42),
    (0.90, 0.88, 0.82),
)
WOODS: tuple[RGB, ...] = (
    (0.62, 0.42, 0.24),
    (0.42, 0.26, 0.15),
    (0.78, 0.60, 0.38),
    (0.30, 0.19, 0.13),
)
FABRICS: tuple[RGB, ...] = (
    (0.66, 0.22, 0.20),
    (0.22, 0.36, 0.55),
    (0.30, 0.48, 0.36),
    (0.78, 0.68, 0.48),
    (0.48, 0.34, 0.56),
    (0.40, 0.40, 0.42),
)
GLAZES: tuple[RGB, ...] = (
    (0.86, 0.85, 0.80),
    (0.20, 0.38, 0.62),
    (0.70, 0.28, 0.18),
    (0.28, 0.52, 0.40),
    (0.86, 0.66, 0.22),
    (0.25, 0.25, 0.28),
)


def vary(color: RGB, draw: SeededDraw, amount: float = 0.06) -> RGB:
    """A color close to `color`."""
    light = draw.uniform(-amount, amount)
    red, green, blue = (min(max(c + light + draw.uniform(-amount, amount) / 2, 0.02), 0.98) for c in color)
    return red, green, blue


def shade(color: RGB, factor: float) -> RGB:
    """A darker (factor < 1) or lighter color."""
    red, green, blue = (min(max(c * factor, 0.0), 1.0) for c in color)
    return red, green, blue
