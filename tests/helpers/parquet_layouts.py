"""Synthetic data sets as the Parquet files that a copy on the Hub consists of."""

from __future__ import annotations

import io
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def parquet(rows: list[dict[str, Any]]) -> bytes:
    """A Parquet file of rows, eight to a group."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), buffer, row_group_size=8)
    return buffer.getvalue()


def image(path: Path) -> dict[str, Any]:
    return {"bytes": path.read_bytes(), "path": None}


def imagenet_rows(root: Path) -> Mapping[str, list[dict[str, Any]]]:
    return {
        split: [
            {"image": image(path), "label": label}
            for label, folder in enumerate(sorted((root / split).iterdir()))
            for path in sorted(folder.iterdir())
        ]
        for split in ("train", "val")
    }


def ade20k_rows(root: Path) -> Mapping[str, list[dict[str, Any]]]:
    base = root / "ADEChallengeData2016"
    return {
        split: [
            {"image": image(path), "annotation": image(base / "annotations" / name / f"{path.stem}.png")}
            for path in sorted((base / "images" / name).iterdir())
        ]
        for split, name in (("train", "training"), ("val", "validation"))
    }


def davis_rows(root: Path) -> Mapping[str, list[dict[str, Any]]]:
    from PIL import Image

    rows = []
    for _, video in sorted(pickle.loads((root / "tapvid_davis.pkl").read_bytes()).items()):
        frames = []
        for pixels in video["video"]:
            buffer = io.BytesIO()
            Image.fromarray(pixels).save(buffer, format="PNG")
            frames.append(buffer.getvalue())
        rows.append({"frames": frames, "points": video["points"].tolist(), "occluded": video["occluded"].tolist()})
    return {"val": rows}


ROWS = {"imagenet": imagenet_rows, "ade20k": ade20k_rows, "davis": davis_rows}


def files_of(kind: str, root: Path, folder: str = "data") -> dict[str, bytes]:
    names = {"train": "train-00000-of-00001.parquet", "val": "validation-00000-of-00001.parquet"}
    return {f"{folder}/{names[split]}": parquet(rows) for split, rows in ROWS[kind](root).items()}
