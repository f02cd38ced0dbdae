"""The rows of the split `all`: every pair there is, derived when asked for and never stored."""

from __future__ import annotations

import copy
import threading
from collections import OrderedDict
from functools import lru_cache
from typing import Any, cast

from .folder import DatasetFolder, open_folder
from .pairs import PairIndex
from .queries import ImagePoints, PairKind, pair_queries
from .schema import CONFIGS
from .uris import image_address, pair_tag

_KEPT_ROWS = 4096  # more than a batch of `map`, so that the columns of a batch derive its rows once
IMAGE_COLUMNS = {"source_image": "source_image_id", "target_image": "target_image_id"}


class AllPairs:
    """Every undirected pair of a config with at least `min_shared` common keypoints, by number.

    The order, and so the number of a pair, is that of `PairIndex` over the images in dataset order.

    Args:
        folder: a built folder.
        config: a config with `has_all`.
        min_shared: least number of common keypoints.
    """

    def __init__(self, folder: DatasetFolder, config: str, min_shared: int) -> None:
        self._folder = folder
        self._spec = CONFIGS[config]
        keypoints = folder.table(
            "keypoints", "test", columns=["image_id", "category", "keypoints", "concepts", "points"]
        ).to_pydict()
        images = folder.table("images", "test", columns=["image_id", "width", "height", "bbox"]).to_pylist()
        self._ids: list[str] = keypoints["image_id"]
        self._categories: list[str] = keypoints["category"]
        self._images = {image["image_id"]: image for image in images}
        self._points = [
            ImagePoints(tuple(names), tuple(concepts), tuple((x, y) for x, y in points))
            for names, concepts, points in zip(
                keypoints["keypoints"], keypoints["concepts"], keypoints["points"], strict=True
            )
        ]
        self._index = PairIndex(
            self._categories, keypoints["keypoints"], cross=self._spec.pairs == "cross", min_shared=min_shared
        )
        self._rows: OrderedDict[int, dict[str, Any]] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._index)

    def value(self, k: int, column: str) -> Any:
        """One field of pair `k`: a column of `schema.CONFIGS[config]`, or an image of it, decoded."""
        if column in IMAGE_COLUMNS:
            return self._folder.images.open(self._row(k)[IMAGE_COLUMNS[column]], pair_tag(k))
        return _copied(self._row(k)[column])

    def stored_value(self, k: int, column: str) -> Any:
        """As `value`, but an image is given as it is stored: its address, not decoded."""
        if column in IMAGE_COLUMNS:
            address = image_address(self._folder.path.as_posix(), self._row(k)[IMAGE_COLUMNS[column]])
            return {"bytes": None, "path": address}
        return self._row(k)[column]

    def _row(self, k: int) -> dict[str, Any]:
        with self._lock:
            if k in self._rows:
                self._rows.move_to_end(k)
                return self._rows[k]
        row = self._derive(k)
        with self._lock:
            self._rows[k] = row
            if len(self._rows) > _KEPT_ROWS:
                self._rows.popitem(last=False)
        return row

    def _derive(self, k: int) -> dict[str, Any]:
        source, target = self._index[k]
        source_id, target_id = self._ids[source], self._ids[target]
        kind = cast(PairKind, self._spec.kind)
        first, second = self._images[source_id], self._images[target_id]
        return {
            "pair_id": f"all/{self._spec.pairs}/{source_id}--{target_id}",
            "pair_group": self._categories[target],
            "source_image_id": source_id,
            "target_image_id": target_id,
            "source_category": self._categories[source],
            "target_category": self._categories[target],
            "source_size": [first["width"], first["height"]],
            "target_size": [second["width"], second["height"]],
            "source_bbox": first["bbox"],
            "target_bbox": second["bbox"],
            **pair_queries(kind, self._points[source], self._points[target]).columns(),
        }


def all_pairs(root: str, config: str, min_shared: int) -> AllPairs:
    """The pairs of the folder at `root`, derived once per process as long as the folder stays the same."""
    return _all_pairs(open_folder(root), config, min_shared)


@lru_cache(maxsize=8)
def _all_pairs(folder: DatasetFolder, config: str, min_shared: int) -> AllPairs:
    return AllPairs(folder, config, min_shared)


def _copied(value: Any) -> Any:
    """A copy of nested lists, so that a caller who edits a row does not edit the cache."""
    return [_copied(item) for item in value] if isinstance(value, list) else copy.copy(value)
