"""Omni3D cuboids on given 2D boxes: the 3D part of a detector as a probe on four layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...errors import DatasetFolderError
from ...features.requests import FeatureRequest
from ...features.transforms import InputTransform, PadToMultiple, ResizeShorter
from ...metrics.average_precision3d import (
    TRAINING_RULES,
    Detections,
    annotation_box2d,
    average_precision_3d,
    is_ignored,
)
from ...metrics.boxes3d import iou3d
from ...metrics.navi import rotation_angles
from ..base import Column, DownstreamTask, Job, Outcome, Stored, TaskRun, Wanted, four_layers, number
from ..fitting import Fit, fit_head
from ..heads.cuboids import (
    CuboidOutputs,
    Cuboids,
    confidences,
    corners_of,
    cuboid_loss,
    cuboid_losses,
    cuboid_outputs,
    decode_cuboids,
    init_cuboid_head,
)
from ..heads.pyramid import STRIDES, init_pyramid, pyramid_forward
from ..heads.roi_align import CELLS, region_features
from ..readers.base import DataReader
from ..readers.omni3d import Omni3dReader
from ..schedules import warmup_steps
from ..score3d import true_boxes
from ..training import OptimizerConfig, shuffled_batches

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from ...features.families.base import Backbone

_RECIPE = {
    "epochs": 10, "batch": 32, "rate": 1e-3, "eps": 1e-2, "decay": 1e-4, "warmup": 5000, "seed": 0, "side": 512,
    "pyramid": 512, "levels": 256, "hidden": 1024, "regions": "given 2D boxes and classes, 16 pixels per cell",
    "iou": "exact",
}  # fmt: skip


class Omni3dCuboids(DownstreamTask):
    """See docs/downstream/omni3d.md."""

    name = "omni3d_cuboids"
    title = "AP3D on given 2D boxes"
    data = "omni3d"
    headline = "AP3D"
    own_column = Column("ap3d_given_boxes", "AP3D (given 2D boxes)", "percent")
    default = "fixed"
    layers = "four"
    trained = True
    protocols: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "fixed": _RECIPE,
        "tiny": {
            **_RECIPE, "epochs": 40, "batch": 4, "rate": 2e-3, "eps": 1e-8, "warmup": 10, "side": 224, "pyramid": 16,
            "levels": 16, "hidden": 64,
        },
    }  # fmt: skip

    def open(self, data: DataReader, backbone: Backbone, protocol: Mapping[str, Any], work: Path) -> Job:
        assert isinstance(data, Omni3dReader)
        return _CuboidJob(data, backbone, protocol)


class _Regions(NamedTuple):
    """The given boxes of one image in network pixels.

    Attributes:
        boxes: (N, 4) [x1, y1, x2, y2].
        classes: (N,) int64, places in the list of trained classes.
        intrinsics: (3, 3).
        truth: their cuboids.
        annotations: they come from.
    """

    boxes: Tensor
    classes: Tensor
    intrinsics: Tensor
    truth: Cuboids
    annotations: list[Mapping[str, Any]]


class _CuboidJob(Job):
    def __init__(self, data: Omni3dReader, backbone: Backbone, protocol: Mapping[str, Any]) -> None:
        self._data, self._choices, self._backbone = data, protocol, backbone
        view = InputTransform((ResizeShorter(protocol["side"], "bilinear"), PadToMultiple()))
        self._view = view.for_multiple(backbone.size_multiple)
        self._request = FeatureRequest(view, four_layers(backbone))
        sizes = data.mean_sizes()
        if not sizes:
            raise DatasetFolderError(f"{data.root} has no training box that counts.")
        self._classes = {name: place for place, name in enumerate(sorted(sizes))}
        self._mean_sizes = np.stack([sizes[name] for name in sorted(sizes)])
        self._wanted = [Wanted(data.image_set(split), self._request) for split in ("train", "test")]

    def wanted(self) -> Sequence[Wanted]:
        return self._wanted

    def samples_scored(self) -> int:
        return sum(len(self._data.usable("test", image)) for image in self._data.ids("test"))

    def score(self, stored: Sequence[Stored | None], run: TaskRun) -> Outcome:
        import torch

        choices, data = self._choices, self._data
        train, test = stored
        assert train is not None
        assert test is not None
        ids = data.ids("train")
        regions = [self._regions("train", image, run.device) for image in ids]
        rows_with = [row for row, one in enumerate(regions) if one is not None]
        generator = torch.Generator().manual_seed(choices["seed"] + run.seed)
        widths = [self._backbone.channels] * 4
        start = init_pyramid(widths, generator, choices["pyramid"], choices["levels"])
        head = init_cuboid_head(choices["levels"] * CELLS**2, len(self._classes), generator, choices["hidden"])
        start |= {f"cuboid.{name}": value for name, value in head.items()}
        batches = shuffled_batches(len(rows_with), choices["batch"], choices["seed"] + run.seed)
        total = choices["epochs"] * -(-len(rows_with) // choices["batch"])
        dropped = {"regions": 0}

        def loss(weights: Any, rows: NDArray[np.int64]) -> torch.Tensor:
            parts = []
            for row in rows.tolist():
                own = regions[rows_with[row]]
                assert own is not None
                outputs, found = self._predict(weights, train.maps(rows_with[row]), own, run.device)
                parts.append(cuboid_losses(found, own.truth, own.intrinsics, outputs.uncertainty))
            value, lost = cuboid_loss({name: torch.cat([part[name] for part in parts]) for name in parts[0]})
            dropped["regions"] += lost
            return value

        fit = Fit(
            start=start,
            loss=loss,
            batches=batches,
            optimizer=OptimizerConfig("adamw", weight_decay=choices["decay"], eps=choices["eps"]),
            rate=lambda step: choices["rate"] * warmup_steps(step, total, min(choices["warmup"], total // 3)),
            epochs=choices["epochs"],
        )
        trained = fit_head(fit, run, choices)
        weights = {name: value.to(run.device) for name, value in trained.parameters.items()}
        left = {"regions with a non-finite loss": dropped["regions"]} if dropped["regions"] else {}
        return self._evaluate(test, weights, run, trained.summary, left)

    def _regions(self, split: str, image: Any, device: str) -> _Regions | None:
        """The boxes of an image that the head is trained on, or (test) that it is asked for."""
        import torch

        entry = self._data.images[split][image]
        rules = {"rules": TRAINING_RULES} if split == "train" else {}
        kept = [one for one in self._data.boxes[split][image] if one["category_name"] in self._classes]
        if split == "train":
            kept = [one for one in kept if not is_ignored(one, float(entry["height"]), **rules)]
        kept = [one for one in kept if one["center_cam"][2] > 0 and min(one["dimensions"]) > 0]
        if not kept:
            return None
        place = self._view.point_map((int(entry["width"]), int(entry["height"])))
        boxes = np.array([annotation_box2d(one) for one in kept])
        boxes = np.concatenate([place(boxes[:, :2]), place(boxes[:, 2:])], axis=1)
        shift = np.array([[place.scale[0], 0, place.offset[0]], [0, place.scale[1], place.offset[1]], [0, 0, 1]])
        intrinsics = shift @ np.asarray(entry["K"], dtype=np.float64)
        centers = np.array([one["center_cam"] for one in kept], dtype=np.float64)
        pixels = centers @ intrinsics.T

        def tensor(values: Any) -> Tensor:
            return torch.tensor(np.asarray(values), dtype=torch.float32, device=device)

        truth = Cuboids(
            tensor(pixels[:, :2] / pixels[:, 2:]),
            tensor(centers[:, 2]),
            tensor([one["dimensions"] for one in kept]),
            tensor([one["R_cam"] for one in kept]),
        )
        classes = torch.tensor([self._classes[one["category_name"]] for one in kept], device=device)
        return _Regions(tensor(boxes), classes, tensor(intrinsics), truth, list(kept))

    def _predict(self, weights: Any, maps: Tensor, own: _Regions, device: str) -> tuple[CuboidOutputs, Cuboids]:
        levels = pyramid_forward(weights, [layer[None].float().to(device) for layer in maps])
        scale = STRIDES["p4"] / self._backbone.patch_size
        pooled = region_features(levels, own.boxes * scale)
        head = {name.removeprefix("cuboid."): one for name, one in weights.items() if name.startswith("cuboid.")}
        outputs = cuboid_outputs(head, pooled, own.classes)
        import torch

        sizes = torch.tensor(self._mean_sizes, dtype=torch.float32, device=device)[own.classes]
        return outputs, decode_cuboids(outputs, own.boxes, own.intrinsics, sizes)

    def _evaluate(
        self, test: Stored, weights: Any, run: TaskRun, training: dict[str, Any], left: dict[str, int]
    ) -> Outcome:
        import torch

        ids = self._data.ids("test")
        heights = {image: float(self._data.images["test"][image]["height"]) for image in ids}
        rows: list[Mapping[str, Any]] = []
        corners, scores, errors = [], [], {name: [] for name in ("depth", "size", "rotation", "center")}  # type: ignore[var-annotated]
        for row, image in enumerate(ids):
            own = self._regions("test", image, run.device)
            if own is None:
                continue
            with torch.no_grad():
                outputs, found = self._predict(weights, test.maps(row), own, run.device)
                corners.append(corners_of(found, own.intrinsics).double().cpu().numpy())
                scores.append(confidences(outputs).double().cpu().numpy())
            rows += own.annotations
            for name, values in _errors(found, own.truth).items():
                errors[name].append(values)
        if not rows:
            return Outcome({}, left, training)
        boxes, score = np.concatenate(corners), np.concatenate(scores)
        finite = np.isfinite(boxes).all(axis=(1, 2)) & np.isfinite(score)
        truth, _ = true_boxes(rows, heights)
        detections = Detections(
            truth.image[finite], truth.category[finite], score[finite], boxes[finite], boxes[finite, :, 2].mean(axis=1)
        )
        every = [one for image in ids for one in self._data.boxes["test"][image]]
        found3d = average_precision_3d(
            detections, true_boxes(every, heights)[0], ids, sorted(self._data.categories.values())
        )
        counted = finite & ~truth.ignored
        overlap = iou3d(boxes[counted], truth.boxes[counted])
        return self._outcome(found3d, overlap, errors, (counted, rows), training, left)

    def _outcome(
        self,
        found3d: dict[str, Any],
        overlap: NDArray[np.float64],
        errors: dict[str, list[NDArray[Any]]],
        scored: tuple[NDArray[np.bool_], list[Mapping[str, Any]]],
        training: dict[str, Any],
        left: dict[str, int],
    ) -> Outcome:
        counted, _ = scored
        count, classes = int(counted.sum()), found3d["classes"]
        metrics = {
            name: number(found3d[name], classes, "percent")
            for name in ("AP3D", "AP15", "AP25", "AP50", "near", "medium", "far")
        }
        metrics["mean_iou3d"] = number(float(overlap.mean()) if count else None, count, "share")
        units = {"depth": "m", "size": "share", "rotation": "degrees", "center": "pixels"}
        for name, unit in units.items():
            values = np.concatenate(errors[name])[counted]
            metrics[f"median_{name}_error"] = number(float(np.median(values)) if count else None, count, unit)
        names = {identity: name for name, identity in self._data.categories.items()}
        per_class = {names[one]: value for one, value in found3d["per_class"].items()}
        notes = ["on given 2D boxes and classes: never comparable with AP3D of a detector", "exact IoU3D"]
        return Outcome(metrics, left, training, {"per_class_ap3d": per_class}, notes=notes)


def _errors(found: Cuboids, truth: Cuboids) -> dict[str, NDArray[Any]]:
    """Errors of each region: depth in meters, relative size, rotation in degrees, projected center in pixels."""
    between = (found.rotations @ truth.rotations.transpose(1, 2)).double().cpu().numpy()
    return {
        "depth": (found.depths - truth.depths).abs().cpu().numpy(),
        "size": ((found.dimensions - truth.dimensions).abs() / truth.dimensions).mean(dim=1).cpu().numpy(),
        "rotation": rotation_angles(between),
        "center": (found.pixels - truth.pixels).norm(dim=1).cpu().numpy(),
    }
