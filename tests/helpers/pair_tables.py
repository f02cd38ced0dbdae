"""Pair tables and predictions tables for tests: small made-up ones, and the oracle's, read straight from its files."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from soco_datasets.config import CachePolicy, FeatureConfig, Protocol, RunConfig, ScoringConfig
from soco_datasets.data.schema import PAIRS
from soco_datasets.geometry import cells_to_unit, unit_to_pixels
from soco_datasets.records.header import PredictionsOrigin
from soco_datasets.records.predictions import TaskPredictions, predictions_table

MODEL = "dinov2_tiny_p14"
HASH = "0" * 64


def run_config(
    store: str = "auto", *, memory: int | None = None, place: Path | None = None, **options: Any
) -> RunConfig:
    """A `RunConfig` with a cache in `place` (shared stores) of so many bytes of memory."""
    return RunConfig(CachePolicy(store, memory, place), **options)


def pairs_table(rows: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=PAIRS.arrow_schema)


def pair(
    pair_id: str,
    group: str,
    targets: dict[str, list[list[float]]],
    *,
    size: tuple[int, int] = (200, 100),
    box: list[float] | None = None,
) -> dict[str, Any]:
    """A row of a pair config with these queries: name -> valid target points."""
    return {
        "pair_id": pair_id,
        "pair_group": group,
        "source_image_id": f"{group}/{pair_id}_source",
        "target_image_id": f"{group}/{pair_id}_target",
        "source_category": group,
        "target_category": group,
        "source_size": [50, 60],
        "target_size": list(size),
        "source_bbox": None,
        "target_bbox": box,
        "keypoints": list(targets),
        "concepts": [None] * len(targets),
        "source_points": [[1.0, 2.0]] * len(targets),
        "target_keypoints": [[f"{name}_{i}" for i in range(len(points))] for name, points in targets.items()],
        "target_points": list(targets.values()),
    }


PAIRS_SOC = [
    pair("car/1", "car", {"wheel": [[50, 60]], "roof": [[90, 10]]}, box=[0, 0, 100, 80]),
    pair("car/2", "car", {"wheel": [[10, 10]]}, box=[0, 0, 100, 80]),
    pair("ピアノ/1", "ピアノ", {"key": [[150, 20]]}),
    pair("cup/1", "cup", {}),
]
PAIRS_CC = [pair("car/1", "car", {"wheel": [[50, 60], [10, 60]], "roof": [[90, 10]]}, box=[0, 0, 100, 80])]
POINTS_SOC = [[55, 60], [20, 10], [10, 12], [150, 20]]  # hits at 0.1: yes, no; yes; yes
POINTS_CC = [[12, 60], [90, 11]]


def build(tasks: dict[str, TaskPredictions], protocol: Protocol | None = None, **fields: Any) -> pa.Table:
    header: dict[str, Any] = {
        "model": {"name": "tiny", "revision": None, "weights_hash": "abc"},
        "dataset": {"id": "made-up", "revision": None, "content_hash": HASH},
        "supercategories": {"car": "transportation", "cup": "hand-held", "ピアノ": None},
        "versions": {"soco_datasets": "0.1.0"},
        "device": "cpu",
        "counts": {"images": 8, "pairs": 5, "keypoints": 6, "forwards": 8, "decodes": 8},
        "created": "2026-01-31T12:00:00+00:00",
    }
    images = fields.pop("images", None)
    used = protocol or Protocol(ScoringConfig(convention="centered"))
    return predictions_table(tasks, PredictionsOrigin(**{"protocol": used, **header, **fields}), images)


def small_table(**fields: Any) -> pa.Table:
    return build(
        {
            "soc": TaskPredictions(pairs_table(PAIRS_SOC), POINTS_SOC, [0.1, 0.2, 0.3, 0.4]),
            "cc": TaskPredictions(pairs_table(PAIRS_CC), POINTS_CC),
        },
        **fields,
    )


# --- the oracle -------------------------------------------------------------------------------------------------------


@cache
def oracle_tasks(release: Path, expected: Path) -> dict[str, TaskPredictions]:
    """The four tasks of a release with the cells the reference predicted."""
    tasks = {}
    for subset, soc, cc in (("intra", "soc", "cc"), ("cross", "cross_soc", "cross_cc")):
        stored = json.loads((expected / f"pairs_{MODEL}_{subset}_nobbox.json").read_text(encoding="utf-8"))
        soc_rows, cc_rows, soc_points, cc_points = [], [], [], []
        for row in stored["rows"]:
            given = json.loads((release / "PairAnnotations" / row["pair"]).read_text(encoding="utf-8"))
            unit = cells_to_unit(*np.array(row["hard"]).reshape(-1, 2).T, stored["grid"], "reference")
            points = unit_to_pixels(unit, max(given["trg_imsize"]))
            by_name = {point["name"]: points[i] for i, point in enumerate(given["src_keypoints"])}
            for targets, rows, into in (
                (_soc_targets(given), soc_rows, soc_points),
                (_cc_targets(given), cc_rows, cc_points),
            ):
                rows.append(_oracle_pair(row["pair"], given, targets))
                into.extend(by_name[name] for name in targets)
        tasks[cc] = TaskPredictions(pairs_table(cc_rows), np.array(cc_points).reshape(-1, 2))
        tasks[soc] = TaskPredictions(pairs_table(soc_rows), np.array(soc_points).reshape(-1, 2))
    return tasks


def oracle_protocol() -> Protocol:
    return Protocol(features=FeatureConfig(image_size=285, size=280, grid=20))


def _soc_targets(given: dict[str, Any]) -> dict[str, list[str]]:
    source, target = ({point["name"] for point in given[f"{view}_keypoints"]} for view in ("src", "trg"))
    return {name: [name] for name in dict.fromkeys(given["semantic_overlap"]) if name in source & target}


def _cc_targets(given: dict[str, Any]) -> dict[str, list[str]]:
    source, target = ({point["name"] for point in given[f"{view}_keypoints"]} for view in ("src", "trg"))
    found: dict[str, dict[str, None]] = {}
    for group in given["concept_matches"]:
        valid = [name for name in group["trg_keypoints"] if name in target]
        for name in group["src_keypoints"]:
            if name in source and valid:
                found.setdefault(name, {}).update(dict.fromkeys(valid))
    return {name: list(valid) for name, valid in found.items()}


def _oracle_pair(file: str, given: dict[str, Any], targets: dict[str, list[str]]) -> dict[str, Any]:
    source, target = (
        {point["name"]: [float(value) for value in point["pos"]] for point in given[f"{view}_keypoints"]}
        for view in ("src", "trg")
    )
    return {
        "pair_id": file.removesuffix(".json"),
        "pair_group": Path(file).parts[1],
        "source_image_id": f"{given['src_category']}/{Path(given['src_image']).stem}",
        "target_image_id": f"{given['trg_category']}/{Path(given['trg_image']).stem}",
        "source_category": given["src_category"],
        "target_category": given["trg_category"],
        "source_size": given["src_imsize"],
        "target_size": given["trg_imsize"],
        "source_bbox": given["src_bndbox"],
        "target_bbox": given["trg_bndbox"],
        "keypoints": list(targets),
        "concepts": [None] * len(targets),
        "source_points": [source[name] for name in targets],
        "target_keypoints": list(targets.values()),
        "target_points": [[target[name] for name in names] for names in targets.values()],
    }
