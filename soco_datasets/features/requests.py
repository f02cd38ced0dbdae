"""What users of features ask for, merged so that each image is decoded once and forwarded once per input transform."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ..errors import unknown_name
from .families.base import Backbone, LayerOutput, Pooling
from .families.tokens import check_layer
from .transforms import InputTransform

if TYPE_CHECKING:
    import torch

RequestedPooling = Literal["auto", "class", "mean"]
_POOLINGS = ("auto", "class", "mean")
_OWN = 0  # the number of the only layer of a model without `depth`


@dataclass(frozen=True)
class FeatureRequest:
    """What one user wants of each image.

    Attributes:
        transform: from the image to network pixels.
        layers: block numbers, negative from the last; empty = the layer the model was loaded with.
        dense: whether the maps of these layers are wanted.
        pooling: the global vector of each of these layers: "auto" = what the model's family takes, "class" = the class
            token where the model has one and else the mean, "mean" = over the patches; None = no global vectors.
    """

    transform: InputTransform
    layers: tuple[int, ...] = ()
    dense: bool = True
    pooling: RequestedPooling | None = None


@dataclass(frozen=True)
class ForwardPlan:
    """One forward of an image: everything that any request wants of it under one transform.

    Attributes:
        transform: with the model's multiple filled in.
        layers: for `Backbone.layer_outputs`.
        maps: layers whose maps are kept, in the order of the layer axis.
        vectors: (layer, pooling) of the global vectors kept, in order.
    """

    transform: InputTransform
    layers: tuple[int, ...]
    maps: tuple[int, ...]
    vectors: tuple[tuple[int, Pooling], ...]

    def keep(self, outputs: Sequence[LayerOutput]) -> PlannedFeatures:
        """What is kept of the outputs of a forward, one for each of `layers`."""
        import torch

        output = dict(zip(self.layers or (_OWN,), outputs, strict=True))
        maps = torch.stack([output[layer].map for layer in self.maps], dim=1) if self.maps else None
        pooled = [output[layer].pooled(pooling) for layer, pooling in self.vectors]
        return PlannedFeatures(maps, torch.stack(pooled, dim=1) if pooled else None)


@dataclass(frozen=True, eq=False)
class PlannedFeatures:
    """Features of a batch of B images, or of one image where the first axis is left out.

    Attributes:
        maps: (B, layers, C, rows, columns), None where no maps were asked for.
        vectors: (B, vectors, C), None where no global vectors were asked for.
    """

    maps: torch.Tensor | None
    vectors: torch.Tensor | None

    def image(self, index: int) -> PlannedFeatures:
        """Those of one image of the batch, without the first axis."""
        return PlannedFeatures(*(None if one is None else one[index] for one in (self.maps, self.vectors)))


@dataclass(frozen=True)
class RequestPart:
    """Where one request finds its features in a merged plan.

    Attributes:
        plan: index of the plan.
        maps: places of its maps on the layer axis, in the order of its layers; empty without dense features.
        vectors: places of its global vectors, likewise.
    """

    plan: int
    maps: tuple[int, ...]
    vectors: tuple[int, ...]

    def of(self, features: PlannedFeatures) -> PlannedFeatures:
        """The part of one image's features: maps (layers, C, rows, columns) and vectors (layers, C)."""
        maps = features.maps[list(self.maps)] if self.maps and features.maps is not None else None
        vectors = features.vectors[list(self.vectors)] if self.vectors and features.vectors is not None else None
        return PlannedFeatures(maps, vectors)


def merge_requests(
    requests: Sequence[FeatureRequest], backbone: Backbone
) -> tuple[tuple[ForwardPlan, ...], tuple[RequestPart, ...]]:
    """Plans with one forward per distinct transform, and where each request finds its part.

    Args:
        requests: of all users on the same images.
        backbone: gives the number of layers, the multiple of the zero padding and the family's global vector.

    Returns:
        The plans in the order of their first request, and one part for each request in order.

    Raises:
        BackboneError: a layer that the model does not have, or layers of a model that gives a single one.
        UsageError: an unknown pooling.
    """
    transforms = [request.transform.for_multiple(backbone.size_multiple) for request in requests]
    distinct = tuple(dict.fromkeys(transforms))
    wanted = [_wanted(request, backbone) for request in requests]
    plans = []
    for transform in distinct:
        same = [want for want, own in zip(wanted, transforms, strict=True) if own == transform]
        maps = tuple(sorted({layer for want in same for layer in want[0]}))
        vectors = tuple(sorted({vector for want in same for vector in want[1]}))
        layers = tuple(sorted({*maps, *(layer for layer, _ in vectors)})) if backbone.depth else ()
        plans.append(ForwardPlan(transform, layers, maps, vectors))
    parts = []
    for (maps, vectors), transform in zip(wanted, transforms, strict=True):
        number = distinct.index(transform)
        places = tuple(plans[number].maps.index(layer) for layer in maps)
        parts.append(RequestPart(number, places, tuple(plans[number].vectors.index(vector) for vector in vectors)))
    return tuple(plans), tuple(parts)


def _wanted(request: FeatureRequest, backbone: Backbone) -> tuple[tuple[int, ...], tuple[tuple[int, Pooling], ...]]:
    """(layers of maps, (layer, pooling) of vectors) with layers counted from 0."""
    if request.pooling not in (None, *_POOLINGS):
        raise unknown_name("pooling", request.pooling, _POOLINGS)
    if not backbone.depth and request.layers:
        backbone.check_depth()
    if not backbone.depth:
        layers: tuple[int, ...] = (_OWN,)
    else:
        own = (-1 if backbone.layer is None else backbone.layer,)
        layers = tuple(check_layer(layer, backbone.depth, backbone.name) for layer in request.layers or own)
    pooling: Pooling = backbone.pooling if request.pooling == "auto" else request.pooling or "mean"
    if not backbone.class_tokens:
        pooling = "mean"
    vectors = tuple((layer, pooling) for layer in layers) if request.pooling else ()
    return (layers if request.dense else ()), vectors
