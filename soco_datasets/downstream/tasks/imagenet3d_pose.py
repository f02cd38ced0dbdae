"""ImageNet3D: three angles of an object by linear layers on the global vectors of four layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ...errors import DatasetFolderError
from ...features.requests import FeatureRequest
from ...features.transforms import InputTransform, Mirror, PadToMultiple, Resize
from ...metrics.pose import (
    angle_bins,
    bin_middles,
    mirrored_angles,
    pose_scores,
    pose_scores_by_class,
    rotation_errors,
)
from ..base import DownstreamTask, Outcome, Stored, TableColumn, TaskJob, TaskRun, Wanted, four_layers, measured_number
from ..fitting import Fit, fit_head
from ..heads.linear import init_pose, pose_logits
from ..losses import pose_loss
from ..readers.base import DataReader
from ..readers.imagenet3d_reader import ImageNet3dReader
from ..schedules import half_cosine
from ..training import OptimizerConfig, shuffled_batches

if TYPE_CHECKING:
    import torch

    from ...features.families.base import Backbone

_VIEW = InputTransform((Resize(224, 224), PadToMultiple()))
_MIRRORED = InputTransform((Resize(224, 224), Mirror(), PadToMultiple()))
_SHOWN = 256  # pixels of a sample for the report
_RECIPE = {"bins": 40, "epochs": 10, "batch": 128, "rate": 0.01, "last_rate": 1e-5, "momentum": 0.9, "seed": 0}
_METRICS = {
    "acc_pi6": ("below_30_degrees", "share"),
    "acc_pi18": ("below_10_degrees", "share"),
    "median_error": ("median_degrees", "degrees"),
    "median_error_reference": ("median_degrees_reference", "degrees"),
    "mean_error": ("mean_degrees", "degrees"),
}


class ImageNet3dPose(DownstreamTask):
    """See docs/howto/downstream/imagenet3d_pose.md."""

    name = "imagenet3d_pose"
    title = "ImageNet3D accuracy at 30 degrees"
    data = "imagenet3d"
    headline = "acc_pi6"
    column = TableColumn("imagenet3d_acc_pi6", "pose 30 deg", "share")
    layers = "four"
    trained = True
    protocols: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "reference": {**_RECIPE, "vectors": "four layers, concatenated", "mirror": 0.5},
        "tiny": {
            **_RECIPE,
            "vectors": "four layers, concatenated",
            "mirror": 0.5,
            "epochs": 60,
            "batch": 8,
            "rate": 0.1,
        },
    }

    def open(self, data: DataReader, backbone: Backbone, protocol: Mapping[str, Any], work: Path) -> TaskJob:
        assert isinstance(data, ImageNet3dReader)
        return _PoseJob(data, backbone, protocol)


class _PoseJob(TaskJob):
    def __init__(self, data: ImageNet3dReader, backbone: Backbone, protocol: Mapping[str, Any]) -> None:
        self._choices = protocol
        self._objects = {split: data.objects(split) for split in ("train", "val")}
        for split, objects in self._objects.items():
            if not objects:
                raise DatasetFolderError(f"{data.root} has no object in {split}.")
        layers = four_layers(backbone)
        train = data.image_set("train")

        def request(view: InputTransform) -> FeatureRequest:
            return FeatureRequest(view, layers, dense=False, pooling="auto")

        self._wanted = [Wanted(train, request(view)) for view in (_VIEW, _MIRRORED)]
        self._queries = data.image_set("val")
        self._wanted.append(Wanted(self._queries, request(_VIEW)))

    def wanted(self) -> Sequence[Wanted]:
        return self._wanted

    def samples_scored(self) -> int:
        return len(self._objects["val"])

    def score(self, stored: Sequence[Stored | None], run: TaskRun) -> Outcome:
        import torch

        choices = self._choices
        as_is, mirrored, queries = (
            one.vectors().reshape(len(one.vectors()), -1).astype(np.float32) for one in stored if one is not None
        )
        angles = np.array([one.angles for one in self._objects["train"]])
        bins = np.stack([angle_bins(angles, choices["bins"]), angle_bins(mirrored_angles(angles), choices["bins"])])
        vectors, count = np.stack([as_is, mirrored]), len(as_is)

        def loss(weights: Any, rows: NDArray[np.int64]) -> torch.Tensor:
            epoch, objects = np.divmod(rows, count)
            draws = [
                np.random.default_rng([choices["seed"], e, o]).random() for e, o in zip(epoch, objects, strict=True)
            ]
            flips = (np.array(draws) < choices["mirror"]).astype(int)
            batch = torch.from_numpy(vectors[flips, objects]).to(run.device)
            return pose_loss(pose_logits(weights, batch), torch.from_numpy(bins[flips, objects]).to(run.device))

        seed = choices["seed"] + run.seed
        batches = shuffled_batches(count, choices["batch"], seed)
        total = choices["epochs"] * -(-count // choices["batch"])
        fit = Fit(
            start=init_pose(vectors.shape[2], choices["bins"], torch.Generator().manual_seed(seed)),
            loss=loss,
            batches=lambda epoch: [rows + epoch * count for rows in batches(epoch)],
            optimizer=OptimizerConfig("sgd", choices["momentum"]),
            rate=lambda step: half_cosine(step, total, choices["rate"], choices["last_rate"]),
            epochs=choices["epochs"],
            mixed=True,
        )
        trained = fit_head(fit, run, choices)
        with torch.no_grad():
            logits = pose_logits(trained.parameters, torch.from_numpy(queries))
        return self._outcome(bin_middles(logits.argmax(dim=2).numpy(), choices["bins"]), trained.summary, run)

    def _outcome(self, found: NDArray[np.float64], training: dict[str, Any], run: TaskRun) -> Outcome:
        objects = self._objects["val"]
        truth = np.array([one.angles for one in objects])
        errors = rotation_errors(found, truth)
        scores = pose_scores(errors)
        metrics = {name: measured_number(scores[key], len(objects), unit) for name, (key, unit) in _METRICS.items()}
        by_class = pose_scores_by_class(errors, [one.category for one in objects])
        mean = by_class["mean_over_classes"]["below_30_degrees"]
        metrics["acc_pi6_mean_over_classes"] = measured_number(mean, by_class["classes"], "share")
        per_class = {name: one["below_30_degrees"] for name, one in by_class["per_class"].items()}
        samples: dict[str, Any] = {}
        for place in np.linspace(0, len(objects) - 1, min(run.samples, len(objects))).astype(int):
            name = objects[place].name
            pixels = np.asarray(self._queries.load(int(place)).resize((_SHOWN, _SHOWN)))
            samples |= {f"{name}/pixels": pixels, f"{name}/predicted": found[place], f"{name}/true": truth[place]}
        details = {"per_class_acc_pi6": per_class}
        return Outcome(metrics, {}, training, details, samples)
