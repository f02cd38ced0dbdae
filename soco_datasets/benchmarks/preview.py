"""The config `preview` of a dataset folder: a few pairs drawn into their pictures, for people who look at the data set.

It is made from the tables of the folder, is no part of the content hash, and nothing is evaluated on it.
"""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
from datasets import Features, Image, List, Value
from PIL import Image as Pictures

from ..data.folder import DatasetFolder
from ..data.pair_marks import mark_pair
from ..data.schema import TableSpec
from ..data.shards import Format, WrittenShard, write_shards
from ..utils.shapes import Drawing, Photo, to_image
from ..utils.workers import in_threads, usable_cores

MOST_PAIRS = 50
MOST_BYTES = 20_000_000  # of all pictures together
SAMPLE = "sample.jpg"  # in the folder and on the Hub: one pair side by side, shown on the card
_LOOKED_AT = 20  # pairs of a group among which one is chosen
_QUERIES = 8  # the number of queries that shows best
_SIDE = 512  # pixels of the longest side of a picture; one of three quarters of that is shown as it is
_QUALITY = 88
_GAP = 12  # pixels between the pictures of the sample
_COLUMNS = (
    *("pair_id", "source_category", "target_category", "keypoints", "concepts"),
    *("source_image_id", "target_image_id", "source_points", "target_points"),
)

PREVIEW = TableSpec(
    "preview",
    Features(
        {
            "pair_id": Value("string"),
            "config": Value("string"),
            "source": Image(),
            "target": Image(),
            "source_category": Value("string"),
            "target_category": Value("string"),
            "keypoints": List(Value("string")),  # in the order of the numbers in the pictures
        }
    ),
    ("test",),
    None,
    "",
    "a pair to look at: numbered query points in the source, the valid targets in the target",
)


def is_shown(spec: TableSpec, split: str) -> bool:
    """Whether pairs of a table are among those that are drawn."""
    return spec.kind == "soc" and spec.pairs != "probe" and split == "test"


def write_preview(folder: DatasetFolder, format: Format, pairs: int = MOST_PAIRS) -> WrittenShard | None:
    """Write the config `preview` and the sample picture into a folder whose other tables are written.

    Args:
        folder: with its manifest.
        format: of the shard.
        pairs: at most so many, and at most `MOST_PAIRS`.

    Returns:
        The shard, None where the folder has no pairs with one target to show.
    """
    rows = list(_rows(folder, min(pairs, MOST_PAIRS)))
    if not rows:
        return None
    (shard,) = write_shards(folder.path, PREVIEW, "test", rows, format, 2 * MOST_BYTES)
    _write_sample(folder.path / SAMPLE, rows[0])
    return shard


def _rows(folder: DatasetFolder, pairs: int) -> Iterator[dict[str, Any]]:
    total = 0

    def draw(chosen: tuple[str, dict[str, Any]]) -> tuple[str, dict[str, Any], dict[str, bytes]]:
        return *chosen, _drawn(folder, chosen[1])

    for config, row, drawn in in_threads(draw, _read(folder, _spread(_candidates(folder), pairs)), usable_cores()):
        total += sum(map(len, drawn.values()))
        if total > MOST_BYTES:
            return
        yield {
            **{name: row[name] for name in ("pair_id", "source_category", "target_category", "keypoints")},
            **{side: {"bytes": data, "path": f"{side}.jpg"} for side, data in drawn.items()},
            "config": config,
        }


def _candidates(folder: DatasetFolder) -> list[tuple[str, int]]:
    """(config, row number) of one pair per config and group, of every test config whose queries have one target."""
    found: list[tuple[str, int]] = []
    for config in folder.configs:
        spec = folder.specs[config]
        if not any(is_shown(spec, split) for split in folder.splits(config)):
            continue
        queries = pc.list_value_length(folder.table(config, "test", ["keypoints"])["keypoints"]).to_pylist()
        groups: dict[str, list[int]] = {}
        for place, group in enumerate(folder.table(config, "test", ["pair_group"])["pair_group"].to_pylist()):
            there = groups.setdefault(group, [])
            if queries[place] and len(there) < _LOOKED_AT:
                there.append(place)
        for group in sorted(name for name, there in groups.items() if there):
            found.append((config, min(groups[group], key=lambda place: abs(queries[place] - _QUERIES))))
    return found


def _read(folder: DatasetFolder, chosen: Sequence[tuple[str, int]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """(config, row) of each; a column at a time, as a whole table may be large."""
    for config, some in itertools.groupby(chosen, lambda item: item[0]):
        places = [place for _, place in some]
        columns = [folder.table(config, "test", [name])[name].take(places).to_pylist() for name in _COLUMNS]
        yield from ((config, dict(zip(_COLUMNS, values, strict=True))) for values in zip(*columns, strict=True))


def _spread(found: Sequence[tuple[str, int]], most: int) -> list[tuple[str, int]]:
    """At most so many of them, evenly over all."""
    number = min(most, len(found))
    return [found[place * len(found) // number] for place in range(number)]


def _drawn(folder: DatasetFolder, row: dict[str, Any]) -> dict[str, bytes]:
    """Side -> the JPEG of its picture with its marks."""
    drawings = {}
    for side in ("source", "target"):
        image = folder.images.decode(row[f"{side}_image_id"]).convert("RGB")
        longest = max(image.size)
        scale = 1.0 if 3 * _SIDE <= 4 * longest <= 4 * _SIDE else _SIDE / longest
        drawing = Drawing(max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        drawing.add(Photo(image, (0, 0), drawing.size))
        drawings[side] = drawing, scale
    mark_pair(row, drawings["source"], drawings["target"])
    found = {}
    for side, (drawing, _) in drawings.items():
        buffer = io.BytesIO()
        to_image(drawing).save(buffer, "JPEG", quality=_QUALITY, subsampling=0)
        found[side] = buffer.getvalue()
    return found


def _write_sample(path: Path, row: dict[str, Any]) -> None:
    opened = [Pictures.open(io.BytesIO(row[side]["bytes"])) for side in ("source", "target")]
    height = min(picture.height for picture in opened)
    pictures = [
        picture.resize((round(picture.width * height / picture.height), height), Pictures.Resampling.LANCZOS)
        for picture in opened
    ]
    sheet = Pictures.new("RGB", (sum(picture.width for picture in pictures) + _GAP, height), (255, 255, 255))
    left = 0
    for picture in pictures:
        sheet.paste(picture, (left, 0))
        left += picture.width + _GAP
    sheet.save(path, "JPEG", quality=_QUALITY, subsampling=0)
