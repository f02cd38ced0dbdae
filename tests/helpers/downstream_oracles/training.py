"""The oracles' training runs: given start weights and batch order, so nothing is random."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from helpers.downstream_oracles.cases import Case
from helpers.downstream_oracles.inputs import maps_of, number, tensors, weights_of
from soco_datasets.downstream import losses, schedules
from soco_datasets.downstream.heads import dpt, linear
from soco_datasets.downstream.training import OptimizerConfig, TrainingRecipe, TrainingResult, given_batches, train
from soco_datasets.metrics import pose, segmentation


def segmentation_training(case: Case) -> dict[str, Any]:
    size, batch = int(number(case, "size", r"to (\d+) x", 100)), int(number(case, "batch", r"Batches of (\d+)", 64))
    drop = int(number(case, "drop", r"from epoch (\d+) on", len(case["order"])))  # counted from 0
    features = torch.as_tensor(case["features"]).double()
    masks = torch.as_tensor(segmentation.resize_nearest(case["masks"], size, size).astype(np.int64))
    classes, per_epoch = len(case["weight"]), -(-case["order"].shape[1] // batch)
    rate = number(case, "rate", r"SGD ([\d.]+\d)", 0.01)

    def loss(weights: Any, rows: np.ndarray) -> torch.Tensor:
        logits = linear.segmentation_logits(weights, features[rows], (size, size))
        return losses.segmentation_loss(logits, masks[rows])

    def scored(_: int, weights: Any) -> float | None:
        labels = linear.segmentation_logits(weights, features, (size, size)).argmax(dim=1).numpy()
        return segmentation.mean_iou(segmentation.confusion_table(masks.numpy(), labels, classes), "reference")[0]

    recipe = TrainingRecipe(
        OptimizerConfig("sgd", momentum=0.9, weight_decay=1e-4),
        lambda step: rate * schedules.step_decay(step // per_epoch, (drop,)),
        len(case["order"]),
        given_batches(case["order"], batch),
    )
    start = {name: tensors(case)[name] for name in ("weight", "bias")}
    result = train(start, loss, recipe, after_epoch=scored)
    best = max(range(len(result.epochs)), key=lambda epoch: (result.epochs[epoch] or 0, -epoch)) + 1
    values = {"losses": result.losses, "miou_reference_after_epoch": result.epochs, "best_epoch": best}
    return {**values, **{name: value.numpy() for name, value in result.parameters.items()}}


def depth_training(case: Case) -> dict[str, Any]:
    truth, order, maps = torch.as_tensor(case["truth"]).double(), case["order"], maps_of(case)
    total = int(number(case, "steps", r"schedule of (\d+) steps", len(order)))
    warmup = number(case, "warmup", r"with (\d+(?:\.\d+)?) of warm-up", 0)
    rate = number(case, "rate", r"rate (\d[\d.e-]*\d)", 5e-4)

    def loss(weights: Any, rows: np.ndarray) -> torch.Tensor:
        found = dpt.predicted_depth(weights, [one[rows] for one in maps], tuple(truth.shape[-2:]))
        return losses.depth_loss(found, truth[rows])

    recipe = TrainingRecipe(
        OptimizerConfig("adamw", weight_decay=0.01),
        lambda step: rate * schedules.quarter_cosine(step, total, warmup),
        len(order),
        lambda epoch: [order[epoch]],
    )
    result = train(weights_of(case), loss, recipe)
    return {"losses": result.losses, "norms": norms(result)}


def norms(result: TrainingResult) -> dict[str, float]:
    return {name: float(value.double().norm()) for name, value in result.parameters.items()}


def pose_training(case: Case) -> dict[str, Any]:
    angles, order = case["angles"], case["order"]
    batch, count = int(number(case, "batch", r"[Bb]atches of (\d+)", 128)), case["bias"].shape[1]
    labels, vectors = pose.angle_bins(angles, count), torch.as_tensor(case["features"]).double()
    targets, steps = torch.as_tensor(labels), len(order) * -(-order.shape[1] // batch)
    rate = number(case, "rate", r"SGD ([\d.]+\d)", 0.01)

    def loss(weights: Any, rows: np.ndarray) -> torch.Tensor:
        return losses.pose_loss(linear.pose_logits(weights, vectors[rows]), targets[rows])

    recipe = TrainingRecipe(
        OptimizerConfig("sgd", momentum=0.9),
        lambda step: schedules.half_cosine(step, steps, rate, 1e-5),
        len(order),
        given_batches(order, batch),
    )
    result = train({name: tensors(case)[name] for name in ("weight", "bias")}, loss, recipe)
    bins = linear.pose_logits(result.parameters, vectors).argmax(dim=2).numpy()
    errors = pose.rotation_errors(pose.bin_middles(bins, count), angles)
    values = {"labels": labels, "losses": result.losses, "rates": result.rates, "bins": bins, "errors": errors}
    values |= {f"{name}_norm": value for name, value in norms(result).items()}
    return {**values, **pose.pose_scores(errors)}
