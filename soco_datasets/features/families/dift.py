"""DIFT: features of Stable Diffusion's U-Net at one timestep of the noised image (diffusers, extra `diffusion`).

`layer` is one of the U-Net's up blocks. As in the paper's evaluation: up block 1 (a cell of 16 pixels), timestep 1, the
empty prompt, the mode of the autoencoder's latents. Noise is drawn from a fixed seed and the features of several draws
are averaged, as DIFT advises (the reference draws once, unseeded): two runs agree, and a pattern of noise shared by two
images does not pull their matches to one place. Everything after the up block is neither run nor kept.

Sizes: the map is exact at multiples of the cell. Where the latents do not halve evenly (800: 100, 50, 25, 13) the U-Net
upsamples to its skip connections' sizes, as diffusers and the reference do.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from ...errors import BackboneError, missing_extra
from ...utils.process_state import ProcessSetting
from ..diffusion_checkpoint import MODEL_TYPE, PipelineCheckpoint
from .base import Backbone, LoadRequest
from .maps import (
    MapPlan,
    cast_except,
    map_backbone,
    output_of,
)
from .tokens import check_layer, load_model

if TYPE_CHECKING:
    import torch

TIMESTEP = 1
DRAWS = 8  # DIFT's ensemble
NOISE_SEED = 0
PROMPT = ""


class DiftFamily:
    """Pipelines of Stable Diffusion 1.x and 2.x, in the folder layout of diffusers."""

    model_types = (MODEL_TYPE,)
    has_weights = True
    default_layer = 1

    def load(self, request: LoadRequest) -> Backbone:
        """Load text encoder (for one prompt, then dropped), autoencoder (without its decoder) and U-Net."""
        import torch

        checkpoint = request.checkpoint
        if not isinstance(checkpoint, PipelineCheckpoint):
            raise BackboneError(f"{request.name} needs a pipeline of diffusers: a folder with model_index.json.")
        if request.norm != "none":
            raise BackboneError(f"{request.name} has no final norm: leave `norm` out, or give 'none'.")
        unet, vae, scheduler = _load_parts(checkpoint)
        prompt = _prompt_states(checkpoint, wanted=unet.config.cross_attention_dim)
        index = check_layer(request.layer, len(unet.up_blocks), request.name)
        parts = torch.nn.ModuleList([unet, vae]).requires_grad_(False).eval()
        cast_except(parts, getattr(torch, request.dtype), None)
        parts.to(request.device)

        def compute(pixels: torch.Tensor) -> torch.Tensor:
            states = prompt.to(pixels).expand(len(pixels), -1, -1)
            clean = vae.encode(pixels).latent_dist.mode() * vae.config.scaling_factor
            total = pixels.new_zeros((), dtype=torch.float32)
            for noised in _noised(clean, scheduler):
                run = _Run(unet, noised, states)
                total = total + output_of(unet.up_blocks[index], run).float()
            return (total / DRAWS).to(pixels.dtype)

        # The autoencoder halves once less than it has levels; the last up block does not double.
        cell = 2 ** (len(vae.config.block_out_channels) - 1 + max(0, len(unet.up_blocks) - 2 - index))
        plan = MapPlan(
            compute=compute,
            num_layers=len(unet.up_blocks),
            patch_size=cell,
            channels=int(unet.config.block_out_channels[-1 - index]),
            size_multiple=cell,
            resolution=cell if index == len(unet.up_blocks) - 1 else 2 * cell,  # a block doubles its map at its end
            details={
                "output": f"up block {index} of {len(unet.up_blocks)}, stride {cell}",
                "timestep": TIMESTEP,
                "noise_draws": DRAWS,
                "noise_seed": NOISE_SEED,
                "prompt": PROMPT,
            },
        )
        return map_backbone(request, checkpoint, parts, plan)


class _Run:
    """One forward of the U-Net, to be called."""

    def __init__(self, unet: Any, latents: torch.Tensor, states: torch.Tensor) -> None:
        self.unet, self.latents, self.states = unet, latents, states

    def __call__(self) -> object:
        return self.unet(self.latents, TIMESTEP, encoder_hidden_states=self.states)


def _noised(latents: torch.Tensor, scheduler: Any) -> Iterator[torch.Tensor]:
    """(B, c, h, w) latents at `TIMESTEP`, once a draw; the noise depends on the latents' shape and nothing else."""
    import torch

    generator = torch.Generator().manual_seed(NOISE_SEED)  # on the CPU, so that all devices draw the same
    time = torch.tensor([TIMESTEP], device=latents.device)
    for _ in range(DRAWS):
        noise = torch.randn(latents.shape[1:], generator=generator).to(latents)
        yield scheduler.add_noise(latents, noise.expand_as(latents), time)


def _load_parts(checkpoint: PipelineCheckpoint) -> tuple[Any, Any, Any]:
    """The U-Net and the encoding half of the autoencoder in float32, and the scheduler that says how noise is added."""
    try:
        from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
    except ImportError as error:
        raise missing_extra("Stable Diffusion (DIFT)", "diffusion", "diffusers") from error
    vae = _load_part(AutoencoderKL, checkpoint, "vae")
    vae.decoder = None
    try:
        scheduler = DDIMScheduler.from_pretrained(checkpoint.folder / "scheduler", local_files_only=True)
    except Exception as error:  # diffusers raises many kinds; all mean that its file is damaged
        raise BackboneError(f"{checkpoint.label}: its scheduler does not load: {error}") from error
    return _load_part(UNet2DConditionModel, checkpoint, "unet"), vae, scheduler


def _silence_diffusers() -> Callable[[], None]:
    from diffusers.utils import logging

    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()
    return lambda: logging.set_verbosity(verbosity)


_quiet_diffusers = ProcessSetting(_silence_diffusers)


@_quiet_diffusers()
def _load_part(kind: Any, checkpoint: PipelineCheckpoint, part: str) -> Any:
    import torch

    try:
        model, info = kind.from_pretrained(
            checkpoint.folder / part,
            torch_dtype=torch.float32,
            use_safetensors=True,
            local_files_only=True,
            low_cpu_mem_usage=False,
            output_loading_info=True,
        )
    except Exception as error:  # diffusers raises many kinds; all mean that this part does not load
        reason = str(error).strip() or type(error).__name__
        raise BackboneError(f"{checkpoint.label}: its {part} does not load as {kind.__name__}: {reason}") from error
    problems = [f"{name} is missing" for name in info["missing_keys"]]
    problems += [f"{name} is not in the model" for name in info["unexpected_keys"]]
    problems += [str(found) for found in (*info["mismatched_keys"], *info["error_msgs"])]
    if problems:
        raise BackboneError(
            f"{checkpoint.label}: the config of its {part} disagrees with the weights in {len(problems)} place(s): "
            f"{'; '.join(problems[:8])}. Get both from the same pipeline."
        )
    return model


def _prompt_states(checkpoint: PipelineCheckpoint, wanted: int) -> torch.Tensor:
    """(1, tokens, C) states of the prompt, float32; the text encoder is not kept."""
    import torch
    from transformers import CLIPTextModel, CLIPTokenizer

    try:
        tokenizer = CLIPTokenizer.from_pretrained(checkpoint.folder / "tokenizer", local_files_only=True)
    except Exception as error:  # transformers raises many kinds; all mean that its files are missing or damaged
        raise BackboneError(f"{checkpoint.label}: its tokenizer does not load: {error}") from error
    positions = re.compile(r"position_ids$")  # a constant that older checkpoints hold
    encoder = load_model(CLIPTextModel, checkpoint.part("text_encoder"), {}, positions).eval()
    with torch.no_grad():
        tokens = tokenizer(PROMPT, padding="max_length", max_length=tokenizer.model_max_length, truncation=True)
        states: torch.Tensor = encoder(torch.tensor([tokens["input_ids"]]))[0]
    if states.shape[-1] != wanted:
        raise BackboneError(
            f"{checkpoint.label}: its text encoder gives {states.shape[-1]} channels where its U-Net takes {wanted}. "
            "Get all parts from the same pipeline."
        )
    return states


FAMILY = DiftFamily()
