"""The views of pairs as columns: every point and field once, as Arrow writes it and as the content hash sees it."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ..data.release_types import ImageView
from ..data.shards import json_text

_Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Coded:
    """Values that come again and again.

    Attributes:
        codes: number of each place's value.
        values: the distinct ones, as they are written.
        texts: their JSON.
    """

    codes: NDArray[Any]
    values: pa.Array
    texts: pa.Array

    @classmethod
    def of(cls, values: Iterable[Hashable], kind: pa.DataType) -> Coded:
        """Number values of an Arrow type."""
        known: dict[Hashable, int] = {}
        codes = np.array([known.setdefault(value, len(known)) for value in values], dtype=np.int32)
        return cls(codes, pa.array(list(known), kind), pa.array(map(json_text, known), pa.string()))


class ViewColumns:
    """Views of images, and their points one after the other.

    Attributes:
        offsets: (V + 1,) first point of each view.
        names, concepts: of each point.
        points: (N,) list of [x, y], pixels.
        point_texts: (N,) the JSON of each.
        images, categories, boxes, sizes: of each view; a box is [left, top, right, bottom] or null, pixels.

    Args:
        views: the views.
        sizes: image id -> (width, height).
    """

    def __init__(self, views: Sequence[ImageView], sizes: Mapping[str, tuple[int, int]]) -> None:
        self._views = views
        text, number = pa.string(), pa.list_(pa.float64())
        self.offsets: _Ints = np.concatenate([[0], np.cumsum([len(view.points) for view in views], dtype=np.int64)])
        self.names = Coded.of((point.name for view in views for point in view.points), text)
        self.concepts = Coded.of((point.concept for view in views for point in view.points), text)
        places = np.array([(p.x, p.y) for view in views for p in view.points], dtype=np.float64).reshape(-1)
        self.points = pa.ListArray.from_arrays(np.arange(0, len(places) + 1, 2, dtype=np.int32), pa.array(places))
        self.point_texts = pa.array((t for view in views for t in _point_texts(view)), text)
        self.images = Coded.of((view.image_id for view in views), text)
        self.categories = Coded.of((view.category for view in views), text)
        self.boxes = Coded.of((view.bbox for view in views), number)
        self.sizes = Coded.of((sizes[view.image_id] for view in views), pa.list_(pa.int32()))
        self.by_concept = lru_cache(maxsize=10_000)(self._by_concept)

    def _by_concept(self, view: int) -> dict[str, list[int]]:
        """Concept -> points of a view, in the order in which their names first appear; of a name the last point."""
        points = self._views[view].points
        found: dict[str, list[int]] = {}
        for i in {point.name: i for i, point in enumerate(points)}.values():
            concept = points[i].concept
            if concept is not None:
                found.setdefault(concept, []).append(i)
        return found


def _point_texts(view: ImageView) -> list[str]:
    """ "[x,y]" of each point; one call of the encoder for all of them."""
    text = json_text([(point.x, point.y) for point in view.points])
    return [f"[{inner}]" for inner in text[2:-2].split("],[")] if view.points else []
