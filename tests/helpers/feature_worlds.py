"""Made-up data sets with several images a category, shared concepts and any model: pairs, annotations, predictions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from helpers.pair_tables import build, pairs_table
from soco_datasets.config import Protocol, ScoringConfig
from soco_datasets.records.predictions import TaskPredictions

NAMES = {
    "wheel_left": "wheel",
    "wheel_right": "wheel",
    "lamp_left": "lamp",
    "lamp_right": "lamp",
    "roof": "roof",
    "x": None,
}
PARENTS = {"car": "transportation", "cup": "hand-held", "ピアノ": None}
SIZE = (200, 100)


def annotated_images(generator: np.random.Generator, per_category: int) -> dict[str, Any]:
    """Images that show most of `NAMES` somewhere, some of them at one place."""
    images = {}
    for category in PARENTS:
        for number in range(per_category):
            shown = [name for name in NAMES if generator.random() < 0.8] or ["roof"]
            images[f"{category}/{number}"] = {
                "keypoints": shown,
                "concepts": [NAMES[name] for name in shown],
                "points": np.round(generator.random((len(shown), 2)) * SIZE, 1).tolist(),
                "azimuth": None,
            }
    return images


def query_pair(task: str, number: int, source: str, target: str, images: dict[str, Any]) -> dict[str, Any]:
    """A row of a pair config: SOC asks for the same name, CC for any point of the concept."""
    asked = {}
    for name in images[source]["keypoints"]:
        valid = [
            other
            for other in images[target]["keypoints"]
            if other == name or (task.endswith("cc") and NAMES[name] is not None and NAMES[other] == NAMES[name])
        ]
        if valid and (task.endswith("soc") or NAMES[name] is not None):
            asked[name] = valid
    where = {i: dict(zip(images[i]["keypoints"], images[i]["points"], strict=True)) for i in (source, target)}
    category = target.split("/")[0]
    return {
        "pair_id": f"{'cross' if task.startswith('cross') else 'intra'}/{category}/{number}",
        "pair_group": category,
        "source_image_id": source,
        "target_image_id": target,
        "source_category": source.split("/")[0],
        "target_category": category,
        "source_size": SIZE,
        "target_size": SIZE,
        "source_bbox": None,
        "target_bbox": [0.0, 0.0, 100.0 + number % 50, 80.0] if number % 3 else None,
        "keypoints": list(asked),
        "concepts": [NAMES[name] for name in asked],
        "source_points": [where[source][name] for name in asked],
        "target_keypoints": list(asked.values()),
        "target_points": [[where[target][name] for name in names] for names in asked.values()],
    }


def world_pairs(seed: int, per_category: int = 4, pairs: int = 10) -> tuple[dict[str, pa.Table], dict[str, Any]]:
    """(task -> its pairs, `pairs` for each category; annotations)."""
    generator = np.random.default_rng(seed)
    images = annotated_images(generator, per_category)
    drawn: dict[str, list[tuple[str, str]]] = {"intra": [], "cross": []}
    for category in PARENTS:
        own = [image for image in images if image.startswith(f"{category}/")]
        others = [image for image in images if image not in own]
        for _ in range(pairs):
            drawn["intra"].append(tuple(generator.choice(own, 2, replace=False).tolist()))
            drawn["cross"].append((str(generator.choice(others)), str(generator.choice(own))))
    tables = {}
    for task in ("cc", "soc", "cross_cc", "cross_soc"):
        some = drawn["cross" if task.startswith("cross") else "intra"]
        tables[task] = pairs_table([query_pair(task, n, s, t, images) for n, (s, t) in enumerate(some)])
    return tables, images


def answers(pairs: pa.Table, seed: int, spread: float) -> np.ndarray:
    """A model: the true point (of CC, where it is not shown, another valid one) missed by a normal error, the same for
    a query of CC and of SOC. Some predictions are whole tens, so that ties come up."""
    points = []
    for row in pairs.to_pylist():
        for name, valid, targets in zip(row["keypoints"], row["target_keypoints"], row["target_points"], strict=True):
            generator = np.random.default_rng([seed, *row["pair_id"].encode(), *name.encode()])
            point = targets[valid.index(name) if name in valid else 0] + generator.normal(scale=spread, size=2)
            points.append(np.round(point / 10) * 10 if generator.random() < 0.3 else point)
    return np.array(points).reshape(-1, 2)


def world_table(seed: int = 0, *, spread: float = 25.0, model: int = 0, tasks: Any = None, **options: Any) -> pa.Table:
    """A predictions table of a world with annotations; `model` is another model on the same data."""
    size = {name: options.pop(name) for name in ("per_category", "pairs") if name in options}
    tables, images = world_pairs(seed, **size)
    wanted = {name: tables[name] for name in tasks or tables}
    fields = {"supercategories": PARENTS, "images": images, "model": {"name": f"model {model}"}, **options}
    protocol = fields.pop(
        "protocol", Protocol(ScoringConfig(convention="centered", reductions=("pair", "keypoint", "image")))
    )
    answered = {name: TaskPredictions(pairs, answers(pairs, model, spread)) for name, pairs in wanted.items()}
    return build(answered, protocol, **fields)
