"""Input transforms: pixels, sizes, and the map of points there and back; and SOCO's own against its definition."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from soco_datasets.errors import UsageError
from soco_datasets.features.pixel_filters import resample_pixels
from soco_datasets.features.transforms import (
    Crop,
    CropBox,
    InputTransform,
    Mirror,
    PadSquare,
    PadToMultiple,
    Resize,
    ResizeShorter,
    RoundDown,
    Step,
    shorter_side_crop,
    soco_transform,
)

SIDES = st.integers(20, 90)
ANCHORS = st.sampled_from(["corner", "center"])
FILTERS = st.sampled_from(["bicubic", "bilinear", "nearest"])
STEPS = st.one_of(
    st.builds(PadSquare, ANCHORS, st.integers(0, 255)),
    st.builds(Resize, SIDES, SIDES, FILTERS),
    st.builds(ResizeShorter, SIDES, FILTERS),
    st.builds(Crop, st.integers(5, 20), st.integers(5, 20), ANCHORS),
    st.just(Mirror()),
)


@st.composite
def transforms(draw: st.DrawFn) -> InputTransform:
    """Steps in any order, a crop last at most once (it may not fit after another), zero padding sometimes."""
    steps = draw(st.lists(STEPS, max_size=4))
    crops = [step for step in steps if isinstance(step, Crop)][:1]
    padding = draw(st.lists(st.builds(PadToMultiple, st.integers(1, 17)), max_size=1))
    return InputTransform((*(step for step in steps if not isinstance(step, Crop)), *crops, *padding))


def noise(width: int, height: int, seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


@settings(max_examples=60)
@given(transform=transforms(), width=SIDES, height=SIDES)
def test_sizes_are_those_of_the_pixels_and_points_come_back(transform: InputTransform, width: int, height: int) -> None:
    pixels = transform.apply(noise(width, height))
    content = (pixels.shape[1], pixels.shape[0])
    left, top, right, bottom = transform.zero_padding(content)
    assert transform.size((width, height)) == (content[0] + left + right, content[1] + top + bottom)
    assert {right - left, bottom - top} <= {0, 1}
    points = np.random.default_rng(1).uniform(-10, 100, (7, 2))
    there = transform.point_map((width, height))
    np.testing.assert_allclose(there.inverse(there(points)), points, atol=1e-9)
    assert InputTransform(transform.steps) == transform
    assert hash(InputTransform(transform.steps)) == hash(transform)
    json.dumps(transform.describe())


@settings(max_examples=30)
@given(first=transforms(), second=STEPS, width=SIDES, height=SIDES)
def test_a_composition_maps_points_through_both(first: InputTransform, second: Step, width: int, height: int) -> None:
    first = InputTransform(tuple(step for step in first.steps if not isinstance(step, PadToMultiple)))
    middle = first.size((width, height))
    if isinstance(second, Crop) and min(middle) < 20:
        return
    points = np.array([[0.0, 0.0], [3.5, 7.25], [width, height]])
    found = first.then(second).point_map((width, height))(points)
    np.testing.assert_allclose(found, second.point_map(middle)(first.point_map((width, height))(points)), atol=1e-9)


@pytest.mark.parametrize(
    "transform",
    [
        soco_transform(60),
        shorter_side_crop(64, 48),
        InputTransform((PadSquare("center", 0), Resize(70, 50), Mirror())),
        InputTransform((CropBox(10, 5, 60, 40), ResizeShorter(50, "bilinear"), Crop(50, 50, "corner"))),
        InputTransform((Resize(64, 64, "linear_point"), RoundDown(), Resize(90, 90, "linear_point"))),
        InputTransform((ResizeShorter(50), PadToMultiple(14))),
    ],
    ids=lambda transform: "-".join(step.kind for step in transform.steps),
)
def test_a_bright_spot_lands_where_its_point_is_mapped(transform: InputTransform) -> None:
    """The center of gravity of a blurred dot, in pixels: what the pixels show and what the map says agree."""
    y, x = np.mgrid[0:60, 0:100] + 0.5
    center = np.array([[41.0, 27.0]])
    dot = 255 * np.exp(-((x - center[0, 0]) ** 2 + (y - center[0, 1]) ** 2) / 18)
    pixels = transform.apply(Image.fromarray(np.repeat(dot[:, :, None], 3, axis=2).astype(np.uint8)))[..., 0]
    left, top, right, bottom = transform.zero_padding((pixels.shape[1], pixels.shape[0]))
    shown = np.pad(pixels.astype(np.float64), ((top, bottom), (left, right)))
    expected = transform.point_map((100, 60))(center)[0]
    rows, columns = np.mgrid[0 : shown.shape[0], 0 : shown.shape[1]] + 0.5
    far = np.maximum(abs(columns - expected[0]), abs(rows - expected[1])) > 10  # the white padding is farther
    shown[far | (shown < 20)] = 0
    gravity = [(shown * columns).sum() / shown.sum(), (shown * rows).sum() / shown.sum()]
    np.testing.assert_allclose(gravity, expected, atol=0.15)


@pytest.mark.parametrize(("width", "height"), [(90, 40), (40, 90), (64, 64)])
def test_the_transform_of_soco_is_the_references(width: int, height: int) -> None:
    image = noise(width, height)
    square = Image.new("RGB", (max(width, height),) * 2, (255, 255, 255))
    square.paste(image, (0, 0))
    expected = np.asarray(square.resize((56, 56), Image.Resampling.BICUBIC))
    found = soco_transform(56).apply(image)
    assert found.dtype == np.uint8
    assert np.array_equal(found, expected)
    points = np.array([[3.0, 5.0], [39.0, 38.5]])
    scaled = points * (56 / max(width, height))
    np.testing.assert_allclose(soco_transform(56).point_map((width, height))(points), scaled, rtol=1e-12)


@pytest.mark.parametrize(("filter", "mode"), [("linear_point", "bilinear"), ("nearest_point", "nearest")])
@pytest.mark.parametrize("size", [(31, 47), (200, 13), (64, 48)])
def test_point_filters_are_those_of_torch(filter: Any, mode: str, size: tuple[int, int]) -> None:
    pixels = np.asarray(noise(64, 48))
    tensor = torch.from_numpy(pixels.astype(np.float32)).permute(2, 0, 1)[None]
    options = {"align_corners": False} if mode == "bilinear" else {}
    expected = torch.nn.functional.interpolate(tensor, size=(size[1], size[0]), mode=mode, **options)
    found = resample_pixels(pixels, size, filter).astype(np.float32)
    np.testing.assert_allclose(found, expected[0].permute(1, 2, 0).numpy(), atol=1e-3)


def test_centered_crops_and_paddings_round_as_said() -> None:
    assert Crop(224, 224).point_map((341, 256)).offset == (-58, -16)  # torchvision: round(117 / 2) = 58
    assert InputTransform((PadToMultiple(14),)).zero_padding((480, 641)) == (5, 1, 5, 2)
    assert InputTransform((PadToMultiple(),)).for_multiple(14) == InputTransform((PadToMultiple(14),))
    assert ResizeShorter(256).size((500, 375)) == (341, 256)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Resize(0, 5), "whole number from 1"),
        (lambda: Resize(8, 8, "lanczos"), "Unknown filter"),
        (lambda: PadSquare("middle"), "Unknown anchor"),
        (lambda: PadSquare(fill=300), "0..255"),
        (lambda: InputTransform((PadToMultiple(4), Mirror())), "last step"),
        (lambda: InputTransform((PadToMultiple(),)).size((5, 5)), "for_multiple"),
        (lambda: InputTransform((Crop(50, 50),)).apply(noise(40, 60)), "does not fit an image of 40x60"),
        (lambda: InputTransform((CropBox(30, 0, 20, 20),)).apply(noise(40, 60)), "not inside"),
        (lambda: InputTransform((Resize(9, 9, "linear_point"), Resize(5, 5))).apply(noise(9, 9)), "RoundDown"),
        (lambda: soco_transform(4).apply(Image.new("L", (4, 4))), "mode 'L'"),
    ],
)
def test_what_cannot_be_is_refused(make: Any, text: str) -> None:
    with pytest.raises(UsageError, match=text):
        make()
