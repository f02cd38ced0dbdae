"""Images, views and pairs as a release has them, once read and checked. Frames and units as in schema.py."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

Box = tuple[float, float, float, float]
MAX_FILE_BYTES = 250_000_000  # of an image, compressed: more than the largest takes uncompressed
MAX_PIXELS = 64_000_000  # of an image; each decoding thread holds one or two, of 3 bytes a pixel
PAIR_SUBSETS = ("intra", "cross", "probe_train", "probe_test")


class AnnotatedKeypoint(NamedTuple):
    """One visible keypoint of an image, with whatever its annotation says of it (None = not said)."""

    name: str
    x: float
    y: float
    keypoint_id: int | None
    concept_id: int | None
    concept: str | None
    kind: str | None
    shared: bool | None
    bare: bool  # the annotation lacks the concept field altogether, as opposed to saying null


class FileList(Sequence[str]):
    """Some files of many, as their numbers.

    Args:
        names: of all files; kept, not copied.
        numbers: (N,) integers, places in `names`.
    """

    __slots__ = ("_names", "numbers")

    def __init__(self, names: Sequence[str], numbers: NDArray[np.int32]) -> None:
        self._names, self.numbers = names, numbers

    def __len__(self) -> int:
        return len(self.numbers)

    def __iter__(self) -> Iterator[str]:
        return (self._names[number] for number in self.numbers.tolist())

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> FileList: ...
    def __getitem__(self, place: int | slice) -> str | FileList:
        if isinstance(place, slice):
            return FileList(self._names, self.numbers[place])
        return self._names[self.numbers[place]]


class Observation(NamedTuple):
    """A keypoint as one or more pair files show it; None where they do not say."""

    category: str
    keypoint: str
    keypoint_id: int | None
    concept_id: int | None
    concept: str | None
    kind: str | None
    shared: bool | None
    files: Sequence[str]
    no_concept: bool = False  # the files say that it has none, as opposed to not saying


@dataclass(frozen=True, slots=True)
class ImageView:
    """What one annotation file says of one image. `bbox_given` tells a stated null box from a missing one."""

    image_id: str
    bbox: Box | None
    bbox_given: bool
    points: tuple[AnnotatedKeypoint, ...]

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled as columns of plain values: several times faster than point by point."""
        columns = tuple(zip(*self.points, strict=True))
        return _restored_view, (self.image_id, self.bbox, self.bbox_given, columns)

    @property
    def category(self) -> str:
        return self.image_id.partition("/")[0]

    def observations(self, files: Sequence[str]) -> Iterator[Observation]:
        category = self.category
        for p in self.points:
            yield Observation(
                category=category,
                keypoint=p.name,
                keypoint_id=p.keypoint_id,
                concept_id=p.concept_id,
                concept=p.concept,
                kind=p.kind,
                shared=p.shared,
                files=files,
                no_concept=p.concept is None and not p.bare,
            )


def _restored_view(image_id: str, bbox: Box | None, bbox_given: bool, columns: tuple[Any, ...]) -> ImageView:
    """A view from its pickled form."""
    points = tuple(map(AnnotatedKeypoint, *columns)) if columns else ()
    return ImageView(image_id, bbox, bbox_given, points)


@dataclass(frozen=True, slots=True)
class ConceptGroup:
    """One entry of a released pair's `concept_matches`."""

    concept: str
    source: tuple[str, ...]
    target: tuple[str, ...]


@dataclass(slots=True)
class PairRecord:
    """One released pair. `overlap` and `groups` are None where the file leaves them to be derived.

    `attributes` are further columns of the pair's table, such as how different the two viewpoints are.
    """

    pair_id: str
    subset: str
    group: str
    source: ImageView
    target: ImageView
    overlap: tuple[str, ...] | None
    groups: tuple[ConceptGroup, ...] | None
    file: str
    attributes: Mapping[str, object] = field(default_factory=dict)


@dataclass(slots=True)
class ImageRecord:
    """One image of the release, decoded once to be sure that it can be."""

    image_id: str
    file: str
    width: int
    height: int
    exif_orientation: int
    byte_count: int
    sha256: str
    bbox: Box | None = None
    azimuth: float | None = None
    elevation: float | None = None
    rotation: float | None = None
    source: str | None = None
    points: tuple[AnnotatedKeypoint, ...] = ()

    @property
    def category(self) -> str:
        return self.image_id.partition("/")[0]

    @property
    def size(self) -> tuple[int, int]:
        return (self.width, self.height)
