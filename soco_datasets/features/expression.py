"""A backbone from text: `--model "dinov2_b14+dino_b16"`, with weights, options of each part, layers, head, upsampling.

    expression = part ("+" part)*
    part       = [weight "*"] model ["[" key "=" value ("," key "=" value)* "]"]
    model      = a listed name, a Hub id, a folder, or a plug-in
    key        = layer | layers | norm | statistics | dtype | revision

`2*dinov2_b14[layer=9]+dino_b16[layers=2/5/8/11,norm=final]`. A text that is a folder or a file as a whole is one part.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

from ..errors import UsageError, unknown_name
from ..utils.paths import local_path
from .backbones import load_backbone, preflight
from .compose import (
    CompositeBackbone,
    UpsampledBackbone,
    UpsampleMode,
    several_layers,
)
from .families.base import Backbone
from .heads import HeadBackbone, load_head

Layers: TypeAlias = Sequence[int] | Literal["quarters"]

_PART = re.compile(
    r"(?:(?P<weight>[0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*\*\s*)?(?P<model>[^\[\]*]+?)\s*(?:\[(?P<options>[^\[\]]*)\])?"
)
_PLUS = re.compile(r"\+(?![^\[]*\])")  # a plus that is not between brackets


@dataclass(frozen=True)
class Part:
    """One model of an expression.

    Attributes:
        model: name, Hub id, folder, or plug-in.
        weight: its weight in the composition.
        options: what is written in its brackets, for `load_backbone`; and `layers`.
    """

    model: str | Path | Callable[..., Any]
    weight: float = 1.0
    options: dict[str, Any] = field(default_factory=dict)


def load_model_expression(
    expression: str | Path | Callable[..., Any],
    *,
    grid: int | None = None,
    layers: Layers | None = None,
    head: str | Path | None = None,
    upsample: int = 1,
    upsample_mode: UpsampleMode = "bilinear",
    **options: Any,
) -> Backbone:
    """Load the backbone that an expression describes. In this order: parts, composition, head, upsampling.

    Args:
        expression: see above; or a `Path` or plug-in object, taken as one part.
        grid: cells on a side of a composition's common grid; that of the finest part by default.
        layers: several layers, or "quarters", of every part that names none itself; see `compose.several_layers`.
        head: a head file, see `heads.py`.
        upsample: whole factor by which the map is made finer at last; 1 = not at all.
        upsample_mode: "bilinear" or "bicubic".
        options: for `load_backbone`, for every part that says nothing else in its brackets.

    Raises:
        UsageError: an expression that cannot be read, an unknown or contradictory option.
        BackboneError: a part that does not load, a head that does not fit.
        MissingExtraError: torch or transformers is not installed.
    """
    parts = parse_expression(expression)
    if len(parts) > 1 and options.get("revision") is not None:
        raise UsageError("`revision` is ambiguous for several models: write it in brackets, name[revision=...].")
    if grid is not None and len(parts) == 1:
        raise UsageError("A common grid is for several models (a+b); for one, use upsampling.")
    learned = load_head(head) if head is not None else None
    if len(parts) > 1:
        for part in parts:  # before the first is loaded
            preflight(str(part.model), revision=part.options.get("revision"))
    backbones = [_load(part, layers, options) for part in parts]
    result = backbones[0]
    if len(parts) > 1:
        result = CompositeBackbone(backbones, [part.weight for part in parts], grid)
    if learned is not None:
        result = HeadBackbone(result, learned)
    return result if upsample == 1 else UpsampledBackbone(result, upsample, upsample_mode)


def parse_expression(expression: str | Path | Callable[..., Any]) -> tuple[Part, ...]:
    """The parts of an expression.

    >>> [(part.model, part.weight) for part in parse_expression("2*dinov2_b14+dino_b16[layer=9]")]
    [('dinov2_b14', 2.0), ('dino_b16', 1.0)]

    Raises:
        UsageError: it cannot be read, or has an unknown key or a value that is no value of it.
    """
    if not isinstance(expression, str) or _is_one(expression):
        return (Part(expression),)
    return tuple(_parse_part(text.strip(), expression) for text in _PLUS.split(expression))


def parse_layers(text: str) -> Layers:
    """Layers from "2,5,8,11" or "2/5/8/11", or "quarters".

    >>> parse_layers("2,5,-1"), parse_layers("quarters")
    ((2, 5, -1), 'quarters')
    """
    if text == "quarters":
        return "quarters"
    try:
        return tuple(int(part) for part in re.split(r"[,/]", text))
    except ValueError:
        raise UsageError(f"Layers are numbers such as 2,5,8,11, or quarters; got {text!r}.") from None


def _is_one(text: str) -> bool:
    """Whether the whole text is a folder, a file or a file's function, whatever characters its path has."""
    place, _, attribute = text.rpartition(":")
    names_one = place and all(part.isidentifier() for part in attribute.split("."))
    return any(local_path(file).exists() for file in (text, *([place] if names_one else [])))


def _parse_part(text: str, expression: str) -> Part:
    match = _PART.fullmatch(text)
    if match is None:
        raise UsageError(
            f"The model {expression!r} cannot be read at {text!r}: write name+name, with weights as 2*name and options "
            "as name[layer=9,norm=final]."
        )
    return Part(match["model"], float(match["weight"] or 1), _parse_options(match["options"] or "", text))


def _parse_options(text: str, part: str) -> dict[str, Any]:
    kinds: dict[str, Callable[[str], Any]] = {
        "layer": int,
        "layers": parse_layers,
        **dict.fromkeys(("norm", "statistics", "dtype", "revision", "recipe"), str),
    }
    options: dict[str, Any] = {}
    for entry in filter(None, text.replace(" ", "").split(",")):
        key, equals, value = entry.partition("=")
        if key not in kinds:
            raise UsageError(f"{part}: {unknown_name('option', key, kinds)}")
        if not equals or not value or key in options:
            raise UsageError(f"{part}: give {key} one value, {key}=VALUE (several layers as layers=2/5/8).")
        try:
            options[key] = kinds[key](value)
        except ValueError as error:
            raise UsageError(f"{part}: {value!r} is not a value for {key}: {error}") from None
    return options


def _load(part: Part, layers: Layers | None, options: dict[str, Any]) -> Backbone:
    own = {"layers": layers, **options}
    if part.options.keys() & {"layer", "layers"}:  # what a part says of itself wins
        own |= {"layer": -1, "layers": None}
    own |= part.options
    wanted = own.pop("layers")
    if wanted is not None and own.get("layer") not in (None, -1):
        raise UsageError("Give either one `layer` or several `layers`, not both.")
    loaded = load_backbone(part.model, **own)
    return loaded if wanted is None else several_layers(loaded, wanted)
