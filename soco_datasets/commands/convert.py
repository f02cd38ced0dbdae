"""`soco convert`: a published .pth checkpoint to a model folder."""

from __future__ import annotations

import argparse

from ..utils.paths import local_path
from .common import Commands, command


def add(commands: Commands) -> None:
    """Add the command to the parser."""
    example = "soco convert ibot checkpoint_teacher.pth --out ibot_b16"
    parser = command(commands, "convert", "convert an iBOT, DINO or timm ViT checkpoint to a model folder", example)
    parser.add_argument("kind", help="ibot, dino, or vit (any plain vision transformer in timm's layout)")
    parser.add_argument(
        "checkpoint", type=local_path, help="the .pth, .pt, .bin or .safetensors file; no code in it is run"
    )
    parser.add_argument("--out", type=local_path, required=True, help="folder to make")
    parser.add_argument("--key", help="entry of the file that holds the weights, such as teacher (default: found)")
    parser.add_argument("--heads", type=int, help="attention heads (default: channels / 64)")
    parser.add_argument("--statistics", help="imagenet, clip or half (default: imagenet; kind vit must say)")
    parser.add_argument(
        "--image-size", type=int, help="interpolate the positions to this size as the original code does"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace --out when it is not empty")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Run it."""
    from ..features.convert import convert_checkpoint

    folder = convert_checkpoint(
        arguments.kind,
        arguments.checkpoint,
        arguments.out,
        key=arguments.key,
        heads=arguments.heads,
        statistics=arguments.statistics,
        image_size=arguments.image_size,
        overwrite=arguments.overwrite,
    )
    print(f"{folder}: converted; evaluate it with\n  soco evaluate --model {folder}")
