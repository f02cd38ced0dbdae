"""`soco demo`: the full pipeline on the built-in set."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..utils.paths import local_path
from .common import Commands, command


def add(commands: Commands) -> None:
    """Add the command to the parser."""
    parser = command(commands, "demo", "run the full pipeline on the built-in mini set (no download)", "soco demo")
    parser.add_argument("--out", type=local_path, default=Path("soco_demo"), help="folder for everything it writes")
    parser.add_argument("--model", default="dense_sift", help="what to evaluate (default: the weight-free dense_sift)")
    parser.add_argument("--image-size", type=int, default=320, help="requested network size in pixels (default 320)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Run it."""
    from ..demo import run_demo

    run_demo(arguments.out, arguments.model, arguments.image_size)
