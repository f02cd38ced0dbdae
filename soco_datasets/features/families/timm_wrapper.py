"""Any timm model, through `TimmWrapperModel`: Perception Encoder, EVA-02, and whatever else gives intermediate maps.

`layer` is an index into what the model's `forward_intermediates` gives: blocks of a transformer, stages of a
hierarchical model. The maps come as NCHW without prefix tokens, whatever the architecture works with inside. Norm
"final" is the model's `norm`; models without one (most Perception Encoder "spatial" models, models that pool before
their norm, ConvNets) refuse it, hierarchical ones allow it for the last stage only.

Released checkpoints (`timm/...` on the Hub) have no model_type and no preprocessor file: they are known by
`architecture` in config.json, and their statistics are those of its `pretrained_cfg`. Image sizes: positions are
interpolated where the architecture can (`dynamic_img_size`, or `strict_img_size=False`). Others are tried: some take
any size (ConvNets), some multiples of their own (windows that must fit), some their own size only.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ...errors import BackboneError, missing_extra
from .base import LoadRequest
from .maps import MapFamily, MapPlan, only_last_is_normed
from .positions import bilinear_table
from .tokens import check_layer, load_model

if TYPE_CHECKING:
    import torch

    from ..checkpoint import Checkpoint

_ANY_SIZE: tuple[Mapping[str, bool], ...] = ({"dynamic_img_size": True}, {"strict_img_size": False})


class TimmFamily(MapFamily):
    """model_type "timm_wrapper", and config files of timm's own form."""

    model_types = ("timm_wrapper",)
    unused = re.compile(r"^(timm_model\.)?(head\w*|fc|classifier\w*|last_linear)\.")
    float32 = re.compile(r"\brope\.\w+$")

    def load_model(self, checkpoint: Checkpoint) -> Any:
        """The model in float32, for any image size where the architecture can."""
        timm = _timm()
        from transformers import TimmWrapperConfig, TimmWrapperModel

        architecture = checkpoint.config.get("architecture")
        if not isinstance(architecture, str) or not timm.is_model(architecture.split(".")[0]):
            raise BackboneError(
                f"{checkpoint.label}: config.json names the architecture {architecture!r}, which timm "
                f"{timm.__version__} does not know. Upgrade timm, or get another config.json."
            )
        config = TimmWrapperConfig.from_pretrained(checkpoint.folder)
        arguments = {name: value for name, value in (config.model_args or {}).items() if name != "num_classes"}
        config.model_args = _any_size(timm, architecture, arguments)
        return load_model(TimmWrapperModel, checkpoint, {"config": config}, self.unused)

    def plan(self, model: Any, request: LoadRequest) -> MapPlan:
        """The map of block or stage `request.layer`."""
        inner, name = model.timm_model, request.name
        if not hasattr(inner, "forward_intermediates"):
            raise BackboneError(
                f"{name}: {type(inner).__name__} of timm gives no intermediate maps, so it is not a backbone."
            )
        levels = inner.feature_info
        index = check_layer(request.layer, len(levels), name)
        normed = request.norm == "final"
        if normed:
            if type(getattr(inner, "norm", None)).__name__ in ("NoneType", "Identity"):
                raise BackboneError(f"{name} has no norm before it pools: leave `norm` out, or give 'none'.")
            if len({level["reduction"] for level in levels}) > 1:
                only_last_is_normed(request, index, len(levels))
        stride = int(levels[index]["reduction"])
        multiple, fixed = _size_rule(model, max(int(level["reduction"]) for level in levels), stride)

        whole_cells = request.positions == "rotary_fixed" and str(model.config.architecture).startswith("vit_pe_")

        def compute_layers(pixels: torch.Tensor, layers: Sequence[int]) -> list[torch.Tensor]:
            options = {"indices": sorted(layers), "norm": normed, "stop_early": True, "intermediates_only": True}
            try:
                with _positions_of_pe(inner, pixels) if whole_cells else contextlib.nullcontext():
                    maps: list[torch.Tensor] = inner.forward_intermediates(pixels, output_fmt="NCHW", **options)
            except (AssertionError, RuntimeError) as error:
                reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
                raise BackboneError(
                    f"{name}: {type(inner).__name__} of timm does not take {pixels.shape[-2]}x{pixels.shape[-1]} "
                    f"pixels; it was made for {_native_size(inner)} ({reason})."
                ) from error
            return [maps[sorted(layers).index(layer)] for layer in layers]

        alike = len({(level["reduction"], level["num_chs"]) for level in levels}) == 1
        return MapPlan(
            compute=lambda pixels: compute_layers(pixels, (index,))[0],
            compute_layers=compute_layers if alike else None,
            num_layers=len(levels),
            patch_size=stride,
            channels=int(levels[index]["num_chs"]),
            size_multiple=multiple,
            fixed_size=fixed,
            num_prefix_tokens=int(getattr(inner, "num_prefix_tokens", 0)),
            details={
                "output": f"{levels[index]['module']}, stride {stride}",
                "architecture": model.config.architecture,
            },
        )


@contextlib.contextmanager
def _positions_of_pe(inner: Any, pixels: torch.Tensor) -> Iterator[None]:
    """Positions as PE's own code fits them to a grid: rotary coordinates in cells, the absolute table bilinear.

    timm divides rotary coordinates by the grid and multiplies them by `ref_feat_shape`, and resizes the absolute table
    with an antialiased bicubic filter where the grid is not that of `patch_embed.grid_size`.
    """
    import torch

    rope, embed, table = inner.rope, inner.patch_embed, inner.pos_embed
    before = rope.ref_feat_shape, embed.grid_size
    cells = tuple(side // patch for side, patch in zip(pixels.shape[-2:], embed.patch_size, strict=True))
    rope.ref_feat_shape = None
    try:
        if table is not None and cells != tuple(embed.grid_size):
            prefix = 0 if inner.no_embed_class else inner.num_prefix_tokens
            resized = bilinear_table(table.detach(), prefix, *cells)
            inner.pos_embed, embed.grid_size = torch.nn.Parameter(resized, requires_grad=False), cells
        yield
    finally:
        inner.pos_embed = table
        rope.ref_feat_shape, embed.grid_size = before


def _timm() -> Any:
    try:
        import timm
    except ModuleNotFoundError as error:
        raise missing_extra("A timm model", "timm", error.name or "timm") from error
    except (ImportError, RuntimeError, OSError) as error:
        raise BackboneError(
            f"timm is installed but cannot be imported: {str(error).strip().splitlines()[0]}. It needs the torchvision "
            "release that fits your torch."
        ) from error
    return timm


def _any_size(timm: Any, architecture: str, given: dict[str, Any]) -> dict[str, Any]:
    """The arguments of the model with the one added that lets it take any image size, where its class has one."""
    import torch

    for option in _ANY_SIZE:
        try:
            with torch.device("meta"):
                timm.create_model(architecture, pretrained=False, num_classes=0, **{**given, **option})
        except TypeError:  # its class does not know the argument
            continue
        return {**given, **option}
    return given


def _size_rule(model: Any, coarsest: int, stride: int) -> tuple[int, int | None]:
    """(what image sides must be multiples of, the only side if there is one), by trying where no argument decides."""
    sides = _native_sides(model.timm_model)
    if any(option.keys() <= (model.config.model_args or {}).keys() for option in _ANY_SIZE):
        return stride, None
    if sides is None or sides[0] != sides[1] or _takes(model.timm_model, sides[0] + coarsest):
        return stride, None
    if _takes(model.timm_model, 2 * sides[0]):
        return sides[0], None
    return stride, sides[0]


def _takes(model: Any, side: int) -> bool:
    import torch

    try:
        with torch.inference_mode():
            model.eval().forward_features(torch.zeros(1, 3, side, side))
    except (AssertionError, RuntimeError, ValueError):
        return False
    return True


def _native_sides(model: Any) -> tuple[int, int] | None:
    """Rows and columns of pixels that a timm model was made for, None where it does not say."""
    made_for = getattr(getattr(model, "patch_embed", None), "img_size", None)
    if made_for is None:
        made_for = ((getattr(model, "pretrained_cfg", None) or {}).get("input_size") or (None,))[1:]
    return (int(made_for[0]), int(made_for[1])) if made_for else None


def _native_size(model: Any) -> str:
    sides = _native_sides(model)
    return f"{sides[0]}x{sides[1]}" if sides else "another size"


FAMILY = TimmFamily()
