"""Peak memory of a forward at 800 px: our layer hook, the plain model without hidden states, and all hidden states.

    python benchmarks/bench_forward_memory.py [--models vit vjepa2] [--size 800] [--layers 12] [--batch 1]

Random models of ViT-B's shape on the CPU, one process a variant. Counted is what the forward adds to the memory of the
loaded model: the process's peak (`getrusage` ru_maxrss, reset after loading) less what it held before. The target is
that ours is within 10 % of plain. Also printed: ours at half the depth, where the blocks after the layer are not run.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

VARIANTS = ("plain", "ours", "hidden states", "ours, half depth")
SHAPE = {"hidden_size": 768, "num_attention_heads": 12}


def save(kind: str, layers: int, folder: Path) -> None:
    """A random model of `kind`."""
    import transformers as tf

    if kind == "vit":
        model = tf.ViTModel(tf.ViTConfig(**SHAPE, num_hidden_layers=layers), add_pooling_layer=False)
    else:
        small = {"pred_num_hidden_layers": 1, "pred_hidden_size": 192, "pred_num_attention_heads": 4}
        model = tf.VJEPA2Model(tf.VJEPA2Config(**SHAPE, num_hidden_layers=layers, **small))
    model.save_pretrained(folder)


def added(variant: str, kind: str, size: int, batch: int, layers: int, folder: Path) -> float:
    """MiB that one forward adds to the peak of this process."""
    import torch

    from soco_datasets.features.backbones import load_backbone

    layer = layers // 2 - 1 if "half" in variant else -1
    backbone: Any = load_backbone(folder, statistics="imagenet", layer=layer)
    model, options = backbone.module, {"output_hidden_states": variant == "hidden states"}

    def forward(pixels: Any) -> Any:
        if variant.startswith("ours"):
            return backbone.forward(pixels)
        if kind == "vit":
            return model(pixels, interpolate_pos_encoding=True, **options)
        for block in model.encoder.layer:
            block.attention.grid_size = pixels.shape[-1] // 16
        return model(pixels[:, None], skip_predictor=True, **options)

    with torch.inference_mode():
        forward(torch.rand(1, 3, 64, 64))  # start what starts once
        pixels = torch.rand(batch, 3, size, size)
        Path("/proc/self/clear_refs").write_text("5")  # the peak is now what the process holds
        before = resident()
        kept = forward(pixels)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    assert kept is not None
    return peak - before


def resident() -> float:
    """MiB this process holds."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=["vit", "vjepa2"], default=["vit", "vjepa2"])
    parser.add_argument("--size", type=int, default=800)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--variant", nargs=3, metavar=("VARIANT", "KIND", "FOLDER"), help="internal: one measurement")
    given = parser.parse_args()
    if given.variant:
        variant, kind, folder = given.variant
        print(added(variant, kind, given.size, given.batch, given.layers, Path(folder)))
        return
    rest = ["--size", str(given.size), "--batch", str(given.batch), "--layers", str(given.layers)]
    for kind in given.models:
        with tempfile.TemporaryDirectory() as place:
            save(kind, given.layers, Path(place))
            found: dict[str, float] = {}
            for variant in VARIANTS:
                call = [sys.executable, __file__, *rest, "--variant", variant, kind, place]
                runs = [
                    float(subprocess.run(call, check=True, capture_output=True, text=True).stdout.split()[-1])
                    for _ in range(given.runs)
                ]
                found[variant] = statistics.median(runs)
                ratio = found[variant] / found["plain"]
                print(f"{kind:8} {variant:17} {found[variant]:7.1f} MiB, {ratio:.2f} times plain", flush=True)


if __name__ == "__main__":
    main()
