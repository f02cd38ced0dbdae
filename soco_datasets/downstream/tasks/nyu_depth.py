"""NYUv2 depth: RMSE in meters of a DPT decoder on four layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ...metrics.depth import NUMBERS, image_depth_scores, mean_over_images
from ..base import DownstreamTask, Outcome, Stored, TableColumn, TaskJob, TaskRun, measured_number
from ..heads.dpt import DEPTH_BINS, predicted_depth
from ..losses import depth_loss
from ..nyu_training import PROTOCOLS, NyuJob
from ..readers.base import DataReader
from ..readers.nyu_reader import NyuReader

if TYPE_CHECKING:
    from ...features.families.base import Backbone

_TINY_BINS = 32


class NyuDepth(DownstreamTask):
    """See docs/howto/downstream/nyu_depth.md."""

    name = "nyu_depth"
    title = "NYUv2 depth RMSE"
    data = "nyu"
    headline = "rmse_scale_aware"
    column = TableColumn("nyuv2_depth_rmse", "depth m", "m", higher_is_better=False)
    layers = "four"
    trained = True
    protocols: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        name: {**choices, "bins": _TINY_BINS if name == "tiny" else DEPTH_BINS} for name, choices in PROTOCOLS.items()
    }

    def open(self, data: DataReader, backbone: Backbone, protocol: Mapping[str, Any], work: Path) -> TaskJob:
        assert isinstance(data, NyuReader)
        return _DepthJob(data, backbone, protocol)


class _DepthJob(NyuJob):
    def score(self, stored: Sequence[Stored | None], run: TaskRun) -> Outcome:
        import torch

        trained = self.fit(
            stored,
            run,
            self.choices["bins"],
            lambda weights, maps, depth, _: depth_loss(predicted_depth(weights, maps, self.size), depth),
        )
        samples: dict[str, Any] = {}
        aware, aligned = [], []
        weights = {name: value.to(run.device) for name, value in trained.parameters.items()}
        for image, (maps, sample) in enumerate(self.tested(stored)):
            with torch.no_grad():
                found = predicted_depth(weights, [one.to(run.device) for one in maps], self.size)[0].cpu().numpy()
            aware.append(image_depth_scores(found, sample.depth))
            aligned.append(image_depth_scores(found, sample.depth, align=True))
            if image < run.samples:
                samples |= {f"{image}/pixels": sample.pixels, f"{image}/true": sample.depth}
                samples[f"{image}/predicted"] = found.astype(np.float32)
        metrics = {}
        for kind, scores in (("scale_aware", aware), ("scale_invariant", aligned)):
            means, count = mean_over_images(scores)
            for name in NUMBERS:
                metrics[f"{name}_{kind}"] = measured_number(means[name], count, "m" if name == "rmse" else "share")
        empty = sum(not one["pixels"] for one in aware)
        left = {"images without valid depth": empty} if empty else {}
        return Outcome(metrics, left, trained.summary, samples=samples)
