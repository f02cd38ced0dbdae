"""Backbones that know the synthetic scenes: features that are the true answer, and features that say nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from soco_datasets.downstream.base import Wanted
from soco_datasets.features.extractor import DenseFeatureExtractor
from soco_datasets.features.families.base import Backbone, LayerOutput
from soco_datasets.features.network_input import network_input
from soco_datasets.features.preprocess import NO_STATISTICS
from soco_datasets.features.requests import merge_requests

Truth = Callable[[str, int, bool], Any]  # (set of images, position, mirrored) -> (C, h, w)


@dataclass(kw_only=True, eq=False)
class SceneBackbone(Backbone):
    """Four equal layers; the map of an image is looked up by its pixels, or is constant where `known` is empty."""

    known: dict[bytes, torch.Tensor] = field(default_factory=dict)
    forwards: int = 0

    @property
    def depth(self) -> int:
        return 4

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        rows, columns = self.check_pixels(pixels)
        self.forwards += len(pixels)
        if not self.known:
            return torch.ones(len(pixels), self.channels, rows, columns)
        return torch.stack([self.known[one.numpy().tobytes()].float() for one in pixels])

    def layer_outputs(self, pixels: torch.Tensor, layers: Sequence[int]) -> list[LayerOutput]:
        found = self.forward(pixels)
        return [LayerOutput(found) for _ in layers or (0,)]


def scene_backbone(patch: int, channels: int, name: str = "truth") -> SceneBackbone:
    return SceneBackbone(
        name=name,
        family="test",
        revision="1",
        weights_hash=f"{name}-{patch}",
        config_hash=None,
        statistics=NO_STATISTICS,
        layer=None,
        num_layers=4,
        norm="none",
        patch_size=patch,
        size_multiple=patch,
        num_prefix_tokens=0,
        channels=channels,
        device="cpu",
        dtype="float32",
    )


def learn(backbone: SceneBackbone, wanted: Sequence[Wanted], truth: Truth) -> None:
    """Remember the true map of every image and view that a job wants."""
    for one in wanted:
        plan = merge_requests([one.request], backbone)[0][0]
        mirrored = any(step["step"] == "mirror" for step in plan.transform.describe())
        for number in range(len(one.images)):
            pixels = plan.transform.apply(one.images.load(number))
            tensor = network_input(pixels[None], backbone.statistics, "cpu")
            left, top, right, bottom = plan.transform.zero_padding((tensor.shape[3], tensor.shape[2]))
            tensor = torch.nn.functional.pad(tensor, (left, right, top, bottom))
            value = torch.as_tensor(np.asarray(truth(one.images.name, number, mirrored)))
            backbone.known[tensor[0].numpy().tobytes()] = value.half() if value.is_floating_point() else value


def extractor_of(backbone: SceneBackbone) -> DenseFeatureExtractor:
    return DenseFeatureExtractor(backbone, 224)


def codes(points: Any, scale: float, channels: int = 48) -> Any:
    """(..., channels) smooth codes of (..., 3) points: near points have similar codes, points apart do not."""
    directions = np.random.default_rng(0).normal(size=(3, channels // 2)) / scale
    phases = np.asarray(points) @ directions
    return np.concatenate([np.cos(phases), np.sin(phases)], axis=-1).astype(np.float32)
