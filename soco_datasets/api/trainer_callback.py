"""`SocoCallback`: a `TrainingEvaluator` in the `Trainer` of transformers. The class is made when it is first used."""

from __future__ import annotations

import importlib.util
from functools import cache
from typing import TYPE_CHECKING, Any

from ..errors import SocoError, UsageError, missing_extra
from .during_training import TrainingEvaluator


class TrainerEvents:
    """What `SocoCallback` does at the events of a `transformers.Trainer`.

    Scores go to `trainer.state.log_history`, under the keys of `Result.flat`. After `attach(trainer)` they go through
    `trainer.log`, so to every logger of the trainer too. Where the trainer evaluates (`eval_strategy`), the scores are
    among its metrics with the prefix `eval_`, so that `metric_for_best_model="soco/soc/pck@0.1"` selects by them.

    Only the main process evaluates; the others wait and are told the scores.

    Args:
        evaluator: what is evaluated, and every how many optimizer steps.

    Attributes:
        evaluator: the same.
        trainer: where results are logged, see `attach`; None = in the trainer's state alone.
    """

    def __init__(self, evaluator: TrainingEvaluator) -> None:
        if not isinstance(evaluator, TrainingEvaluator):
            raise UsageError(f"SocoCallback takes a TrainingEvaluator, got {type(evaluator).__name__}.")
        self.evaluator = evaluator
        self.trainer: Any = None
        self._last: tuple[int, dict[str, float]] = (-1, {})  # step, scores

    def __repr__(self) -> str:
        return f"SocoCallback({self.evaluator!r})"

    def attach(self, trainer: Any) -> TrainerEvents:
        """Add the callback to a trainer and log through it."""
        self.trainer = trainer
        trainer.add_callback(self)
        return self

    def on_step_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """After an optimizer step, however many batches it took."""
        if self.evaluator.is_due(state.global_step):
            self._scores(state, control, given["model"])

    def on_evaluate(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """After an evaluation by the trainer: adds the scores to its metrics."""
        scores = self._scores(state, control, given["model"])
        given["metrics"].update({f"eval_{name}": value for name, value in scores.items()})

    def _scores(self, state: Any, control: Any, model: Any) -> dict[str, float]:
        """The scores at this step, evaluated and logged once."""
        if self._last[0] != state.global_step:
            self._last = state.global_step, self._evaluated(state, model)
            self._log(state, control, self._last[1])
        return self._last[1]

    def _evaluated(self, state: Any, model: Any) -> dict[str, float]:
        import torch

        distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
        if not distributed:
            return self.evaluator(model).flat()
        answer: list[Any] = [None]
        if state.is_world_process_zero:
            try:
                answer = [self.evaluator(model).flat()]
            except Exception as error:  # the other processes wait for an answer
                answer = [f"{type(error).__name__}: {error}"]
        torch.distributed.broadcast_object_list(answer, src=0)
        if isinstance(answer[0], str):
            raise SocoError(f"The evaluation on the main process failed: {answer[0]}")
        scores: dict[str, float] = answer[0]
        return scores

    def _log(self, state: Any, control: Any, scores: dict[str, float]) -> None:
        self.evaluator.history.append({"step": state.global_step, **scores})
        if self.trainer is None:
            epoch = {} if state.epoch is None else {"epoch": state.epoch}
            state.log_history.append({**scores, **epoch, "step": state.global_step})
            return
        pending = control.should_log  # which logging resets
        self.trainer.log(dict(scores))
        control.should_log = pending


if TYPE_CHECKING:
    from transformers import TrainerCallback

    class SocoCallback(TrainerEvents, TrainerCallback):
        """A `transformers.TrainerCallback`, see `TrainerEvents`."""


@cache
def _callback_class() -> type[TrainerEvents]:
    if importlib.util.find_spec("transformers") is None:
        raise missing_extra("SocoCallback", "models", "transformers")
    from transformers import TrainerCallback

    members = {"__doc__": TrainerEvents.__doc__, "__module__": __name__}
    return type("SocoCallback", (TrainerEvents, TrainerCallback), members)


def __getattr__(name: str) -> Any:
    if name == "SocoCallback":
        return _callback_class()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
