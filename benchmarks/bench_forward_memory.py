"""Peak memory of a forward at 800 px: our layer hook, the plain model without hidden states, and all hidden states.

    python benchmarks/bench_forward_memory.py [--models vit vjepa2] [--size 800] [--layers 12] [--batch 1]

Random models of ViT-B's shape on the CPU, one process a variant. Counted is what the forward adds to the memory of the
loaded model, by two measures: the peak of what tensors hold (each allocation and release, as torch's profiler records
them), which is exact; and the process's peak (`getrusage` ru_maxrss, reset after loading) less what it held before,
which has the allocator's noise and the products' scratch memory in it. The target is that ours is within 10 % of plain.
Also printed: ours at half the depth, where the blocks after the layer are not run. --small: a tiny model, seconds.
"""

from __future__ import annotations

import argparse
import itertools
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


def added(variant: str, kind: str, size: int, batch: int, layers: int, folder: Path) -> tuple[float, float]:
    """MiB that one forward adds, at its peak, to what tensors hold and to what this process holds."""
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
        del kept
        with torch.profiler.profile(profile_memory=True) as profiled:
            kept = forward(pixels)
    assert kept is not None
    return tensor_peak(profiled), peak - before


def tensor_peak(profiled: Any) -> float:
    """MiB: the largest sum of allocations less releases up to any moment of a profile."""
    events = [event for event in profiled.profiler.kineto_results.events() if event.name() == "[memory]"]
    held = itertools.accumulate(event.nbytes() for event in sorted(events, key=lambda event: event.start_ns()))
    return max(held, default=0) / 2**20


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
    parser.add_argument("--small", action="store_true", help="64 px, two layers, one run: seconds")
    parser.add_argument("--variant", nargs=3, metavar=("VARIANT", "KIND", "FOLDER"), help="internal: one measurement")
    given = parser.parse_args()
    if given.small:
        given.models, given.size, given.layers, given.runs = ["vit"], 64, 2, 1
    if given.variant:
        variant, kind, folder = given.variant
        print(*added(variant, kind, given.size, given.batch, given.layers, Path(folder)))
        return
    rest = ["--size", str(given.size), "--batch", str(given.batch), "--layers", str(given.layers)]
    for kind in given.models:
        with tempfile.TemporaryDirectory() as place:
            save(kind, given.layers, Path(place))
            plain: tuple[float, ...] = ()
            for variant in VARIANTS:
                call = [sys.executable, __file__, *rest, "--variant", variant, kind, place]
                runs = [
                    [float(figure) for figure in subprocess.check_output(call, text=True).split()[-2:]]
                    for _ in range(given.runs)
                ]
                tensors, process = (statistics.median(figures) for figures in zip(*runs, strict=True))
                plain = plain or (tensors, process)
                print(
                    f"{kind:8} {variant:17} tensors {tensors:7.1f} MiB, {tensors / plain[0]:.2f} times plain;  "
                    f"process {process:7.1f} MiB, {process / max(plain[1], 0.1):.2f} times plain",
                    flush=True,
                )


if __name__ == "__main__":
    main()
