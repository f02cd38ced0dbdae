"""The cuboid head of the 3D detection probes: raw outputs per region, their decoding to a cuboid, the loss.

Source: Cube R-CNN (Brazil et al. 2023): virtual depth, rotation relative to the viewing ray, disentangled losses
(Simonelli et al. 2019).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from ..parameters import Parameters

if TYPE_CHECKING:
    import torch
    from torch import Tensor

VIRTUAL_FOCAL = 512.0  # pixels
OUTPUTS = {"shift": 2, "depth": 1, "size": 3, "rotation": 6, "uncertainty": 1}  # numbers per class
SMALLEST_UNCERTAINTY = 0.01
LARGEST_LOG_SIZE = 5.0
HIDDEN = 1024


class CuboidOutputs(NamedTuple):
    """Raw numbers of the head for N regions and their classes.

    Attributes:
        shift: (N, 2), projected center relative to the region's center, in its widths and heights.
        depth: (N,), virtual depth in meters.
        size: (N, 3), logarithm of [width, height, length] relative to the class's mean.
        rotation: (N, 6), two 3-vectors.
        uncertainty: (N,), mu >= 0.01 (unclamped values are taken as they are).
    """

    shift: Tensor
    depth: Tensor
    size: Tensor
    rotation: Tensor
    uncertainty: Tensor


class Cuboids(NamedTuple):
    """Cuboids of N regions in the camera's frame.

    Attributes:
        pixels: (N, 2), projected centers in network pixels.
        depths: (N,), z of the centers, meters.
        dimensions: (N, 3) [width, height, length], meters.
        rotations: (N, 3, 3), box frame to camera frame.
    """

    pixels: Tensor
    depths: Tensor
    dimensions: Tensor
    rotations: Tensor


def init_cuboid_head(channels: int, classes: int, generator: torch.Generator, hidden: int = HIDDEN) -> Parameters:
    """Weights of the head: "fc.0", "fc.1" and one layer per kind of output, each with ".weight" and ".bias".

    Args:
        channels: numbers of a pooled region (256 x 7 x 7).
        classes: number of classes; every class has its own outputs.
        generator: on the CPU.
        hidden: width of the two layers.

    Returns:
        Output layers N(0, 0.001^2) with bias 0 (uncertainty 5); hidden layers by `draw_preserving`.
    """
    import torch

    from ..parameters import draw_preserving

    parameters: Parameters = {}
    for number, width in enumerate((channels, hidden)):
        parameters[f"fc.{number}.weight"], parameters[f"fc.{number}.bias"] = draw_preserving(
            (hidden, width), generator, gain=math.sqrt(2)
        )
    for name, count in OUTPUTS.items():
        weight = torch.empty(classes * count, hidden).normal_(0, 0.001, generator=generator)
        parameters[f"{name}.weight"] = weight
        parameters[f"{name}.bias"] = torch.full((classes * count,), 5.0 if name == "uncertainty" else 0.0)
    return parameters


def start_upright(parameters: Parameters, depths: Tensor, prefix: str = "") -> None:
    """Set biases of a new head: cuboids upright, heading along the viewing ray, at given depths, with uncertainty 1.

    A head whose rotation starts anywhere turns many cuboids onto wrong axes, where the Chamfer distance holds them; and
    at an uncertainty of 5 the losses weigh a hundredth, so that the uncertainty alone shapes the layers at first.

    Args:
        parameters: from `init_cuboid_head`, changed in place.
        depths: (classes,) virtual depths, meters.
        prefix: of the names in `parameters`.
    """
    import torch

    upright = torch.tensor([1.0, 0.0, 0.0, 0.0, 1.0, 0.0])
    parameters[f"{prefix}rotation.bias"] = upright.repeat(len(depths))
    parameters[f"{prefix}depth.bias"] = depths.float().cpu().clone()
    parameters[f"{prefix}uncertainty.bias"] = torch.ones(len(depths))


def cuboid_outputs(parameters: Mapping[str, Tensor], regions: Tensor, classes: Tensor) -> CuboidOutputs:
    """Raw numbers of each region for its class.

    Args:
        parameters: named as by `init_cuboid_head`.
        regions: (N, C, 7, 7) float.
        classes: (N,) integer.
    """
    import torch
    from torch.nn import functional

    hidden = regions.flatten(1)
    for number in (0, 1):
        hidden = functional.linear(hidden, parameters[f"fc.{number}.weight"], parameters[f"fc.{number}.bias"]).relu()
    rows = torch.arange(len(regions), device=regions.device)
    found: dict[str, Tensor] = {}
    for name, count in OUTPUTS.items():
        values = functional.linear(hidden, parameters[f"{name}.weight"], parameters[f"{name}.bias"])
        found[name] = values.unflatten(1, (-1, count))[rows, classes.long()]
    uncertainty = found["uncertainty"][:, 0].clamp(min=SMALLEST_UNCERTAINTY)
    return CuboidOutputs(found["shift"], found["depth"][:, 0], found["size"], found["rotation"], uncertainty)


def decode_cuboids(outputs: CuboidOutputs, boxes: Tensor, intrinsics: Tensor, mean_sizes: Tensor) -> Cuboids:
    """Cuboids of raw outputs.

    Args:
        outputs: of N regions.
        boxes: (N, 4) [x1, y1, x2, y2], network pixels.
        intrinsics: (3, 3) or (N, 3, 3), of network pixels.
        mean_sizes: (N, 3) mean [width, height, length] of each region's class, meters.
    """
    import torch

    low, high = boxes[:, :2], boxes[:, 2:]
    pixels = (low + high) / 2 + outputs.shift * (high - low)
    matrices = intrinsics.expand(len(boxes), 3, 3)
    depths = outputs.depth * matrices[:, 1, 1] / VIRTUAL_FOCAL
    dimensions = torch.exp(outputs.size.clamp(max=LARGEST_LOG_SIZE)) * mean_sizes
    rays = viewing_rays(pixels.detach(), matrices)
    rotations = ray_rotations(rays) @ rotations_from_six(outputs.rotation)
    return Cuboids(pixels, depths, dimensions, rotations)


def confidences(outputs: CuboidOutputs) -> Tensor:
    """(N,) scores exp(-mu) in (0, 1)."""
    import torch

    return torch.exp(-outputs.uncertainty)


def viewing_rays(pixels: Tensor, intrinsics: Tensor) -> Tensor:
    """(N, 3) points K^-1 (u, v, 1), at depth 1, of (N, 2) pixels and (N, 3, 3) or (3, 3) intrinsics."""
    import torch

    homogeneous = torch.cat([pixels, torch.ones_like(pixels[:, :1])], dim=1)
    return (torch.linalg.inv(intrinsics) @ homogeneous[..., None])[..., 0]


def cuboid_centers(pixels: Tensor, depths: Tensor, intrinsics: Tensor) -> Tensor:
    """(N, 3) centers z K^-1 (u, v, 1), meters."""
    return depths[:, None] * viewing_rays(pixels, intrinsics)


def rotations_from_six(six: Tensor) -> Tensor:
    """(N, 3, 3) rotations whose rows are two 3-vectors, (N, 6), made orthonormal by Gram-Schmidt, and their product."""
    import torch
    from torch.nn import functional

    first = functional.normalize(six[:, :3], dim=1)
    second = six[:, 3:] - (first * six[:, 3:]).sum(dim=1, keepdim=True) * first
    second = functional.normalize(second, dim=1)
    return torch.stack([first, second, torch.linalg.cross(first, second)], dim=1)


def ray_rotations(rays: Tensor) -> Tensor:
    """(N, 3, 3) smallest rotations that take the optical axis (0, 0, 1) to (N, 3) rays with z > 0."""
    import torch
    from torch.nn import functional

    x, y, z = functional.normalize(rays, dim=1).unbind(dim=1)
    inverse = 1 / (1 + z)
    rows = [
        torch.stack([1 - x * x * inverse, -x * y * inverse, x], dim=1),
        torch.stack([-x * y * inverse, 1 - y * y * inverse, y], dim=1),
        torch.stack([-x, -y, z], dim=1),
    ]
    return torch.stack(rows, dim=1)


def predicted_corners(centers: Tensor, dimensions: Tensor, rotations: Tensor) -> Tensor:
    """(N, 8, 3) corners, in the order of `metrics.boxes3d`, of (N, 3), (N, 3) and (N, 3, 3); differentiable."""
    import torch

    signs = [[x, y, z] for z in (-1, 1) for x, y in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
    unit = torch.tensor(signs, dtype=centers.dtype, device=centers.device)
    half = dimensions[:, None, [2, 1, 0]] / 2
    return (unit * half) @ rotations.transpose(1, 2) + centers[:, None]


def corners_of(cuboids: Cuboids, intrinsics: Tensor) -> Tensor:
    """(N, 8, 3) corners of cuboids, meters."""
    centers = cuboid_centers(cuboids.pixels, cuboids.depths, intrinsics)
    return predicted_corners(centers, cuboids.dimensions, cuboids.rotations)


def cuboid_losses(found: Cuboids, true: Cuboids, intrinsics: Tensor, uncertainty: Tensor) -> dict[str, Tensor]:
    """Disentangled losses of each region: the true cuboid's corners with one group of values replaced by the found.

    Args:
        found: N predicted cuboids.
        true: their true cuboids.
        intrinsics: (3, 3) or (N, 3, 3).
        uncertainty: (N,) mu.

    Returns:
        (N,) each: {"xy", "z", "dims": L1 mean over corners and coordinates; "pose", "joint": Chamfer}, all times
        sqrt(2) exp(-mu), and {"uncertainty": mu}.
    """
    import torch

    target = corners_of(true, intrinsics)
    replaced = {
        "xy": true._replace(pixels=found.pixels),
        "z": true._replace(depths=found.depths),
        "dims": true._replace(dimensions=found.dimensions),
    }
    losses = {name: (corners_of(one, intrinsics) - target).abs().mean(dim=(1, 2)) for name, one in replaced.items()}
    losses["pose"] = chamfer(corners_of(true._replace(rotations=found.rotations), intrinsics), target)
    losses["joint"] = chamfer(corners_of(found, intrinsics), target)
    weight = math.sqrt(2) * torch.exp(-uncertainty)
    return {**{name: weight * value for name, value in losses.items()}, "uncertainty": uncertainty}


def chamfer(one: Tensor, other: Tensor) -> Tensor:
    """(N,) mean over points of the L1 distance to the nearest point of the other set, both directions added."""
    distances = (one[:, :, None] - other[:, None]).abs().sum(dim=3)
    return distances.amin(dim=2).mean(dim=1) + distances.amin(dim=1).mean(dim=1)


def cuboid_loss(losses: Mapping[str, Tensor]) -> tuple[Tensor, int]:
    """Loss of a batch: the mean over finite regions of the sum of their losses.

    Args:
        losses: (N,) each, from `cuboid_losses`.

    Returns:
        (scalar, NaN without a finite region; number of regions left out because a loss of theirs is not finite).
    """
    import torch

    regions = torch.stack(list(losses.values())).sum(dim=0)
    finite = torch.isfinite(regions)
    return regions[finite].mean(), int((~finite).sum())
