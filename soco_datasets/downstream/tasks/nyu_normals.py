"""NYUv2 normals: RMSE of the angle in degrees of a DPT decoder on four layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ...metrics.depth import mean_over_images
from ...metrics.normals import NUMBERS, image_normal_scores
from ..base import DownstreamTask, Outcome, Stored, TableColumn, TaskJob, TaskRun, measured_number
from ..heads.dpt import NORMAL_OUTPUTS, predicted_normals
from ..losses import normals_loss
from ..nyu_training import PROTOCOLS, NyuJob
from ..readers.base import DataReader
from ..readers.nyu_reader import NyuReader

if TYPE_CHECKING:
    from torch import Tensor

    from ...features.families.base import Backbone


class NyuNormals(DownstreamTask):
    """See docs/howto/downstream/nyu_normals.md."""

    name = "nyu_normals"
    title = "NYUv2 normals RMSE"
    data = "nyu"
    headline = "rmse"
    column = TableColumn("nyuv2_normals_rmse", "normals deg", "degrees", higher_is_better=False)
    layers = "four"
    trained = True
    protocols: ClassVar[Mapping[str, Mapping[str, Any]]] = PROTOCOLS

    def open(self, data: DataReader, backbone: Backbone, protocol: Mapping[str, Any], work: Path) -> TaskJob:
        assert isinstance(data, NyuReader)
        return _NormalsJob(data, backbone, protocol)


class _NormalsJob(NyuJob):
    def score(self, stored: Sequence[Stored | None], run: TaskRun) -> Outcome:
        import torch

        def loss(weights: Any, maps: Sequence[Tensor], depth: Tensor, normals: Tensor) -> Tensor:
            found, uncertainty = predicted_normals(weights, maps, self.size)
            return normals_loss(found, normals, depth > 0, uncertainty)

        trained = self.fit(stored, run, NORMAL_OUTPUTS, loss)
        weights = {name: value.to(run.device) for name, value in trained.parameters.items()}
        samples: dict[str, Any] = {}
        scores = []
        for image, (maps, sample) in enumerate(self.tested(stored)):
            with torch.no_grad():
                found = predicted_normals(weights, [one.to(run.device) for one in maps], self.size)[0][0].cpu().numpy()
            scores.append(image_normal_scores(found, sample.normals, sample.depth > 0))
            if image < run.samples:
                samples |= {f"{image}/pixels": sample.pixels, f"{image}/true": sample.normals}
                samples[f"{image}/predicted"] = found.astype(np.float32)
        means, count = mean_over_images(scores, NUMBERS)
        names = {"rmse": "rmse", "d1": "below_11.25", "d2": "below_22.5", "d3": "below_30"}
        metrics = {
            names[key]: measured_number(means[key], count, "degrees" if key == "rmse" else "share") for key in NUMBERS
        }
        empty = sum(not one["pixels"] for one in scores)
        zero = sum(one["zero_normals"] for one in scores)
        notes = [f"{zero} counted pixels have a true normal of length 0 and count as 90 degrees"] if zero else []
        left = {"images without valid depth": empty} if empty else {}
        return Outcome(metrics, left, trained.summary, samples=samples, notes=notes)
