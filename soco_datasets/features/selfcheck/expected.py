"""A model's statistics and architecture against what the list expects, and statistics against the known sets. No torch.

Only what a checkpoint's config and preprocessor files say is compared: whether the pixels reached the network in the
order that it was trained with (RGB or BGR) shows in the statistics of a listed model, and cannot be known for another.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from ..families.base import Backbone
from ..model_list import BackboneSpec
from ..preprocess import NAMED_STATISTICS, Statistics
from ..recipes import CHECKPOINT, recipe_of
from .architecture import Architecture, architecture_of
from .checks import Check

_TOLERANCE = 0.01  # between statistics of one set as files round them
_TIMM_HALF = ((0.498, 0.498, 0.498), (0.502, 0.502, 0.502))  # 127 / 255 and 128 / 255
_EXCHANGED = 1.5  # times as far from every known set as with mean and std exchanged


def agrees_with_recipe(backbone: Backbone, entry: BackboneSpec | None) -> Check:
    """Statistics, size rule and architecture of a listed model are what its recipe and the list say."""
    if entry is None:
        return Check("recipe", "skipped", "not a listed model: what it was trained with cannot be compared")
    name = backbone.recipe.split(",")[0]
    recipe = recipe_of(entry, name if name in ("paper", "paper-2026-08", CHECKPOINT) else None)
    found, wanted = _found(backbone), _wanted(entry, recipe.statistics.value, backbone)
    numbers = {"recipe": backbone.recipe, "found": found, "expected": wanted}
    problems = [
        f"{what} is {found[what]}, expected {wanted[what]}" for what in wanted if not _same(found, wanted, what)
    ]
    if problems:
        return Check("recipe", "fail", f"recipe {backbone.recipe}: {'; '.join(problems)}", numbers)
    compared = ", ".join(wanted) or "nothing that could be compared"
    return Check("recipe", "pass", f"recipe {backbone.recipe}: {compared}", numbers)


def known_statistics(backbone: Backbone) -> Check:
    """The statistics are one of the known sets, in the order of RGB, and mean and std are not exchanged."""
    used = backbone.statistics
    numbers = {"used": asdict(used)}
    known = {**{name: (one.mean, one.std) for name, one in NAMED_STATISTICS.items()}, "half of timm": _TIMM_HALF}
    if used.source == "none" or (used.mean, used.std) == ((0.0,) * 3, (1.0,) * 3):
        detail = "pixels in 0..1 as they are: right only for a model that normalizes them itself"
        return Check("known statistics", "info", detail, numbers)
    distances = {name: _distance(used.mean, used.std, *one) for name, one in known.items()}
    nearest = min(distances, key=lambda name: distances[name])
    if distances[nearest] <= _TOLERANCE:
        return Check("known statistics", "pass", f"those of {nearest}", numbers)
    for name, (mean, std) in known.items():
        if _distance(used.std, used.mean, mean, std) <= _TOLERANCE:
            return Check("known statistics", "fail", f"mean and std are exchanged: they are those of {name}", numbers)
        if _distance(used.mean[::-1], used.std[::-1], mean, std) <= _TOLERANCE and mean != mean[::-1]:
            return Check("known statistics", "fail", f"those of {name} in the order of BGR", numbers)
    if max(used.std) < 0.05:
        return Check("known statistics", "fail", f"std {used.std} is too small for pixels in 0..1", numbers)
    if min(used.mean) < max(used.std) / _EXCHANGED and max(used.mean) < 0.35:
        return Check("known statistics", "fail", "the mean is below the std: they look exchanged", numbers)
    detail = f"none of the known sets ({', '.join(known)}): nothing here can tell whether they are right"
    return Check("known statistics", "info", detail, numbers)


def _distance(mean: Any, std: Any, other_mean: Any, other_std: Any) -> float:
    return max(abs(one - two) for one, two in zip((*mean, *std), (*other_mean, *other_std), strict=True))


def _found(backbone: Backbone) -> dict[str, Any]:
    found = {name: value for name, value in asdict(_architecture(backbone)).items() if value is not None}
    return {**found, "statistics": _rounded(backbone.statistics), "zero_padded": backbone.zero_padded}


def _architecture(backbone: Backbone) -> Architecture:
    config = getattr(getattr(backbone, "module", None), "config", None)
    values: Mapping[str, Any] = config.to_dict() if config is not None and hasattr(config, "to_dict") else {}
    activation = backbone.variant.get("activation") or values.get("hidden_act")
    return Architecture(
        channels=values.get("hidden_size"),
        blocks=values.get("num_hidden_layers"),
        heads=values.get("num_attention_heads"),
        eps=values.get("layer_norm_eps"),
        activation=activation if isinstance(activation, str) else None,
    )


def _wanted(entry: BackboneSpec, statistics: str, backbone: Backbone) -> dict[str, Any]:
    found = _found(backbone)
    expected = architecture_of(entry)
    wanted: dict[str, Any] = {}
    if expected is not None:
        listed = {name: value for name, value in asdict(expected).items() if value is not None and name in found}
        wanted |= listed
    if backbone.variant.get("activation"):
        wanted["activation"] = backbone.variant["activation"]
    if "changed" not in backbone.recipe:
        name = entry.paper_statistics if statistics == CHECKPOINT else statistics
        if statistics != CHECKPOINT and name in NAMED_STATISTICS:
            wanted["statistics"] = _rounded(NAMED_STATISTICS[name])
    return wanted


def _rounded(statistics: Statistics) -> list[list[float]]:
    return [[round(value, 4) for value in values] for values in (statistics.mean, statistics.std)]


def _same(found: Mapping[str, Any], wanted: Mapping[str, Any], name: str) -> bool:
    value, expected = found.get(name), wanted[name]
    if name == "eps":  # 1e-12 in files that transformers converted, 1e-6 in the original code: the same to rounding
        return value is not None and (math.isclose(value, expected, rel_tol=1e-3) or max(value, expected) <= 1e-6)
    return bool(value == expected)
