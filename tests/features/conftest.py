"""Small random models on disk, saved as their users would save them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

IMAGENET = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
SMALL: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "initializer_range": 0.2,
    "num_channels": 3,
}

SaveModel = Callable[..., Path]


def build_model(kind: str, **changes: Any) -> Any:
    """A small model with random weights, biases and norms away from their neutral values."""
    import torch
    import transformers as tf

    torch.manual_seed(3)
    if kind.startswith("vit"):
        config = tf.ViTConfig(**{**SMALL, "intermediate_size": 64, "patch_size": 8, "image_size": 48, **changes})
        model = tf.ViTForImageClassification(config) if kind == "vit_classifier" else tf.ViTModel(config)
    elif kind == "dinov2":
        model = tf.Dinov2Model(tf.Dinov2Config(**{**SMALL, "patch_size": 14, "image_size": 84, **changes}))
    else:
        options = {**SMALL, "patch_size": 14, "image_size": 84, "num_register_tokens": 4, **changes}
        model = tf.Dinov2WithRegistersModel(tf.Dinov2WithRegistersConfig(**options))
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter += 0.2 * torch.randn(parameter.shape)
    return model.eval()


@pytest.fixture
def save_model(tmp_path: Path) -> SaveModel:
    """`save_model(kind, **config_changes)` saves a small model with a preprocessor file and returns its folder."""

    def save(kind: str, name: str = "model", preprocessor: dict[str, Any] | None = None, **changes: Any) -> Path:
        folder = tmp_path / name
        build_model(kind, **changes).save_pretrained(folder)
        (folder / "preprocessor_config.json").write_text(json.dumps(IMAGENET if preprocessor is None else preprocessor))
        return folder

    return save


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Tiny models are faster on one thread, and much faster where other test processes share the cores."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """kind -> the folder of its tiny random checkpoint, made once per session; no test may change it."""
    from helpers.tiny_map_models import MAP_MODELS
    from helpers.tiny_models import TOKEN_MODELS

    root = tmp_path_factory.mktemp("tiny")
    return cache(lambda kind: {**TOKEN_MODELS, **MAP_MODELS}[kind](root / kind.replace("/", "_")))
