"""`soco convert`: a published .pth checkpoint to a model folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from typer import Argument, Option

from . import EVALUATE
from .common import OverwriteFlag, RequiredOut
from .options import command


def add(app: typer.Typer) -> None:
    """Add the command."""
    example = "soco convert ibot checkpoint_teacher.pth --out ibot_b16"
    command(app, run, "convert", "convert an iBOT, DINO or timm ViT checkpoint to a model folder", example, EVALUATE)


@dataclass(frozen=True, kw_only=True)
class CheckpointOptions:
    """The checkpoint, and what it does not say of itself."""

    kind: Annotated[
        str, Argument(metavar="KIND", help="ibot, dino, or vit (any plain vision transformer in timm's layout)")
    ]
    checkpoint: Annotated[
        Path, Argument(metavar="FILE", help="the .pth, .pt, .bin or .safetensors file; no code in it is run")
    ]
    key: Annotated[
        str | None,
        Option(metavar="NAME", help="entry of the file that holds the weights, such as teacher", show_default="found"),
    ] = None
    heads: Annotated[int | None, Option(help="attention heads", show_default="channels / 64")] = None
    statistics: Annotated[
        str | None, Option(metavar="NAME", help="imagenet, clip or half; required for vit", show_default="imagenet")
    ] = None
    image_size: Annotated[
        int | None, Option(help="interpolate the positions to this size as the original code does")
    ] = None


def run(options: CheckpointOptions, out: RequiredOut, overwrite: OverwriteFlag = False) -> None:
    """Convert it."""
    from ..features.convert import convert_checkpoint

    folder = convert_checkpoint(
        options.kind,
        options.checkpoint,
        out,
        key=options.key,
        heads=options.heads,
        statistics=options.statistics,
        image_size=options.image_size,
        overwrite=overwrite,
    )
    print(f"{folder}: converted; evaluate it with\n  soco evaluate --model {folder}")
