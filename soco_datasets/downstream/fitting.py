"""Training of a task's head from a checkpoint, its weights kept beside the record, and a summary for the record."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..utils.files import sha256_file
from .base import TaskRun
from .parameters import Parameters, save_parameters
from .training import Checkpointing, OptimizerConfig, TrainingRecipe, train

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

_SAVED_EVERY = 200  # steps


@dataclass(frozen=True)
class Fit:
    """A training run of a head.

    Attributes:
        start: start weights.
        loss: (weights, rows of the batch) -> scalar.
        batches: epoch -> rows of its batches.
        optimizer: see `training.OptimizerConfig`.
        rate: learning rate of a step.
        epochs: number of epochs.
        validate: (epoch, weights) -> JSON values; None = no validation between epochs.
        counters: what the loss counts, by name; kept in checkpoints.
        mixed: whether the loss may be computed in the run's precision; otherwise it is float32.
    """

    start: Parameters
    loss: Callable[[Parameters, NDArray[np.int64]], torch.Tensor]
    batches: Callable[[int], Sequence[NDArray[np.int64]]]
    optimizer: OptimizerConfig
    rate: Callable[[int], float]
    epochs: int
    validate: Callable[[int, Parameters], dict[str, Any]] | None = None
    counters: dict[str, int] = field(default_factory=dict)
    mixed: bool = False


@dataclass(frozen=True)
class Trained:
    """What `fit_head` gives: the weights to evaluate, on the CPU, and the summary for the record."""

    parameters: Parameters
    summary: dict[str, Any]


def fit_head(
    fit: Fit, run: TaskRun, choices: Mapping[str, Any], *, keep_best: str | None = None, label: str = "head"
) -> Trained:
    """Train, or finish a training that was killed, and write the weights beside the record.

    Args:
        fit: what to train.
        run: where.
        choices: the protocol, part of the run's identity.
        keep_best: evaluate the weights of the epoch with the highest value of this name in what `validate` gave
            (the first of equal ones); None = those of the last epoch.
        label: of the head's file.

    Returns:
        Weights and {"epochs", "steps", "losses" (per epoch), "skipped_steps", "precision", "last", "best", "head"}.

    Raises:
        SocoError: no step had a finite loss.
    """
    import torch

    best_file = run.work / f"{label}.best.safetensors"
    identity = {"choices": dict(choices), "seed": run.seed, "run": dict(run.identity)}
    best: dict[str, Any] = {"epoch": None, "value": None}

    def after(epoch: int, weights: Parameters) -> dict[str, Any]:
        found = fit.validate(epoch, weights) if fit.validate else {}
        value = found.get(keep_best) if keep_best else None
        earlier = [one.get(keep_best or "") for one in history]
        if value is not None and value > max((one for one in earlier if one is not None), default=float("-inf")):
            save_parameters(best_file, weights)
        history.append(found)
        return found

    checkpoint = Checkpointing(run.work / f"{label}.checkpoint.safetensors", _SAVED_EVERY, counters=fit.counters)
    history = _history_of(checkpoint)
    precision = run.precision if fit.mixed else "float32"
    recipe = TrainingRecipe(fit.optimizer, fit.rate, fit.epochs, fit.batches, identity, run.device, precision)
    started = time.perf_counter()
    result = train(fit.start, fit.loss, recipe, checkpoints=checkpoint, after_epoch=after)
    run.seconds["train"] = run.seconds.get("train", 0.0) + time.perf_counter() - started
    run.counts["steps"] = run.counts.get("steps", 0) + len(result.losses)
    name = keep_best or next((key for one in result.epochs for key in one), None)
    values = [
        (one.get(name), -number) for number, one in enumerate(result.epochs) if name and one.get(name) is not None
    ]
    if values:
        best = {"epoch": 1 - max(values)[1], "value": max(values)[0]}
    parameters = result.parameters
    if keep_best and best_file.is_file():
        from .parameters import load_parameters

        parameters = load_parameters(best_file)[0]
    steps = len(result.losses) // max(1, fit.epochs)
    head = run.out / f"{run.stem}.{label}.safetensors"
    save_parameters(head, parameters, {"task": run.stem})
    summary = {
        "epochs": fit.epochs,
        "steps": len(result.losses),
        "losses": result.epoch_losses(max(1, steps)),
        "skipped_steps": result.skipped,
        "precision": precision,
        "last": result.epochs[-1] if result.epochs else {},
        "best": best,
        "head": {"file": head.name, "sha256": sha256_file(head), "numbers": sum(map(torch.numel, parameters.values()))},
    }
    return Trained(parameters, summary)


def _history_of(checkpoint: Checkpointing) -> list[dict[str, Any]]:
    """What validation gave in the epochs that a checkpoint is past."""
    import json

    from .parameters import load_parameters

    if not checkpoint.path.is_file():
        return []
    return list(json.loads(load_parameters(checkpoint.path)[1].get("state", "{}")).get("epochs", []))
