"""A model as people give it (name, folder, backbone, extractor, module, function) as an extractor to evaluate."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeAlias

from ..config import FeatureConfig
from ..errors import UsageError
from .backbones import Backbone
from .extractor import DenseFeatureExtractor
from .live_module import device_of, is_live_module, undisturbed
from .preprocess import NAMED_STATISTICS
from .spec import ExtractorSpec

GivenModel: TypeAlias = str | Path | Backbone | DenseFeatureExtractor | Callable[..., Any]
_CHOSEN = ("image_size", "layer", "norm", "statistics", "dtype")  # of a `FeatureConfig`; the rest follows from a model
_DEFAULTS = FeatureConfig()


@contextlib.contextmanager
def opened_extractor(
    model: Any, features: FeatureConfig | None = None, *, device: str | None = None
) -> Iterator[DenseFeatureExtractor]:
    """The extractor of a model while the body runs; a `torch.nn.Module` is left as it was found.

    Args:
        model: a listed name, Hub id, folder, plug-in or expression; a backbone of `load_backbone`; a
            `DenseFeatureExtractor` (or one on a cluster), used as it is; a `torch.nn.Module` or function, see
            docs/howto/plugins.md.
        features: what is asked for; fields at their default are as the model's recipe has them. None = 800 pixels, or
            those of the extractor.
        device: for a model that is not loaded yet; None = a GPU where there is one, and where a module's parameters
            are.

    Raises:
        UsageError: something that is no model, or features that a loaded model cannot change.
        BackboneError: as `load_backbone`.
    """
    check_given_model(model)
    if is_live_module(model):
        with undisturbed(model):
            yield extractor_spec_of(model, features, device or device_of(model)).load()
    elif isinstance(model, DenseFeatureExtractor):
        _refuse_changes(model, features)
        size = model.requested_size if features is None else features.image_size
        yield model if size == model.requested_size else model.at_size(size)
    elif isinstance(model, Backbone):
        _refuse_changes(model, features)
        yield DenseFeatureExtractor(model, _DEFAULTS.image_size if features is None else features.image_size)
    elif _is_remote(model):
        _refuse_changes(model, features)
        yield model
    else:
        yield extractor_spec_of(model, features, device).load()


def check_given_model(model: object) -> None:
    """Raise `UsageError` for something that `opened_extractor` cannot take."""
    if not (isinstance(model, str | Path | Backbone | DenseFeatureExtractor) or callable(model) or _is_remote(model)):
        raise UsageError(
            "model must be a name, a Hub id, a folder, a backbone of load_backbone, a DenseFeatureExtractor, a "
            f"torch.nn.Module or a function (B, 3, H, W) -> (B, C, h, w), got {type(model).__name__}."
        )


def _is_remote(model: object) -> bool:
    """Whether it is an extractor on a cluster."""
    return hasattr(model, "describe") and hasattr(model, "engine")


def extractor_spec_of(
    model: str | Path | Callable[..., Any], features: FeatureConfig | None = None, device: str | None = None
) -> ExtractorSpec:
    """How a model that is not loaded yet is loaded. Arguments and errors as `opened_extractor`."""
    wanted = _DEFAULTS if features is None else features
    derived = [
        entry.name
        for entry in fields(wanted)
        if entry.name not in _CHOSEN and getattr(wanted, entry.name) != getattr(_DEFAULTS, entry.name)
    ]
    if derived:
        raise UsageError(
            f"features takes {', '.join(_CHOSEN)}; {', '.join(derived)} follow from the model and cannot be asked for."
        )
    options: dict[str, Any] = {"device": device or "auto"}
    if wanted.layer != _DEFAULTS.layer:
        options["layer"] = wanted.layer
    if wanted.norm != _DEFAULTS.norm:
        options["norm"] = "final" if wanted.norm else "none"
    if wanted.dtype != _DEFAULTS.dtype:
        options["dtype"] = "float32" if wanted.dtype == "tf32" else wanted.dtype
    if wanted.statistics is not None:
        options["statistics"] = _statistics_name(wanted.statistics)
    return ExtractorSpec(model, wanted.image_size, tf32=wanted.dtype == "tf32", options=options)


def _refuse_changes(model: Any, features: FeatureConfig | None) -> None:
    names = [name for name in _CHOSEN[1:] if features and getattr(features, name) != getattr(_DEFAULTS, name)]
    if names:
        raise UsageError(
            f"{model!r} is loaded already, so features cannot change its {', '.join(names)}: give its name instead, or "
            "load it with load_backbone(NAME, layer=..., norm=..., statistics=..., dtype=...)."
        )


def _statistics_name(statistics: Any) -> str:
    """The name of pixel statistics given as `{"mean": ..., "std": ...}`, or as `{"source": name}`."""
    for name, known in NAMED_STATISTICS.items():
        given = [tuple(statistics.get(key, ())) for key in ("mean", "std")]
        if statistics.get("source") == name or given == [known.mean, known.std]:
            return name
    raise UsageError(
        f'features.statistics must be those of {", ".join(NAMED_STATISTICS)}, such as {{"source": "imagenet"}}; a '
        "module or function declares any others itself, see docs/howto/plugins.md."
    )
