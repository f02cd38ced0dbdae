"""The options of the model and its input; `evaluate`, `probe` and others share them."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..features.extractor import DenseFeatureExtractor
    from ..features.spec import ExtractorSpec

_DTYPES = {"fp32": "float32", "fp16": "float16", "bf16": "bfloat16"}
_BUDGET = "memory for feature maps, in evaluate for all but the model, such as 8GB (default: half of what is free)"
_MODEL = "a name from `soco models`, a Hub id, a folder, a plug-in module:function, or several: 2*dinov2_b14+dift"


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """Declare `--model` and everything that determines its features."""
    parser.add_argument("--model", required=True, help=_MODEL)
    parser.add_argument("--image-size", type=int, default=800, help="requested network size in pixels (default 800)")
    parser.add_argument("--layer", type=int, help="block whose output is taken (default: the last, -1)")
    parser.add_argument("--layers", help="several blocks side by side, such as 2,5,8,11, or quarters")
    parser.add_argument("--norm", help="none or final: before or after the final norm (default: the list's, else none)")
    parser.add_argument("--head", help="a learned head (safetensors) on top, such as `soco probe` writes")
    parser.add_argument("--upsample", type=int, default=1, help="enlarge the maps by this factor (default 1)")
    parser.add_argument("--upsample-mode", default="bilinear", help="bilinear (default) or bicubic")
    parser.add_argument("--grid", type=int, help="with a+b: cells of the common grid (default: the finest)")
    parser.add_argument("--recipe", help="paper (default for listed models), paper-2026-08 or checkpoint")
    parser.add_argument("--statistics", default="auto", help="auto (the recipe's), checkpoint, imagenet, clip or half")
    parser.add_argument("--revision", help="commit, tag or branch of a Hub model")
    parser.add_argument("--device", default="auto", help="auto (default: a GPU where there is one), cpu, cuda, cuda:1")
    parser.add_argument(
        "--dtype", help="fp32 (default but for Qwen's recipe), fp16, bf16, or their long names; tf32 on a GPU"
    )
    parser.add_argument("--batch-size", default="8", help="images per forward on a GPU (default 8), or auto")
    parser.add_argument("--compile", action="store_true", help="run the model through torch.compile")
    parser.add_argument("--workers", type=int, help="decoding threads (default: one per core, from 2 to 8)")
    parser.add_argument("--memory-budget", help=_BUDGET)


def memory_budget(arguments: argparse.Namespace) -> int | None:
    """`--memory-budget` in bytes, None where it was not given."""
    from ..utils.files import parse_size

    return None if arguments.memory_budget is None else parse_size(arguments.memory_budget)


def load_extractor(arguments: argparse.Namespace) -> DenseFeatureExtractor:
    """The model the options ask for, loaded, at its image size."""
    return extractor_spec(arguments).load()


def extractor_spec(arguments: argparse.Namespace) -> ExtractorSpec:
    """The model the options ask for, not loaded yet."""
    from ..features.expression import parse_layers
    from ..features.spec import ExtractorSpec

    name = _DTYPES.get(arguments.dtype, arguments.dtype)  # None = the recipe's
    tf32 = name == "tf32"
    return ExtractorSpec(
        arguments.model,
        arguments.image_size,
        _batch_size(arguments.batch_size),
        tf32=tf32,
        compiled=arguments.compile,
        options={
            "grid": arguments.grid,
            "layers": parse_layers(arguments.layers) if arguments.layers else None,
            "head": arguments.head,
            "upsample": arguments.upsample,
            "upsample_mode": arguments.upsample_mode,
            "layer": arguments.layer,
            "norm": arguments.norm,
            "statistics": arguments.statistics,
            "device": arguments.device,
            "dtype": "float32" if tf32 else name,
            "revision": arguments.revision,
            "recipe": arguments.recipe,
        },
    )


def _batch_size(text: str) -> int | None:
    from ..errors import UsageError

    if text == "auto":
        return None
    if not text.isdecimal() or int(text) < 1:
        raise UsageError(f"--batch-size takes a number of images from 1 or auto, got {text!r}.")
    return int(text)
