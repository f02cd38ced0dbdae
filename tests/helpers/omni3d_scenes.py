"""Features that know the cuboids of synthetic Omni3D rooms, and what the true cuboids score on the grid."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from soco_datasets.downstream.base import TaskRun
from soco_datasets.downstream.extraction import Extraction
from soco_datasets.downstream.heads.cuboids import VIRTUAL_FOCAL, corners_of, ray_rotations, viewing_rays
from soco_datasets.downstream.readers.base import DataOptions
from soco_datasets.downstream.readers.known_readers import open_data
from soco_datasets.downstream.score3d import true_boxes
from soco_datasets.downstream.task_registry import downstream_tasks
from soco_datasets.metrics.average_precision3d import Detections, average_precision_3d

from .scene_features import extractor_of, learn, scene_backbone

CHANNELS = 40
_PLACES = slice(8, 14)  # of the channels that differ from cell to cell of a thing

_USUAL_DEPTH = 10.0  # virtual meters


def omni3d_truth(reader: Any, side: int, patch: int = 16) -> Any:
    """Each cell knows the nearest thing whose 2D box holds its middle, or else touches it: class, 2D box and cuboid.

    So the whole of a 2D box knows its thing, where no other one is in the way, and not only the cells well within it.
    The cuboid is told as a picture shows it: virtual depth, logarithms of the sides, rotation from the viewing ray, with
    its heading also modulo the half and the quarter turns that leave a box as it looks.
    """

    def truth(split: str, number: int, mirrored: bool) -> Any:
        image = reader.ids(split)[number]
        entry = reader.images[split][image]
        scale = side / min(entry["width"], entry["height"])
        rows, columns = (-(-int(entry[length] * scale) // patch) for length in ("height", "width"))
        found = np.zeros((CHANNELS, rows, columns), np.float32)
        y, x = np.mgrid[0:rows, 0:columns] * float(patch) + patch / 2
        intrinsics = np.diag([scale, scale, 1]) @ np.array(entry["K"])
        seen = [one for one in reader.boxes[split][image] if one["valid3D"] and one["visibility"] > 0]
        seen.sort(key=lambda one: -one["center_cam"][2])
        for reach, one in [(patch / 2, one) for one in seen] + [(0.0, one) for one in seen]:
            x1, y1, x2, y2 = np.array(one["bbox2D_trunc"]) * scale
            over = (x > x1 - reach) & (x < x2 + reach) & (y > y1 - reach) & (y < y2 + reach)
            across, down = (x - x1) / (x2 - x1), (y - y1) / (y2 - y1)
            places = np.stack([(x - x1) / 64, (y - y1) / 64, (x2 - x) / 64, (y2 - y) / 64, across - 0.5, down - 0.5])
            known = [1.0, *np.log([(x2 - x1) / 64, (y2 - y1) / 64]), *_known(one, intrinsics, (x1, y1, x2, y2))]
            found[:, over] = 0
            found[one["category_id"], over] = 1
            found[_PLACES, over] = places[:, over]
            found[_PLACES.stop : _PLACES.stop + len(known), over] = np.array(known)[:, None]
        return found

    return truth


def _known(one: Any, intrinsics: Any, box: tuple[float, ...]) -> list[float]:
    x1, y1, x2, y2 = box
    center = np.array(one["center_cam"])
    pixel = (intrinsics @ center)[:2] / center[2]
    ray = viewing_rays(torch.tensor(pixel[None]), torch.tensor(intrinsics))
    turned = ray_rotations(ray)[0].numpy().T @ np.array(one["R_cam"])
    shift = (pixel - np.array([x1 + x2, y1 + y2]) / 2) / np.array([x2 - x1, y2 - y1])
    depth = center[2] * VIRTUAL_FOCAL / intrinsics[1, 1]
    heading = np.arctan2(turned[0, 2], turned[0, 0])
    turns = [wave(times * heading) for times in (2, 4) for wave in (np.cos, np.sin)]
    return [*(4 * shift), depth - _USUAL_DEPTH, *(3 * np.log(one["dimensions"])), *turned.ravel(), *turns]


def rounded_ap3d(job: Any, patch: int = 16) -> float:
    """AP3D of the true cuboids of the test images with their projected centers moved to the middles of cells."""
    ids = job.data.ids("test")
    heights = {image: float(job.data.images["test"][image]["height"]) for image in ids}
    corners, annotations = [], []
    for image in ids:
        own = job.regions("test", image, "cpu")
        if own is not None:
            middles = (own.truth.pixels / patch).floor() * patch + patch / 2
            corners.append(corners_of(own.truth._replace(pixels=middles), own.intrinsics).double().numpy())
            annotations += own.annotations
    boxes, truth = np.concatenate(corners), true_boxes(annotations, heights)[0]
    found = Detections(truth.image, truth.category, np.ones(len(boxes)), boxes, boxes[:, :, 2].mean(axis=1))
    every = [one for image in ids for one in job.data.boxes["test"][image]]
    scores = average_precision_3d(found, true_boxes(every, heights)[0], ids, sorted(job.data.categories.values()))
    return float(scores["AP3D"])


def scores_of(
    name: str,
    data: Path,
    out: Path,
    *,
    epochs: int | None = None,
    subset: int | None = None,
    known: bool = False,
    seed: int = 0,
) -> tuple[Any, float]:
    """The outcome of a task for features that know the truth, or constant ones; AP3D of true cuboids on the grid."""
    task = downstream_tasks()[name]
    reader: Any = open_data("omni3d", data, DataOptions(subset))
    backbone = scene_backbone(16, CHANNELS, "truth" if known else "constant")
    choices = dict(task.protocols["tiny"]) | ({"epochs": epochs} if epochs else {})
    job: Any = task.open(reader, backbone, choices, out)
    if known:
        learn(backbone, job.wanted(), omni3d_truth(reader, choices["side"]))
    extraction = Extraction(extractor_of(backbone), None)
    sinks: Any = extraction.open(list(job.wanted()))
    extraction.run(list(job.wanted()), sinks)
    out.mkdir(exist_ok=True, parents=True)
    run = TaskRun(extractor_of(backbone), out, out, "task", seed, "cpu", dict(extraction.counts))
    return job.score(sinks, run), rounded_ap3d(job)
