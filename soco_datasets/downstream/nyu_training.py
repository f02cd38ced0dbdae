"""What the NYUv2 tasks share: the views, the decoder's training from one stream of features, and the test images."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..features.requests import FeatureRequest
from ..features.transforms import InputTransform, PadToMultiple, Resize
from ..metrics.segmentation import resize_nearest
from .augment import color_jitter
from .base import Stored, TaskJob, TaskRun, Wanted, four_layers
from .fitting import Fit, Trained, fit_head
from .heads.dpt import init_dpt
from .online import OnlineFeatures
from .readers.nyu_reader import NyuReader, NyuSample
from .schedules import quarter_cosine
from .training import OptimizerConfig, shuffled_batches

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from ..features.families.base import Backbone

RECIPE: dict[str, Any] = {
    "epochs": 10, "batch": 8, "rate": 5e-4, "decay": 0.01, "warmup_epochs": 1.5, "hidden": 512, "seed": 8, "side": 480,
}  # fmt: skip
VIEWS = "color jitter (0.2, probability 0.8), square crop of half to all of the area (probability 1/2, nearest)"
PROTOCOLS: dict[str, dict[str, Any]] = {
    "reference": {**RECIPE, "views": VIEWS, "order": "sorted files in every epoch"},
    "shuffled": {**RECIPE, "views": VIEWS, "order": "shuffled"},
    "fixed": {**RECIPE, "views": "as is", "order": "shuffled"},
    "tiny": {
        **RECIPE, "views": "as is", "order": "shuffled", "epochs": 20, "batch": 4, "rate": 5e-3,
        "hidden": 8, "side": 112,
    },
}  # fmt: skip
_KEPT = 64  # samples, 5 MB each at full size
Loss = Callable[[Mapping[str, "Tensor"], Sequence["Tensor"], "Tensor", "Tensor"], "Tensor"]


class Batch(NamedTuple):
    """Features and truth of a batch.

    Attributes:
        maps: four (B, C, h, w).
        depth: (B, H, W) meters, 0 = missing.
        normals: (B, 3, H, W).
    """

    maps: list[Tensor]
    depth: Tensor
    normals: Tensor


class NyuJob(TaskJob):
    """Images, requests and training of a DPT head; a task adds loss, prediction and scores."""

    def __init__(self, data: NyuReader, backbone: Backbone, protocol: Mapping[str, Any]) -> None:
        """Decide what is wanted."""
        self.data, self.choices, self.backbone = data, protocol, backbone
        side = protocol["side"]
        resize = () if side == 480 else (Resize(side, side, "bilinear"),)
        self._request = FeatureRequest(InputTransform((*resize, PadToMultiple())), four_layers(backbone))
        self.size = (side, side)
        self._online = protocol["views"] == VIEWS
        self._truth: dict[tuple[str, int], NyuSample] = {}
        self._wanted = [Wanted(data.image_set("test"), self._request)]
        if not self._online:
            self._wanted.append(Wanted(data.image_set("train"), self._request))

    def wanted(self) -> Sequence[Wanted]:
        return self._wanted

    def samples_scored(self) -> int:
        return len(self.data.items("test"))

    def online_forwards(self) -> int:
        return self.choices["epochs"] * len(self.data.items("train")) if self._online else 0

    def drawn_views(self) -> Hashable:
        if not self._online:
            return None
        names = ("views", "order", "epochs", "batch", "seed", "side")
        return "nyu", self._request, tuple(self.choices[name] for name in names)

    def fit(self, stored: Sequence[Stored | None], run: TaskRun, outputs: int, loss: Loss) -> Trained:
        """Train a head with `outputs` channels by a loss of (weights, maps, depth, normals)."""
        import torch

        choices, count = self.choices, len(self.data.items("train"))
        seed = choices["seed"] + run.seed
        batch_of = self._drawn_batch(run) if self._online else self._stored_batch(stored[1])
        steps = -(-count // choices["batch"])
        total = steps * choices["epochs"]
        number_of: dict[bytes, int] = {}  # rows of a batch of this epoch -> its step
        shuffled = shuffled_batches(count, choices["batch"], seed)
        in_order = [
            np.arange(start, min(start + choices["batch"], count)) for start in range(0, count, choices["batch"])
        ]

        def batches(epoch: int) -> list[NDArray[np.int64]]:
            own = shuffled(epoch) if choices["order"] == "shuffled" else in_order
            found = [rows + epoch * count for rows in own]
            number_of.clear()
            number_of.update({rows.tobytes(): epoch * steps + place for place, rows in enumerate(found)})
            return found

        def step_loss(weights: Any, rows: NDArray[np.int64]) -> Tensor:
            if run.shared is None:
                batch = batch_of(rows)
            else:  # the other NYUv2 task draws the same views
                step = number_of[rows.tobytes()]
                batch = run.shared.take(run.stem, self.drawn_views(), step, lambda: batch_of(rows))
            maps = [one.float().to(run.device) for one in batch.maps]
            return loss(weights, maps, batch.depth.to(run.device), batch.normals.to(run.device))

        generator = torch.Generator().manual_seed(seed)
        fit = Fit(
            start=init_dpt([self.backbone.channels] * 4, outputs, generator, choices["hidden"]),
            loss=step_loss,
            batches=batches,
            optimizer=OptimizerConfig("adamw", weight_decay=choices["decay"]),
            rate=lambda step: choices["rate"] * quarter_cosine(step, total, choices["warmup_epochs"] * steps),
            epochs=choices["epochs"],
            mixed=True,
        )
        try:
            return fit_head(fit, run, choices)
        finally:
            if run.shared is not None:
                run.shared.leave(run.stem)

    def tested(self, stored: Sequence[Stored | None]) -> Any:
        """For each test image: (four (1, C, h, w) maps, sample at the size of the protocol)."""
        test = stored[0]
        assert test is not None
        for number in range(len(self.data.items("test"))):
            maps = test.maps(number).float()
            yield [maps[layer][None] for layer in range(4)], self._sample("test", number)

    def _sample(self, split: str, number: int) -> NyuSample:
        """A sample at the size of the protocol; the first ones are kept in memory."""
        if (split, number) in self._truth:
            return self._truth[split, number]
        sample, (height, width) = self.data.sample(split, number), self.size
        if sample.depth.shape != self.size:
            truth = (resize_nearest(one, height, width) for one in (sample.depth, sample.normals))
            sample = NyuSample(sample.pixels, *truth)
        if len(self._truth) < _KEPT:
            self._truth[split, number] = sample
        return sample

    def _stored_batch(self, stored: Stored | None) -> Callable[[NDArray[np.int64]], Batch]:
        assert stored is not None
        count = len(self.data.items("train"))

        def batch(rows: NDArray[np.int64]) -> Batch:
            import torch

            own = [int(row) % count for row in rows]
            maps = torch.stack([stored.maps(row) for row in own])
            samples = [self._sample("train", row) for row in own]
            return _batch(maps, [(one.depth, one.normals) for one in samples])

        return batch

    def _drawn_batch(self, run: TaskRun) -> Callable[[NDArray[np.int64]], Batch]:
        online = OnlineFeatures(run.extractor, self._request, run)
        count = len(self.data.items("train"))

        def view(row: int) -> tuple[Any, tuple[NDArray[Any], NDArray[Any]]]:
            epoch, image = divmod(row, count)
            sample = self.data.sample("train", image)
            return draw_view_of(sample, np.random.default_rng([self.choices["seed"], epoch, image]))

        def batch(rows: NDArray[np.int64]) -> Batch:
            maps, truth = online.batch([int(row) for row in rows], view)
            return _batch(maps, truth)

        return batch


def draw_view_of(
    sample: NyuSample, generator: np.random.Generator
) -> tuple[NDArray[np.uint8], tuple[NDArray[Any], NDArray[Any]]]:
    """A random view of a sample: pixels (480, 480, 3), and its depth and normals; depth values are not rescaled."""
    pixels = color_jitter(generator, sample.pixels) if generator.random() < 0.8 else sample.pixels
    depth, normals = sample.depth, sample.normals
    if generator.random() < 0.5:
        size = depth.shape[0]
        side = min(size, round(size * float(np.sqrt(generator.uniform(0.5, 1.0)))))
        top, left = (int(generator.integers(0, size - side + 1)) for _ in range(2))
        window = np.s_[..., top : top + side, left : left + side]
        pixels = resize_nearest(pixels.transpose(2, 0, 1)[window], size, size).transpose(1, 2, 0)
        depth, normals = (resize_nearest(one[window], size, size) for one in (depth, normals))
    return np.ascontiguousarray(pixels), (depth, normals)


def _batch(maps: torch.Tensor, truth: Sequence[tuple[NDArray[Any], NDArray[Any]]]) -> Batch:
    import torch

    depth = torch.from_numpy(np.stack([one for one, _ in truth]))
    normals = torch.from_numpy(np.stack([one for _, one in truth]))
    return Batch([maps[:, layer] for layer in range(maps.shape[1])], depth, normals)
