"""The options of the model and its input; `evaluate`, `probe` and others share them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from typer import Option

from .completion import complete_models

if TYPE_CHECKING:
    from ..features.extractor import DenseFeatureExtractor
    from ..features.spec import ExtractorSpec

_DTYPES = {"fp32": "float32", "fp16": "float16", "bf16": "bfloat16"}
_DTYPE = "fp32, fp16, bf16, or their long names; tf32 on a GPU; auto: bf16 where it is fast, else fp32"
_BUDGET = "memory for feature maps, in evaluate for all but the model, such as 8GB"
_MODEL = "a name from `soco models`, a Hub id, a folder, a plug-in module:function, or several: 2*dinov2_b14+dift"


@dataclass(frozen=True, kw_only=True)
class BackboneOptions:
    """`--model` and everything that determines its features and how they are computed."""

    PANEL: ClassVar[str] = "Model"

    model: Annotated[str, Option(metavar="MODEL", help=_MODEL, autocompletion=complete_models)]
    image_size: Annotated[int, Option(help="requested network size in pixels")] = 800
    layer: Annotated[int | None, Option(help="block whose output is taken", show_default="the last, -1")] = None
    layers: Annotated[
        str | None, Option(metavar="N,N,...", help="several blocks side by side, such as 2,5,8,11, or quarters")
    ] = None
    norm: Annotated[
        str | None,
        Option(
            metavar="NAME", help="none or final: before or after the final norm", show_default="the list's, else none"
        ),
    ] = None
    head: Annotated[
        str | None, Option(metavar="FILE", help="a learned head (safetensors) on top, such as `soco probe` writes")
    ] = None
    upsample: Annotated[int, Option(help="enlarge the maps by this factor")] = 1
    upsample_mode: Annotated[str, Option(metavar="MODE", help="bilinear or bicubic")] = "bilinear"
    grid: Annotated[int | None, Option(help="with a+b: cells of the common grid", show_default="the finest")] = None
    recipe: Annotated[
        str | None,
        Option(metavar="NAME", help="paper, paper-2026-08 or checkpoint", show_default="paper for listed models"),
    ] = None
    statistics: Annotated[
        str, Option(metavar="NAME", help="auto (the recipe's), checkpoint, imagenet, clip or half")
    ] = "auto"
    revision: Annotated[str | None, Option(metavar="REV", help="commit, tag or branch of a Hub model")] = None
    device: Annotated[
        str, Option(metavar="NAME", help="auto (a GPU where there is one), cpu, cuda, cuda:1", rich_help_panel="Run")
    ] = "auto"
    dtype: Annotated[
        str | None,
        Option(metavar="NAME", help=_DTYPE, show_default="fp32 except in Qwen's recipe", rich_help_panel="Run"),
    ] = None
    batch_size: Annotated[
        str, Option(metavar="N", help="images per forward on a GPU, or auto", rich_help_panel="Run")
    ] = "8"
    compile: Annotated[bool, Option(help="run the model through torch.compile", rich_help_panel="Run")] = False
    workers: Annotated[
        int | None, Option(help="decoding threads", show_default="one per core, from 2 to 16", rich_help_panel="Run")
    ] = None
    memory_budget: Annotated[
        str | None, Option(metavar="SIZE", help=_BUDGET, show_default="half of the free memory", rich_help_panel="Run")
    ] = None

    def qualifiers(self) -> list[str]:
        """What the names of results say of options that are not at their default: "size140", "layer5" ..."""
        return _qualified(
            ("size", self.image_size, 800),
            ("layer", self.layer, None),
            ("layers", self.layers and self.layers.replace(",", "-"), None),
            ("norm-", self.norm, None),
            ("upsample", self.upsample, 1),
            ("grid", self.grid, None),
            ("recipe-", self.recipe, None),
            ("statistics-", self.statistics, "auto"),
            ("", _DTYPES.get(self.dtype or "", self.dtype), None),
        )

    def budget(self) -> int | None:
        """`--memory-budget` in bytes, None where it was not given."""
        from ..utils.files import parse_size

        return None if self.memory_budget is None else parse_size(self.memory_budget)

    def spec(self) -> ExtractorSpec:
        """The model the options ask for, not loaded yet."""
        from ..features.expression import parse_layers
        from ..features.spec import ExtractorSpec

        name = _DTYPES.get(self.dtype or "", self.dtype)  # None = the recipe's
        tf32 = name == "tf32"
        return ExtractorSpec(
            self.model,
            self.image_size,
            _batch_size(self.batch_size),
            tf32=tf32,
            compiled=self.compile,
            options={
                "grid": self.grid,
                "layers": parse_layers(self.layers) if self.layers else None,
                "head": self.head,
                "upsample": self.upsample,
                "upsample_mode": self.upsample_mode,
                "layer": self.layer,
                "norm": self.norm,
                "statistics": self.statistics,
                "device": self.device,
                "dtype": "float32" if tf32 else name,
                "revision": self.revision,
                "recipe": self.recipe,
            },
        )

    def load(self) -> DenseFeatureExtractor:
        """The model the options ask for, loaded, at its image size."""
        return self.spec().load()


def _qualified(*chosen: tuple[str, Any, Any]) -> list[str]:
    """Parts of a result's name from (prefix, value, default), without those at their default."""
    return [f"{name}{value}" for name, value, default in chosen if value not in (default, "reference", "float32")]


def _batch_size(text: str) -> int | None:
    from ..errors import UsageError

    if text == "auto":
        return None
    if not text.isdecimal() or int(text) < 1:
        raise UsageError(f"--batch-size takes a number of images from 1 or auto, got {text!r}.")
    return int(text)
