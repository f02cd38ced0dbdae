"""Names of result files: the model's name, and what is not at its default."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ..config import FeatureConfig, ScoringConfig


def result_name(model: Mapping[str, Any], *qualifiers: str) -> str:
    """The stem of the files of a result: the model's name, and what is not the default.

    >>> result_name({"name": "facebook/dinov2-base"}, "size140", "layer5")
    'facebook_dinov2-base.size140.layer5'
    """
    return ".".join([_plain(model["name"]) or "model", *filter(None, map(_plain, qualifiers))])


def qualifiers_of(features: FeatureConfig, scoring: ScoringConfig) -> list[str]:
    """The parts of a file name that state options which are not at their default: "size140", "layer5", "centered" ...

    >>> qualifiers_of(FeatureConfig(image_size=140), ScoringConfig(convention="centered"))
    ['size140', 'centered']
    """
    usual = FeatureConfig(), ScoringConfig()
    named = [
        ("image_size", "size"), ("layer", "layer"), ("norm", "norm-final"), ("statistics", "statistics"), ("dtype", ""),
        ("convention", ""), ("normalizer", "normalizer-"), ("soft_beta", "beta"), ("soft_window", "window"),
        ("valid_area", "valid-area"),
    ]  # fmt: skip
    found = []
    for name, label in named:
        given, default = (next(part for part in pair if hasattr(part, name)) for pair in ((features, scoring), usual))
        value = getattr(given, name)
        if value != getattr(default, name):
            found.append(label if isinstance(value, bool | Mapping) else f"{label}{value}")
    return found


def _plain(text: object) -> str:
    return re.sub(r"[^\w.-]+", "_", str(text)).strip("._")
