"""What several benchmarks share: random models of a chosen size, a machine line, memory of this process."""

from __future__ import annotations

import io
import json
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from soco_datasets.features.extractor import DenseFeatureExtractor

T = TypeVar("T")
IMAGENET = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
VIT_B: dict[str, Any] = {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12}
VIT_S: dict[str, Any] = {"hidden_size": 384, "num_hidden_layers": 12, "num_attention_heads": 6}  # DINOv2-S/14
VIT_SMALL: dict[str, Any] = {"hidden_size": 192, "num_hidden_layers": 6, "num_attention_heads": 3}
VIT_TINY: dict[str, Any] = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}


def random_dinov2(folder: Path, shape: dict[str, Any]) -> Path:
    """A DINOv2 of patch 14 with random weights, saved as its users would."""
    import torch
    from transformers import Dinov2Config, Dinov2Model

    torch.manual_seed(0)
    # A wide initialization: descriptors of different cells differ clearly, as in a trained model.
    config = Dinov2Config(patch_size=14, image_size=518, initializer_range=0.1, **shape)
    Dinov2Model(config).save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(IMAGENET))
    return folder


def bare_forwards(extractor: DenseFeatureExtractor, images: int) -> float:
    """Seconds of forwards for that many images, the pixels being on the device already and nothing done after."""
    import torch

    model = extractor.backbone
    size = min(extractor.batch_size, images)
    pixels = torch.rand(size, 3, extractor.size, extractor.size, device=model.device)
    with torch.inference_mode():
        model.forward(pixels)
        synchronize(model.device)
        start = time.perf_counter()
        for _ in range(images // size):
            model.forward(pixels)
        if images % size:
            model.forward(pixels[: images % size])
        synchronize(model.device)
    return time.perf_counter() - start


def synchronize(device: str) -> None:
    """Wait until the device has done what was asked of it."""
    import torch

    if device.startswith("cuda"):
        torch.cuda.synchronize(device)


def best_of(rounds: int, work: Callable[[], T], device: str = "cpu") -> tuple[T, float]:
    """(result, seconds of the fastest of some rounds)."""
    fastest = float("inf")
    for _ in range(rounds):
        synchronize(device)
        start = time.perf_counter()
        result = work()
        synchronize(device)
        fastest = min(fastest, time.perf_counter() - start)
    return result, fastest


def memory_mib(field: str) -> float:
    """A field of /proc/self/status in MiB, such as VmHWM (peak) or RssAnon (what cannot be dropped)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:")) / 1024


def read_and_decode(paths: list[Path]) -> int:
    """Read files and decode them, pictures by Pillow and JSON by the standard library; the number of bytes read."""
    from PIL import Image

    read = 0
    for path in paths:
        data = path.read_bytes()
        read += len(data)
        if path.suffix.lower() == ".json":
            json.loads(data)
        else:
            with Image.open(io.BytesIO(data)) as image:
                image.load()
    return read


def machine(device: str = "cpu") -> str:
    """One line that says what a benchmark ran on."""
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        models = [line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        name = models[0] if models else name
    parts: list[Any] = [name, f"{os.cpu_count()} cores", f"load {os.getloadavg()[0]:.1f}"]
    if device.startswith("cuda"):
        import torch

        parts.append(torch.cuda.get_device_name(device))
    return ", ".join(map(str, parts))
