"""What is annotated in the images of a predictions table: its second piece of metadata.

The rows hold the queries and their valid targets; the anatomy of errors also needs every other point of the target
image, and the azimuth curves its pose. Both are stored once an image. A table without them (older files) still reads;
what needs them is then left out of the record.

In memory: `{image_id: {"keypoints": [name, ...], "concepts": [name or None, ...], "points": [[x, y], ...], "azimuth":
degrees or None}}`, points in float64 pixels of the stored image, as everywhere. On disk: JSON in which names and
concepts are numbers of a list, since a name stands in hundreds of images.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ..errors import PredictionsError, unknown_name

if TYPE_CHECKING:
    from ..data.folder import DatasetFolder

IMAGES_KEY = b"soco_images"
_FIELDS = {"keypoints", "concepts", "points", "azimuth"}
_FIX = "evaluate the model again"

Images = Mapping[str, Mapping[str, Any]]


def image_annotations(folder: DatasetFolder, image_ids: Iterable[str] | None = None) -> dict[str, dict[str, Any]]:
    """All annotated points and the azimuth of some images of a dataset, for `predictions_table(images=...)`.

    Args:
        folder: a built dataset folder.
        image_ids: of the images wanted, repeats allowed; None = all.

    Returns:
        As in the head of this file, sorted by image.

    Raises:
        UsageError: an image that is not in the dataset.
    """
    table = folder.table("images", columns=["image_id", "azimuth"])
    azimuths = dict(zip(table["image_id"].to_pylist(), table["azimuth"].to_pylist(), strict=True))
    wanted = set(azimuths if image_ids is None else image_ids)
    for unknown in sorted(wanted - azimuths.keys()):
        raise unknown_name("image", unknown, azimuths)
    found = {name: _image([], [], [], azimuths[name]) for name in sorted(wanted)}
    points = folder.table("keypoints", columns=["image_id", "keypoints", "concepts", "points"])
    for row in points.filter(pc.is_in(points["image_id"], value_set=pa.array(sorted(wanted), pa.string()))).to_pylist():
        name = row["image_id"]
        found[name] = _image(row["keypoints"], row["concepts"], row["points"], azimuths[name])
    return found


def images_to_json(images: Images) -> str:
    """One line of JSON, the same for equal annotations. Raises `PredictionsError` where something else is in them."""
    checked = {name: _check_image(name, images[name]) for name in sorted(images)}
    names = sorted({name for image in checked.values() for name in image["keypoints"]})
    concepts = sorted({concept for image in checked.values() for concept in image["concepts"] if concept is not None})
    name_number = {name: number for number, name in enumerate(names)}
    concept_number: dict[str | None, int | None] = {None: None}
    concept_number.update({concept: number for number, concept in enumerate(concepts)})
    stored = {
        image_id: {
            "keypoints": [name_number[name] for name in image["keypoints"]],
            "concepts": [concept_number[concept] for concept in image["concepts"]],
            "points": [value for point in image["points"] for value in point],
            "azimuth": image["azimuth"],
        }
        for image_id, image in checked.items()
    }
    whole = {"keypoints": names, "concepts": concepts, "images": stored}
    return json.dumps(whole, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def images_from_json(text: str | bytes) -> dict[str, dict[str, Any]]:
    """The annotations from their stored form. Raises `PredictionsError` when they are damaged."""
    try:
        whole = json.loads(text)
        names, concepts, stored = whole["keypoints"], whole["concepts"], whole["images"]
        numbers = [[image["keypoints"], image["concepts"], image["points"]] for image in stored.values()]
        azimuths = [image["azimuth"] for image in stored.values()]
        points = _finite([value for _, _, flat in numbers for value in flat]).reshape(-1, 2).tolist()
        _finite([value for value in azimuths if value is not None])
        sound = all(isinstance(name, str) for name in [*names, *concepts]) and all(
            len(set(own)) == len(own) == len(parts) and len(flat) == 2 * len(own) and min(own, default=0) >= 0
            for own, parts, flat in numbers
        )
        if not sound or any(number is not None and number < 0 for _, parts, _ in numbers for number in parts):
            raise ValueError("lists that do not fit")
        images, start = {}, 0
        for image_id, (own, parts, _), azimuth in zip(stored, numbers, azimuths, strict=True):
            parted = [None if number is None else concepts[number] for number in parts]
            images[image_id] = _image(
                [names[number] for number in own], parted, points[start : start + len(own)], azimuth
            )
            start += len(own)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        raise PredictionsError("the image annotations of these predictions are damaged; " + _FIX) from None
    return images


@dataclass(frozen=True)
class AnnotatedPoints:
    """The annotations of I images with M points in all, as arrays.

    Attributes:
        image_ids: (I,) strings, sorted.
        starts: (I + 1,) int64; the points of image i are `starts[i]:starts[i + 1]`.
        names: distinct keypoint names; `name` is (M,) int64, a number in it.
        concepts: distinct concepts; `concept` is (M,) int64, a number in it, -1 for a point without.
        points: (M, 2) float64 pixels.
    """

    image_ids: pa.Array
    starts: NDArray[np.int64]
    names: pa.Array
    name: NDArray[np.int64]
    concepts: pa.Array
    concept: NDArray[np.int64]
    points: NDArray[np.float64]

    @classmethod
    def of(cls, images: Images) -> AnnotatedPoints:
        """The arrays of some annotations."""
        ordered = [images[name] for name in sorted(images)]
        names = pa.array([name for image in ordered for name in image["keypoints"]], pa.string()).dictionary_encode()
        concepts = pa.array([name for image in ordered for name in image["concepts"]], pa.string()).dictionary_encode()
        points = [value for image in ordered for point in image["points"] for value in point]
        return cls(
            image_ids=pa.array(sorted(images), pa.string()),
            starts=np.cumsum([0, *(len(image["keypoints"]) for image in ordered)]),
            names=names.dictionary,
            name=_numbers(names.indices),
            concepts=concepts.dictionary,
            concept=_numbers(concepts.indices),
            points=np.array(points, dtype=np.float64).reshape(-1, 2),
        )

    def image_numbers(self, image_ids: pa.ChunkedArray) -> NDArray[np.int64]:
        """(N,) int64 number of each image, -1 where it is not here."""
        return _numbers(pc.index_in(image_ids, value_set=self.image_ids))

    def concept_numbers(self, concepts: pa.ChunkedArray) -> NDArray[np.int64]:
        """(N,) int64 number of each concept, -1 for none and for one that is not here."""
        return _numbers(pc.index_in(concepts, value_set=self.concepts))

    def find(self, image: NDArray[np.int64], names: pa.ChunkedArray | pa.Array) -> NDArray[np.int64]:
        """(N,) int64: which of the M points has this name in this image (a number, or -1), -1 where there is none."""
        number = _numbers(pc.index_in(names, value_set=self.names))
        owner = np.repeat(np.arange(len(self.image_ids)), np.diff(self.starts))
        keys = pa.array(owner * len(self.names) + self.name)
        wanted = np.where((image < 0) | (number < 0), -1, image * len(self.names) + number)
        return _numbers(pc.index_in(pa.array(wanted), value_set=keys))


def _numbers(indices: pa.Array | pa.ChunkedArray) -> NDArray[np.int64]:
    whole = indices.combine_chunks() if isinstance(indices, pa.ChunkedArray) else indices
    numbers: NDArray[np.int64] = whole.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    return numbers


def _finite(values: list[Any]) -> NDArray[np.float64]:
    """The values as an array. Raises `ValueError` unless all are finite numbers."""
    array = np.array(values) if values else np.empty(0)
    if array.ndim != 1 or array.dtype.kind not in "if" or not np.isfinite(array).all():
        raise ValueError("not finite numbers")
    return array.astype(np.float64)


def _image(names: list[str], concepts: list[Any], points: list[Any], azimuth: float | None) -> dict[str, Any]:
    return {"keypoints": names, "concepts": concepts, "points": points, "azimuth": azimuth}


def _check_image(image_id: str, image: Mapping[str, Any]) -> dict[str, Any]:
    """One image's annotations as plain JSON values, checked."""
    if not isinstance(image_id, str) or not isinstance(image, Mapping) or set(image) != _FIELDS:
        raise PredictionsError(f"annotations of image {image_id!r}: must hold {', '.join(sorted(_FIELDS))}; {_FIX}")
    names, concepts, azimuth = list(image["keypoints"]), list(image["concepts"]), image["azimuth"]
    try:
        points = [[float(value) for value in point] for point in image["points"]]
        azimuth = None if azimuth is None else float(azimuth)
    except (TypeError, ValueError):
        raise PredictionsError(
            f"annotations of image {image_id!r}: a point or azimuth is not a number; {_FIX}"
        ) from None
    finite = all(len(point) == 2 and all(map(math.isfinite, point)) for point in points)
    named = all(isinstance(name, str) for name in names) and all(isinstance(c, str | None) for c in concepts)
    if not finite or not named or not (azimuth is None or math.isfinite(azimuth)):
        raise PredictionsError(f"annotations of image {image_id!r}: a name, point or azimuth is malformed; {_FIX}")
    if not len(names) == len(concepts) == len(points) or len(set(names)) != len(names):
        raise PredictionsError(
            f"annotations of image {image_id!r}: {len(names)} names ({len(set(names))} different), {len(concepts)} "
            f"concepts and {len(points)} points; there must be one concept and point for each of the different "
            f"names; {_FIX}"
        )
    return _image(names, concepts, points, azimuth)
