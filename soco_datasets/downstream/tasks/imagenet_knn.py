"""ImageNet kNN: top-1 accuracy of a weighted nearest-neighbor vote on global vectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ...errors import SocoError, UsageError
from ...features.requests import FeatureRequest
from ...features.transforms import CropBox, InputTransform, Mirror, PadToMultiple, Resize, shorter_side_crop
from ...metrics.knn import Neighbors, knn_accuracy, merge_neighbors, nearest_neighbors
from ..augment import resized_crop_box
from ..base import DownstreamTask, Outcome, Stored, TableColumn, TaskJob, TaskRun, Wanted, last_layer, measured_number
from ..extraction_shards import search_shard
from ..readers.base import DataReader, ImageSet
from ..readers.imagenet_reader import ImageNetReader

if TYPE_CHECKING:
    from ...features.families.base import Backbone

_QUERY = shorter_side_crop(256, 224).then(PadToMultiple())
_USUAL_K = 20
_BANK_SHARD = 65_536  # vectors per job of a cluster


class ImageNetKnn(DownstreamTask):
    """See docs/howto/downstream/imagenet_knn.md."""

    name = "imagenet_knn"
    title = "ImageNet kNN top-1"
    data = "imagenet"
    headline = "top1_best_k"
    column = TableColumn("imagenet_knn_top1", "kNN %", "percent")
    default = "standard"
    protocols: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "standard": {"bank": "shorter side 256, center crop 224", "ks": [10, 20, 100, 200], "drop_last": False},
        "reference": {
            "bank": "random resized crop 224, area 0.2..1, ratio 3/4..4/3, mirror 1/2",
            "ks": [20, 100, 200],
            "drop_last": True,
            "batch": 256,
        },
        "tiny": {"bank": "shorter side 256, center crop 224", "ks": [3, 5], "drop_last": False},
    }

    def open(self, data: DataReader, backbone: Backbone, protocol: Mapping[str, Any], work: Path) -> TaskJob:
        assert isinstance(data, ImageNetReader)
        return _KnnJob(data, backbone, protocol)


class _KnnJob(TaskJob):
    def __init__(self, data: ImageNetReader, backbone: Backbone, protocol: Mapping[str, Any]) -> None:
        self._protocol = protocol
        bank = data.items("train")
        self._dropped = 0
        self._seed = data.options.seed
        images = data.image_set("train")
        transform: InputTransform = _QUERY
        if protocol["drop_last"]:
            order = np.random.default_rng([self._seed, 256]).permutation(len(bank))
            kept = len(bank) // protocol["batch"] * protocol["batch"] or len(bank)
            self._dropped = len(bank) - kept
            rows = sorted(order[:kept].tolist())
            bank = [bank[row] for row in rows]
            images = self._augmented(data, images, rows)
            transform = InputTransform((Resize(224, 224), PadToMultiple()))
        self._bank_labels = np.array([label for _, label, _ in bank], dtype=np.int64)
        queries = data.items("val")
        self._targets = np.array([label for _, label, _ in queries], dtype=np.int64)
        layers = last_layer(backbone)
        self._wanted = [
            Wanted(images, FeatureRequest(transform, layers, dense=False, pooling="auto")),
            Wanted(data.image_set("val"), FeatureRequest(_QUERY, layers, dense=False, pooling="auto")),
        ]
        self._ks = [k for k in protocol["ks"] if k <= len(bank)]
        if not self._ks:
            raise UsageError(f"The bank holds {len(bank)} images, fewer than the smallest k of {protocol['ks']}.")

    def _augmented(self, data: ImageNetReader, images: ImageSet, rows: list[int]) -> ImageSet:
        """The bank's images, each through its own crop and mirror, drawn from (seed, row)."""

        def load(number: int) -> Image.Image:
            picture = images.load(rows[number])
            generator = np.random.default_rng([self._seed, rows[number]])
            box = resized_crop_box(generator, picture.size, (0.2, 1.0))
            steps = (CropBox(*box), Resize(224, 224), *((Mirror(),) if generator.random() < 0.5 else ()))
            return Image.fromarray(InputTransform(steps).apply(picture))

        keys = tuple(images.keys[row] for row in rows)
        return ImageSet("train, augmented", keys, load, f"{images.identity}/crops of seed {self._seed}")

    def wanted(self) -> Sequence[Wanted]:
        return self._wanted

    def samples_scored(self) -> int:
        return len(self._targets)

    def score(self, stored: Sequence[Stored | None], run: TaskRun) -> Outcome:
        bank, queries = (one.vectors()[:, 0] for one in stored if one is not None)
        if not np.isfinite(queries).all():
            raise SocoError("The global vectors of some queries are not finite. Extract them again.")
        neighbors = _search(queries, bank, max(self._ks), run)
        found = knn_accuracy(neighbors, self._bank_labels, self._targets, self._ks)
        count, best = found["queries"], found["best_k"]
        accuracy = found["accuracy"]
        metrics = {"top1_best_k": measured_number(accuracy[best]["top1"] if best else None, count, "percent")}
        for k in self._ks:
            for top, value in accuracy[k].items():
                metrics[f"{top}_k{k}"] = measured_number(value, count, "percent")
        notes = [f"best k = {best}, chosen on the validation set itself"]
        if _USUAL_K in self._ks:
            notes.append(f"k = {_USUAL_K}, the usual choice: {accuracy[_USUAL_K]['top1']:.2f} %")
        left = {"last incomplete batch of the bank": self._dropped} if self._dropped else {}
        return Outcome(metrics, left, details={"best_k": best, "bank": len(bank)}, notes=notes)


def _search(queries: NDArray[Any], bank: NDArray[Any], k: int, run: TaskRun) -> Neighbors:
    """The nearest neighbors, shard of the bank by shard where there is a cluster; the same either way."""
    if run.mapper is None or len(bank) <= max(k, _BANK_SHARD):
        return nearest_neighbors(queries, bank, k)
    starts = range(0, len(bank), _BANK_SHARD)
    shards: list[dict[str, Any]] = [
        {"queries": queries, "bank": bank[start : start + _BANK_SHARD], "first_position": start} for start in starts
    ]
    found = run.mapper(search_shard, ({**shard, "k": min(k, len(shard["bank"]))} for shard in shards))
    return merge_neighbors(list(found), k)
