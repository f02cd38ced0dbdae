"""Families that give maps, by tiny random checkpoints: hierarchical models, towers, segmenters, timm, Stable Diffusion.

Features are compared with what the whole models of `transformers`, `timm` and `diffusers` compute when called by hand.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
import transformers as tf
from helpers.tiny_map_models import import_timm

from soco_datasets.errors import BackboneError
from soco_datasets.features.backbones import load_backbone
from soco_datasets.features.extractor import DenseFeatureExtractor
from soco_datasets.features.families.maps import MapBackbone

Hand = Callable[[Path, torch.Tensor, int], tuple[list[torch.Tensor], list[torch.Tensor] | None]]


class Case(NamedTuple):
    """What is known about a kind from its source: cell, multiple and channels per layer, and of its final map."""

    cells: list[int]
    multiples: list[int]
    channels: list[int]
    final: tuple[int, int, int] | None  # cell, multiple, channels of the last layer with norm "final"
    hand: Hand
    size: int  # where it is computed by hand
    layer: int = -1  # where cells are tested
    square: bool = False
    grids: Sequence[tuple[int, int]] = ((4, 4), (5, 5), (5, 7))


def nchw(maps: torch.Tensor) -> torch.Tensor:
    return maps.permute(0, 3, 1, 2)


def raster(tokens: torch.Tensor) -> torch.Tensor:
    """(B, h * h, C) to (B, C, h, h), written out cell by cell."""
    side = int(tokens.shape[1] ** 0.5)
    cells = [[tokens[:, row * side + column] for column in range(side)] for row in range(side)]
    return torch.stack([torch.stack(row, dim=-1) for row in cells], dim=-2)


def convnext(folder: Path, pixels: torch.Tensor, size: int) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    model = tf.AutoModel.from_pretrained(folder).eval()
    output = model(pixels, output_hidden_states=True)
    raw = list(output.hidden_states[1:])
    if model.config.model_type == "dinov3_convnext":
        return raw, [raster(output.last_hidden_state[:, 1:])]
    return raw, [nchw(model.layernorm(raw[-1].permute(0, 2, 3, 1)))]


def swin(folder: Path, pixels: torch.Tensor, size: int) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    model = tf.SwinModel.from_pretrained(folder).eval()
    output = model(pixels, output_hidden_states=True, output_hidden_states_before_downsampling=True)
    return list(output.reshaped_hidden_states[1:]), [raster(output.last_hidden_state)]


def sam(folder: Path, pixels: torch.Tensor, size: int) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    output = tf.AutoModel.from_pretrained(folder).eval().vision_encoder(pixels, output_hidden_states=True)
    return [nchw(maps) for maps in output.hidden_states[1:]], [output.last_hidden_state]


def sam2(folder: Path, pixels: torch.Tensor, size: int) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    model = tf.AutoModel.from_pretrained(folder).eval()
    tower = getattr(model, "vision_encoder", model)
    raw = tower.backbone(pixels).intermediate_hidden_states
    return [nchw(maps) for maps in raw], list(tower(pixels).fpn_hidden_states)


def vjepa2(folder: Path, pixels: torch.Tensor, size: int) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    model = tf.VJEPA2ForVideoClassification.from_pretrained(folder, crop_size=size).eval()
    clip = torch.stack([pixels, pixels], dim=1)
    output = model.vjepa2(clip, skip_predictor=True, output_hidden_states=True)
    return [raster(tokens) for tokens in output.hidden_states[1:]], [raster(output.last_hidden_state)]


def qwen(folder: Path, pixels: torch.Tensor, size: int) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Patches from the family's own processor; one image at a time; each token put where its position id says."""
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil
    from transformers.vision_utils import get_vision_position_ids, get_vision_window_index

    tower = tf.AutoModelForImageTextToText.from_pretrained(folder).eval().model.visual
    processor = Qwen2VLImageProcessorPil(
        do_resize=False, do_rescale=False, do_normalize=False, patch_size=tower.patch_size, merge_size=2
    )
    seen: list[list[torch.Tensor]] = [[] for _ in tower.blocks]
    merged = []
    for image in pixels:
        batch = processor([image.numpy()], return_tensors="pt", input_data_format="channels_first")
        output = tower(batch["pixel_values"], grid_thw=batch["image_grid_thw"], output_hidden_states=True)
        merged.append(raster(output.pooler_output[None]))
        places = get_vision_position_ids(batch["image_grid_thw"], 2)
        if hasattr(tower, "window_size"):  # blocks of four go through the windows in this order
            order, _ = get_vision_window_index(batch["image_grid_thw"], 2, tower.window_size, 14)
            places = torch.cat([places[4 * block : 4 * block + 4] for block in order.tolist()])
        for layer, tokens in enumerate(output.hidden_states[1:]):
            side = size // tower.patch_size
            maps = torch.zeros(1, tokens.shape[1], side, side)
            for (row, column), token in zip(places.tolist(), tokens, strict=True):
                maps[0, :, row, column] = token
            seen[layer].append(maps)
    return [torch.cat(maps) for maps in seen], [torch.cat(merged)]


def timm(folder: Path, pixels: torch.Tensor, size: int) -> tuple[list[torch.Tensor], list[torch.Tensor] | None]:
    import_timm()
    config = tf.TimmWrapperConfig.from_pretrained(folder)
    del config.model_args["num_classes"]  # timm writes it, TimmWrapperModel fails over it
    model = tf.TimmWrapperModel.from_pretrained(folder, config=config).eval()
    output = model(pixels, output_hidden_states=True, do_pooling=False)
    last, inner = output.last_hidden_state, model.timm_model
    if not isinstance(getattr(inner, "norm", None), torch.nn.LayerNorm):
        return list(output.hidden_states), None
    return list(output.hidden_states), [raster(last[:, inner.num_prefix_tokens :]) if last.ndim == 3 else nchw(last)]


def dift(folder: Path, pixels: torch.Tensor, size: int) -> tuple[list[torch.Tensor], None]:
    """The mean over eight noisings of the whole U-Net's up blocks, noised by the formula."""
    from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel

    unet = UNet2DConditionModel.from_pretrained(folder / "unet").eval()
    vae = AutoencoderKL.from_pretrained(folder / "vae").eval()
    keep = DDIMScheduler.from_pretrained(folder / "scheduler").alphas_cumprod[1]
    text = tf.CLIPTextModel.from_pretrained(folder / "text_encoder").eval()
    prompt = text(torch.tensor([[0] + [1] * 7])).last_hidden_state  # start, end, padding
    clean = vae.encode(pixels).latent_dist.mode() * vae.config.scaling_factor
    found: list[list[torch.Tensor]] = [[] for _ in unet.up_blocks]
    for block, kept in zip(unet.up_blocks, found, strict=True):
        block.register_forward_hook(lambda module, inputs, output, kept=kept: kept.append(output))
    generator = torch.Generator().manual_seed(0)
    for _ in range(8):
        noise = torch.randn(clean.shape[1:], generator=generator)
        noisy = keep.sqrt() * clean + (1 - keep).sqrt() * noise
        unet(noisy, 1, encoder_hidden_states=prompt.expand(len(pixels), -1, -1))
    return [torch.stack(maps).mean(dim=0) for maps in found], None


STAGES = [4, 8, 16, 32]
_CONVNEXT = Case(STAGES, STAGES, [8, 16, 24, 32], (32, 32, 32), convnext, 96)
_SAM = Case([16] * 3, [16] * 3, [32] * 3, (16, 16, 12), sam, 96)
_SAM2 = Case(STAGES, [32] * 4, [8, 16, 24, 32], None, sam2, 96, layer=2)
CASES = {
    "convnext": _CONVNEXT,
    "convnextv2": _CONVNEXT,
    "dinov3_convnext": _CONVNEXT,
    "swin": Case([4, 8], [4, 8], [8, 16], (8, 8, 16), swin, 40),
    "sam": _SAM,
    "sam_vision_model": _SAM,
    "sam2": _SAM2,
    "sam2_vision_model": _SAM2,
    "vjepa2": Case([8, 8], [8, 8], [48, 48], (8, 8, 48), vjepa2, 48, square=True),
    "qwen2_5_vl": Case([14] * 3, [28] * 3, [32] * 3, (28, 28, 16), qwen, 140),
    "qwen3_vl": Case([16] * 3, [32] * 3, [32] * 3, (32, 32, 16), qwen, 96),
    "timm_wrapper": Case([16] * 2, [16] * 2, [32] * 2, None, timm, 64),
    "timm_wrapper/vit": Case([16] * 2, [16] * 2, [32] * 2, (16, 16, 32), timm, 64),
    "timm_wrapper/swin": Case([4, 8], [4, 8], [16, 32], (8, 8, 32), timm, 64),
    "timm_wrapper/convnext": Case(STAGES, STAGES, [8, 16, 24, 32], None, timm, 96),
    "stable_diffusion": Case(
        [32, 16, 8, 8], [32, 16, 8, 8], [8, 8, 4, 4], None, dift, 96, 1, grids=((6, 6), (10, 10), (5, 7))
    ),
}
every_kind = pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=[pytest.mark.slow] if kind == "stable_diffusion" else []) for kind in CASES]
)
Folder = Callable[[str], Path]


def load(folder: Path, **options: Any) -> MapBackbone:
    backbone = load_backbone(folder, **options)
    assert isinstance(backbone, MapBackbone)
    return backbone


def noise(height: int, width: int, seed: int = 0, batch: int = 1) -> torch.Tensor:
    return torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(seed))


@every_kind
def test_each_layer_is_where_and_what_the_whole_model_gives(tiny_model: Folder, kind: str) -> None:
    case, where = CASES[kind], tiny_model(kind)
    pixels = noise(case.size, case.size, batch=2)
    with torch.inference_mode():
        raw, final = case.hand(where, pixels, case.size)
        for layer, expected in enumerate(raw):
            for asked in (layer, layer - len(raw)):
                backbone = load(where, layer=asked)
                described = (backbone.patch_size, backbone.size_multiple, backbone.channels, backbone.num_layers)
                assert described == (case.cells[layer], case.multiples[layer], case.channels[layer], len(raw))
                torch.testing.assert_close(backbone.forward(pixels), expected, atol=2e-5, rtol=1e-4)
        assert len(raw) == len(case.cells)
        if case.final is not None:
            assert final is not None
            backbone = load(where, norm="final")
            assert (backbone.patch_size, backbone.size_multiple, backbone.channels) == case.final
            torch.testing.assert_close(backbone.forward(pixels), final[-1], atol=2e-5, rtol=1e-4)
            assert final[-1].shape != raw[-1].shape or not torch.allclose(final[-1], raw[-1], atol=1e-2)


@every_kind
def test_sizes_and_layers_that_do_not_fit_are_refused(tiny_model: Folder, kind: str) -> None:
    case, where = CASES[kind], tiny_model(kind)
    backbone = load(where, layer=case.layer)
    multiple = backbone.size_multiple
    for shape in [(1, 3, 4 * multiple + 2, 4 * multiple), (1, 1, multiple, multiple), (3, multiple, multiple)]:
        with pytest.raises(BackboneError, match=f"multiples of {multiple}"):
            backbone.forward(torch.zeros(shape))
    count = len(case.cells)
    for layer in (count, -count - 1):
        with pytest.raises(BackboneError, match=f"no layer {layer}: it has {count} blocks"):
            load(where, layer=layer)
    if len(set(case.cells)) > 1 or case.final is None:
        with pytest.raises(BackboneError, match="norm"):
            load(where, layer=0 if not kind.startswith("sam2") else 3, norm="final")


@every_kind
def test_the_extractor_snaps_800_and_records_what_decides(tiny_model: Folder, kind: str) -> None:
    backbone = load(tiny_model(kind), layer=CASES[kind].layer)
    extractor = DenseFeatureExtractor(backbone, 800)
    assert extractor.size == {28: 812}.get(backbone.size_multiple, 800)
    assert extractor.grid * backbone.patch_size == extractor.size
    record = extractor.describe()
    assert record["statistics"]["source"] == "checkpoint"
    assert record["output"]
