"""Recipes: how a listed model is run. Every choice is stored with its source and the doubt that is left. No torch.

    paper           the paper's framework as of June 2026, when the paper appeared; the default of listed models
    paper-2026-08   the framework as of August 2026, where it differs: statistics of CLIP, MetaCLIP 2 and PE, the norm
                    of DINOv3, the size of patch-14 models
    checkpoint      what the checkpoint's own files say, with the positions of its class in `transformers` or timm; the
                    default of everything that is not listed

docs/reference/recipes.md argues for the default and says for each row of table r5 what was verified.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import UsageError, unknown_name
from .families.base import Activation, Norm, Positions
from .model_list import BackboneSpec

PAPER, AUGUST, CHECKPOINT = "paper", "paper-2026-08", "checkpoint"
RECIPES: tuple[str, ...] = (PAPER, AUGUST, CHECKPOINT)
UNKNOWN = "unknown"  # recorded instead of `paper` where it is not known which model the paper ran

_FRAMEWORK = "the paper's framework, read wrapper by wrapper and compared at 800 px with equal random weights"
_LIST = "the list's facts about the paper's framework (`model_list.py`)"
_FILE = "the checkpoint's own files"
_STATES = "the framework's states of June and of August 2026 differ; the paper appeared in June"


@dataclass(frozen=True)
class Choice:
    """One choice of a recipe.

    Attributes:
        value: what is done.
        source: where it was read.
        doubt: what is not known about it, "" for nothing.
    """

    value: str
    source: str
    doubt: str = ""


@dataclass(frozen=True, kw_only=True)
class ModelRecipe:
    """How a model is run.

    Attributes:
        name: one of `RECIPES`.
        statistics: "checkpoint" or a name of `preprocess.NAMED_STATISTICS`.
        norm: "none" or "final".
        positions: one of `families.base.POSITIONS`.
        activation: "checkpoint" or "gelu".
        size: "nearest" = resize to the nearest multiple of the patch, "padded" = resize to the size asked for and fill
            the last cells up with zeros after the normalization.
        dtype: arithmetic of the forward.
        unknown: why it is not known which model the paper ran, "" where it is.
    """

    name: str
    statistics: Choice
    norm: Choice
    positions: Choice
    activation: Choice
    size: Choice
    dtype: Choice
    unknown: str = ""

    @property
    def label(self) -> str:
        """What a record calls it: the name, or `UNKNOWN` in place of a paper's recipe of an unknown model."""
        return UNKNOWN if self.unknown and self.name != CHECKPOINT else self.name

    def choices(self) -> dict[str, Choice]:
        """Every choice by its name."""
        names = ("statistics", "norm", "positions", "activation", "size", "dtype")
        return {name: getattr(self, name) for name in names}

    def describe(self) -> dict[str, Any]:
        """As JSON values."""
        choices = {name: {"value": c.value, "source": c.source, "doubt": c.doubt} for name, c in self.choices().items()}
        return {"name": self.name, "label": self.label, "unknown": self.unknown, **choices}

    @property
    def variant(self) -> dict[str, str]:
        """The choices that change the network itself, by name; empty for the checkpoint's own network."""
        changed = {"positions": self.positions.value, "activation": self.activation.value}
        return {name: value for name, value in changed.items() if value != CHECKPOINT}


_ADAPTED: Mapping[str, tuple[Positions, str]] = {
    "vit": ("offset", "the code of DINO and iBOT scales the table by (cells + 0.1) / table"),
    "dinov2": ("offset", "the code of DINOv2 scales the table by (cells + 0.1) / table; with registers it does not"),
    "vit_mae": ("sincos", "the framework computes the sine positions for the grid, 0 to cells - 1"),
    "clip": ("antialiased", "open_clip resizes the table with an antialiased bicubic filter"),
    "metaclip_2": ("antialiased", "open_clip resizes the table with an antialiased bicubic filter"),
    "siglip": ("antialiased", "the framework resizes the table with an antialiased bicubic filter"),
    "timm_wrapper": ("rotary_fixed", "PE's own code: rotary coordinates not rescaled, absolute table bilinear"),
}
_JUNE_IMAGENET = ("clip_b16", "clip_b16_laion", "clip_l14", "perception")  # and every MetaCLIP 2
_OPENAI_CLIP = ("clip_b16", "clip_l14")
_UNKNOWN_MODEL = {
    "radio": "its score lies between those of C-RADIOv3-B and C-RADIOv3-L and it is in no public config, so it is "
    "neither; C-RADIOv3-H is loaded, and its score says nothing about the paper's",
    "perception": "table r10 says PE-Spatial-G/14, the framework's page lists PE-Spatial-B/16 with the numbers of "
    "table r5; G/14 is loaded, and its score says nothing about the paper's",
}


def recipe_of(spec: BackboneSpec | None, name: str | None = None, model: object = "") -> ModelRecipe:
    """A recipe by name, or the default of a model.

    Args:
        spec: the model's entry in the list, None where it is not listed.
        name: one of `RECIPES`; None = "paper" for a listed model of the paper, else "checkpoint".
        model: what the user asked for, for the error.

    Raises:
        UsageError: an unknown recipe, or a paper's recipe of a model that is not in the paper.
    """
    if name not in (None, *RECIPES):
        raise unknown_name("recipe", str(name), RECIPES)
    in_paper = spec is not None and bool(spec.paper_statistics)
    if name in (PAPER, AUGUST) and not in_paper:
        raise UsageError(f"{model} is not a model of the paper, so it has no recipe {name!r}: take `checkpoint`.")
    if spec is None or not in_paper or name == CHECKPOINT:
        return _checkpoint(spec)
    return _paper(spec, name or PAPER)


def _checkpoint(spec: BackboneSpec | None) -> ModelRecipe:
    own = Choice(CHECKPOINT, _FILE)
    return ModelRecipe(
        name=CHECKPOINT,
        statistics=own,
        norm=Choice("none", "the raw output of the block"),
        positions=own,
        activation=own,
        size=Choice("nearest", "what the model takes"),
        dtype=Choice("float32", "the toolkit's default"),
        unknown=_UNKNOWN_MODEL.get(spec.name, "") if spec else "",
    )


def _paper(spec: BackboneSpec, name: str) -> ModelRecipe:
    positions, why = _ADAPTED.get(spec.model_type, (CHECKPOINT, _FRAMEWORK))
    exact = spec.name in _OPENAI_CLIP
    return ModelRecipe(
        name=name,
        statistics=_statistics(spec, name),
        norm=_norm(spec, name),
        positions=Choice(positions, why),
        activation=Choice("gelu", "open_clip 3.3 builds OpenAI's weights with exact GELU", "trained with quick GELU")
        if exact
        else Choice(CHECKPOINT, _FRAMEWORK),
        size=_size(spec, name),
        dtype=_dtype(spec),
        unknown=_UNKNOWN_MODEL.get(spec.name, ""),
    )


def _statistics(spec: BackboneSpec, name: str) -> Choice:
    if name == PAPER and (spec.name in _JUNE_IMAGENET or spec.model_type == "metaclip_2"):
        return Choice("imagenet", _FRAMEWORK, f"{_STATES}: {spec.paper_statistics} since August")
    if spec.paper_statistics == "none":
        return Choice(CHECKPOINT, "the model normalizes its pixels itself")
    return Choice(spec.paper_statistics, _LIST)


def _norm(spec: BackboneSpec, name: str) -> Choice:
    if spec.model_type == "dinov3_vit":
        value: Norm = "final" if name == PAPER else "none"
        return Choice(value, _FRAMEWORK, f"{_STATES}: the final norm in June, the raw block since August")
    return Choice(spec.paper_norm or "none", _LIST)


def _size(spec: BackboneSpec, name: str) -> Choice:
    if spec.patch == 14 and name == PAPER:
        return Choice("padded", _FRAMEWORK, f"{_STATES}: 800 padded with zeros to 812 in June, 798 since August")
    return Choice("nearest", _FRAMEWORK)


def _dtype(spec: BackboneSpec) -> Choice:
    if spec.name == "qwen_vl":
        return Choice("bfloat16", _FRAMEWORK, "float32 moves 4 % of the nearest neighbors")
    return Choice("float32", _FRAMEWORK)


def activation_of(recipe: ModelRecipe) -> Activation:
    """The activation for a `LoadRequest`."""
    return "gelu" if recipe.activation.value == "gelu" else "checkpoint"
