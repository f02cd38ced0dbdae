"""Evaluation during training: right scores, and no trace in the training."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.shared_builds import built_mini

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("accelerate")  # the Trainer needs it
from torch import nn

from soco_datasets import SocoCallback, TrainingEvaluator, evaluate, subset
from soco_datasets.errors import UsageError

KEY = "soco/soc/pck@0.1"


class Classifier(nn.Module):
    """A trunk that gives maps, with layers that behave differently in training, and a head for the loss."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.trunk = nn.Sequential(nn.Conv2d(3, 8, 8, 8), nn.BatchNorm2d(8), nn.Dropout(0.5))
        self.head = nn.Linear(8, 2)

    def forward(self, pixel_values: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        logits = self.head(self.trunk(pixel_values).mean((2, 3)))
        return {"loss": nn.functional.cross_entropy(logits, labels), "logits": logits}


def maps(model: Any, images: torch.Tensor) -> torch.Tensor:
    return model.trunk(images)


@pytest.fixture(scope="module")
def small() -> Any:
    return subset(built_mini(), "soc", pairs=4)


def evaluator_of(small: Any, every: int | None = 2) -> TrainingEvaluator:
    return TrainingEvaluator(small, "soc", every, image_size=64, forward=maps)


def trained(tmp_path: Path, evaluator: TrainingEvaluator | None, attached: bool = False, **options: Any) -> Any:
    from transformers import Trainer, TrainingArguments

    generator = torch.Generator().manual_seed(1)
    rows = [
        {"pixel_values": torch.rand(3, 32, 32, generator=generator), "labels": torch.tensor(i % 2)} for i in range(16)
    ]
    arguments = {
        "max_steps": 4, "per_device_train_batch_size": 2, "learning_rate": 0.05, "logging_steps": 1, "report_to": "none",
        "save_strategy": "no", "use_cpu": True, "seed": 3, "disable_tqdm": True, **options,
    }  # fmt: skip
    callbacks = [SocoCallback(evaluator)] if evaluator is not None and not attached else []
    trainer = Trainer(
        Classifier(), TrainingArguments(str(tmp_path), **arguments), train_dataset=rows, eval_dataset=rows[:2],
        callbacks=callbacks,
    )  # fmt: skip
    if attached and evaluator is not None:
        SocoCallback(evaluator).attach(trainer)
    trainer.train()
    return trainer


def state(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


@pytest.mark.parametrize("attached", [False, True])
def test_the_trainer_logs_the_scores_and_trains_as_without(tmp_path: Path, small: Any, attached: bool) -> None:
    options = {"gradient_accumulation_steps": 2}
    plain = trained(tmp_path, None, **options)
    states = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()
    evaluator = evaluator_of(small)
    watched = trained(tmp_path, evaluator, attached, **options)
    assert torch.equal(torch.get_rng_state(), states[0])
    assert (np.random.get_state()[1].tolist(), random.getstate()) == states[1:]
    for name, value in state(plain.model).items():
        assert torch.equal(value, watched.model.state_dict()[name]), name
    scores = [entry for entry in watched.state.log_history if KEY in entry]
    assert [entry["step"] for entry in scores] == [2, 4]
    losses = [[e["loss"] for e in t.state.log_history if "loss" in e] for t in (plain, watched)]
    assert losses[0] == losses[1]
    assert len(losses[0]) == 4
    assert scores[1][KEY] == evaluate(watched.model.trunk, small, "soc", image_size=64).flat()[KEY]
    assert scores[0] != {**scores[1], "step": 2}
    assert [{key: one[key] for key in (KEY, "step")} for one in scores] == [
        {key: one[key] for key in (KEY, "step")} for one in evaluator.history
    ]


def test_the_best_model_is_selected_by_the_score(tmp_path: Path, small: Any) -> None:
    evaluator = evaluator_of(small, every=None)
    trainer = trained(
        tmp_path, evaluator, eval_strategy="steps", eval_steps=2, save_strategy="steps", save_steps=2,
        load_best_model_at_end=True, metric_for_best_model=KEY, greater_is_better=True,
    )  # fmt: skip
    best = max(evaluator.history, key=lambda one: one[KEY])
    assert trainer.state.best_metric == best[KEY]
    assert trainer.state.best_global_step == best["step"]
    assert evaluator(trainer.model).flat()[KEY] == best[KEY]  # it is what was loaded in the end


def test_any_loop(small: Any) -> None:
    model = Classifier()
    model.trunk[1].eval()
    model.head.weight.requires_grad_(False)
    evaluator = evaluator_of(small)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    found = {}
    for step in (1, 2, 3, 4):
        loss = model(torch.rand(2, 3, 32, 32), torch.tensor([0, 1]))["loss"]
        loss.backward()
        grads = [None if value.grad is None else value.grad.clone() for value in model.parameters()]
        found[step] = evaluator.step(model, step)
        for value, grad in zip(model.parameters(), grads, strict=True):
            assert (value.grad is None) == (grad is None)
            assert grad is None or torch.equal(value.grad, grad)
        optimizer.step()
        optimizer.zero_grad()
    assert [step for step, flat in found.items() if flat] == [2, 4]
    assert [one["step"] for one in evaluator.history] == [2, 4]
    assert [module.training for module in model.modules()] == [True, True, True, False, True, True]
    assert not model.head.weight.requires_grad
    assert model.trunk[0].weight.requires_grad


def test_features_of_changed_weights_are_never_reused(small: Any, tmp_path: Path) -> None:
    """Also of a backbone that was loaded before, with a store that outlives the evaluation."""
    from soco_datasets import CachePolicy, DenseFeatureExtractor, RunConfig, evaluate_backbone, load_backbone

    model = Classifier()
    backbone = load_backbone(model.trunk)
    run = RunConfig(cache=CachePolicy("disk", directory=tmp_path))

    def evaluated() -> Any:
        return evaluate_backbone(DenseFeatureExtractor(backbone, 64), small, "soc", run=run).result

    first, again = evaluated(), evaluated()
    assert again.counts["forwards"] == 0  # the same weights
    with torch.no_grad():
        model.trunk[0].weight.data.neg_()  # behind the back of torch's version counters
    changed = evaluated()
    assert changed.counts["forwards"] == first.counts["forwards"] > 0
    assert changed.model["weights_hash"] != first.model["weights_hash"]


def test_half_precision_models_and_wrong_use(small: Any) -> None:
    model = Classifier().bfloat16()
    result = evaluator_of(small)(model)
    assert result.record.protocol.features.dtype == "bfloat16"
    assert next(model.parameters()).dtype == torch.bfloat16
    assert "every 2 steps" in repr(evaluator_of(small))
    for arguments, text in (
        ({"every": 0}, "1 or more"),
        ({"pairs": 3}, "a subset already"),
    ):
        with pytest.raises(UsageError, match=text):
            TrainingEvaluator(small, "soc", **arguments)
    with pytest.raises(UsageError, match=r"torch\.nn\.Module, got str"):
        evaluator_of(small)("dinov2_b14")
    with pytest.raises(UsageError, match="takes a TrainingEvaluator"):
        SocoCallback("mini")
