"""Evaluation during training: every N steps, on a seeded subset, without a trace in the training itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..benchmarks.base import benchmark_of
from ..benchmarks.resolve import dataset_folder
from ..benchmarks.tasks import get_tasks
from ..config import ScoringConfig
from ..correspondence.evaluate import evaluate_backbone
from ..data.folder import DatasetFolder
from ..data.subset import FolderSubset
from ..errors import UsageError
from ..features.extractor import DenseFeatureExtractor
from ..features.live_module import ModuleFeatures, device_of, is_live_module, undisturbed
from ..features.plugin import load_plugin
from ..utils.progress import quiet
from .evaluate_model import GivenData, GivenTasks, subset
from .result import Result

if TYPE_CHECKING:
    import torch

_PAIRS = 64  # of each kind, where no size is given


class TrainingEvaluator:
    """Evaluates a model under training on some pairs of a dataset.

    The model is evaluated as it is, on its device and in its dtype, in eval mode; afterwards the modes of all its
    parts, `requires_grad`, gradients and the random states of Python, NumPy and torch are what they were. Features are
    computed anew each time. The numbers are those of `soco_datasets.evaluate(model, evaluator.data, tasks,
    image_size=...)`.

    Args:
        data: see `evaluate`; one. A subset of `subset` is taken as it is.
        tasks: see `evaluate`.
        every: steps between two evaluations by `step`; None = only when it is called.
        pairs, images: size of the subset, see `subset`; 64 pairs of each kind where neither is given.
        image_size: side of the network input, pixels; small is fast.
        forward: `(model, images) -> maps (B, C, h, w)` for a model that does not give maps itself; what a plug-in says
            about itself (`stride`, `statistics`, see docs/howto/plugins.md) may be attributes of it, or of the model.

    Attributes:
        data: the subset.
        history: `{"step": N, **flat}` of each evaluation by `step`.
        scoring: how predictions are scored.

    Raises:
        UsageError: as `subset`, or a number of steps below 1.
    """

    def __init__(
        self,
        data: GivenData = None,
        tasks: GivenTasks = "soc",
        every: int | None = 500,
        *,
        pairs: int | None = None,
        images: int | None = None,
        image_size: int = 224,
        forward: Callable[[Any, torch.Tensor], torch.Tensor] | None = None,
    ) -> None:
        if every is not None and (not isinstance(every, int) or isinstance(every, bool) or every < 1):
            raise UsageError(f"every must be a number of steps, 1 or more, or None; got {every!r}.")
        folder = dataset_folder(data)
        self.tasks = get_tasks(tasks, benchmark_of(folder))
        self.data: DatasetFolder = folder
        if not isinstance(folder, FolderSubset):
            size = _PAIRS if pairs is None and images is None else pairs
            self.data = subset(folder, self.tasks, pairs=size, images=images)
        elif pairs is not None or images is not None:
            raise UsageError("The data is a subset already: leave pairs and images out.")
        self.every, self.image_size, self.forward = every, image_size, forward
        self.scoring = ScoringConfig(**benchmark_of(folder).scoring)
        self.history: list[dict[str, float]] = []

    def is_due(self, step: int) -> bool:
        """Whether `every` steps are over at this step (1 = the first)."""
        return self.every is not None and step > 0 and step % self.every == 0

    def step(self, model: torch.nn.Module, step: int) -> dict[str, float]:
        """The scores where an evaluation is due, see `Result.flat`; an empty mapping at any other step."""
        if not self.is_due(step):
            return {}
        flat = self(model).flat()
        self.history.append({"step": step, **flat})
        return flat

    def __call__(self, model: torch.nn.Module) -> Result:
        """Evaluate the model as it is now.

        Raises:
            UsageError: something else than a `torch.nn.Module`, or one whose weights are sharded over processes.
            BackboneError: it does not give maps; see `forward`.
        """
        if not is_live_module(model):
            raise UsageError(f"The model under training must be a torch.nn.Module, got {type(model).__name__}.")
        features = ModuleFeatures(model, self.forward)
        _refuse_sharded(features.module)
        with quiet(), undisturbed(features.module):
            backbone = load_plugin(features, device=device_of(features.module) or "cpu")
            extractor = DenseFeatureExtractor(backbone, self.image_size)
            evaluation = evaluate_backbone(extractor, self.data, self.tasks, scoring=self.scoring)
        return Result(evaluation.result, evaluation.predictions, data=self.data)

    def __repr__(self) -> str:
        names = ",".join(task.name for task in self.tasks)
        when = "when called" if self.every is None else f"every {self.every} steps"
        return f"TrainingEvaluator({names} on {self.data!r}, {self.image_size} px, {when})"


def _refuse_sharded(module: torch.nn.Module) -> None:
    sharded = type(module).__name__ in ("FullyShardedDataParallel", "DeepSpeedEngine")
    if sharded or any(hasattr(value, "ds_id") or hasattr(value, "placements") for value in module.parameters()):
        raise UsageError(
            "The weights are sharded over processes (FSDP, DeepSpeed ZeRO 3), so one process cannot evaluate the "
            "model: save a checkpoint and evaluate that."
        )
