"""The tables of a built dataset folder: one `datasets.Features` per config, and what each column means.

Frames and units, stated once: points and boxes are float64 pixels of the stored JPEG (un-rotated: an EXIF orientation
is never applied; unpadded), x to the right and y down; a box is [left, top, right, bottom]; a size is [width, height].
An `image_id` is "<category>/<file stem>"; a `pair_id` is the pair file's path below PairAnnotations without ".json".
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
from datasets import Features, Image, List, Value

from .queries import PairKind

_STRING = Value("string")
_POINT = List(Value("float64"))
_BOX = List(Value("float64"))
_SIZE = List(Value("int32"))

IMAGES = Features(
    {
        "image_id": _STRING,
        "image": Image(),
        "file_name": _STRING,
        "category": _STRING,
        "supercategory": _STRING,
        "width": Value("int32"),
        "height": Value("int32"),
        "bbox": _BOX,
        "azimuth": Value("float32"),  # degrees, null where unknown; likewise elevation and rotation
        "elevation": Value("float32"),
        "rotation": Value("float32"),
        "exif_orientation": Value("int8"),  # 1 when the file has none; recorded, never applied
        "source": _STRING,  # where the release says the photograph came from
    }
)

KEYPOINTS = Features(
    {
        "image_id": _STRING,
        "category": _STRING,
        "keypoint_ids": List(Value("int64")),
        "keypoints": List(_STRING),
        "concepts": List(_STRING),
        "points": List(_POINT),
    }
)

TAXONOMY = Features(
    {
        "category": _STRING,
        "supercategory": _STRING,
        "group": _STRING,  # the level between supercategory and category (dogs, four-wheeled), null where unknown
        "keypoint_id": Value("int64"),
        "keypoint": _STRING,
        "concept_id": Value("int64"),
        "concept": _STRING,
        "part": _STRING,
        "part_position": _STRING,  # of the part on the object ("front left")
        "point_position": _STRING,  # of the point on the part ("center")
        "kind": _STRING,  # structural or functional
        "shared": Value("bool"),
    }
)

DESCRIPTIONS = Features(
    {
        "category": _STRING,
        "keypoint": _STRING,
        "text": _STRING,
        "origin": _STRING,  # "release" (its language template) or "generated"
    }
)

ANNOTATIONS = Features({"path": _STRING, "content": _STRING})  # the release's own side files, verbatim

PAIRS = Features(
    {
        "pair_id": _STRING,
        "pair_group": _STRING,  # the category the pair is averaged in: the target's
        "source_image_id": _STRING,
        "target_image_id": _STRING,
        "source_category": _STRING,
        "target_category": _STRING,
        "source_size": _SIZE,
        "target_size": _SIZE,
        "source_bbox": _BOX,  # null where the release gives none
        "target_bbox": _BOX,
        "keypoints": List(_STRING),  # names of the query points, one entry per query in all lists below
        "concepts": List(_STRING),
        "source_points": List(_POINT),
        "target_keypoints": List(List(_STRING)),  # names of the valid targets of each query
        "target_points": List(List(_POINT)),  # their positions: one for SOC, one or more for CC
    }
)

PAIRS_GEO = Features(
    {
        **PAIRS,
        "candidate_keypoints": List(List(_STRING)),  # all points of the query's concept in the target
        "candidate_points": List(List(_POINT)),
    }
)

LVLM = Features(
    {
        "index": _STRING,  # of the row in its setting
        "g_index": _STRING,  # of the question: its four orderings share it
        "question_id": _STRING,  # of the question in every setting; the `qid` of the TSV form
        "ordering": Value("int8"),  # 0..3
        "setting": _STRING,
        "category": _STRING,
        "supercategory": _STRING,
        "source_image_id": _STRING,  # null where the question shows the target alone
        "target_image_id": _STRING,
        "keypoint": _STRING,  # this and what follows down to the points is null for imported questions
        "description": _STRING,
        "source_point": _POINT,
        "candidate_keypoints": List(_STRING),  # in the order of the letters A to D
        "candidate_points": List(_POINT),  # null where the stored images have their markers drawn in already
        "question": _STRING,  # in words, without the options
        "options": List(_STRING),  # texts of A to D
        "answer": _STRING,  # A, B, C or D
        "image_paths": List(_STRING),  # as an imported TSV says, else null
    }
)


@dataclass(frozen=True)
class TableSpec:
    """One config of the dataset.

    Attributes:
        name: the config's name.
        features: columns as stored (pair configs hold no image; `load_dataset("soco", ...)` joins them on access).
        splits: splits a folder may store.
        kind: how valid targets are chosen for a pair config: "soc", "cc" or "geo"; None for a plain table.
        pairs: which pair files fill it: "intra", "cross", "probe", or "" for a table.
        about: one line for the card.
    """

    name: str
    features: Features
    splits: tuple[str, ...]
    kind: PairKind | None
    pairs: str
    about: str

    def __repr__(self) -> str:
        return f"TableSpec({self.name!r}, {len(self.features)} columns, splits: {', '.join(self.splits)})"

    @functools.cached_property
    def arrow_schema(self) -> pa.Schema:
        """That of `features`, made once."""
        return self.features.arrow_schema

    @property
    def is_pairs(self) -> bool:
        return self.kind is not None

    @property
    def shows_pair(self) -> bool:
        """Whether a row is about a source and a target image, which are joined on access."""
        return "target_image_id" in self.features

    @property
    def has_all(self) -> bool:
        """Whether the config has the split `all` (every pair, built on demand, never stored)."""
        return self.pairs in ("intra", "cross")

    def with_lists(self, pairs: str, splits: tuple[str, ...]) -> TableSpec:
        """The same table filled from other pair lists, with other splits."""
        return replace(self, pairs=pairs, splits=splits)

    def to_dict(self) -> dict[str, Any]:
        """The config as JSON values, for a manifest; `from_dict` restores it."""
        return {
            "name": self.name,
            "features": self.features.to_dict(),
            "splits": list(self.splits),
            "kind": self.kind,
            "pairs": self.pairs,
            "about": self.about,
        }

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> TableSpec:
        """The config from its stored form; raises `KeyError`, `TypeError` or `ValueError` where that is damaged."""
        return cls(
            name=str(fields["name"]),
            features=Features.from_dict(fields["features"]),
            splits=tuple(map(str, fields["splits"])),
            kind=fields["kind"],
            pairs=str(fields["pairs"]),
            about=str(fields["about"]),
        )


CONFIGS: dict[str, TableSpec] = {
    spec.name: spec
    for spec in (
        TableSpec("images", IMAGES, ("test",), None, "", "an image: original JPEG bytes, size, box, pose"),
        TableSpec("keypoints", KEYPOINTS, ("test",), None, "", "the visible keypoints of an image"),
        TableSpec("taxonomy", TAXONOMY, ("test",), None, "", "a keypoint of a category and its concept"),
        TableSpec("descriptions", DESCRIPTIONS, ("test",), None, "", "a keypoint of a category in words"),
        TableSpec("annotations", ANNOTATIONS, ("test",), None, "", "a side file of the release, verbatim"),
        TableSpec("cc", PAIRS, ("test",), "cc", "intra", "a pair of one category; targets = same concept"),
        TableSpec("soc", PAIRS, ("test",), "soc", "intra", "a pair of one category; target = same keypoint"),
        TableSpec("cross_cc", PAIRS, ("test",), "cc", "cross", "a pair across categories; targets = same concept"),
        TableSpec("cross_soc", PAIRS, ("test",), "soc", "cross", "a pair across categories; target = same keypoint"),
        TableSpec("soc_geo", PAIRS_GEO, ("test",), "geo", "intra", "soc with all candidate points of the concept"),
        TableSpec("cross_soc_geo", PAIRS_GEO, ("test",), "geo", "cross", "cross_soc with all such candidate points"),
        TableSpec("soc_probe", PAIRS, ("train", "test"), "soc", "probe", "soc pairs for learned probes"),
        TableSpec("cc_probe", PAIRS, ("train", "test"), "cc", "probe", "the pairs of soc_probe as cc pairs"),
        TableSpec("lvlm", LVLM, ("vis", "vis_desc", "desc"), None, "", "a multiple-choice question in one ordering"),
    )
}


def general_configs(*pairs: TableSpec) -> dict[str, TableSpec]:
    """The configs of a benchmark other than SOCO: images, keypoints, taxonomy and annotations, then its pair lists."""
    names = ("images", "keypoints", "taxonomy", "annotations")
    return {spec.name: spec for spec in (*(CONFIGS[name] for name in names), *pairs)}


def schema_fingerprint() -> str:
    """Eight hex digits that change with any config or column: folders cached by another version are not mistaken."""
    text = "\n".join(f"{spec.name} {spec.kind} {spec.pairs} {spec.splits} {spec.features}" for spec in CONFIGS.values())
    return hashlib.sha256(text.encode()).hexdigest()[:8]
