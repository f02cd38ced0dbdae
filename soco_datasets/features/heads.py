"""Learned projections on frozen features: a head file (safetensors) in, a backbone with projected features out.

A head is applied to every cell of the raw map, before the L2 normalization. Its file holds float tensors and says in
its metadata what they are (all values are strings, as safetensors wants them):

    format        "soco_head"
    version       "1"
    type          "linear" (tensors `weight` (out, in) and, if any, `bias` (out)) or
                  "mlp" (`layers.0.weight`, `layers.0.bias`, `layers.1.weight` ... with the activation between them)
    in_channels, out_channels   widths, checked against the tensors
    activation    "gelu" or "relu"; mlp only
    residual      "true" where the input is added to the output, else "false"
    input         "raw", or "normalised" where cells are scaled to unit length before the head
    trained_on    free text: data, split, loss
    backbone      JSON: the features it was trained on (`derived.backbone_identity`); another backbone is then refused

Any further keys are free and go into the result record. A file with `weight` (and `bias`) and no metadata is a linear
head on raw features, which is how a plain linear probe is saved.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from ..errors import BackboneError
from ..utils.compressed import UnpackedSizeError
from ..utils.files import sha256_file
from ..utils.foreign import read_json_text
from ..utils.paths import local_path
from ..utils.tensor_files import check_tensors, write_tensors
from .derived import (
    Cells,
    DerivedBackbone,
    backbone_identity,
    combined_hash,
    derived_fields,
)
from .families.base import Backbone

if TYPE_CHECKING:
    import torch

HEAD_FORMAT = "soco_head"
HEAD_VERSION = "1"
Activation = Literal["gelu", "relu"]
HeadInput = Literal["raw", "normalised"]
_FIELDS = ("format", "version", "type", "in_channels", "out_channels", "activation", "residual", "input", "backbone")


@dataclass(frozen=True, eq=False)
class Head:
    """A linear projection (one layer) or an MLP (several), applied to every cell.

    Attributes:
        layers: (weight (out, in), bias (out) or None) of each layer, in order; float tensors.
        activation: what is between the layers, None for a single one.
        residual: whether the input is added to the output; the widths must then be equal.
        input: "raw" features, or "normalised" to unit length first.
        backbone: `derived.backbone_identity` of the features it was trained on, None where that is not known.
        metadata: further texts for the record, such as `trained_on`.
        name: what the result calls it.
        hash: hex sha256 of its file, or of its tensors where it has none.

    Raises:
        BackboneError: tensors that are not finite floats or whose widths do not fit each other, an unknown activation.
    """

    layers: Sequence[tuple[torch.Tensor, torch.Tensor | None]]
    activation: Activation | None = None
    residual: bool = False
    input: HeadInput = "raw"
    backbone: Mapping[str, Any] | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    name: str = "head"
    hash: str = ""

    def __post_init__(self) -> None:
        _check_layers(self.layers, f"The head {self.name}")
        _check_options(self)
        if not self.hash:
            object.__setattr__(self, "hash", _tensor_hash(self))

    @property
    def type(self) -> str:
        """ "linear" or "mlp"."""
        return "linear" if len(self.layers) == 1 else "mlp"

    @property
    def in_channels(self) -> int:
        """Width of the features it takes."""
        return int(self.layers[0][0].shape[1])

    @property
    def out_channels(self) -> int:
        """Width of the features it gives."""
        return int(self.layers[-1][0].shape[0])

    def apply(self, maps: torch.Tensor) -> torch.Tensor:
        """Project (B, in, h, w) maps to (B, out, h, w) float32, computed in float32 on the maps' device."""
        import torch
        from torch.nn import functional

        cells = maps.float().movedim(1, -1)
        if self.input == "normalised":
            cells = functional.normalize(cells, dim=-1, eps=1e-12)
        result = cells
        for index, (weight, bias) in enumerate(self.layers):
            if index:
                result = functional.gelu(result) if self.activation == "gelu" else torch.relu(result)
            own_bias = None if bias is None else bias.to(maps.device, torch.float32)
            result = functional.linear(result, weight.to(maps.device, torch.float32), own_bias)
        return (result + cells if self.residual else result).movedim(-1, 1)

    def describe(self) -> dict[str, Any]:
        """What the record says of it, as JSON values."""
        return {
            "name": self.name,
            "hash": self.hash,
            "type": self.type,
            "in_channels": self.in_channels,
            "out_channels": self.out_channels,
            "activation": self.activation,
            "residual": self.residual,
            "input": self.input,
            **{key: value for key, value in self.metadata.items() if key not in ("name", "hash")},
        }


class HeadBackbone(DerivedBackbone):
    """A backbone followed by a head; its map has the head's width and the backbone's grid and dtype.

    Attributes:
        head: the head.
    """

    def __init__(self, backbone: Backbone, head: Head) -> None:
        """Put a head on a backbone.

        Raises:
            BackboneError: the head takes another width, or was trained on other features.
        """
        if head.in_channels != backbone.channels:
            raise BackboneError(
                f"The head {head.name} takes features of {head.in_channels} channels, but {backbone.name} gives "
                f"{backbone.channels}. Use the model, layers and composition it was trained on."
            )
        if head.backbone is not None:
            _check_trained_on(head, backbone_identity(backbone))
        changes = {
            "name": f"{backbone.name}+{head.name}",
            "weights_hash": combined_hash((backbone.weights_hash, head.hash)),
            "channels": head.out_channels,
        }
        super().__init__(**derived_fields((backbone,)) | changes)
        self.head = head

    def grid_size(self, parts: Sequence[Cells]) -> Cells:
        """The backbone's."""
        return parts[0]

    def combine(self, maps: Sequence[torch.Tensor]) -> torch.Tensor:
        """See `DerivedBackbone.combine`."""
        import torch

        return self.head.apply(maps[0]).to(getattr(torch, self.dtype))

    def details(self) -> dict[str, Any]:
        """See `Backbone.details`."""
        return {"head": self.head.describe()}


def save_head(path: str | Path, head: Head, backbone: Backbone | None = None) -> None:
    """Write a head file, whole or not at all; the same head gives the same bytes.

    Args:
        path: the file, usually `*.safetensors`.
        head: the head.
        backbone: the backbone whose features it was trained on; kept in the file, so that another one is refused.
            Without it, `head.backbone` is kept.
    """
    trained = backbone_identity(backbone) if backbone is not None else head.backbone
    metadata = {
        **head.metadata,
        "format": HEAD_FORMAT,
        "version": HEAD_VERSION,
        "type": head.type,
        "in_channels": str(head.in_channels),
        "out_channels": str(head.out_channels),
        "residual": "true" if head.residual else "false",
        "input": head.input,
    }
    if head.activation is not None:
        metadata["activation"] = head.activation
    if trained is not None:
        metadata["backbone"] = json.dumps(trained, sort_keys=True)
    write_tensors(local_path(path), _tensors(head), metadata)


def load_head(path: str | Path) -> Head:
    """Read a head file.

    Raises:
        BackboneError: no such file, no safetensors, unknown format or type, tensors that are missing, surplus, not
            finite, or of widths that disagree with each other or with the metadata.
    """
    from safetensors import SafetensorError, safe_open

    path = local_path(path)
    if not path.is_file():
        raise BackboneError(f"There is no head file {path}. Give a safetensors file with `weight` (out, in).")
    try:
        check_tensors(path)
        with safe_open(path, framework="pt") as file:
            metadata = dict(file.metadata() or {})
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 it is no dict
    except (SafetensorError, OSError, UnpackedSizeError) as error:
        raise BackboneError(f"The head {path} is not a safetensors file, or a damaged one: {error}.") from error
    if metadata.get("format") not in (HEAD_FORMAT, "pt", None):  # "pt" is what save_file writes by habit
        raise BackboneError(
            f"{path} is of format {metadata['format']!r}; a head file says {HEAD_FORMAT!r}, or nothing."
        )
    if metadata.get("version", HEAD_VERSION) != HEAD_VERSION:
        raise BackboneError(
            f"{path} is a head file of version {metadata['version']}; only {HEAD_VERSION} is known here."
        )
    layers = _read_layers(tensors, metadata.get("type", "linear"), path)
    _check_layers(layers, f"The head {path}")
    _check_widths(layers, metadata, path)
    return Head(
        layers=layers,
        activation=metadata.get("activation"),
        residual=_flag(metadata, path),
        input=metadata.get("input", "raw"),
        backbone=_backbone(metadata, path),
        metadata={key: value for key, value in metadata.items() if key not in _FIELDS},
        name=path.stem,
        hash=sha256_file(path),
    )


def _read_layers(
    tensors: Mapping[str, torch.Tensor], kind: str, path: Path
) -> tuple[tuple[torch.Tensor, torch.Tensor | None], ...]:
    if kind == "linear":
        prefixes = [""]
    elif kind == "mlp":
        count = 0
        while f"layers.{count}.weight" in tensors:
            count += 1
        prefixes = [f"layers.{index}." for index in range(max(count, 2))]
    else:
        raise BackboneError(f"{path} is a head of type {kind!r}; known: linear, mlp.")
    names = {f"{prefix}{part}" for prefix in prefixes for part in ("weight", "bias")}
    missing = [f"{prefix}weight" for prefix in prefixes if f"{prefix}weight" not in tensors]
    surplus = sorted(set(tensors) - names)
    if missing or surplus:
        says = " and ".join(
            f"{word} {', '.join(some[:6])}" for word, some in (("lacks", missing), ("has besides", surplus)) if some
        )
        raise BackboneError(
            f"The head {path} {says}: a {kind} head holds {', '.join(sorted(names, reverse=True)[:4])}"
            f"{' ...' if len(names) > 4 else ''} (biases may be left out)."
        )
    return tuple((tensors[f"{prefix}weight"], tensors.get(f"{prefix}bias")) for prefix in prefixes)


def _check_layers(layers: Sequence[tuple[torch.Tensor, torch.Tensor | None]], label: str) -> None:
    if not layers:
        raise BackboneError(f"{label} has no layers.")
    width: int | None = None
    for index, (weight, bias) in enumerate(layers):
        where = f"{label}, layer {index}" if len(layers) > 1 else label
        if weight.ndim != 2 or min(weight.shape) < 1:
            raise BackboneError(f"{where}: `weight` must be (out, in), got {tuple(weight.shape)}.")
        if width is not None and weight.shape[1] != width:
            raise BackboneError(f"{where} takes {weight.shape[1]} channels, but the layer before it gives {width}.")
        width = int(weight.shape[0])
        if bias is not None and tuple(bias.shape) != (width,):
            raise BackboneError(f"{where}: `bias` must be ({width},), got {tuple(bias.shape)}.")
        for tensor in (weight, bias):
            if tensor is not None and not (tensor.is_floating_point() and bool(tensor.isfinite().all())):
                raise BackboneError(f"{where} has values that are not finite floating-point numbers.")


def _check_options(head: Head) -> None:
    if head.type == "linear" and head.activation is not None:
        raise BackboneError(f"The head {head.name} has one layer, so its activation {head.activation!r} has no place.")
    if head.type == "mlp" and head.activation not in get_args(Activation):
        known = ", ".join(get_args(Activation))
        raise BackboneError(f"The head {head.name} has the activation {head.activation!r}; known: {known}.")
    if head.input not in get_args(HeadInput):
        raise BackboneError(
            f"The head {head.name} has the input {head.input!r}; known: {', '.join(get_args(HeadInput))}."
        )
    if head.residual and head.in_channels != head.out_channels:
        raise BackboneError(
            f"The head {head.name} adds its input to its output, but takes {head.in_channels} channels and gives "
            f"{head.out_channels}."
        )


def _check_widths(
    layers: Sequence[tuple[torch.Tensor, torch.Tensor | None]], metadata: Mapping[str, str], path: Path
) -> None:
    for key, found in (("in_channels", layers[0][0].shape[1]), ("out_channels", layers[-1][0].shape[0])):
        if metadata.get(key, str(found)) != str(found):
            raise BackboneError(
                f"{path} says {key} {metadata[key]}, but its tensors have {found}. Save the head again."
            )


def _flag(metadata: Mapping[str, str], path: Path) -> bool:
    text = metadata.get("residual", "false")
    if text not in ("true", "false"):
        raise BackboneError(f"{path} says residual {text!r}; it must be true or false.")
    return text == "true"


def _backbone(metadata: Mapping[str, str], path: Path) -> Mapping[str, Any] | None:
    if "backbone" not in metadata:
        return None
    try:
        found = read_json_text(metadata["backbone"])
    except ValueError as error:
        raise BackboneError(f"{path}: `backbone` in its metadata is no JSON ({error}).") from error
    if not isinstance(found, dict):
        raise BackboneError(f"{path}: `backbone` in its metadata is no JSON object.")
    return found


def _check_trained_on(head: Head, found: Mapping[str, Any]) -> None:
    differ = [key for key in head.backbone or {} if key != "name" and (head.backbone or {})[key] != found.get(key)]
    if differ:
        wanted = head.backbone or {}
        listed = "; ".join(f"{key} {_short(wanted[key])}, here {_short(found.get(key))}" for key in differ)
        raise BackboneError(
            f"The head {head.name} was trained on other features than those of {found['name']}: it was trained on "
            f"{wanted.get('name', 'a backbone')} with {listed}. Use the model and options it was trained on; if the "
            "features are the same nevertheless, save the head without its `backbone`."
        )


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _tensors(head: Head) -> dict[str, torch.Tensor]:
    prefixes = [""] if head.type == "linear" else [f"layers.{index}." for index in range(len(head.layers))]
    tensors: dict[str, torch.Tensor] = {}
    for prefix, (weight, bias) in zip(prefixes, head.layers, strict=True):
        tensors[f"{prefix}weight"] = weight.detach().cpu().contiguous().clone()  # layers may share one tensor
        if bias is not None:
            tensors[f"{prefix}bias"] = bias.detach().cpu().contiguous().clone()
    return tensors


def _tensor_hash(head: Head) -> str:
    from safetensors.torch import save

    return hashlib.sha256(save(_tensors(head))).hexdigest()
