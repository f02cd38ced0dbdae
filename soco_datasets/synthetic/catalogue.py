"""The drawn categories, and the taxonomy that follows from their models."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .animals import cheetah, golden_retriever, zebra
from .furniture import armchair, chair, highchair
from .model import Model
from .randomness import Draw
from .vehicles import ambulance, bus, car
from .vessels import kettle, kettle_electric, teapot


@dataclass(frozen=True)
class Category:
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
    make: Callable[[Draw], Model]
    place: str
    elevation: tuple[float, float]


CATEGORIES: tuple[Category, ...] = (
    Category("ambulance", "transportation", ambulance, "outdoor", (8.0, 30.0)),
    Category("armchair", "furniture", armchair, "indoor", (14.0, 36.0)),
    Category("bus", "transportation", bus, "outdoor", (8.0, 30.0)),
    Category("car", "transportation", car, "outdoor", (8.0, 32.0)),
    Category("chair", "furniture", chair, "indoor", (14.0, 36.0)),
    Category("cheetah", "animals", cheetah, "outdoor", (4.0, 22.0)),
    Category("golden retriever", "animals", golden_retriever, "outdoor", (4.0, 24.0)),
    Category("highchair", "furniture", highchair, "indoor", (12.0, 34.0)),
    Category("kettle", "hand_held", kettle, "indoor", (14.0, 38.0)),
    Category("kettle electric", "hand_held", kettle_electric, "indoor", (14.0, 38.0)),
    Category("teapot", "hand_held", teapot, "indoor", (14.0, 38.0)),
    Category("zebra", "animals", zebra, "outdoor", (4.0, 22.0)),
)
