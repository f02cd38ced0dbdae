"""From what a record states of a model back to the model, and whether a loaded model is the one stated.

The statement may be a stranger's. So only names of the list, models of this package and ids of the Hub are loaded from
it, weights in safetensors alone: never a folder, a file or a plug-in that it names. Those the caller gives.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from ..errors import UsageError
from .backbones import PACKAGED
from .families.base import DTYPES, NORMS
from .model_list import listed
from .preprocess import NAMED_STATISTICS
from .recipes import CHECKPOINT, RECIPES
from .spec import ExtractorSpec

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_REVISION = re.compile(r"[\w.-]{1,64}")
_NOT_COMPARED = (  # what it is called, where it came from, how it was run; and what `_shown` takes apart
    *("name", "revision", "recipe", "device", "compiled", "plugin", "dtype", "dtype_choice", "statistics", "parts"),
    "layer",
)
_GIVE = "Give it with --model: a folder, Hub id or plug-in that you trust"


def stated_extractor(
    model: Mapping[str, Any],
    given: str | Path | None = None,
    *,
    head: str | Path | None = None,
    device: str = "cpu",
) -> ExtractorSpec:
    """How to load the model that a record states, at its image size and with its options.

    Args:
        model: `DenseFeatureExtractor.describe()` as stored.
        given: the model to take in place of the stated name: of a composition, the whole expression.
        head: the file of the learned head that the record states.
        device: a torch device, or "auto".

    Raises:
        UsageError: a model that only the caller can give, and did not; a description that is not one.
    """
    try:
        return _spec(model, given, head, device)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, InvalidOperation) as error:
        if isinstance(error, UsageError):
            raise
        raise UsageError(
            f"The record does not say how its model was loaded, so it cannot be run again. {_GIVE}."
        ) from None


def model_differences(stated: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    """What differs between a stated and a loaded model of all that decides its features, one sentence each.

    Args:
        stated, found: `DenseFeatureExtractor.describe()`, the first as stored.
    """
    ours, theirs = _compared(stated), _compared(found)
    return [
        f"the {name.replace('_', ' ')} is {_short(theirs.get(name))}, the record states {_short(ours.get(name))}"
        for name in dict.fromkeys([*ours, "weights_hash"])
        if ours.get(name) != theirs.get(name)
    ]


def _spec(model: Mapping[str, Any], given: str | Path | None, head: str | Path | None, device: str) -> ExtractorSpec:
    inner, upsampling, learned = model, {}, None
    if "upsampling" in inner:
        upsampling, inner = inner["upsampling"], inner["parts"][0]
    if "head" in inner:
        learned, inner = inner["head"], inner["parts"][0]
        if head is None:
            raise UsageError(
                f"The model has a learned head, {str(learned.get('name'))!r}, which no record holds: give its file "
                "with --head."
            )
    composition = inner.get("composition")
    options: dict[str, Any] = {"device": device, "head": head if learned is not None else None}
    if upsampling:
        options |= {"upsample": int(upsampling["factor"]), "upsample_mode": str(upsampling["mode"])}
    if composition is not None:
        weights = zip(composition["weights"], inner["parts"], strict=True)
        expression = given or "+".join(f"{Decimal(repr(weight)):f}*{_part(part)}" for weight, part in weights)
        options["grid"] = None if composition["grid"] is None else int(composition["grid"])
    else:
        expression = given or _name(inner)
        options |= _options(inner, of_hub=given is None)
    tf32 = model["dtype"] == "tf32" and device.startswith("cuda")
    return ExtractorSpec(expression, int(model["requested_size"]), tf32=tf32, options=options)


def _part(model: Mapping[str, Any]) -> str:
    options = _options(model, of_hub=True)
    if "layers" in options:
        options["layers"] = "/".join(map(str, options["layers"]))
    return f"{_name(model)}[{','.join(f'{name}={value}' for name, value in options.items() if value is not None)}]"


def _options(model: Mapping[str, Any], of_hub: bool) -> dict[str, Any]:
    """Arguments of `load_backbone`; `of_hub`: the stated name is loaded, so its revision counts."""
    statistics, recipe = model["statistics"]["source"], str(model.get("recipe", "")).partition(",")[0]
    dtype = "float32" if model["dtype"] == "tf32" else model["dtype"]
    if model["norm"] not in NORMS or dtype not in DTYPES:  # they become part of an expression
        raise ValueError
    found: dict[str, Any] = {
        "norm": model["norm"],
        "dtype": dtype,
        "statistics": statistics if statistics in (*NAMED_STATISTICS, CHECKPOINT) else None,
    }
    if model.get("layers") is not None:
        found["layers"] = tuple(int(layer) for layer in model["layers"])
    elif model["layer"] is not None:
        found["layer"] = int(model["layer"])
    if of_hub and listed(str(model["name"])) is not None and recipe in RECIPES:
        found["recipe"] = recipe
    revision = model.get("revision")
    if of_hub and model.get("weights_hash") and isinstance(revision, str) and _REVISION.fullmatch(revision):
        found["revision"] = revision
    return {name: value for name, value in found.items() if value is not None}


def _name(model: Mapping[str, Any]) -> str:
    """The stated name, where it is one that may be loaded unseen."""
    name = str(model["name"])
    if "plugin" in model:
        raise UsageError(f"{name!r} is a plug-in: code that the record names is not run. {_GIVE}.")
    spec = listed(name)
    if name in PACKAGED or (spec is not None and spec.availability not in ("conversion", "plug-in")):
        return name
    if _HUB_ID.fullmatch(name) and not Path(name).exists():
        return name
    raise UsageError(f"{name!r} is neither a listed model nor one of the Hub, so it cannot be run again. {_GIVE}.")


def _compared(model: Mapping[str, Any]) -> dict[str, Any]:
    found = {name: value for name, value in model.items() if name not in _NOT_COMPARED}
    statistics, layer, count = model.get("statistics"), model.get("layer"), model.get("num_layers")
    if isinstance(statistics, Mapping):
        found |= {"mean": list(statistics.get("mean", ())), "standard deviation": list(statistics.get("std", ()))}
    counted = isinstance(layer, int) and isinstance(count, int) and count > 0
    found["layer"] = layer % count if counted else layer  # type: ignore[operator]
    dtype = model.get("dtype")
    found["dtype"] = "float32" if dtype == "tf32" else dtype
    for number, part in enumerate(model.get("parts") or ()):
        if isinstance(part, Mapping):
            found |= {f"{name} of part {number + 1}": value for name, value in _compared(part).items()}
    return found


def _short(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= 40 else f"{shown[:16]}..."
