"""Omni3D cuboids on given 2D boxes: the 3D part of a detector as a probe on four layers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ...metrics.average_precision3d import (
    Detections,
    average_precision_3d,
)
from ...metrics.boxes3d import iou3d
from ...metrics.navi import rotation_angles
from ..base import Outcome, Stored, TableColumn, TaskJob, TaskRun, measured_number
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
    start_upright,
)
from ..heads.pyramid import STRIDES, init_pyramid, pyramid_forward
from ..heads.roi_align import CELLS, region_features
from ..omni3d_regions import OMNI3D_RECIPE, UPRIGHT, Omni3dJob, Omni3dTask, Regions, tiny_omni3d
from ..readers.base import DataReader
from ..readers.omni3d_reader import Omni3dReader
from ..score3d import true_boxes
from ..training import OptimizerConfig, shuffled_batches

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from ...features.families.base import Backbone


_HALF_TURNS = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]])  # diagonals


class Omni3dCuboids(Omni3dTask):
    """See docs/howto/downstream/omni3d.md."""

    name = "omni3d_cuboids"
    title = "AP3D on given 2D boxes"
    own_column = TableColumn("ap3d_given_boxes", "AP3D (given 2D boxes)", "percent")
    protocols: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "fixed": OMNI3D_RECIPE,
        "tiny": {**OMNI3D_RECIPE, **tiny_omni3d(epochs=20)},
    }

    def open(self, data: DataReader, backbone: Backbone, protocol: Mapping[str, Any], work: Path) -> TaskJob:
        assert isinstance(data, Omni3dReader)
        return _CuboidJob(data, backbone, protocol)


class _CuboidJob(Omni3dJob):
    def score(self, stored: Sequence[Stored | None], run: TaskRun) -> Outcome:
        import torch

        choices, data = self.choices, self.data
        train, test = stored
        assert train is not None
        assert test is not None
        ids = data.ids("train")
        regions = [self.regions("train", image, run.device) for image in ids]
        rows_with = [row for row, one in enumerate(regions) if one is not None]
        generator = torch.Generator().manual_seed(choices["seed"] + run.seed)
        widths = [self.backbone.channels] * 4
        start = init_pyramid(widths, generator, choices["pyramid"], choices["levels"])
        head = init_cuboid_head(choices["levels"] * CELLS**2, len(self.classes), generator, choices["hidden"])
        start |= {f"cuboid.{name}": value for name, value in head.items()}
        if choices["start"] == UPRIGHT:
            start_upright(start, self.depths(regions), "cuboid.")
        batches = shuffled_batches(len(rows_with), choices["batch"], choices["seed"] + run.seed)
        total = choices["epochs"] * -(-len(rows_with) // choices["batch"])
        dropped = {"regions": 0}

        def loss(weights: Any, rows: NDArray[np.int64]) -> torch.Tensor:
            parts, images = [], [rows_with[row] for row in rows.tolist()]
            for places, levels in self._levels(weights, train, images, run.device):
                for number, place in enumerate(places):
                    own = regions[images[place]]
                    assert own is not None
                    outputs, found = self._predict(weights, levels, number, own)
                    parts.append(cuboid_losses(found, own.truth, own.intrinsics, outputs.uncertainty))
            value, lost = cuboid_loss({name: torch.cat([part[name] for part in parts]) for name in parts[0]})
            dropped["regions"] += lost
            return value

        fit = Fit(
            start=start,
            loss=loss,
            batches=batches,
            optimizer=OptimizerConfig("adamw", weight_decay=choices["decay"], eps=choices["eps"]),
            rate=self.rates(total),
            epochs=choices["epochs"],
            counters=dropped,
        )
        trained = fit_head(fit, run, choices)
        weights = {name: value.to(run.device) for name, value in trained.parameters.items()}
        left = self.left_out(regions, dropped["regions"])
        return self._evaluate(test, weights, run, trained.summary, left)

    def _levels(
        self, weights: Any, stored: Stored, rows: Sequence[int], device: str
    ) -> Iterator[tuple[list[int], dict[str, Tensor]]]:
        """Levels of the pyramid, of images of one shape together, with their places in `rows`."""
        for places, maps in self.maps(stored, rows, device):
            yield places, pyramid_forward(weights, maps)

    def _predict(
        self, weights: Any, levels: Mapping[str, Tensor], number: int, own: Regions
    ) -> tuple[CuboidOutputs, Cuboids]:
        """Cuboids of the given boxes of the image in row `number` of the levels."""
        import torch

        pooled = region_features(levels, own.boxes * (STRIDES["p4"] / self.backbone.patch_size), number)
        head = {name.removeprefix("cuboid."): one for name, one in weights.items() if name.startswith("cuboid.")}
        outputs = cuboid_outputs(head, pooled, own.classes)
        sizes = torch.tensor(self.mean_sizes, dtype=torch.float32, device=pooled.device)[own.classes]
        return outputs, decode_cuboids(outputs, own.boxes, own.intrinsics, sizes)

    def _evaluate(
        self, test: Stored, weights: Any, run: TaskRun, training: dict[str, Any], left: dict[str, int]
    ) -> Outcome:
        import torch

        ids = self.data.ids("test")
        heights = {image: float(self.data.images["test"][image]["height"]) for image in ids}
        rows: list[Mapping[str, Any]] = []
        corners, scores, errors = [], [], {name: [] for name in ("depth", "size", "rotation", "center")}  # type: ignore[var-annotated]
        for row, image in enumerate(ids):
            own = self.regions("test", image, run.device)
            if own is None:
                continue
            with torch.no_grad():
                ((_, levels),) = self._levels(weights, test, [row], run.device)
                outputs, found = self._predict(weights, levels, 0, own)
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
        every = [one for image in ids for one in self.data.boxes["test"][image]]
        found3d = average_precision_3d(
            detections, true_boxes(every, heights)[0], ids, sorted(self.data.categories.values())
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
            name: measured_number(found3d[name], classes, "percent")
            for name in ("AP3D", "AP15", "AP25", "AP50", "near", "medium", "far")
        }
        metrics["mean_iou3d"] = measured_number(float(overlap.mean()) if count else None, count, "share")
        units = {"depth": "m", "size": "share", "rotation": "degrees", "center": "pixels"}
        for name, unit in units.items():
            values = np.concatenate(errors[name])[counted]
            metrics[f"median_{name}_error"] = measured_number(float(np.median(values)) if count else None, count, unit)
        names = {identity: name for name, identity in self.data.categories.items()}
        per_class = {names[one]: value for one, value in found3d["per_class"].items()}
        notes = ["on given 2D boxes and classes: never comparable with AP3D of a detector", "exact IoU3D"]
        return Outcome(metrics, left, training, {"per_class_ap3d": per_class}, notes=notes)


def _errors(found: Cuboids, truth: Cuboids) -> dict[str, NDArray[Any]]:
    """Errors of each region: depth in meters, relative size, rotation in degrees, projected center in pixels.

    The rotation is compared up to the half turns that leave a cuboid as it is: the Chamfer loss takes them as equal.
    """
    one, other = (part.rotations.double().cpu().numpy() for part in (found, truth))
    turned = [rotation_angles(one * half @ other.transpose(0, 2, 1)) for half in _HALF_TURNS]
    return {
        "depth": (found.depths - truth.depths).abs().cpu().numpy(),
        "size": ((found.dimensions - truth.dimensions).abs() / truth.dimensions).mean(dim=1).cpu().numpy(),
        "rotation": np.min(turned, axis=0),
        "center": (found.pixels - truth.pixels).norm(dim=1).cpu().numpy(),
    }
