"""ADE20K: mean IoU of a linear layer on the last map."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ...errors import DatasetFolderError
from ...features.requests import FeatureRequest
from ...features.transforms import CropBox, InputTransform, Mirror, PadToMultiple, Resize
from ...metrics.segmentation import (
    class_iou,
    confusion_table,
    mean_iou,
    pixel_accuracy,
    predicted_labels,
    resize_nearest,
)
from ..augment import resized_crop_box
from ..base import DownstreamTask, Outcome, Stored, TableColumn, TaskJob, TaskRun, Wanted, last_layer, measured_number
from ..fitting import Fit, fit_head
from ..heads.linear import init_segmentation, segmentation_logits
from ..losses import segmentation_loss
from ..online import OnlineFeatures
from ..readers.ade20k_reader import CLASSES, Ade20kReader
from ..readers.base import DataReader
from ..schedules import step_decay
from ..training import OptimizerConfig, shuffled_batches

if TYPE_CHECKING:
    import torch

    from ...features.families.base import Backbone

_SIDE, _RASTER = 448, 100
_SHOWN = 320  # pixels of a sample's picture for the report
_VIEW = InputTransform((Resize(_SIDE, _SIDE, "bilinear"), PadToMultiple()))
_MIRRORED = InputTransform((Resize(_SIDE, _SIDE, "bilinear"), Mirror(), PadToMultiple()))
_RECIPE = {"epochs": 30, "batch": 64, "rate": 0.01, "drop_after": 20, "momentum": 0.9, "decay": 1e-4, "seed": 400}


class Ade20kLinear(DownstreamTask):
    """See docs/howto/downstream/ade20k_linear.md."""

    name = "ade20k_linear"
    title = "ADE20K linear mIoU"
    data = "ade20k"
    headline = "miou"
    column = TableColumn("ade20k_miou", "ADE mIoU", "share")
    default = "standard"
    trained = True
    protocols: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "standard": {**_RECIPE, "views": "random crops", "rule": "classes_only", "epoch": "last"},
        "reference": {**_RECIPE, "views": "random crops", "rule": "reference", "epoch": "best"},
        "fixed": {**_RECIPE, "views": "as is and mirrored", "rule": "classes_only", "epoch": "last"},
        "tiny": {
            **_RECIPE, "views": "as is and mirrored", "rule": "classes_only", "epoch": "last",
            "epochs": 12, "batch": 4, "rate": 2.0, "drop_after": 9,
        },
    }  # fmt: skip

    def open(self, data: DataReader, backbone: Backbone, protocol: Mapping[str, Any], work: Path) -> TaskJob:
        assert isinstance(data, Ade20kReader)
        return _SegmentationJob(data, backbone, protocol)


class _SegmentationJob(TaskJob):
    def __init__(self, data: Ade20kReader, backbone: Backbone, protocol: Mapping[str, Any]) -> None:
        self._data, self._choices, self._backbone = data, protocol, backbone
        layers = last_layer(backbone)
        self._stems = {split: data.stems(split) for split in ("train", "val")}
        for split, stems in self._stems.items():
            if not stems:
                raise DatasetFolderError(f"{data.root} has no pair of image and mask in {split}.")
        self._online = protocol["views"] == "random crops"
        self._wanted = [Wanted(data.image_set("val"), FeatureRequest(_VIEW, layers))]
        if not self._online:
            images = data.image_set("train")
            self._wanted += [Wanted(images, FeatureRequest(view, layers)) for view in (_VIEW, _MIRRORED)]

    def wanted(self) -> Sequence[Wanted]:
        return self._wanted

    def samples_scored(self) -> int:
        return len(self._stems["val"])

    def online_forwards(self) -> int:
        return self._choices["epochs"] * len(self._stems["train"]) if self._online else 0

    def _mask(self, split: str, number_of_image: int) -> NDArray[np.uint8]:
        mask = resize_nearest(self._data.mask(split, self._stems[split][number_of_image]), _SIDE, _SIDE)
        if int(mask.max()) >= CLASSES:
            stem = self._stems[split][number_of_image]
            raise DatasetFolderError(f"The mask of {stem} holds {int(mask.max())}; labels are 0 to 150.")
        return mask

    def score(self, stored: Sequence[Stored | None], run: TaskRun) -> Outcome:
        import torch

        choices, count = self._choices, len(self._stems["train"])
        batches = self._online_batches(run) if self._online else self._stored_batches(stored[1:])
        validation = stored[0]
        assert validation is not None

        def loss(weights: Any, rows: NDArray[np.int64]) -> torch.Tensor:
            maps, masks = batches(rows)
            logits = segmentation_logits(weights, maps.to(run.device), (_RASTER, _RASTER))
            return segmentation_loss(logits, torch.from_numpy(masks.astype(np.int64)).to(run.device))

        def validate(_: int, weights: Any) -> dict[str, Any]:
            table = self._confusion(validation, weights, run)
            return {"miou": mean_iou(table, choices["rule"])[0]}

        epochs_of_batches = shuffled_batches(count, choices["batch"], choices["seed"] + run.seed)
        self._epoch_of: dict[int, int] = {}
        fit = Fit(
            start=init_segmentation(self._backbone.channels, CLASSES, _generator(choices["seed"] + run.seed)),
            loss=loss,
            batches=lambda epoch: self._tagged(epochs_of_batches(epoch), epoch),
            optimizer=OptimizerConfig("sgd", choices["momentum"], choices["decay"]),
            rate=lambda step: (
                choices["rate"] * step_decay(step // -(-count // choices["batch"]), (choices["drop_after"],))
            ),
            epochs=choices["epochs"],
            mixed=True,
            validate=validate,
        )
        trained = fit_head(fit, run, choices, keep_best="miou" if choices["epoch"] == "best" else None)
        return self._outcome(trained.parameters, trained.summary, validation, run)

    def _tagged(self, batches: Sequence[NDArray[np.int64]], epoch: int) -> list[NDArray[np.int64]]:
        """Rows that carry their epoch, which random views are drawn from."""
        count = len(self._stems["train"])
        return [rows + epoch * count for rows in batches]

    def _stored_batches(self, stored: Sequence[Stored | None]) -> Any:
        import torch

        count = len(self._stems["train"])
        as_is, mirrored = stored
        assert as_is is not None
        assert mirrored is not None

        def batch(rows: NDArray[np.int64]) -> tuple[torch.Tensor, NDArray[np.uint8]]:
            maps, masks = [], []
            for row in rows.tolist():
                epoch, image = divmod(row, count)
                flip = np.random.default_rng([self._choices["seed"], epoch, image]).random() < 0.5
                maps.append((mirrored if flip else as_is).maps(image)[0].float())
                mask = resize_nearest(self._mask("train", image), _RASTER, _RASTER)
                masks.append(resize_nearest(self._mask("train", image)[:, ::-1], _RASTER, _RASTER) if flip else mask)
            return torch.stack(maps), np.stack(masks)

        return batch

    def _online_batches(self, run: TaskRun) -> Any:
        count = len(self._stems["train"])
        images = self._data.image_set("train")
        online = OnlineFeatures(run.extractor, FeatureRequest(_VIEW, last_layer(self._backbone)), run)

        def view(row: int) -> tuple[Any, NDArray[np.uint8]]:
            epoch, number_of_image = divmod(row, count)
            generator = np.random.default_rng([self._choices["seed"], epoch, number_of_image])
            picture = images.load(number_of_image)
            left, top, width, height = resized_crop_box(generator, picture.size, (0.8, 1.0))
            flip = generator.random() < 0.5
            steps = (
                CropBox(left, top, width, height),
                Resize(_SIDE, _SIDE, "bilinear"),
                *((Mirror(),) if flip else ()),
            )
            mask = self._data.mask("train", self._stems["train"][number_of_image])
            mask = resize_nearest(mask[top : top + height, left : left + width], _SIDE, _SIDE)
            mask = mask[:, ::-1] if flip else mask
            return InputTransform(steps).apply(picture), resize_nearest(mask, _RASTER, _RASTER)

        def batch(rows: NDArray[np.int64]) -> tuple[Any, NDArray[np.uint8]]:
            maps, masks = online.batch([int(row) for row in rows], view)
            return maps[:, 0].float(), np.stack(masks)

        return batch

    def _logits(self, stored: Stored, weights: Any, image: int, run: TaskRun, size: tuple[int, int]) -> Any:
        maps = stored.maps(image)[:1].float().to(run.device)
        return segmentation_logits(weights, maps, size)

    def _confusion(self, stored: Stored, weights: Any, run: TaskRun) -> NDArray[np.int64]:
        table = np.zeros((CLASSES, CLASSES), dtype=np.int64)
        for image in range(len(self._stems["val"])):
            truth = resize_nearest(self._mask("val", image), _RASTER, _RASTER)
            logits = self._logits(stored, weights, image, run, (_RASTER, _RASTER)).cpu().numpy()
            table += confusion_table(truth, predicted_labels(logits, self._choices["rule"])[0], CLASSES)
        return table

    def _outcome(self, weights: Any, training: dict[str, Any], stored: Stored, run: TaskRun) -> Outcome:
        import torch

        weights = {name: value.to(run.device) for name, value in weights.items()}
        with torch.no_grad():
            table = self._confusion(stored, weights, run)
            full = np.zeros_like(table)
            samples: dict[str, Any] = {}
            for image, stem in enumerate(self._stems["val"]):
                truth = self._data.mask("val", stem)
                logits = self._logits(stored, weights, image, run, truth.shape).cpu().numpy()
                labels = predicted_labels(logits, self._choices["rule"])[0]
                full += confusion_table(truth, labels, CLASSES)
                if image < run.samples:
                    picture = self._wanted[0].images.load(image)
                    picture.thumbnail((_SHOWN, _SHOWN))
                    samples |= {f"{stem}/pixels": np.asarray(picture), f"{stem}/true": truth}
                    samples[f"{stem}/predicted"] = labels.astype(np.uint8)
        value, classes = mean_iou(table, self._choices["rule"])
        images = len(self._stems["val"])
        share, pixels = pixel_accuracy(table)
        metrics = {
            "miou": measured_number(value, images if classes else 0, "share"),
            "miou_full_resolution": measured_number(mean_iou(full, self._choices["rule"])[0], images, "share"),
            "pixel_accuracy": measured_number(share, pixels, "share"),
        }
        best = training["best"]
        metrics["miou_best_epoch"] = measured_number(best["value"], images, "share")
        known = self._data.class_names()
        names = [f"{known[label]} ({label})" if label in known else str(label) for label in range(CLASSES)]
        per_class = {name: float(iou) for name, iou in zip(names, class_iou(table), strict=True) if not np.isnan(iou)}
        notes = [f"{classes} of 150 classes in the mean; best epoch {best['epoch']} of {self._choices['epochs']}"]
        return Outcome(metrics, {}, training, {"per_class_iou": per_class, "classes": classes}, samples, notes)


def _generator(seed: int) -> torch.Generator:
    import torch

    return torch.Generator().manual_seed(seed)
