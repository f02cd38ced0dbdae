"""Published checkpoints of vision transformers in the layout of DINO, iBOT and timm to a folder `load_backbone` takes.

A checkpoint is read with `torch.load(weights_only=True)` (or as safetensors), so nothing in it is ever executed. Its
tensors are renamed into `transformers.ViTModel`, all of them or none: a tensor that has no place there (layer scale,
registers, a pooling norm) means another architecture, and is refused rather than dropped.

What the file does not say is taken from the code it comes from: 64 channels a head, layer norm eps 1e-6, exact GELU
(https://github.com/bytedance/ibot/blob/c24f870dc85c0322200e66399c05af193b8c9554/models/vision_transformer.py),
ImageNet statistics for DINO and iBOT.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from ..errors import BackboneError, UsageError, unknown_name
from ..utils.files import atomic_folder, sha256_file
from ..utils.paths import local_path
from .checkpoint import PREPROCESSOR
from .checkpoint_tensors import read_weights
from .families.positions import offset_table
from .families.tokens import quiet_transformers
from .preprocess import NAMED_STATISTICS, Statistics

if TYPE_CHECKING:
    import torch

# kind -> image statistics its code trains with; None = the file's origin decides, so the user must say
CHECKPOINT_KINDS: dict[str, str | None] = {"ibot": "imagenet", "dino": "imagenet", "vit": None}
CONVERSION_RECORD = "conversion.json"
_PREFIXES = ("module.backbone.", "backbone.", "module.", "encoder.", "")
_HEAD_CHANNELS = 64
_EPS = 1e-6
# Parameters that never reach the features: heads of pre-training and classification, tokens of masked images.
_UNUSED = re.compile(r"(^|\.)(head|head2|head_dist|projection_head|pre_logits|masked_embed|mask_token)(\.|$)")
_BLOCK = re.compile(r"blocks\.(\d+)\.(.+)")
_TOP = {
    "cls_token": "embeddings.cls_token",
    "pos_embed": "embeddings.position_embeddings",
    "patch_embed.proj.weight": "embeddings.patch_embeddings.projection.weight",
    "patch_embed.proj.bias": "embeddings.patch_embeddings.projection.bias",
    "norm.weight": "layernorm.weight",
    "norm.bias": "layernorm.bias",
}
_IN_BLOCK = {
    "norm1": "layernorm_before",
    "attn.proj": "attention.o_proj",
    "norm2": "layernorm_after",
    "mlp.fc1": "mlp.fc1",
    "mlp.fc2": "mlp.fc2",
}
_QKV = ("attention.q_proj", "attention.k_proj", "attention.v_proj")


@dataclass(frozen=True)
class VitShape:
    """The architecture that a checkpoint's tensors describe.

    Attributes:
        channels, blocks, heads, mlp: widths and depth.
        patch: pixels on a side of a patch.
        table: cells on a side of the position table.
        qkv_bias: whether queries, keys and values have a bias.
    """

    channels: int
    blocks: int
    heads: int
    mlp: int
    patch: int
    table: int
    qkv_bias: bool


class ConversionOptions(TypedDict, total=False):
    """What a checkpoint does not say itself.

    Attributes:
        key: the entry of the file that holds the weights ("teacher", "student", ...); the first found of
            state_dict, teacher, model, student by default.
        heads: attention heads; the width / 64 by default.
        statistics: a name of `NAMED_STATISTICS`; by default those of the kind.
        image_size: store the position table for images of this size, interpolated as the original code does, which
            differs a little from `transformers` (it scales by (cells + 0.1) / table). Features at that size then equal
            the original's. By default the table stays as published.
    """

    key: str | None
    heads: int | None
    statistics: str | None
    image_size: int | None


def convert_checkpoint(
    kind: str,
    checkpoint: str | Path,
    out: str | Path,
    *,
    overwrite: bool = False,
    **options: Unpack[ConversionOptions],
) -> Path:
    """Convert a checkpoint to a `ViTModel` folder: config, safetensors, preprocessor file and a record of it all.

    Args:
        kind: one of `CHECKPOINT_KINDS`.
        checkpoint: `.pth`, `.pt`, `.bin` or `.safetensors`.
        out: the folder to make, whole or not at all.
        overwrite: replace `out`.
        options: see `ConversionOptions`.

    Returns:
        The folder.

    Raises:
        UsageError: an unknown kind or statistics, `out` not empty.
        BackboneError: no checkpoint, one that only a pickle with code could read, another architecture, tensors
            missing or of the wrong shape.
    """
    source, out = local_path(checkpoint), local_path(out)
    stats = _statistics_of(kind, options.get("statistics"))
    weights, found_key = read_weights(source, options.get("key"))
    weights, prefix, unused = _strip(weights, source)
    shape = read_shape(weights, str(source), options.get("heads"))
    renamed = rename(weights, shape, str(source))
    image_size = options.get("image_size")
    if image_size is not None:
        table, size = _table_for(renamed["embeddings.position_embeddings"], shape, image_size)
        renamed["embeddings.position_embeddings"] = table
    else:
        size = shape.table * shape.patch
    record = {
        "kind": kind,
        "source": source.name,
        "source_sha256": sha256_file(source),
        "key": found_key,
        "prefix": prefix,
        "not_used": sorted(unused),
        "position_table_for": size,
        "assumed": {"heads": shape.heads, "layer_norm_eps": _EPS, "activation": "gelu", "statistics": stats.source},
    }
    with atomic_folder(out, overwrite) as folder:
        _save_model(folder, renamed, shape, size, str(source))
        _write_json(folder / PREPROCESSOR, _preprocessor(stats, size))
        _write_json(folder / CONVERSION_RECORD, record)
    return out


def _strip(weights: Mapping[str, torch.Tensor], source: Path) -> tuple[dict[str, torch.Tensor], str, list[str]]:
    """(tensors of the backbone under their own names, prefix taken off, names left out)."""
    prefix = next((prefix for prefix in _PREFIXES if f"{prefix}patch_embed.proj.weight" in weights), None)
    if prefix is None:
        shown = ", ".join(sorted(weights)[:6])
        raise BackboneError(
            f"{source} has no patch_embed.proj.weight, so it is not a vision transformer in the layout of DINO, iBOT "
            f"or timm. It has {len(weights)} tensors: {shown} ..."
        )
    kept, unused = {}, []
    for name, tensor in weights.items():
        own = name.removeprefix(prefix)
        if not name.startswith(prefix) or _UNUSED.search(own):
            unused.append(name)
        else:
            kept[own] = tensor.float()
    return kept, prefix, unused


def read_shape(weights: Mapping[str, torch.Tensor], label: str, heads: int | None = None) -> VitShape:
    """The architecture, from the tensors' shapes.

    Raises:
        BackboneError: a tensor it is read from is missing or of an impossible shape, or the heads do not divide it.
    """
    needed = ("patch_embed.proj.weight", "pos_embed", "cls_token", "blocks.0.mlp.fc1.weight")
    absent = [name for name in needed if name not in weights]
    if absent:
        raise BackboneError(f"{label} lacks {', '.join(absent)}: it is incomplete, or another architecture.")
    projection, positions = weights[needed[0]], weights["pos_embed"]
    if projection.ndim != 4 or projection.shape[1] != 3 or projection.shape[2] != projection.shape[3]:
        raise BackboneError(f"{label}: {needed[0]} is {tuple(projection.shape)}, expected (C, 3, patch, patch).")
    channels = int(projection.shape[0])
    table = math.isqrt(max(0, positions.shape[1] - 1)) if positions.ndim == 3 else 0
    if table < 1 or tuple(positions.shape) != (1, table * table + 1, channels):
        raise BackboneError(
            f"{label}: pos_embed is {tuple(positions.shape)}, expected (1, 1 + cells of a square grid, {channels}): "
            "one class token and no registers."
        )
    if heads is None and channels % _HEAD_CHANNELS:
        raise BackboneError(
            f"{label} has {channels} channels, no multiple of {_HEAD_CHANNELS}: give its heads (--heads)."
        )
    heads = channels // _HEAD_CHANNELS if heads is None else heads
    if heads < 1 or channels % heads:
        raise BackboneError(f"{label} has {channels} channels, which {heads} heads do not divide.")
    return VitShape(
        channels=channels,
        blocks=1 + max(int(match[1]) for name in weights if (match := _BLOCK.fullmatch(name))),
        heads=heads,
        mlp=int(weights["blocks.0.mlp.fc1.weight"].shape[0]),
        patch=int(projection.shape[2]),
        table=table,
        qkv_bias="blocks.0.attn.qkv.bias" in weights,
    )


def rename(weights: Mapping[str, torch.Tensor], shape: VitShape, label: str) -> dict[str, torch.Tensor]:
    """Tensors under the names of `ViTModel`; the fused queries, keys and values are split.

    Raises:
        BackboneError: tensors that `ViTModel` has no place for.
    """
    renamed: dict[str, torch.Tensor] = {}
    surplus = []
    for name, tensor in weights.items():
        match = _BLOCK.fullmatch(name)
        part, _, leaf = match[2].rpartition(".") if match else ("", "", "")
        if name in _TOP:
            renamed[_TOP[name]] = tensor
        elif match and part == "attn.qkv" and leaf in ("weight", "bias"):
            if tensor.shape[0] != 3 * shape.channels:
                raise BackboneError(
                    f"{label}: {name} is {tuple(tensor.shape)}; expected {3 * shape.channels} rows: queries, keys and "
                    "values."
                )
            for new, third in zip(_QKV, tensor.chunk(3), strict=True):
                renamed[f"layers.{match[1]}.{new}.{leaf}"] = third.clone()
        elif match and part in _IN_BLOCK and leaf in ("weight", "bias"):
            renamed[f"layers.{match[1]}.{_IN_BLOCK[part]}.{leaf}"] = tensor
        else:
            surplus.append(name)
    if surplus:
        raise BackboneError(
            f"{label} has tensors that a plain vision transformer has no place for ({', '.join(surplus[:6])}"
            f"{' ...' if len(surplus) > 6 else ''}), so it is another architecture (layer scale, registers, a pooling "
            "norm). Use its own checkpoint on the Hub, or a plug-in."
        )
    return renamed


def original_table(table: torch.Tensor, cells: int, rows: int) -> torch.Tensor:
    """A position table (1, 1 + cells^2, C) for rows x rows cells, as the code of DINO and iBOT interpolates it."""
    return table if rows == cells else offset_table(table, 1, rows, rows)


def _table_for(table: torch.Tensor, shape: VitShape, image_size: int) -> tuple[torch.Tensor, int]:
    if image_size < shape.patch or image_size % shape.patch:
        raise UsageError(f"The image size must be a multiple of the patch, {shape.patch} pixels; got {image_size}.")
    return original_table(table, shape.table, image_size // shape.patch), image_size


def _save_model(folder: Path, weights: Mapping[str, torch.Tensor], shape: VitShape, size: int, label: str) -> None:
    from transformers import ViTConfig, ViTModel

    config = ViTConfig(
        hidden_size=shape.channels,
        num_hidden_layers=shape.blocks,
        num_attention_heads=shape.heads,
        intermediate_size=shape.mlp,
        patch_size=shape.patch,
        image_size=size,
        qkv_bias=shape.qkv_bias,
        layer_norm_eps=_EPS,
        hidden_act="gelu",
    )
    model = ViTModel(config, add_pooling_layer=False)
    wanted = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    problems = [f"{name} is missing" for name in sorted(set(wanted) - set(weights))]
    problems += [
        f"{name} is {tuple(tensor.shape)}, expected {wanted.get(name, 'no such tensor')}"
        for name, tensor in sorted(weights.items())
        if tuple(tensor.shape) != wanted.get(name)
    ]
    if problems:
        listed = "\n".join(f"  {problem}" for problem in problems[:8])
        more = f"\n  and {len(problems) - 8} more" if len(problems) > 8 else ""
        raise BackboneError(f"{label} does not fill a vision transformer of {shape}:\n{listed}{more}")
    model.load_state_dict(dict(weights), strict=True)
    with quiet_transformers():
        model.save_pretrained(folder)


def _statistics_of(kind: str, statistics: str | None) -> Statistics:
    if kind not in CHECKPOINT_KINDS:
        raise unknown_name("kind of checkpoint", kind, CHECKPOINT_KINDS)
    wanted = statistics or CHECKPOINT_KINDS[kind]
    if wanted is None:
        raise UsageError(
            f"A checkpoint of kind {kind!r} does not say how its images are normalized: give --statistics "
            f"({', '.join(NAMED_STATISTICS)})."
        )
    if wanted not in NAMED_STATISTICS:
        raise unknown_name("statistics", wanted, NAMED_STATISTICS)
    return NAMED_STATISTICS[wanted]


def _preprocessor(statistics: Statistics, size: int) -> dict[str, Any]:
    return {
        "image_processor_type": "ViTImageProcessor",
        "do_resize": True,
        "size": {"height": size, "width": size},
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": list(statistics.mean),
        "image_std": list(statistics.std),
    }


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
