"""PCK written down a second time, slowly: plain Python loops over pairs and queries, nothing of the package."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

f32 = np.float32


def unit_target(point: list[float], side: int, size: int | None, convention: str) -> tuple[Any, Any]:
    if convention == "centered" or size is None:
        return f32(point[0] / side), f32(point[1] / side)
    cells = [math.trunc(float(f32(math.trunc(value) * size) / f32(side))) for value in point]
    return f32(cells[0]) / f32(size), f32(cells[1]) / f32(size)


def query_error(
    prediction: list[float],
    targets: list[list[float]],
    image: list[int],
    box: list[float] | None,
    *,
    normaliser: str = "bbox",
    size: int | None = None,
    convention: str = "reference",
) -> float:
    side = max(image)
    longest = float(side)
    if normaliser == "bbox" and box is not None:
        longest = max(box[2] - box[0], box[3] - box[1])
    scale = f32(longest / side)
    best = math.inf
    for target in targets:
        x, y = unit_target(target, side, size, convention)
        dx, dy = f32(prediction[0] / side) - x, f32(prediction[1] / side) - y
        squared = f32(float(dx * dx) + float(dy) * float(dy))  # one fused multiply-add, as torch's norm
        best = min(best, np.sqrt(squared) / scale)
    return best


def pck(pairs: list[dict[str, Any]], alpha: float, reduction: str, **options: Any) -> dict[str, float | None]:
    """Category -> PCK over pairs {"group", "image", "box", "queries": [(prediction, targets)]}; "" -> their mean."""
    categories: dict[str, list[list[bool]]] = {}
    for pair in pairs:
        row = [
            bool(query_error(point, targets, pair["image"], pair["box"], **options) < f32(alpha))
            for point, targets in pair["queries"]
        ]
        categories.setdefault(pair["group"], []).append(row)
    result: dict[str, float | None] = {}
    for name, rows in categories.items():
        rows = [row for row in rows if row]
        if not rows:
            result[name] = None
        elif reduction == "pair":
            result[name] = sum(sum(row) / len(row) for row in rows) / len(rows)
        else:
            result[name] = sum(sum(row) for row in rows) / sum(len(row) for row in rows)
    scored = [value for value in result.values() if value is not None]
    result[""] = sum(scored) / len(scored) if scored else None
    return result
