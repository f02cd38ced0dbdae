"""Training of a head: deterministic, resumable to the same bits, non-finite losses skipped and counted.

A run is a pure function of its start weights, its batches and its recipe: the rate is a function of the step, the
batches of an epoch are a function of the epoch, and everything else that is drawn comes from generators that the
checkpoint keeps. A checkpoint is one safetensors file (weights, moments of the optimizer, generator states; position
and losses in its header), written atomically, so a killed run continues from the last one to the same weights on a CPU.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ..errors import SocoError, UsageError
from ..utils.foreign import read_json_text
from ..utils.progress import progress_bar
from .parameters import Parameters, load_parameters, save_parameters, trainable
from .precision import with_precision

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray
    from torch import Tensor

Loss = Callable[[Parameters, "NDArray[np.int64]"], "Tensor"]
Batches = Callable[[int], Sequence["NDArray[np.int64]"]]
_FORMAT = 1


@dataclass(frozen=True)
class OptimizerConfig:
    """How weights are updated.

    Attributes:
        name: "sgd" or "adamw".
        momentum: of SGD.
        weight_decay: of all parameters, biases too; decoupled for AdamW.
        betas: of AdamW.
        eps: of AdamW.
        clip: largest L2 norm of the gradient of all weights together; a longer one is shortened to it. None = any.
    """

    name: Literal["sgd", "adamw"] = "sgd"
    momentum: float = 0.9
    weight_decay: float = 0.0
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    clip: float | None = None


@dataclass
class TrainingResult:
    """What a run gives.

    Attributes:
        parameters: final weights, on the CPU, without gradients.
        losses: one per step; None where the step was skipped.
        rates: learning rate of each step.
        epochs: what `after_epoch` returned, one per epoch.
        skipped: steps whose loss or gradient was not finite.
    """

    parameters: Parameters
    losses: list[float | None] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    epochs: list[Any] = field(default_factory=list)

    @property
    def skipped(self) -> int:
        return sum(loss is None for loss in self.losses)

    def epoch_losses(self, steps_per_epoch: int) -> list[float | None]:
        """Mean loss of each epoch over the steps that were not skipped; None where all were."""
        parts = [self.losses[start : start + steps_per_epoch] for start in range(0, len(self.losses), steps_per_epoch)]
        held = [[loss for loss in part if loss is not None] for part in parts]
        return [math.fsum(part) / len(part) if part else None for part in held]


@dataclass(frozen=True)
class TrainingRecipe:
    """A run's choices.

    Attributes:
        optimizer: see `OptimizerConfig`.
        rate: learning rate of a step, counted from 0 over the whole run (see `schedules`).
        epochs: number of epochs.
        batches: rows of each batch of an epoch (counted from 0), in order; the same for the same epoch.
        identity: JSON-able description of everything that makes the run; a checkpoint of another one is refused.
        device: where the head is trained.
        precision: of the loss, see `precision.with_precision`.
    """

    optimizer: OptimizerConfig
    rate: Callable[[int], float]
    epochs: int
    batches: Batches
    identity: Mapping[str, Any] = field(default_factory=dict)
    device: str = "cpu"
    precision: str = "float32"


@dataclass(frozen=True)
class Checkpointing:
    """Where and how often a run is saved.

    Attributes:
        path: the checkpoint file.
        every: steps between two saves; the end of an epoch is always saved.
        generators: random generators that the loss draws from, by name; their states are kept and restored.
        counters: what the loss counts, by name; kept and restored, so that a resumed run counts the same.
    """

    path: Path
    every: int = 1000
    generators: Mapping[str, torch.Generator] = field(default_factory=dict)
    counters: dict[str, int] = field(default_factory=dict)


def train(
    start: Mapping[str, Any],
    loss: Loss,
    recipe: TrainingRecipe,
    *,
    checkpoints: Checkpointing | None = None,
    after_epoch: Callable[[int, Parameters], Any] | None = None,
) -> TrainingResult:
    """Train a head, from a checkpoint where there is one.

    Args:
        start: named start weights, tensors or arrays.
        loss: (weights, rows of the batch) -> scalar tensor.
        recipe: see `TrainingRecipe`.
        checkpoints: where to save and resume; None = neither.
        after_epoch: called with (epoch from 0, weights) after each epoch, for validation; its result must be JSON-able
            and is kept in the checkpoint, so a resumed run does not repeat it.

    Returns:
        `TrainingResult`.

    Raises:
        SocoError: no step had a finite loss; a checkpoint that cannot be read.
        UsageError: a checkpoint of another run (its `identity` differs), an unknown optimizer.
    """
    import torch

    weights = trainable(start, recipe.device)
    loss = with_precision(loss, recipe.precision, recipe.device)
    optimizer = _make_optimizer(weights, recipe.optimizer)
    result = TrainingResult(weights)
    epoch, position = _resume(checkpoints, recipe, weights, optimizer, result) if checkpoints else (0, 0)
    steps = len(recipe.batches(0)) if recipe.epochs else 0
    with progress_bar("Training", recipe.epochs * steps, "step", done=epoch * steps + position) as advance:
        while epoch < recipe.epochs:
            batches = recipe.batches(epoch)
            for number in range(position, len(batches)):
                rate = recipe.rate(len(result.losses))
                result.rates.append(rate)
                value = _step(loss, weights, batches[number], optimizer, rate, recipe.optimizer.clip)
                result.losses.append(value)
                advance(1)
                due = checkpoints is not None and len(result.losses) % checkpoints.every == 0
                if checkpoints and due and number + 1 < len(batches):
                    _save(checkpoints, recipe, weights, optimizer, result, (epoch, number + 1))
            if after_epoch is not None:
                with torch.no_grad():
                    result.epochs.append(after_epoch(epoch, {name: value.detach() for name, value in weights.items()}))
            epoch, position = epoch + 1, 0
            if checkpoints:
                _save(checkpoints, recipe, weights, optimizer, result, (epoch, 0))
    if result.losses and result.skipped == len(result.losses):
        raise SocoError(
            f"None of the {len(result.losses)} training steps had a finite loss, so the head was not trained. "
            "Check the features and the targets for NaN and missing values, or lower the learning rate."
        )
    result.parameters = {name: value.detach().cpu() for name, value in weights.items()}
    return result


def shuffled_batches(count: int, size: int, seed: int, *, drop_last: bool = False) -> Batches:
    """Batches of rows 0..count - 1 in an order drawn for each epoch from (seed, epoch) alone.

    Args:
        count: number of samples.
        size: of a batch; the last one may be smaller.
        seed: of the order.
        drop_last: leave out a smaller last batch.

    >>> [batch.tolist() for batch in shuffled_batches(5, 2, seed=0)(0)] == [
    ...     batch.tolist() for batch in shuffled_batches(5, 2, seed=0)(0)]
    True
    """
    import numpy as np

    def of_epoch(epoch: int) -> list[NDArray[np.int64]]:
        return _cut(np.random.default_rng([seed, epoch]).permutation(count), size, drop_last)

    return of_epoch


def given_batches(order: NDArray[np.int64], size: int) -> Batches:
    """Batches of given orders: row e of (epochs, N) is the order of epoch e; the last batch may be smaller."""

    def of_epoch(epoch: int) -> list[NDArray[np.int64]]:
        return _cut(order[epoch], size, False)

    return of_epoch


def _cut(order: NDArray[np.int64], size: int, drop_last: bool) -> list[NDArray[np.int64]]:
    if size < 1:
        raise UsageError(f"A batch of {size} samples cannot be trained on; give at least 1.")
    end = len(order) // size * size if drop_last else len(order)
    return [order[start : start + size] for start in range(0, end, size)]


def _step(
    loss: Loss,
    weights: Parameters,
    rows: NDArray[np.int64],
    optimizer: torch.optim.Optimizer,
    rate: float,
    clip: float | None,
) -> float | None:
    """One update; None and no update where the loss or a gradient is not finite."""
    import torch

    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.zero_grad(set_to_none=True)
    value = loss(weights, rows)
    if not torch.isfinite(value):
        return None
    value.backward()
    gradients = [one.grad for one in weights.values() if one.grad is not None]
    if not all(bool(torch.isfinite(one).all()) for one in gradients):
        return None
    if clip is not None:
        torch.nn.utils.clip_grad_norm_(list(weights.values()), clip)
    optimizer.step()
    return float(value.detach())


def _make_optimizer(weights: Parameters, config: OptimizerConfig) -> torch.optim.Optimizer:
    import torch

    tensors = list(weights.values())
    if config.name == "sgd":
        return torch.optim.SGD(tensors, lr=0.0, momentum=config.momentum, weight_decay=config.weight_decay)
    if config.name == "adamw":
        return torch.optim.AdamW(tensors, lr=0.0, betas=config.betas, eps=config.eps, weight_decay=config.weight_decay)
    raise UsageError(f"Unknown optimizer {config.name!r}. Known: adamw, sgd.")


def _identity(recipe: TrainingRecipe) -> str:
    described = {"format": _FORMAT, "optimizer": asdict(recipe.optimizer), "epochs": recipe.epochs}
    described |= {} if recipe.precision == "float32" else {"precision": recipe.precision}
    return json.dumps({**described, "run": dict(recipe.identity)}, sort_keys=True)


def _save(
    checkpoints: Checkpointing,
    recipe: TrainingRecipe,
    weights: Parameters,
    optimizer: torch.optim.Optimizer,
    result: TrainingResult,
    position: tuple[int, int],
) -> None:
    import torch

    tensors = {f"weights/{name}": value for name, value in weights.items()}
    for name, value in weights.items():
        for moment, tensor in optimizer.state.get(value, {}).items():
            if tensor is not None:
                tensors[f"optimizer/{moment}/{name}"] = torch.as_tensor(tensor)
    tensors |= {f"generators/{name}": one.get_state() for name, one in checkpoints.generators.items()}
    state = {
        "position": position, "losses": result.losses, "rates": result.rates, "epochs": result.epochs,
        "counters": checkpoints.counters,
    }  # fmt: skip
    save_parameters(checkpoints.path, tensors, {"identity": _identity(recipe), "state": json.dumps(state)})


def _resume(
    checkpoints: Checkpointing,
    recipe: TrainingRecipe,
    weights: Parameters,
    optimizer: torch.optim.Optimizer,
    result: TrainingResult,
) -> tuple[int, int]:
    """Restore the last checkpoint into what is given; (epoch, batch) to continue with."""
    import torch

    if not checkpoints.path.exists():
        return 0, 0
    tensors, metadata = load_parameters(checkpoints.path)
    if metadata.get("identity") != _identity(recipe):
        raise UsageError(
            f"The checkpoint {checkpoints.path} belongs to another training run (its recipe, data or model differs). "
            "Choose another output folder, or remove the file to train from the start."
        )
    state = read_json_text(metadata["state"])
    with torch.no_grad():
        for name, value in weights.items():
            value.copy_(tensors[f"weights/{name}"])
    for key, tensor in tensors.items():
        if key.startswith("optimizer/"):
            _, moment, name = key.split("/", 2)
            # The step counter of AdamW stays on the CPU, as torch keeps it.
            optimizer.state[weights[name]][moment] = tensor if moment == "step" else tensor.to(recipe.device)
    for name, generator in checkpoints.generators.items():
        generator.set_state(tensors[f"generators/{name}"])
    result.losses, result.rates, result.epochs = state["losses"], state["rates"], state["epochs"]
    checkpoints.counters.update(state["counters"])
    epoch, position = state["position"]
    return int(epoch), int(position)
