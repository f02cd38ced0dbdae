"""A 3D detector on frozen features: proposals, 2D box and class head, class-wise NMS, the cuboid head.

Plain torch. Sampling is a function of the step and the image alone, so a resumed training takes the same samples.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from ..parameters import Parameters, draw_preserving
from .cuboids import (
    CuboidOutputs,
    Cuboids,
    confidences,
    cuboid_losses,
    cuboid_outputs,
    decode_cuboids,
    init_cuboid_head,
    start_upright,
)
from .proposals import (
    box_iou,
    cut_boxes,
    decode_boxes,
    encode_boxes,
    init_proposals,
    nms,
    propose,
    score_anchors,
)
from .pyramid import init_pyramid, pyramid_forward
from .roi_align import CELLS, region_features

if TYPE_CHECKING:
    import torch
    from torch import Tensor


DELTA_WEIGHTS = (10.0, 10.0, 5.0, 5.0)  # of the box head's deltas in its loss, as in Fast R-CNN (Girshick 2015)


@dataclass(frozen=True)
class DetectorConfig:
    """Choices of the detector; all are part of the protocol.

    Attributes:
        anchors: sampled per image; at most half are positive.
        regions: sampled per image.
        share: of the regions, at most, that are positive.
        before, after: proposals before and after NMS.
        rpn_nms, nms: IoU of both suppressions.
        positive, negative: IoU of anchors with true boxes.
        foreground: IoU of regions with true boxes.
        least_score: class probability of a detection.
        most: detections per image.
    """

    anchors: int = 128
    regions: int = 64
    share: float = 0.25
    before: int = 500
    after: int = 100
    rpn_nms: float = 0.7
    nms: float = 0.5
    positive: float = 0.6
    negative: float = 0.3
    foreground: float = 0.5
    least_score: float = 0.05
    most: int = 100


class SeenImage(NamedTuple):
    """What all heads look at for one image.

    Attributes:
        levels: of the pyramid, {"p2": (1, C, H, W), ...}.
        anchors: (A, 4), pixels of the pyramid's frame.
        logits: (A,) of the anchors.
        deltas: (A, 4) from anchors to boxes.
    """

    levels: dict[str, Tensor]
    anchors: Tensor
    logits: Tensor
    deltas: Tensor

    @property
    def size(self) -> tuple[float, float]:
        """Width and height of the pyramid's frame, pixels."""
        return self.levels["p4"].shape[3] * 16.0, self.levels["p4"].shape[2] * 16.0

    @property
    def scored(self) -> tuple[Tensor, Tensor, Tensor]:
        """Anchors, logits and deltas."""
        return self.anchors, self.logits, self.deltas


class TrueRegions(NamedTuple):
    """True boxes of one image.

    Attributes:
        boxes: (N, 4), network pixels.
        classes: (N,) int64.
        intrinsics: (3, 3), of network pixels.
        cuboids: theirs.
    """

    boxes: Tensor
    classes: Tensor
    intrinsics: Tensor
    cuboids: Cuboids


class Found(NamedTuple):
    """Detections of one image by falling score.

    Attributes:
        boxes: (D, 4), network pixels.
        classes: (D,) int64.
        scores: (D,), class probability times the confidence of the cuboid.
        cuboids: theirs.
    """

    boxes: Tensor
    classes: Tensor
    scores: Tensor
    cuboids: Cuboids


def init_detector(
    widths: list[int], depths: Tensor, generator: torch.Generator, sizes: Mapping[str, Any]
) -> Parameters:
    """Weights of pyramid, proposals, box head ("box.*") and cuboid head ("cuboid.*").

    Args:
        widths: channels of the four maps.
        depths: (classes,) mean virtual depth of the true boxes of each class, where its cuboids start; meters.
        generator: on the CPU.
        sizes: "pyramid", "levels" and "hidden": widths inside.
    """
    import torch

    levels, hidden, classes = sizes["levels"], sizes["hidden"], len(depths)
    parameters = init_pyramid(widths, generator, sizes["pyramid"], levels)
    parameters |= init_proposals(levels, generator)
    for number, width in enumerate((levels * CELLS**2, hidden)):
        weight, bias = draw_preserving((hidden, width), generator, gain=math.sqrt(2))
        parameters |= {f"box.fc.{number}.weight": weight, f"box.fc.{number}.bias": bias}
    for name, outputs, spread in (("class", classes + 1, 0.01), ("delta", 4, 0.001)):
        parameters[f"box.{name}.weight"] = torch.empty(outputs, hidden).normal_(0, spread, generator=generator)
        parameters[f"box.{name}.bias"] = torch.zeros(outputs)
    head = init_cuboid_head(levels * CELLS**2, classes, generator, hidden)
    parameters |= {f"cuboid.{name}": value for name, value in head.items()}
    start_upright(parameters, depths, "cuboid.")
    return parameters


class Detector:
    """The detector's computations; everything after the pyramid is for one image at a time.

    Args:
        config: see `DetectorConfig`.
        mean_sizes: (classes, 3) mean [width, height, length], meters.
        scale: pixels of the pyramid's frame per network pixel: 16 / patch.
    """

    def __init__(self, config: DetectorConfig, mean_sizes: Tensor, scale: float) -> None:
        self.config, self.mean_sizes, self.scale = config, mean_sizes, scale

    def see(self, weights: Mapping[str, Tensor], maps: Sequence[Tensor]) -> list[SeenImage]:
        """The images of a batch of one size.

        Args:
            weights: named as by `init_detector`.
            maps: four (B, C, h, w).
        """
        levels = pyramid_forward(weights, maps)
        anchors, logits, deltas = score_anchors(weights, levels)
        alone = zip(*(one.split(1) for one in levels.values()), strict=True)
        return [
            SeenImage(dict(zip(levels, own, strict=True)), anchors, *scored)
            for own, *scored in zip(alone, logits.unbind(), deltas.unbind(), strict=True)
        ]

    def losses(
        self, weights: Mapping[str, Tensor], image: SeenImage, true: TrueRegions, generator: torch.Generator
    ) -> dict[str, Tensor]:
        """Losses of an image: "object", "anchor", "class", "box" scalars, and "cuboid" (regions,).

        Args:
            weights: named as by `init_detector`.
            image: of the image, from `see`.
            true: of the image; none is allowed.
            generator: draws the samples, on the CPU.
        """
        import torch
        from torch.nn import functional

        config, boxes = self.config, true.boxes * self.scale
        losses = self._anchor_losses(image, boxes, generator)
        found = propose(image.scored, image.size, config.before, config.after, config.rpn_nms)
        proposals = torch.cat([found, boxes])
        rows, matched, positive = self._sampled_regions(proposals, boxes, generator)
        pooled = region_features(image.levels, proposals[rows])
        logits, deltas = self._box_head(weights, pooled)
        background = logits.shape[1] - 1
        target = torch.full((len(rows),), background, dtype=torch.long, device=logits.device)
        target[positive] = true.classes[matched[positive]]
        losses["class"] = functional.cross_entropy(logits, target)
        if bool(positive.any()):
            own = matched[positive]
            wanted = encode_boxes(boxes[own], proposals[rows][positive])
            off = (deltas[positive] - wanted) * deltas.new_tensor(DELTA_WEIGHTS)
            losses["box"] = off.abs().sum() / len(rows)
            part = TrueRegions(
                true.boxes[own], true.classes[own], true.intrinsics, Cuboids(*(one[own] for one in true.cuboids))
            )
            losses["cuboid"] = self._cuboid_losses(weights, pooled[positive], proposals[rows][positive], part)
        return losses

    def detect(self, weights: Mapping[str, Tensor], image: SeenImage, intrinsics: Tensor) -> Found:
        """Detections of an image, see `losses` for the arguments."""
        import torch

        config = self.config
        proposals = propose(image.scored, image.size, config.before, config.after, config.rpn_nms)
        logits, deltas = self._box_head(weights, region_features(image.levels, proposals))
        boxes = cut_boxes(decode_boxes(deltas, proposals), image.size)
        shares = logits.softmax(dim=1)[:, :-1]
        rows, classes = (shares > config.least_score).nonzero(as_tuple=True)
        kept = []
        for label in classes.unique().tolist():
            own = (classes == label).nonzero()[:, 0]
            kept.append(own[nms(boxes[rows[own]], shares[rows[own], label], config.nms, config.most)])
        chosen = torch.cat(kept) if kept else rows[:0]
        boxes, values, labels = boxes[rows[chosen]], shares[rows[chosen], classes[chosen]], classes[chosen]
        order = torch.argsort(values, descending=True, stable=True)[: config.most]
        boxes, values, labels = boxes[order], values[order], labels[order]
        outputs, cuboids = self._cuboids(weights, region_features(image.levels, boxes), boxes, labels, intrinsics)
        return Found(boxes / self.scale, labels, values * confidences(outputs), cuboids)

    def _anchor_losses(self, image: SeenImage, boxes: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        import torch
        from torch.nn import functional

        anchors, logits, deltas = image.scored
        overlap = box_iou(anchors, boxes) if len(boxes) else anchors.new_zeros((len(anchors), 1))
        best, matched = overlap.max(dim=1)
        is_positive = best >= self.config.positive
        if len(boxes):
            is_positive |= (overlap == overlap.amax(dim=0)).logical_and(overlap > 0).any(dim=1)
        positive = _draw(is_positive, self.config.anchors // 2, generator)
        negative = _draw((best < self.config.negative) & ~is_positive, self.config.anchors - len(positive), generator)
        rows = torch.cat([positive, negative])
        target = torch.zeros(len(rows), device=logits.device)
        target[: len(positive)] = 1
        losses = {"object": functional.binary_cross_entropy_with_logits(logits[rows], target)}
        if len(positive) and len(boxes):
            wanted = encode_boxes(boxes[matched[positive]], anchors[positive])
            losses["anchor"] = functional.smooth_l1_loss(deltas[positive], wanted, beta=0.1)
        return losses

    def _sampled_regions(
        self, proposals: Tensor, boxes: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Rows of the proposals, the true box of each, and which are foreground."""
        import torch

        overlap = box_iou(proposals, boxes) if len(boxes) else proposals.new_zeros((len(proposals), 1))
        best, matched = overlap.max(dim=1)
        is_positive = best >= self.config.foreground
        positive = _draw(is_positive, int(self.config.share * self.config.regions), generator)
        negative = _draw(~is_positive, self.config.regions - len(positive), generator)
        rows = torch.cat([positive, negative])
        flags = torch.zeros(len(rows), dtype=torch.bool, device=rows.device)
        flags[: len(positive)] = True
        return rows, matched[rows], flags

    def _box_head(self, weights: Mapping[str, Tensor], pooled: Tensor) -> tuple[Tensor, Tensor]:
        from torch.nn import functional

        hidden = pooled.flatten(1)
        for number in (0, 1):
            hidden = functional.linear(
                hidden, weights[f"box.fc.{number}.weight"], weights[f"box.fc.{number}.bias"]
            ).relu()
        logits, deltas = (
            functional.linear(hidden, weights[f"box.{name}.weight"], weights[f"box.{name}.bias"])
            for name in ("class", "delta")
        )
        return logits, deltas / deltas.new_tensor(DELTA_WEIGHTS)

    def _cuboids(
        self, weights: Mapping[str, Tensor], pooled: Tensor, boxes: Tensor, classes: Tensor, intrinsics: Tensor
    ) -> tuple[CuboidOutputs, Cuboids]:
        head = {name.removeprefix("cuboid."): one for name, one in weights.items() if name.startswith("cuboid.")}
        outputs = cuboid_outputs(head, pooled, classes)
        sizes = self.mean_sizes.to(boxes)[classes]
        return outputs, decode_cuboids(outputs, boxes / self.scale, intrinsics, sizes)

    def _cuboid_losses(self, weights: Mapping[str, Tensor], pooled: Tensor, boxes: Tensor, true: TrueRegions) -> Tensor:
        import torch

        outputs, found = self._cuboids(weights, pooled, boxes, true.classes, true.intrinsics)
        losses = cuboid_losses(found, true.cuboids, true.intrinsics, outputs.uncertainty)
        return torch.stack(list(losses.values())).sum(dim=0)


def _draw(mask: Tensor, most: int, generator: torch.Generator) -> Tensor:
    """At most `most` rows of a mask, drawn without replacement, rising."""
    import torch

    rows = mask.nonzero()[:, 0]
    if len(rows) <= most:
        return rows
    chosen = torch.randperm(len(rows), generator=generator)[:most].sort().values
    return rows[chosen.to(rows.device)]
