"""The drawn categories, and the taxonomy that follows from their models."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .animals import cheetah, golden_retriever, zebra
from .furniture import armchair, chair, highchair
from .model import Model
from .randomness import SeededDraw
from .vehicles import ambulance, bus, car
from .vessels import kettle, kettle_electric, teapot


@dataclass(frozen=True)
class DrawnCategory:
    """How to draw a category.

    Attributes:
        name: as in SOCO.
        supercategory: as in SOCO.
        make: draws an instance.
        place: its surroundings, "outdoor" or "indoor".
        elevation: range of camera elevations in degrees.
    """

    name: str
    supercategory: str
    make: Callable[[SeededDraw], Model]
    place: str
    elevation: tuple[float, float]


DRAWN_CATEGORIES: tuple[DrawnCategory, ...] = (
    DrawnCategory("ambulance", "transportation", ambulance, "outdoor", (8.0, 30.0)),
    DrawnCategory("armchair", "furniture", armchair, "indoor", (14.0, 36.0)),
    DrawnCategory("bus", "transportation", bus, "outdoor", (8.0, 30.0)),
    DrawnCategory("car", "transportation", car, "outdoor", (8.0, 32.0)),
    DrawnCategory("chair", "furniture", chair, "indoor", (14.0, 36.0)),
    DrawnCategory("cheetah", "animals", cheetah, "outdoor", (4.0, 22.0)),
    DrawnCategory("golden retriever", "animals", golden_retriever, "outdoor", (4.0, 24.0)),
    DrawnCategory("highchair", "furniture", highchair, "indoor", (12.0, 34.0)),
    DrawnCategory("kettle", "hand_held", kettle, "indoor", (14.0, 38.0)),
    DrawnCategory("kettle electric", "hand_held", kettle_electric, "indoor", (14.0, 38.0)),
    DrawnCategory("teapot", "hand_held", teapot, "indoor", (14.0, 38.0)),
    DrawnCategory("zebra", "animals", zebra, "outdoor", (4.0, 22.0)),
)
