"""Inputs that a record makes for itself, the same in every record: models with random weights, a release without pairs.

They are written without the code under comparison.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

_SIZES = {"hidden_size": 48, "num_hidden_layers": 4, "num_attention_heads": 4, "patch_size": 14, "image_size": 140}


def make_inputs(files: Path, shared: Path) -> None:
    """Write models/ and unpaired/ into the folder `files`."""
    _tiny_model(files / "models" / "tiny")
    _timm_checkpoint(files / "models" / "timm.safetensors")
    oracle = shared / "data" / "oracle"
    _copy(oracle / "models" / "dinov2_tiny_p14", files / "models" / "dinov2_tiny_p14")
    for name in ("Images", "KeypointAnnotations", "Metadata"):
        if (oracle / "SOCOv1" / name).is_dir():
            _copy(oracle / "SOCOv1" / name, files / "unpaired" / "SOCOv1" / name)


def _copy(source: Path, target: Path) -> None:
    shutil.copytree(source, target, copy_function=shutil.copyfile)
    for path in (target, *target.rglob("*")):  # shared folders are read-only
        path.chmod(0o755 if path.is_dir() else 0o644)


def _tiny_model(folder: Path) -> None:
    """A DINOv2 whose every parameter is drawn here, so that no initialization of a library version enters."""
    import torch
    from transformers import Dinov2Config, Dinov2Model

    model = Dinov2Model(Dinov2Config(**_SIZES, mlp_ratio=2)).eval()
    generator = torch.Generator().manual_seed(10)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            noise = torch.randn(parameter.shape, generator=generator)
            norm = ("norm" in name and name.endswith("weight")) or "lambda" in name
            scale = 0.2 if parameter.ndim < 2 else parameter[0].numel() ** -0.5
            parameter.copy_(1 + 0.2 * noise if norm else scale * noise)
    model.save_pretrained(folder)
    statistics = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
    (folder / "preprocessor_config.json").write_text(json.dumps(statistics))


def _timm_checkpoint(path: Path) -> None:
    """A vision transformer in timm's layout: width 16, two blocks, patch 8, image size 64."""
    import torch
    from safetensors.torch import save_file

    width, shapes = 16, {}
    shapes |= {"cls_token": (1, 1, width), "pos_embed": (1, 65, width)}
    shapes |= {"patch_embed.proj.weight": (width, 3, 8, 8), "patch_embed.proj.bias": (width,)}
    for block in ("blocks.0", "blocks.1"):
        layers = {"attn.qkv": 3 * width, "attn.proj": width, "mlp.fc1": 4 * width}
        shapes |= {f"{block}.{name}.weight": (out, width) for name, out in layers.items()}
        shapes |= {f"{block}.{name}.bias": (out,) for name, out in layers.items()}
        shapes |= {f"{block}.mlp.fc2.weight": (width, 4 * width), f"{block}.mlp.fc2.bias": (width,)}
        shapes |= {f"{block}.{name}.{part}": (width,) for name in ("norm1", "norm2") for part in ("weight", "bias")}
    shapes |= {"norm.weight": (width,), "norm.bias": (width,)}
    generator = torch.Generator().manual_seed(11)
    save_file({name: 0.3 * torch.randn(shape, generator=generator) for name, shape in shapes.items()}, path)
