"""The methods of the paper's table r4 by name: several models and a learned part each. No torch.

None of their checkpoint formats could be read where this was written (no network), so none has a converter here: each
name says what the method is made of and how it comes in as a plug-in. docs/reference/recipes.md lists what was checked.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import BackboneError, worded


@dataclass(frozen=True)
class PaperMethod:
    """A row of table r4.

    Attributes:
        name: what to ask for.
        label: what table r4 calls it.
        parts: what it is made of.
        source: where its code and weights are published.
        nearest: the expression of this toolkit that comes closest without the learned part, "" for none.
    """

    name: str
    label: str
    parts: str
    source: str
    nearest: str = ""


METHODS: tuple[PaperMethod, ...] = (
    PaperMethod(
        "sd_geo_sc",
        "SD (ft. for pan. seg., Geo-SC)",
        "three U-Net layers of a Stable Diffusion 1.5 fine-tuned for panoptic segmentation (ODISE), reduced by PCA",
        "https://github.com/Junyi42/GeoAware-SC",
        "dift",
    ),
    PaperMethod(
        "sd_dino",
        "SD + DINO (SD ft pan. seg., Geo-SC)",
        "the features of `sd_geo_sc` and DINOv2-B/14 side by side, each scaled to unit length",
        "https://github.com/Junyi42/sd-dino",
        "dift+dinov2_b14",
    ),
    PaperMethod(
        "cleandift_dino",
        "CleanDIFT + DINO",
        "a Stable Diffusion 2.1 fine-tuned to give features without noise, and DINOv2-B/14 side by side",
        "https://github.com/CompVis/cleandift",
        "dift+dinov2_b14",
    ),
    PaperMethod(
        "diy_sc",
        "DIY-SC (weakl. sup.)",
        "a refiner on the features of SD + DINO or DINOv2, trained with pseudo-labels",
        "https://github.com/odunkel/DIY-SC",
        "dinov2_b14",
    ),
    PaperMethod(
        "tlr_sd_dino",
        "TLR (w SD+DINO) (sup. SPair-71k)",
        "the aggregation network of Telling Left from Right on SD + DINO, supervised on SPair-71k",
        "https://github.com/Junyi42/GeoAware-SC",
        "dift+dinov2_b14",
    ),
    PaperMethod(
        "tlr_dino",
        "TLR (w DINO) (sup. SPair-71k)",
        "the aggregation network of Telling Left from Right on DINOv2, supervised on SPair-71k",
        "https://github.com/Junyi42/GeoAware-SC",
        "dinov2_b14",
    ),
)


def refuse_method(name: str) -> None:
    """Raise `BackboneError` with what to do where `name` is a method of table r4."""
    method = next((method for method in METHODS if name == method.name), None)
    if method is None:
        return
    nearest = (
        f" Without its learned part, {worded('--model ', '')}{method.nearest} comes closest." if method.nearest else ""
    )
    raise BackboneError(
        f"{name} ({method.label} in table r4) is not loaded by name: {method.parts}. Get it from {method.source} and "
        f"bring it as a plug-in ({worded('--model module:function', 'model=function')}); "
        f"docs/reference/recipes.md and docs/howto/plugins.md show how.{nearest}"
    )
