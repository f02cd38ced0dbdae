"""The architectures of the listed transformers: width, depth, heads, norm eps and activation. No torch.

A config with another number of heads or another activation loads without an error and gives other features.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..model_list import BackboneSpec


@dataclass(frozen=True)
class Architecture:
    """What a config says of a vision transformer; None where it is not compared.

    Attributes:
        channels, blocks, heads: width, depth and attention heads.
        eps: of its layer norms.
        activation: of its MLPs, as `transformers` calls it.
    """

    channels: int | None = None
    blocks: int | None = None
    heads: int | None = None
    eps: float | None = None
    activation: str | None = None


_SMALL = Architecture(384, 12, 6, 1e-6, "gelu")
_BASE = Architecture(768, 12, 12, 1e-6, "gelu")
_LARGE = Architecture(1024, 24, 16, 1e-6, "gelu")
_HUGE = Architecture(1280, 32, 16, 1e-6, "gelu")

_ARCHITECTURES: dict[str, Architecture] = {
    "clip_b16": replace(_BASE, eps=1e-5, activation="quick_gelu"),
    "clip_l14": replace(_LARGE, eps=1e-5, activation="quick_gelu"),
    "clip_b16_laion": replace(_BASE, eps=1e-5),
    "openclip_vitb16_datacomp": replace(_BASE, eps=1e-5),
    "openclip_vitl14_datacomp": replace(_LARGE, eps=1e-5),
    "openclip_vitl14_laion2b": replace(_LARGE, eps=1e-5),
    "metaclip2_vits16": replace(_SMALL, eps=1e-5, activation=None),
    "metaclip2_vitb16": replace(_BASE, eps=1e-5, activation=None),
    "metaclip2_vitl14": replace(_LARGE, eps=1e-5, activation=None),
    "dino_s16": _SMALL,
    "dino_b16": _BASE,
    "ibot_s16": _SMALL,
    "ibot_b16": _BASE,
    "ibot_b16_in22k": _BASE,
    "ibot_l16": _LARGE,
    "ibot_l16_in22k": _LARGE,
    "mae_b16": _BASE,
    "ijepa": _HUGE,
    "dinov2_s14": _SMALL,
    "dinov2_b14": _BASE,
    "dinov2_b14_reg": _BASE,
    "dinov2_l14": _LARGE,
    "dinov3_vits16plus": replace(_SMALL, eps=1e-5, activation=None),
    "dinov3_vitb16": replace(_BASE, eps=1e-5),
    "dinov3_vitl16": replace(_LARGE, eps=1e-5),
    "siglip_b16": replace(_BASE, activation="gelu_pytorch_tanh"),
    "siglip_l16": replace(_LARGE, activation="gelu_pytorch_tanh"),
    "pixio_vitb16": _BASE,
    "pixio_vitl16": _LARGE,
    "sam_base": _BASE,
}


def architecture_of(spec: BackboneSpec) -> Architecture | None:
    """The architecture of a listed model, None where it is not compared."""
    return _ARCHITECTURES.get(spec.name)
