"""Region proposals in plain torch: anchors, box deltas, greedy NMS, and the head that scores anchors on a pyramid.

Source: Faster R-CNN (Ren et al. 2015) on a feature pyramid (Lin et al. 2017). Boxes are [x1, y1, x2, y2] in pixels of
the pyramid's frame, where p4 has 16 pixels per cell.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING

from ..parameters import Parameters, draw_preserving
from .pyramid import LEVELS, STRIDES

if TYPE_CHECKING:
    import torch
    from torch import Tensor

ANCHOR_SIZES = {"p2": 32.0, "p3": 64.0, "p4": 128.0, "p5": 256.0}  # pixels, side of the square
RATIOS = (0.5, 1.0, 2.0)  # height / width
_LARGEST_DELTA = math.log(1000 / 16)


def init_proposals(channels: int, generator: torch.Generator) -> Parameters:
    """Weights "rpn.mix" (3 x 3), "rpn.object" and "rpn.delta" (1 x 1), each with ".weight" and ".bias"."""
    import torch

    parameters: Parameters = {}
    mix, bias = draw_preserving((channels, channels, 3, 3), generator, gain=math.sqrt(2))
    parameters |= {"rpn.mix.weight": mix, "rpn.mix.bias": bias}
    for name, outputs in (("object", len(RATIOS)), ("delta", 4 * len(RATIOS))):
        weight = torch.empty(outputs, channels, 1, 1).normal_(0, 0.01, generator=generator)
        parameters |= {f"rpn.{name}.weight": weight, f"rpn.{name}.bias": torch.zeros(outputs)}
    return parameters


@cache
def level_anchors(level: str, rows: int, columns: int) -> Tensor:
    """(rows * columns * ratios, 4) anchors of a level, row after row, ratios last."""
    import torch

    stride, size = STRIDES[level], ANCHOR_SIZES[level]
    y, x = torch.meshgrid((torch.arange(rows) + 0.5) * stride, (torch.arange(columns) + 0.5) * stride, indexing="ij")
    middles = torch.stack([x, y], dim=-1).reshape(-1, 1, 2)
    half = torch.tensor([[size / math.sqrt(ratio), size * math.sqrt(ratio)] for ratio in RATIOS])[None] / 2
    return torch.cat([middles - half, middles + half], dim=2).reshape(-1, 4)


def score_anchors(parameters: Mapping[str, Tensor], levels: Mapping[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Anchors of images of one size with their logits and deltas.

    Args:
        parameters: named as by `init_proposals`.
        levels: {"p2": (B, C, H, W), ...}.

    Returns:
        anchors (A, 4), logits (B, A), deltas (B, A, 4), and the level of each anchor follows from the order p2 to p5.
    """
    import torch
    from torch.nn import functional

    anchors, logits, deltas = [], [], []
    for name in LEVELS:
        mixed = functional.conv2d(
            levels[name], parameters["rpn.mix.weight"], parameters["rpn.mix.bias"], padding=1
        ).relu()
        found = functional.conv2d(mixed, parameters["rpn.object.weight"], parameters["rpn.object.bias"])
        moved = functional.conv2d(mixed, parameters["rpn.delta.weight"], parameters["rpn.delta.bias"])
        anchors.append(level_anchors(name, found.shape[2], found.shape[3]).to(found))
        logits.append(found.permute(0, 2, 3, 1).flatten(1))
        deltas.append(moved.unflatten(1, (len(RATIOS), 4)).permute(0, 3, 4, 1, 2).flatten(1, 3))
    return torch.cat(anchors), torch.cat(logits, dim=1), torch.cat(deltas, dim=1)


def encode_boxes(boxes: Tensor, anchors: Tensor) -> Tensor:
    """(N, 4) deltas that take anchors to boxes: shifts in anchor sides, logarithms of the ratios of sides."""
    import torch

    sides, own = anchors[:, 2:] - anchors[:, :2], (boxes[:, 2:] - boxes[:, :2]).clamp(min=1e-3)
    shift = ((boxes[:, :2] + boxes[:, 2:]) - (anchors[:, :2] + anchors[:, 2:])) / 2 / sides
    return torch.cat([shift, torch.log(own / sides)], dim=1)


def decode_boxes(deltas: Tensor, anchors: Tensor) -> Tensor:
    """(N, 4) boxes of anchors and deltas, the inverse of `encode_boxes`."""
    import torch

    sides = anchors[:, 2:] - anchors[:, :2]
    middle = (anchors[:, :2] + anchors[:, 2:]) / 2 + deltas[:, :2] * sides
    half = sides * deltas[:, 2:].clamp(max=_LARGEST_DELTA).exp() / 2
    return torch.cat([middle - half, middle + half], dim=1)


def box_iou(first: Tensor, second: Tensor) -> Tensor:
    """(N, M) IoU of (N, 4) and (M, 4) boxes."""
    import torch

    low = torch.maximum(first[:, None, :2], second[None, :, :2])
    high = torch.minimum(first[:, None, 2:], second[None, :, 2:])
    shared = (high - low).clamp(min=0).prod(dim=2)
    areas = [(one[:, 2:] - one[:, :2]).clamp(min=0).prod(dim=1) for one in (first, second)]
    union = areas[0][:, None] + areas[1][None] - shared
    return shared / union.clamp(min=1e-9)


def nms(boxes: Tensor, scores: Tensor, threshold: float, most: int) -> Tensor:
    """Rows kept by greedy non-maximum suppression, by falling score (the earlier row where equal), at most `most`."""
    import torch

    order = torch.argsort(scores, descending=True, stable=True)
    above = (box_iou(boxes[order], boxes[order]) > threshold).triu(diagonal=1)  # row suppresses column, if it is kept
    kept = torch.ones(len(order), dtype=torch.bool, device=boxes.device)
    for _ in range(len(order)):  # the n-th box is settled after n rounds at the latest, mostly all after a few
        now = ~(above & kept[:, None]).any(dim=0)
        if torch.equal(now, kept):
            break
        kept = now
    return order[kept][:most]


def propose(
    scored: tuple[Tensor, Tensor, Tensor], size: tuple[float, float], before: int, after: int, threshold: float
) -> Tensor:
    """(P, 4) proposals of an image, without gradient.

    Args:
        scored: anchors (A, 4), logits (A,) and deltas (A, 4) of the image.
        size: (width, height) that boxes are cut to.
        before: anchors of the highest logit that go into NMS.
        after: proposals kept.
        threshold: IoU of NMS.
    """
    import torch

    anchors, logits, deltas = (one.detach() for one in scored)
    best = torch.argsort(logits, descending=True, stable=True)[:before]
    boxes = cut_boxes(decode_boxes(deltas[best], anchors[best]), size)
    whole = ((boxes[:, 2:] - boxes[:, :2]) > 1).all(dim=1)
    boxes, values = boxes[whole], logits[best][whole]
    return boxes[nms(boxes, values, threshold, after)]


def cut_boxes(boxes: Tensor, size: tuple[float, float]) -> Tensor:
    """Boxes cut to (width, height)."""
    import torch

    x, y = boxes[:, 0::2].clamp(0, size[0]), boxes[:, 1::2].clamp(0, size[1])
    return torch.stack([x[:, 0], y[:, 0], x[:, 1], y[:, 1]], dim=1)
