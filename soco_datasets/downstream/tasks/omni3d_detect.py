"""Omni3D detection end to end on frozen features: AP3D over the detector's own detections."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ...metrics.average_precision3d import Detections, average_precision_2d, average_precision_3d
from ..base import Outcome, Stored, TableColumn, TaskJob, TaskRun, measured_number
from ..fitting import Fit, fit_head
from ..heads.cuboids import corners_of
from ..heads.detector import Detector, DetectorConfig, Found, TrueRegions, init_detector
from ..heads.pyramid import STRIDES
from ..omni3d_regions import COSINE, OMNI3D_RECIPE, UPRIGHT, Omni3dJob, Omni3dTask, tiny_omni3d
from ..readers.base import DataReader
from ..readers.omni3d_reader import Omni3dReader
from ..score3d import true_boxes
from ..training import OptimizerConfig, shuffled_batches

if TYPE_CHECKING:
    import torch

    from ...features.families.base import Backbone


_RECIPE: dict[str, Any] = {
    "eps": 1e-8, "clip": 10.0, "schedule": COSINE, "sampling": asdict(DetectorConfig()),
    "start": UPRIGHT,
}  # fmt: skip

_TINY_SAMPLING = asdict(DetectorConfig(anchors=64, regions=32, share=0.5, before=200, after=50, nms=0.3))


class Omni3dDetect(Omni3dTask):
    """See docs/howto/downstream/omni3d.md."""

    name = "omni3d_detect"
    title = "AP3D of a detector on frozen features"
    own_column = TableColumn("ap3d_own_detector", "AP3D (own detector)", "percent")
    protocols: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "fixed": {**OMNI3D_RECIPE, **_RECIPE, "epochs": 12, "batch": 16, "rate": 2e-4, "warmup": 1000},
        "tiny": {
            **OMNI3D_RECIPE,
            **_RECIPE,
            **tiny_omni3d(epochs=40),
            "batch": 2,
            "rate": 2e-3,
            "sampling": _TINY_SAMPLING,
        },
    }

    def open(self, data: DataReader, backbone: Backbone, protocol: Mapping[str, Any], work: Path) -> TaskJob:
        assert isinstance(data, Omni3dReader)
        return _DetectionJob(data, backbone, protocol)


class _DetectionJob(Omni3dJob):
    def score(self, stored: Sequence[Stored | None], run: TaskRun) -> Outcome:
        import torch

        choices = self.choices
        train, test = stored
        assert train is not None
        assert test is not None
        regions = [self.regions("train", image, run.device) for image in self.data.ids("train")]
        rows_with = [row for row, one in enumerate(regions) if one is not None]
        count, seed = len(rows_with), choices["seed"] + run.seed
        sizes = torch.tensor(self.mean_sizes, dtype=torch.float32, device=run.device)
        config = DetectorConfig(**choices["sampling"])
        detector = Detector(config, sizes, STRIDES["p4"] / self.backbone.patch_size)
        batches = shuffled_batches(count, choices["batch"], seed)
        total = choices["epochs"] * -(-count // choices["batch"])
        dropped = {"regions": 0}

        def loss(weights: Any, rows: NDArray[np.int64]) -> torch.Tensor:
            drawn = [divmod(row, count) for row in rows.tolist()]  # epoch, place
            values = []
            for places, maps in self.maps(train, [rows_with[place] for _, place in drawn], run.device):
                for place, image in zip(places, detector.see(weights, maps), strict=True):
                    own = regions[rows_with[drawn[place][1]]]
                    assert own is not None
                    true = TrueRegions(own.boxes, own.classes, own.intrinsics, own.truth)
                    found = detector.losses(weights, image, true, _generator(seed, *drawn[place]))
                    value, lost = _sum_of(found)
                    dropped["regions"] += lost
                    values.append(value)
            return torch.stack(values).mean()

        generator = torch.Generator().manual_seed(seed)
        fit = Fit(
            start=init_detector([self.backbone.channels] * 4, self.depths(regions), generator, choices),
            loss=loss,
            batches=lambda epoch: [rows + epoch * count for rows in batches(epoch)],
            optimizer=OptimizerConfig("adamw", weight_decay=choices["decay"], eps=choices["eps"], clip=choices["clip"]),
            rate=self.rates(total),
            epochs=choices["epochs"],
            counters=dropped,
        )
        trained = fit_head(fit, run, choices)
        weights = {name: value.to(run.device) for name, value in trained.parameters.items()}
        left = self.left_out(regions, dropped["regions"])
        return self._evaluate(test, weights, detector, run, Outcome({}, left, trained.summary))

    def _evaluate(self, test: Stored, weights: Any, detector: Detector, run: TaskRun, outcome: Outcome) -> Outcome:
        import torch

        ids = self.data.ids("test")
        parts: list[tuple[int, Found, Any]] = []
        for row, image in enumerate(ids):
            intrinsics = self.intrinsics("test", image, run.device)
            with torch.no_grad():
                ((_, maps),) = self.maps(test, [row], run.device)
                found = detector.detect(weights, detector.see(weights, maps)[0], intrinsics)
            parts.append((image, found, corners_of(found.cuboids, intrinsics)))
        heights = {image: float(self.data.images["test"][image]["height"]) for image in ids}
        every = [one for image in ids for one in self.data.boxes["test"][image]]
        true3d, true2d = true_boxes(every, heights)
        found3d, found2d = self._detections(parts)
        categories = sorted(self.data.categories.values())
        scores = average_precision_3d(found3d, true3d, ids, categories)
        flat = average_precision_2d(found2d, true2d, ids, categories)
        names = ("AP3D", "AP15", "AP25", "AP50", "near", "medium", "far")
        outcome.metrics = {name: measured_number(scores[name], scores["classes"], "percent") for name in names}
        outcome.metrics["AP2D"] = measured_number(flat["AP2D"], scores["classes"], "percent")
        labels = {identity: name for name, identity in self.data.categories.items()}
        outcome.details = {
            "per_class_ap3d": {labels[one]: value for one, value in scores["per_class"].items()},
            "detections": len(found3d.score),
        }
        outcome.notes = ["own detector on frozen features: never r8's AP3D", "exact IoU3D"]
        return outcome

    def _detections(self, parts: Sequence[tuple[int, Found, Any]]) -> tuple[Detections, Detections]:
        """Cuboids, and 2D boxes in pixels of the image."""
        by_place = {place: self.data.categories[name] for name, place in self.classes.items()}
        image = np.concatenate([np.full(len(found.scores), one, dtype=np.int64) for one, found, _ in parts])
        category = np.array([by_place[int(c)] for _, found, _ in parts for c in found.classes], dtype=np.int64)
        score = np.concatenate([found.scores.double().cpu().numpy() for _, found, _ in parts])
        corners = np.concatenate([one.double().cpu().numpy() for _, _, one in parts]).reshape(-1, 8, 3)
        flat = np.concatenate([self.to_image(one, found.boxes.double().cpu().numpy()) for one, found, _ in parts])
        sides = flat[:, 2:] - flat[:, :2]
        keep = np.isfinite(corners).all(axis=(1, 2)) & np.isfinite(score)
        common = (image[keep], category[keep], score[keep])
        boxes2d = np.concatenate([flat[:, :2], sides], axis=1)[keep]
        return (
            Detections(*common, corners[keep], corners[keep][:, :, 2].mean(axis=1) if keep.any() else np.empty(0)),
            Detections(*common, boxes2d, boxes2d[:, 2] * boxes2d[:, 3]),
        )


def _sum_of(losses: Mapping[str, Any]) -> tuple[Any, int]:
    """(sum of an image's losses with the mean over finite regions of "cuboid", regions left out)."""
    import torch

    total = torch.stack([value for name, value in losses.items() if name != "cuboid"]).sum()
    if "cuboid" not in losses:
        return total, 0
    finite = torch.isfinite(losses["cuboid"])
    if bool(finite.any()):
        total = total + losses["cuboid"][finite].mean()
    return total, int((~finite).sum())


def _generator(seed: int, epoch: int, image: int) -> torch.Generator:
    """Draws of an image in an epoch: a function of these alone."""
    import torch

    state = np.random.SeedSequence([seed, epoch, image]).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(state[0] >> np.uint64(1)))
