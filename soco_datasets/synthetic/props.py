"""Things to place in scenes: furniture and animals of the mini set at real sizes, and boxes."""

from __future__ import annotations

from .animals import golden_retriever, zebra
from .furniture import armchair, chair
from .mesh import Mesh, Paint
from .palette import CAR_COLORS, WOODS, shade
from .randomness import SeededDraw
from .truth import box_mesh, centered
from .vehicles import bus, car
from .vessels import kettle, teapot

# label -> (what makes it, longest side in meters)
_MODELS = {
    "chair": (chair, 0.95),
    "sofa": (armchair, 1.1),
    "kettle": (kettle, 0.3),
    "teapot": (teapot, 0.3),
    "dog": (golden_retriever, 0.9),
    "zebra": (zebra, 2.2),
    "car": (car, 4.4),
    "bus": (bus, 9.0),
}
_BOXES = {  # label -> sides along x, y, z in meters
    "cabinet": (0.5, 0.9, 1.1),
    "refrigerator": (0.65, 0.7, 1.6),
    "table": (0.8, 1.2, 0.7),
    "bed": (1.9, 1.2, 0.5),
}
PROPS = (*_MODELS, *_BOXES)


def make_prop(label: str, draw: SeededDraw) -> Mesh:
    """A thing of a class, standing on z = 0 and centered; two draws give two different ones."""
    if label in _MODELS:
        make, longest = _MODELS[label]
        return centered(make(draw).mesh, longest * draw.uniform(0.9, 1.1))
    sides = tuple(side * draw.uniform(0.85, 1.15) for side in _BOXES[label])
    color = draw.pick(CAR_COLORS + WOODS)
    return box_mesh(sides, Paint(color, shade(color, 0.6), "checks", draw.uniform(3.0, 6.0)))
