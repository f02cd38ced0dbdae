"""Write the packaged model tiny_dinov2: a DINOv2 of four blocks with random weights, for tests and documentation.

    python tools/make_tiny_dinov2.py [FOLDER]

The same bytes each time: weights are drawn by NumPy from one seed, and the JSON files are written here. Its features
say little about an image, so no number of it means anything; it runs through the code paths of a real DINOv2.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import torch
import transformers
from safetensors.torch import save

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "soco_datasets" / "features" / "packaged" / "tiny_dinov2"
SEED = 14
CONFIG = {
    "architectures": ["Dinov2Model"],
    "model_type": "dinov2",
    "hidden_size": 32,
    "image_size": 112,
    "mlp_ratio": 2,
    "num_attention_heads": 2,
    "num_channels": 3,
    "num_hidden_layers": 4,
    "patch_size": 14,
}
PREPROCESSOR = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}


def weights() -> dict[str, torch.Tensor]:
    """Every parameter, away from its neutral start; small enough that a cell's feature stays mostly its own patch's."""
    draw = np.random.default_rng(SEED)
    model = transformers.Dinov2Model(transformers.Dinov2Config(**CONFIG))
    drawn = {}
    for name, value in sorted(model.state_dict().items()):
        noise = draw.standard_normal(tuple(value.shape)).astype(np.float32)
        if name.rsplit(".", 1)[-1].startswith("lambda") or ("norm" in name and name.endswith("weight")):
            noise = 1 + 0.2 * noise
        elif value.ndim < 2:
            noise *= 0.2
        elif "position" in name or "token" in name:
            noise *= 0.5
        else:
            noise /= np.float32(np.sqrt(value[0].numel()))
        drawn[name] = torch.from_numpy(np.ascontiguousarray(noise, dtype=np.float32))
    return drawn


def main() -> None:
    """Write config.json, preprocessor_config.json and model.safetensors."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in (("config.json", CONFIG), ("preprocessor_config.json", PREPROCESSOR)):
        (folder / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    (folder / "model.safetensors").write_bytes(save(weights(), metadata={"format": "pt"}))


if __name__ == "__main__":
    main()
