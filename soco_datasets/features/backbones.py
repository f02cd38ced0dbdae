"""`load_backbone`, the one way to get a model: by listed name, Hub id, folder or plug-in.

The list of names is `model_list.py`. To add a family: see `families/__init__.py`.
"""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict, Unpack, cast, get_args

from ..errors import (
    BackboneError,
    UsageError,
    missing_extra,
    unknown_name,
    worded,
)
from ..utils.details import bytes_text, stage
from ..utils.paths import local_path, real_path
from .checkpoint import Checkpoint
from .device import fastest_dtype, usable_device
from .families import family_of
from .families.base import DTYPES, NORMS, Backbone, LoadRequest, Norm, Positions
from .methods import refuse_method
from .model_list import BACKBONES, BackboneSpec, listed
from .opening import open_checkpoint_folder, open_hub
from .plugin import is_plugin, load_plugin
from .preflight import Preflight, preflight_folder, preflight_hub
from .preprocess import NAMED_STATISTICS, NO_STATISTICS, Statistics
from .recipes import CHECKPOINT, PAPER, activation_of, recipe_of

__all__ = [
    "BACKBONES",
    "DTYPES",
    "NORMS",
    "Backbone",
    "BackboneSpec",
    "LoadOptions",
    "Norm",
    "load_backbone",
    "own_statistics",
    "preflight",
]

AUTO = "auto"  # statistics: those of the recipe; dtype: the fastest here
PACKAGED = {  # models with random weights that come with the package, for tests and documentation
    "tiny_dinov2": Path(__file__).with_name("packaged") / "tiny_dinov2",
}


_log = logging.getLogger(__name__)


class LoadOptions(TypedDict, total=False):
    """How a model is loaded; what is left out or None is the recipe's.

    Attributes:
        layer: whose block's output to use; negative counts from the last. None = the last, or what its family is used
            with (Stable Diffusion: up block 1).
        norm: "none" = as the block gives it, "final" = through the model's final layer norm.
        statistics: "auto" = the recipe's, "checkpoint" = the checkpoint's own, a name of `NAMED_STATISTICS`, or "paper"
            = what the paper's evaluation takes for a listed model.
        device: a torch device ("cpu", "cuda", "cuda:1", "mps"), or "auto" = a GPU where there is one.
        dtype: one of `DTYPES`, or "auto" = `device.fastest_dtype`, which the record states as `dtype_choice`. Weights
            are read in float32 and then cast.
        revision: Hub commit, branch or tag; overrides the listed one.
        recipe: one of `recipes.RECIPES`; None = "paper" for a model of the paper, else "checkpoint".
    """

    layer: int | None
    norm: str | None
    statistics: str
    device: str
    dtype: str | None
    revision: str | None
    recipe: str | None


def load_backbone(model: str | Path | Callable[..., Any], **options: Unpack[LoadOptions]) -> Backbone:
    """Load a frozen backbone. Safetensors only; no code of a checkpoint is ever run.

    Args:
        model: a name of `BACKBONES` or `PACKAGED`, a Hub id ("facebook/dinov2-base") or a folder with config.json and
            model.safetensors. A listed name wins over a folder of that name; write "./name" or a `Path` for the folder.
            Only a name without weights on the Hub (iBOT, V-JEPA 2.1) is the folder of that name where there is one.
            Or a plug-in: "module:function", "file.py:function" or the callable itself, see `plugin.load_plugin`.
        options: see `LoadOptions`.

    Raises:
        UsageError: an unknown name, option or device.
        BackboneError: the model cannot be had, is damaged, of no known family, or has no such layer.
        MissingExtraError: torch or transformers is not installed.
    """
    for option in options:
        if option not in LoadOptions.__annotations__:
            raise unknown_name("option", option, LoadOptions.__annotations__)
    statistics, dtype = options.get("statistics", AUTO), options.get("dtype")
    if not isinstance(model, str | Path) or (isinstance(model, str) and is_plugin(model)):
        return _load_plugin(model, options)
    spec = listed(model) if isinstance(model, str) else None
    recipe = recipe_of(spec, options.get("recipe"), model)
    wanted = {
        "norm": options.get("norm") or recipe.norm.value,
        "statistics": recipe.statistics.value if statistics == AUTO else statistics,
        "dtype": dtype or recipe.dtype.value,
    }
    if statistics == PAPER:
        wanted["statistics"] = _paper_statistics(spec, model)
    layer, revision = options.get("layer"), options.get("revision")
    _check_options(layer, wanted["norm"], wanted["statistics"], wanted["dtype"])
    name, model_type, place = _find(model)
    _check_revision(revision, name, place)
    if isinstance(place, _Hub):
        preflight_hub(place.hub_id, revision or place.revision)  # before the weights are downloaded, before torch
    _check_torch()
    device = usable_device(options.get("device", "cpu"))
    if dtype == AUTO:
        wanted["dtype"] = fastest_dtype(device)
    checkpoint = _open(place, str(model), revision)
    family = family_of(checkpoint.model_type if checkpoint else model_type, str(model))
    request = LoadRequest(
        name=name,
        checkpoint=checkpoint,
        layer=getattr(family, "default_layer", -1) if layer is None else layer,
        norm="final" if wanted["norm"] == "final" else "none",
        statistics=_statistics(wanted["statistics"], checkpoint, getattr(family, "own_statistics", None)),
        device=device,
        dtype=wanted["dtype"],
        positions=cast(Positions, recipe.positions.value),
        activation=activation_of(recipe),
    )
    with stage(_log, f"loading {name}"):
        backbone = family.load(request)
    if checkpoint is not None:
        _log_files(checkpoint)
    changed = sorted(key for key, value in wanted.items() if value != recipe.choices()[key].value)
    backbone.recipe = recipe.label + (f", changed: {', '.join(changed)}" if changed and spec else "")
    backbone.variant = {**recipe.variant, "dtype_choice": AUTO} if dtype == AUTO else recipe.variant
    backbone.zero_padded = recipe.size.value == "padded" and backbone.fixed_size is None
    return backbone


def _log_files(checkpoint: Checkpoint) -> None:
    commit = "" if checkpoint.revision is None else f" at {checkpoint.revision[:12]}"
    weights = ", ".join(f"{path.name} ({bytes_text(path.stat().st_size)})" for path in checkpoint.weights)
    folder = "" if checkpoint.label == str(checkpoint.folder) else f", {checkpoint.folder}"
    _log.info("model: %s%s%s; %s", checkpoint.label, commit, folder, weights)


def _load_plugin(model: str | Callable[..., Any], options: LoadOptions) -> Backbone:
    if options.get("recipe") not in (None, CHECKPOINT):
        raise UsageError(f"{model} is a plug-in, which decides everything itself: leave the recipe out.")
    dtype = options.get("dtype")
    return load_plugin(
        model,
        layer=-1 if options.get("layer") is None else options["layer"],
        norm=options.get("norm") or "none",
        statistics=options.get("statistics", AUTO),
        device=options.get("device", "cpu"),
        dtype=DTYPES[0] if dtype in (None, AUTO) else dtype,
        revision=options.get("revision"),
    )


def own_statistics(model: str | Path, *, revision: str | None = None) -> Statistics:
    """The statistics of a checkpoint's own files; "none" for one that normalizes its pixels itself.

    Raises:
        UsageError, BackboneError: as `load_backbone`.
    """
    name, model_type, place = _find(model)
    _check_revision(revision, name, place)
    checkpoint = _open(place, str(model), revision)
    family = family_of(checkpoint.model_type if checkpoint else model_type, str(model))
    return _statistics(CHECKPOINT, checkpoint, getattr(family, "own_statistics", None))


def preflight(model: str | Path, *, revision: str | None = None) -> Preflight:
    """What can be said about a model before any weights are downloaded or read, and without torch.

    Call it for every model of a long run first: a gated repository, missing weights or an unknown family then show
    within seconds.

    Raises:
        UsageError: an unknown name.
        BackboneError: gated, not found, no safetensors, half downloaded, of no known family, or a plug-in's name.
    """
    if isinstance(model, str) and is_plugin(model):
        return Preflight(model, None, (), 0)  # nothing can be said without running its code
    name, _, place = _find(model)
    _check_revision(revision, name, place)
    if isinstance(place, _Hub):
        return preflight_hub(place.hub_id, revision or place.revision)
    return preflight_folder(place, str(model)) if place else Preflight(name, None, (), 0)


@dataclass(frozen=True)
class _Hub:
    hub_id: str
    revision: str | None


def _open(place: _Hub | Path | None, label: str, revision: str | None) -> Checkpoint | None:
    if isinstance(place, _Hub):
        return open_hub(place.hub_id, revision or place.revision)
    return None if place is None else open_checkpoint_folder(place, label=label)


def _find(model: str | Path) -> tuple[str, str, _Hub | Path | None]:
    """(name for the result, listed model type or "", where its files are) of what the user asked for."""
    if isinstance(model, Path):
        return real_path(model).name, "", model
    spec = listed(model)
    folder = PACKAGED.get(model) or local_path(model)
    if spec is not None:
        own = (
            spec.availability in ("conversion", "plug-in") and folder.is_dir()
        )  # such as the folder that a conversion made
        return spec.name, spec.model_type, folder if own else _place(spec)
    if folder.is_dir():
        return real_path(folder).name, "", folder
    looks_like_path = model.startswith((".", "/", "~")) or "\\" in model or folder.is_absolute() or model.count("/") > 1
    if looks_like_path:
        return folder.name, "", folder  # `open_checkpoint_folder` says that it is not there
    if model.count("/") == 1 and not model.endswith("/"):
        return model, "", _Hub(model, None)
    refuse_method(model)
    error = unknown_name("model", model, (*(spec.name for spec in BACKBONES), *PACKAGED), lister="soco models")
    raise UsageError(f"{error} Or give a Hub id (owner/name), an existing folder, or a plug-in (module:function).")


def _place(spec: BackboneSpec) -> _Hub | None:
    """Where a listed model's files are; raises `BackboneError` for one that has none a loader could take."""
    if spec.availability == "plug-in":
        raise BackboneError(
            f"{spec.name} is not loaded by name: {spec.notes}. Get it from {spec.source} and bring it as a plug-in: "
            f"a function that gives its maps ({worded('--model module:function', 'model=function')}); "
            "docs/howto/plugins.md has an example."
        )
    if spec.availability == "conversion":
        raise BackboneError(
            f"{spec.name} has no weights on the Hub that could be loaded: {spec.notes} (a folder called {spec.name} "
            f"here is found by name). They are at {spec.source}."
        )
    return _Hub(spec.hub_id, spec.revision) if spec.hub_id else None


def _paper_statistics(spec: BackboneSpec | None, model: str | Path) -> str:
    if spec is None or not spec.paper_statistics:
        raise UsageError(
            f"Which statistics the paper takes for {model} is not known: give statistics by name, or auto."
        )
    return CHECKPOINT if spec.paper_statistics == "none" else spec.paper_statistics  # none: it normalizes pixels itself


def _statistics(wanted: str, checkpoint: Checkpoint | None, own: Statistics | None) -> Statistics:
    if wanted not in (AUTO, CHECKPOINT):
        return NAMED_STATISTICS[wanted]
    if own is not None:  # the model normalizes its pixels itself
        return own
    return checkpoint.statistics() if checkpoint else NO_STATISTICS


def _check_revision(revision: str | None, name: str, place: _Hub | Path | None) -> None:
    if revision is not None and not isinstance(place, _Hub):
        raise UsageError(
            f"`revision` is for models of the Hub; {name} is {'a folder' if place else 'not from the Hub'}."
        )


def _check_options(layer: int | None, norm: str, statistics: str, dtype: str) -> None:
    if layer is not None and (not isinstance(layer, int) or isinstance(layer, bool)):
        raise UsageError(f"`layer` is the number of a block, negative from the last; got {layer!r}.")
    if norm not in get_args(Norm):
        raise unknown_name("norm", norm, NORMS)
    if statistics not in (CHECKPOINT, *NAMED_STATISTICS):
        raise unknown_name("statistics", statistics, (AUTO, CHECKPOINT, PAPER, *NAMED_STATISTICS))
    if dtype not in (*DTYPES, AUTO):
        raise unknown_name("dtype", dtype, (*DTYPES, AUTO))


def _check_torch() -> None:
    for package in ("torch", "transformers", "safetensors"):
        if importlib.util.find_spec(package) is None:
            raise missing_extra("Loading a backbone", "models", package)
