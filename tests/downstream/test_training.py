"""Training of heads: the same bits after a kill, non-finite losses skipped and counted, checkpoints of another run refused."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from soco_datasets.downstream.schedules import half_cosine
from soco_datasets.downstream.shared_batches import SharedBatches, run_together
from soco_datasets.downstream.training import (
    Checkpointing,
    OptimizerConfig,
    TrainingRecipe,
    TrainingResult,
    shuffled_batches,
    train,
)
from soco_datasets.errors import SocoError, UsageError

torch = pytest.importorskip("torch")
STEPS = 20
KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
import test_training
def kill(step):
    if step == {step}:
        os.kill(os.getpid(), signal.SIGKILL)
test_training.run({optimizer!r}, Path({path!r}), on_step=kill)
"""


def run(
    optimizer: Any, path: Path | None = None, *, on_step: Any = None, nan_at: tuple[int, ...] = ()
) -> TrainingResult:
    """Four epochs of five steps of a noisy regression; the noise comes from a generator whose state must be kept."""
    inputs = torch.as_tensor(np.random.default_rng(0).normal(size=(18, 5)).astype(np.float32))
    noise, step = torch.Generator().manual_seed(3), [0]

    def loss(weights: Any, rows: Any) -> Any:
        if on_step:
            on_step(step[0])
        step[0] += 1
        jitter = 0.1 * torch.randn(len(rows), 1, generator=noise)
        found = inputs[rows] @ weights["weight"].T + weights["bias"]
        scale = float("nan") if step[0] - 1 in nan_at else 1.0
        return scale * ((found - inputs[rows, :1] - jitter) ** 2).mean()

    recipe = TrainingRecipe(
        OptimizerConfig(optimizer, weight_decay=0.01),
        lambda number: half_cosine(number, STEPS, 0.05, 1e-5),
        4,
        shuffled_batches(18, 4, seed=1),
        {"data": "regression"},
    )
    start = {"weight": np.ones((1, 5), np.float32), "bias": np.zeros(1, np.float32)}
    saving = Checkpointing(path, every=2, generators={"noise": noise}) if path else None
    return train(start, loss, recipe, checkpoints=saving, after_epoch=lambda epoch, w: float(w["weight"].sum()) + epoch)


def assert_equal(one: TrainingResult, other: TrainingResult) -> None:
    assert (one.losses, one.rates, one.epochs) == (other.losses, other.rates, other.epochs)
    assert all(torch.equal(one.parameters[name], other.parameters[name]) for name in one.parameters)


class StoppedError(Exception):
    pass


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize("stop", [1, 7, 15, 18])
def test_a_stopped_run_continues_to_the_same_bits(optimizer: str, stop: int, tmp_path: Path) -> None:
    def interrupt(step: int) -> None:
        if step == stop:
            raise StoppedError

    whole = run(optimizer)
    assert len(whole.losses) == STEPS
    means = whole.epoch_losses(5)
    assert means[-1] < means[0]  # type: ignore[operator]
    with pytest.raises(StoppedError):
        run(optimizer, tmp_path / "head.ckpt", on_step=interrupt)
    assert_equal(run(optimizer, tmp_path / "head.ckpt"), whole)
    assert_equal(run(optimizer, tmp_path / "head.ckpt"), whole)  # a finished run is only read


def test_a_killed_run_continues_to_the_same_bits(tmp_path: Path) -> None:
    path = tmp_path / "head.ckpt"
    code = KILLED.format(tests=str(Path(__file__).parent), step=11, optimizer="adamw", path=str(path))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert path.exists()
    assert_equal(run("adamw", path), run("adamw"))


def test_steps_without_a_finite_loss_are_skipped_and_counted() -> None:
    result = run("sgd", nan_at=(0, 6))
    assert (result.skipped, result.losses[0], result.losses[6]) == (2, None, None)
    assert all(torch.isfinite(value).all() for value in result.parameters.values())
    assert all(mean is not None for mean in result.epoch_losses(5))
    assert run("sgd", nan_at=tuple(range(5))).epoch_losses(5)[0] is None
    with pytest.raises(SocoError, match="None of the 20 training steps"):
        run("sgd", nan_at=tuple(range(STEPS)))


def test_checkpoints_of_another_run_and_damaged_ones_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "head.ckpt"
    run("sgd", path)
    with pytest.raises(UsageError, match="another training run"):
        run("adamw", path)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(SocoError, match=r"head\.ckpt"):
        run("sgd", path)
    with pytest.raises(UsageError, match="optimizer"):
        run("adam")


def test_trainings_that_resume_at_different_steps_make_each_batch_once() -> None:
    made: list[int] = []
    shared = SharedBatches(["one", "two"])

    def taking(member: str, first: int) -> Callable[[], list[int]]:
        def make(step: int) -> int:
            made.append(step)
            return step

        return lambda: [shared.take(member, "kind", step, partial(make, step)) for step in range(first, 10)]

    found = run_together({"one": taking("one", 0), "two": taking("two", 6)}, shared)
    assert found == {"one": list(range(10)), "two": list(range(6, 10))}
    assert sorted(made) == list(range(10))


def test_a_training_that_fails_ends_the_one_that_waits_for_it() -> None:
    shared = SharedBatches(["one", "two"])

    def fail() -> None:
        shared.take("one", "kind", 0, lambda: 0)
        raise UsageError("no more")

    def wait() -> None:
        for step in range(9):
            shared.take("two", "kind", step, lambda: 0)

    with pytest.raises(UsageError, match="no more"):
        run_together({"one": fail, "two": wait}, shared)
