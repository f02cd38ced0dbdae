"""Several layers, global vectors and views from one forward; requests of several users merged; their caches."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from soco_datasets.errors import BackboneError, UsageError
from soco_datasets.features.backbones import load_backbone
from soco_datasets.features.cache.disk import DiskFeatureCache
from soco_datasets.features.cache.inventory import clear_features, stored_features
from soco_datasets.features.cache.key import feature_key
from soco_datasets.features.cache.memory import MemoryFeatureCache
from soco_datasets.features.cache.vectors import GlobalVectorCache
from soco_datasets.features.compose import CompositeBackbone
from soco_datasets.features.extractor import DenseFeatureExtractor
from soco_datasets.features.loader import RequestLoader
from soco_datasets.features.requests import FeatureRequest, merge_requests
from soco_datasets.features.transforms import (
    InputTransform,
    Mirror,
    PadToMultiple,
    Resize,
    ResizeShorter,
    shorter_side_crop,
    soco_transform,
)

TinyModel = Callable[[str], Path]
SQUARE, OBLONG = soco_transform(112), InputTransform((Resize(112, 56),))
# kind -> class tokens, the family's own global vector, layers of one shape
FAMILIES = {
    "vit": (1, "class", 2),
    "deit": (1, "class", 2),
    "ijepa": (0, "mean", 2),
    "vit_mae": (1, "class", 2),
    "dinov2_with_registers": (1, "class", 2),
    "dinov3_vit": (1, "class", 2),
    "clip": (1, "class", 2),
    "siglip": (0, "mean", 2),
    "internvl": (1, "mean", 2),
    "pixio": (8, "class", 2),
    "radio": (1, "mean", 2),
    "sam": (0, "mean", 3),
    "vjepa2": (0, "mean", 2),
    "swin": (0, "mean", 0),
    "qwen3_vl": (0, "mean", 0),
}


def picture(number: int) -> Image.Image:
    pixels = np.random.default_rng(number).integers(0, 256, (70 + number, 110, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def extractor_of(folder: Path, **options: Any) -> DenseFeatureExtractor:
    return DenseFeatureExtractor(load_backbone(folder, **options), 112)


@pytest.mark.parametrize("kind", FAMILIES)
def test_one_forward_gives_the_layers_that_single_loads_give(tiny_model: TinyModel, kind: str) -> None:
    """Maps of every layer and the global vector equal those of the model loaded at that layer, bit for bit."""
    tokens, pooling, depth = FAMILIES[kind]
    backbone = load_backbone(tiny_model(kind))
    assert (backbone.class_tokens, backbone.pooling, backbone.depth) == (tokens, pooling, depth)
    pixels = torch.rand(1, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        outputs = backbone.layer_outputs(pixels, range(depth))
        singles = [load_backbone(tiny_model(kind), layer=layer) for layer in range(depth)] or [backbone]
        for output, single in zip(outputs, singles, strict=True):
            assert torch.equal(output.map, single.forward(pixels))
            mean = output.map.flatten(2).mean(dim=2)
            torch.testing.assert_close(output.pooled("mean"), mean, atol=1e-6, rtol=1e-5)
            if tokens:
                assert output.class_vector is not None
                assert torch.equal(output.pooled("class"), output.class_vector)
                assert not torch.allclose(output.class_vector, mean, atol=1e-2)
    if not depth:
        with pytest.raises(BackboneError, match="one layer only"):
            backbone.layer_outputs(pixels, [0])


@pytest.mark.parametrize(("kind", "count"), [("dinov2_with_registers", 1), ("pixio", 8)])
def test_the_class_vector_is_that_of_the_whole_model(tiny_model: TinyModel, kind: str, count: int) -> None:
    backbone: Any = load_backbone(tiny_model(kind))
    pixels = torch.rand(2, 3, 64, 96)
    with torch.inference_mode():
        states = backbone.module(pixels, output_hidden_states=True).hidden_states[-1]
        found = backbone.layer_outputs(pixels, ())[0].class_vector
    torch.testing.assert_close(found, states[:, :count].mean(dim=1), atol=1e-6, rtol=1e-6)


def test_requests_of_several_users_are_one_decode_and_one_forward_per_view(tiny_model: TinyModel) -> None:
    extractor = extractor_of(tiny_model("dinov2_with_registers"))
    requests = [
        FeatureRequest(SQUARE),
        FeatureRequest(SQUARE, layers=(0, -1), pooling="mean"),
        FeatureRequest(SQUARE, layers=(-1,), dense=False, pooling="class"),
        FeatureRequest(OBLONG, layers=(1,)),
        FeatureRequest(OBLONG.then(Mirror()), dense=False, pooling="auto"),
    ]
    counts, forwarded = {"decodes": 0, "forwards": 0}, []
    backbone: Any = extractor.backbone
    backbone.module.register_forward_hook(lambda *_: forwarded.append(1))
    loader = RequestLoader(extractor, requests, picture, counts)
    features = dict(loader(range(3)))
    assert counts == {"decodes": 3, "forwards": 9}
    assert len(forwarded) == 9
    assert [plan.layers for plan in loader.plans] == [(0, 1), (1,), (1,)]
    shapes = []
    for number in range(len(requests)):
        part = loader.of(number, features[2])
        shapes.append([None if one is None else tuple(one.shape) for one in (part.maps, part.vectors)])
    assert shapes == [
        [(1, 32, 14, 14), None],
        [(2, 32, 14, 14), (2, 32)],
        [None, (1, 32)],
        [(1, 32, 7, 14), None],
        [None, (1, 32)],
    ]
    # each part is what its request alone gives, to the last bit; and SOCO's transform is the extractor's own
    for number, request in enumerate(requests):
        alone = RequestLoader(extractor, [request], picture, {"decodes": 0, "forwards": 0}, workers=0)
        (_, expected), found = next(iter(alone([1]))), loader.of(number, features[1])
        for one, other in zip((found.maps, found.vectors), (expected[0].maps, expected[0].vectors), strict=True):
            assert (one is None and other is None) or torch.equal(one, other)
    assert torch.equal(loader.of(0, features[1]).maps[0], extractor.extract([picture(1)])[0])


@pytest.mark.parametrize("size", [(100, 75), (75, 100)])
def test_zero_padding_comes_after_the_normalization(tiny_model: TinyModel, size: tuple[int, int]) -> None:
    extractor = extractor_of(tiny_model("vit"))
    image = picture(0).resize(size)
    transform = InputTransform((ResizeShorter(50), PadToMultiple()))
    plans, _ = merge_requests([FeatureRequest(transform)], extractor.backbone)
    (found,) = extractor.extract_plan([plans[0].transform.apply(image)], plans[0])
    resized = np.asarray(image.resize(transform.for_multiple(8).steps[0].size(size), Image.Resampling.BICUBIC))
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    content = (torch.from_numpy(resized.copy()).permute(2, 0, 1) / 255 - mean) / std
    canvas = torch.zeros(3, -(-content.shape[1] // 8) * 8, -(-content.shape[2] // 8) * 8)
    top, left = (canvas.shape[1] - content.shape[1]) // 2, (canvas.shape[2] - content.shape[2]) // 2
    canvas[:, top : top + content.shape[1], left : left + content.shape[2]] = content
    with torch.inference_mode():
        expected = extractor.backbone.forward(canvas[None])
    torch.testing.assert_close(found.maps, expected, atol=1e-5, rtol=1e-5)
    assert extractor.map_shape(plans[0], size) == tuple(found.maps.shape)


def test_images_of_different_sizes_and_batches(tiny_model: TinyModel) -> None:
    backbone = load_backbone(tiny_model("vit"))
    (plan,), _ = merge_requests([FeatureRequest(InputTransform((PadToMultiple(),)), pooling="auto")], backbone)
    pixels = [plan.transform.apply(picture(number)) for number in (0, 0, 20, 1)]
    together = DenseFeatureExtractor(backbone, 112, 3, together=True).extract_plan(pixels, plan)
    alone = [DenseFeatureExtractor(backbone, 112).extract_plan([one], plan)[0] for one in pixels]
    for one, other in zip(together, alone, strict=True):
        torch.testing.assert_close(one.maps, other.maps, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(one.vectors, other.vectors, atol=1e-5, rtol=1e-5)


def test_what_a_model_cannot_give_is_refused_before_any_forward(tiny_model: TinyModel) -> None:
    swin, vit = load_backbone(tiny_model("swin")), load_backbone(tiny_model("vit"))
    with pytest.raises(BackboneError, match="one layer only"):
        merge_requests([FeatureRequest(SQUARE, layers=(0, 1))], swin)
    with pytest.raises(BackboneError, match="no layer 5: it has 2 blocks"):
        merge_requests([FeatureRequest(SQUARE, layers=(5,))], vit)
    with pytest.raises(UsageError, match="Unknown pooling 'max'"):
        merge_requests([FeatureRequest(SQUARE, pooling="max")], vit)  # type: ignore[arg-type]  # on purpose
    (plan,), _ = merge_requests([FeatureRequest(InputTransform((Resize(50, 50),)))], vit)
    with pytest.raises(BackboneError, match="multiples of 8"):
        DenseFeatureExtractor(vit, 112).extract_plan([plan.transform.apply(picture(0))], plan)
    mixed = CompositeBackbone([vit, load_backbone(tiny_model("siglip"))])
    (plan,), _ = merge_requests([FeatureRequest(InputTransform((PadToMultiple(),)))], mixed)
    with pytest.raises(UsageError, match="normalize pixels differently"):
        DenseFeatureExtractor(mixed, 112).extract_plan([plan.transform.apply(picture(0))], plan)


def test_a_composition_gives_its_map_and_the_mean_of_it(tiny_model: TinyModel) -> None:
    parts = [load_backbone(tiny_model("vit")), load_backbone(tiny_model("siglip"))]
    mixed = CompositeBackbone(parts)
    request = FeatureRequest(shorter_side_crop(64, 56), pooling="auto")
    extractor = DenseFeatureExtractor(mixed, 56)
    features = RequestLoader(extractor, [request], picture, {"decodes": 0, "forwards": 0})
    found = features.of(0, dict(features([3]))[3])
    square = Image.fromarray(request.transform.apply(picture(3)))
    torch.testing.assert_close(found.maps, extractor.extract([square]), atol=2e-5, rtol=1e-4)
    torch.testing.assert_close(found.vectors[0], found.maps[0].mean(dim=(1, 2)), atol=1e-6, rtol=1e-5)


class TestCaches:
    def plan_and_key(self, folder: Path, *requests: FeatureRequest, **options: Any) -> tuple[Any, Any, Any]:
        extractor = extractor_of(folder, **options)
        (plan,), _ = merge_requests(requests, extractor.backbone)
        return extractor, plan, feature_key(extractor, {"torch": "2"}, plan)

    def test_maps_with_a_layer_axis_in_memory_and_on_disk(self, tiny_model: TinyModel, tmp_path: Path) -> None:
        request = FeatureRequest(OBLONG, layers=(0, -1))
        extractor, plan, key = self.plan_and_key(tiny_model("vit"), request)
        shape = extractor.map_shape(plan, (110, 70))
        found = extractor.extract_plan([plan.transform.apply(picture(number)) for number in range(2)], plan)
        digests = [bytes([number]) * 32 for number in range(2)]
        with (
            MemoryFeatureCache(2, shape) as memory,
            MemoryFeatureCache(2, shape, memory_budget=0, directory=tmp_path) as mapped,
            DiskFeatureCache(tmp_path, key, shape, digests) as disk,
        ):
            for cache in (memory, mapped, disk):
                for number, features in enumerate(found):
                    cache.put(number, features.maps)
                assert all(torch.equal(cache.get(number), found[number].maps) for number in range(2))
                assert cache.get_many(range(2)).shape == (2, *shape)
        with DiskFeatureCache(tmp_path, key, shape, digests[::-1]) as again:
            assert torch.equal(again.get(0), found[1].maps)
        assert "2 maps 0 vectors" in stored_features(tmp_path)[0].model

    def test_the_key_tells_transforms_layers_and_kinds_apart(self, tiny_model: TinyModel) -> None:
        base = FeatureRequest(OBLONG, layers=(0,))
        others = [
            FeatureRequest(OBLONG, layers=(1,)),
            FeatureRequest(OBLONG.then(Mirror()), layers=(0,)),
            FeatureRequest(InputTransform((Resize(112, 56, "bilinear"),)), layers=(0,)),
            FeatureRequest(OBLONG, layers=(0,), dense=False, pooling="class"),
            FeatureRequest(OBLONG, layers=(0,), dense=False, pooling="mean"),
        ]
        keys = [str(self.plan_and_key(tiny_model("vit"), request)[2]) for request in [base, *others]]
        keys.append(str(self.plan_and_key(tiny_model("vit"), base, norm="final")[2]))
        assert len(set(keys)) == len(keys)
        assert str(self.plan_and_key(tiny_model("vit"), FeatureRequest(OBLONG, layers=(-2,)))[2]) == keys[0]

    def test_global_vectors_are_one_array_that_resumes(self, tiny_model: TinyModel, tmp_path: Path) -> None:
        request = FeatureRequest(SQUARE, layers=(0, -1), dense=False, pooling="class")
        extractor, plan, key = self.plan_and_key(tiny_model("vit"), request)
        digests = [bytes([number]) * 32 for number in range(4)]
        pixels = [plan.transform.apply(picture(number)) for number in range(4)]
        found = [features.vectors for features in extractor.extract_plan(pixels, plan)]
        with GlobalVectorCache(tmp_path, key, (2, 32), digests) as cache:
            assert isinstance(cache.array, np.memmap)
            for number in (0, 2, 3):
                cache.put(number, found[number])
            assert cache.missing() == [1]
            cache.array[3] += 1  # damage
            assert clear_features(tmp_path)[0] == []  # in use
        with GlobalVectorCache(tmp_path, key, (2, 32), digests) as cache:
            assert cache.missing() == [1, 3]
            for number in cache.missing():
                cache.put(number, found[number])
            assert np.array_equal(cache.array, torch.stack(found).numpy())
            with pytest.raises(UsageError, match="holds vectors"):
                cache.put(0, found[0][:1])
        assert stored_features(tmp_path)[0].images == 4
        with GlobalVectorCache(tmp_path, key, (2, 32), digests[:3]) as other:
            assert other.missing() == [0, 1, 2]
        with pytest.raises(UsageError, match="float16"):
            GlobalVectorCache(tmp_path, key, (2, 32), digests, "bfloat16")
        assert len(clear_features(tmp_path)[0]) == 2
