"""A straightforward evaluator: for each pair decode two images, run two forwards, match, count. For comparison only.

It is written as one would from the paper, shares nothing with the toolkit but the model's forward and the reading of
the built folder, and follows the convention `reference`. Its PCK equals that of `evaluate_backbone`; the counts show
what that costs: two decodes and two forwards for each pair instead of one for each image.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from PIL import Image

from soco_datasets.data.folder import DatasetFolder
from soco_datasets.features.extractor import DenseFeatureExtractor

SCENES = {"intra": ("cc", "soc"), "cross": ("cross_cc", "cross_soc")}  # the two tasks that one pair file holds


@dataclass
class PerPair:
    """What the evaluator gives.

    Attributes:
        pck: (task, alpha) -> mean over categories of the mean over pairs of the fraction of hits, 0..1.
        counts: pairs, decodes and forwards.
    """

    pck: dict[tuple[str, float], float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=lambda: {"pairs": 0, "decodes": 0, "forwards": 0})


def evaluate_per_pair(
    extractor: DenseFeatureExtractor,
    folder: DatasetFolder,
    scenes: tuple[str, ...] = ("intra", "cross"),
    alphas: tuple[float, ...] = (0.1, 0.05, 0.02),
) -> PerPair:
    """Evaluate CC and SOC of every pair, one pair at a time.

    Args:
        extractor: only its model, size and grid are used.
        folder: a built folder.
        scenes: "intra" and "cross".
        alphas: PCK thresholds.
    """
    result = PerPair()
    for scene in scenes:
        fractions: dict[tuple[str, float], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
        tables = [folder.table(config, "test").to_pylist() for config in SCENES[scene]]
        for rows in zip(*tables, strict=True):  # the same pairs in the same order
            _evaluate_pair(extractor, folder, dict(zip(SCENES[scene], rows, strict=True)), alphas, fractions, result)
        for key, by_category in fractions.items():
            result.pck[key] = float(np.mean([np.mean(values) for values in by_category.values()]))
    return result


def _evaluate_pair(
    extractor: DenseFeatureExtractor,
    folder: DatasetFolder,
    rows: dict[str, dict[str, Any]],
    alphas: tuple[float, ...],
    fractions: dict[tuple[str, float], dict[str, list[float]]],
    result: PerPair,
) -> None:
    pair = next(iter(rows.values()))
    if any(row["pair_id"] != pair["pair_id"] for row in rows.values()):
        raise ValueError(f"the configs list different pairs at {pair['pair_id']}")
    source, target = (
        _features(extractor, folder.images.jpeg_bytes(pair[f"{side}_image_id"])) for side in ("source", "target")
    )
    result.counts["pairs"] += 1
    result.counts["decodes"] += 2
    result.counts["forwards"] += 2
    for task, row in rows.items():
        if not row["keypoints"]:
            continue
        errors = _errors(row, source, target, extractor.size)
        for alpha in alphas:
            fractions[task, alpha][row["pair_group"]].append((errors < alpha).double().mean().item())


def _features(extractor: DenseFeatureExtractor, data: bytes) -> torch.Tensor:
    """(C, h, w) features of unit length."""
    import io

    image = Image.open(io.BytesIO(data)).convert("RGB")
    square = Image.new("RGB", (max(image.size),) * 2, (255, 255, 255))
    square.paste(image, (0, 0))
    pixels = torch.from_numpy(np.array(square.resize((extractor.size,) * 2, Image.Resampling.BICUBIC)))
    statistics, device = extractor.backbone.statistics, extractor.backbone.device
    batch = pixels.permute(2, 0, 1).float().div(255)[None]
    batch = (batch - torch.tensor(statistics.mean).view(3, 1, 1)) / torch.tensor(statistics.std).view(3, 1, 1)
    with torch.inference_mode():
        return torch.nn.functional.normalize(extractor.backbone.forward(batch.to(device)).float(), dim=1)[0]


def _errors(row: dict[str, Any], source: torch.Tensor, target: torch.Tensor, size: int) -> torch.Tensor:
    """(Q,) distance of each prediction to its nearest valid target, in units of the target's box."""
    grid, side = target.shape[-1], max(row["target_size"])
    query = _truncated(row["source_points"], max(row["source_size"]), size).to(source.device)
    sampled = torch.nn.functional.grid_sample(source[None], query[None, None] * 2 - 1, align_corners=True)[0, :, 0]
    best = (sampled.T @ target.flatten(1)).argmax(dim=1).cpu()
    predicted = torch.stack([best % grid, best // grid], dim=1).float() / grid
    box = row["target_bbox"]
    scale = 1.0 if box is None else max(box[2] - box[0], box[3] - box[1]) / side
    nearest = [
        (_truncated(points, side, size) - place).norm(dim=1).min()
        for place, points in zip(predicted, row["target_points"], strict=True)
    ]
    return torch.stack(nearest) / scale


def _truncated(points: list[list[float]], side: int, size: int) -> torch.Tensor:
    """(N, 2) points in 0..1 of the padded square, cut to whole pixels before and after scaling, as the reference."""
    whole = torch.tensor([[int(x), int(y)] for x, y in points], dtype=torch.int32)
    return (whole * size / side).int().float() / size
