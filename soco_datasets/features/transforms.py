"""Input transforms: how a decoded image becomes the pixels of a network, as values that know their own point mapping.

An `InputTransform` is a frozen sequence of steps. It gives the pixels of an image, the size they have, and the map of
points from image pixels to network pixels and back; its `describe` is part of the key of the feature caches.

    PadSquare, Crop, CropBox, Resize, ResizeShorter, Mirror, RoundDown   work on 0..255 pixels
    PadToMultiple                                                       zeros around the normalized image; the last step

SOCO's own transform is `soco_transform(size)`: white padding to a square at the right and at the bottom, then a bicubic
resize. PIL and NumPy only.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from functools import reduce
from typing import Any, ClassVar, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..errors import UsageError, unknown_name
from ..geometry import ImageSize, PointMap
from .pixel_filters import FILTERS, Filter, resample_pixels

Anchor = Literal["corner", "center"]
ANCHORS: tuple[str, ...] = get_args(Anchor)
WHITE = 255
PixelArray: TypeAlias = NDArray[Any]  # (height, width, 3) uint8, or float32 in 0..255


@dataclass(frozen=True)
class Step:
    """One step of a transform; by default one that keeps the size. Raises `UsageError` for a value that cannot be."""

    kind: ClassVar[str] = ""

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            _check_option(name, value)

    def size(self, source: ImageSize) -> ImageSize:
        """Width and height of the result for an input of `source` (width, height), in pixels."""
        return source

    def point_map(self, source: ImageSize) -> PointMap:
        """From points of the input to points of the result: by default the stretch from one size to the other."""
        width, height = self.size(source)
        return PointMap(scale=(width / source[0], height / source[1]))

    def apply(self, pixels: PixelArray) -> PixelArray:
        """The result for (height, width, 3) pixels."""
        return pixels

    def describe(self) -> dict[str, Any]:
        """The step as JSON values."""
        return {"step": self.kind, **asdict(self)}


@dataclass(frozen=True)
class PadSquare(Step):
    """Pad to a square of the longer side.

    Attributes:
        anchor: "corner" keeps the image at the top left; "center" pads evenly, the odd pixel right and below.
        fill: value of the padding in all channels, 0..255.
    """

    kind: ClassVar[str] = "pad_square"
    anchor: Anchor = "corner"
    fill: int = WHITE

    def size(self, source: ImageSize) -> ImageSize:
        """The longer side, twice."""
        return max(source), max(source)

    def point_map(self, source: ImageSize) -> PointMap:
        """A shift; none for a corner."""
        left, top = _margin(source, self.size(source), self.anchor)
        return PointMap(offset=(left, top))

    def apply(self, pixels: PixelArray) -> PixelArray:
        """The image on its square."""
        height, width = pixels.shape[:2]
        side = max(height, width)
        left, top = _margin((width, height), (side, side), self.anchor)
        square = np.full((side, side, 3), self.fill, dtype=pixels.dtype)
        square[top : top + height, left : left + width] = pixels
        return square


@dataclass(frozen=True)
class Resize(Step):
    """Resize to a given size whatever the aspect ratio ("squeeze").

    Attributes:
        width, height: of the result, pixels.
        filter: one of `pixel_filters.FILTERS`.
    """

    kind: ClassVar[str] = "resize"
    width: int
    height: int
    filter: Filter = "bicubic"

    def size(self, source: ImageSize) -> ImageSize:
        """As asked for."""
        return self.width, self.height

    def apply(self, pixels: PixelArray) -> PixelArray:
        """The resampled image."""
        return resample_pixels(pixels, self.size((pixels.shape[1], pixels.shape[0])), self.filter)


@dataclass(frozen=True)
class ResizeShorter(Step):
    """Resize so that the shorter side has a given length; the longer one is cut to whole pixels, as torchvision does.

    Attributes:
        side: of the result, pixels.
        filter: one of `pixel_filters.FILTERS`.
    """

    kind: ClassVar[str] = "resize_shorter"
    side: int
    filter: Filter = "bicubic"

    def size(self, source: ImageSize) -> ImageSize:
        """The shorter side is `side`."""
        longer = int(self.side * max(source) / min(source))
        return (self.side, longer) if source[0] <= source[1] else (longer, self.side)

    def apply(self, pixels: PixelArray) -> PixelArray:
        """The resampled image."""
        return resample_pixels(pixels, self.size((pixels.shape[1], pixels.shape[0])), self.filter)


@dataclass(frozen=True)
class Crop(Step):
    """Cut a window out of the image, which must be at least as large.

    Attributes:
        width, height: of the window, pixels.
        anchor: "center" or "corner" (the top left one). The margin of a centered window is rounded as torchvision does.
    """

    kind: ClassVar[str] = "crop"
    width: int
    height: int
    anchor: Anchor = "center"

    def _margin(self, source: ImageSize) -> tuple[int, int]:
        if source[0] < self.width or source[1] < self.height:
            raise UsageError(
                f"A crop of {self.width}x{self.height} pixels (width x height) does not fit an image of "
                f"{source[0]}x{source[1]}. Resize first, or take a smaller crop."
            )
        if self.anchor == "corner":
            return 0, 0
        return round((source[0] - self.width) / 2), round((source[1] - self.height) / 2)

    def size(self, source: ImageSize) -> ImageSize:
        """As asked for."""
        self._margin(source)
        return self.width, self.height

    def point_map(self, source: ImageSize) -> PointMap:
        """A shift."""
        left, top = self._margin(source)
        return PointMap(offset=(-left, -top))

    def apply(self, pixels: PixelArray) -> PixelArray:
        """The window."""
        left, top = self._margin((pixels.shape[1], pixels.shape[0]))
        return pixels[top : top + self.height, left : left + self.width]


@dataclass(frozen=True)
class CropBox(Step):
    """Cut a given box out of the image.

    Attributes:
        left, top, width, height: pixels; the box must be inside the image.
    """

    kind: ClassVar[str] = "crop_box"
    left: int
    top: int
    width: int
    height: int

    def size(self, source: ImageSize) -> ImageSize:
        """Of the box."""
        if min(self.left, self.top) < 0 or self.left + self.width > source[0] or self.top + self.height > source[1]:
            raise UsageError(f"The box {asdict(self)} is not inside an image of {source[0]}x{source[1]} pixels.")
        return self.width, self.height

    def point_map(self, source: ImageSize) -> PointMap:
        """A shift."""
        return PointMap(offset=(-self.left, -self.top))

    def apply(self, pixels: PixelArray) -> PixelArray:
        """The box."""
        self.size((pixels.shape[1], pixels.shape[0]))
        return pixels[self.top : self.top + self.height, self.left : self.left + self.width]


@dataclass(frozen=True)
class Mirror(Step):
    """Exchange left and right."""

    kind: ClassVar[str] = "mirror"

    def point_map(self, source: ImageSize) -> PointMap:
        """x becomes width - x."""
        return PointMap(scale=(-1.0, 1.0), offset=(float(source[0]), 0.0))

    def apply(self, pixels: PixelArray) -> PixelArray:
        """The mirrored image."""
        return pixels[:, ::-1]


@dataclass(frozen=True)
class RoundDown(Step):
    """Cut values to bytes, after a filter that does not round."""

    kind: ClassVar[str] = "round_down"

    def apply(self, pixels: PixelArray) -> PixelArray:
        """uint8 pixels."""
        return pixels.clip(0, 255).astype(np.uint8)


@dataclass(frozen=True)
class PadToMultiple(Step):
    """Zeros around the normalized image, so that both sides are multiples; evenly, the odd pixel right and below.

    Pixels before the normalization stay as they are; see `InputTransform.zero_padding`.

    Attributes:
        multiple: in pixels; None = what the model needs (`InputTransform.for_multiple` fills it in).
    """

    kind: ClassVar[str] = "pad_to_multiple"
    multiple: int | None = None

    def size(self, source: ImageSize) -> ImageSize:
        """Both sides rounded up."""
        if self.multiple is None:
            raise UsageError("The multiple of this padding is not known yet: use `InputTransform.for_multiple`.")
        width, height = (-(-side // self.multiple) * self.multiple for side in source)
        return width, height

    def point_map(self, source: ImageSize) -> PointMap:
        """A shift by the left and the upper padding."""
        left, top = _margin(source, self.size(source), "center")
        return PointMap(offset=(left, top))


@dataclass(frozen=True)
class InputTransform:
    """Steps from a decoded image to the pixels of a network, in order.

    Attributes:
        steps: the steps; `PadToMultiple` may only be the last.
    """

    steps: tuple[Step, ...] = ()

    def __post_init__(self) -> None:
        if any(isinstance(step, PadToMultiple) for step in self.steps[:-1]):
            raise UsageError("Padding with zeros after the normalization must be the last step of a transform.")

    def then(self, *steps: Step) -> InputTransform:
        """This transform followed by more steps."""
        return InputTransform(self.steps + steps)

    def for_multiple(self, multiple: int) -> InputTransform:
        """The same with the multiple of a model filled in where the zero padding leaves it open."""
        last = self.steps[-1] if self.steps else None
        if isinstance(last, PadToMultiple) and last.multiple is None:
            return InputTransform((*self.steps[:-1], replace(last, multiple=multiple)))
        return self

    def size(self, source: ImageSize) -> ImageSize:
        """(width, height) of the network pixels for an image of `source` (width, height)."""
        return reduce(lambda size, step: step.size(size), self.steps, source)

    def point_map(self, source: ImageSize) -> PointMap:
        """From pixel points of an image of `source` (width, height) to network pixels; its `inverse` leads back."""
        total, size = PointMap(), source
        for step in self.steps:
            total, size = total.then(step.point_map(size)), step.size(size)
        return total

    def apply(self, image: Image.Image) -> PixelArray:
        """The pixels of an RGB image before the normalization and its zero padding.

        Returns:
            (height, width, 3) uint8, or float32 in 0..255 where the last filter does not round.

        Raises:
            UsageError: the image is not RGB, or a step does not fit its size.
        """
        if image.mode != "RGB":
            raise UsageError(
                f"An input transform takes RGB images, got mode {image.mode!r}; decode with `data.images.open_rgb`."
            )
        return np.ascontiguousarray(reduce(lambda pixels, step: step.apply(pixels), self.steps, np.asarray(image)))

    def zero_padding(self, content: ImageSize) -> tuple[int, int, int, int]:
        """(left, top, right, bottom) zeros around normalized pixels of `content` (width, height)."""
        last = self.steps[-1] if self.steps else None
        if not isinstance(last, PadToMultiple):
            return 0, 0, 0, 0
        width, height = last.size(content)
        left, top = _margin(content, (width, height), "center")
        return left, top, width - content[0] - left, height - content[1] - top

    def describe(self) -> list[dict[str, Any]]:
        """The steps as JSON values; equal transforms and no others give equal values."""
        return [step.describe() for step in self.steps]


def soco_transform(size: int, anchor: Anchor = "corner") -> InputTransform:
    """The transform of the correspondence tasks: white square, then bicubic to `size` x `size`.

    The image lies at the top left of the square, or with the anchor "center" (AP-10K) in its middle.
    """
    return InputTransform((PadSquare(anchor), Resize(size, size)))


def shorter_side_crop(shorter: int, side: int, filter: Filter = "bicubic") -> InputTransform:
    """The usual transform of classification: shorter side to `shorter`, then the central `side` x `side`."""
    return InputTransform((ResizeShorter(shorter, filter), Crop(side, side)))


def _margin(inner: ImageSize, outer: ImageSize, anchor: Anchor) -> tuple[int, int]:
    if anchor == "corner":
        return 0, 0
    return (outer[0] - inner[0]) // 2, (outer[1] - inner[1]) // 2


def _check_option(name: str, value: Any) -> None:
    known = {"filter": FILTERS, "anchor": ANCHORS}.get(name)
    if known is not None:
        if value not in known:
            raise unknown_name(name, value, known)
        return
    least = 0 if name in ("fill", "left", "top") else 1
    if (name, value) != ("multiple", None) and (not isinstance(value, int) or value < least):
        raise UsageError(f"`{name}` of an input transform is a whole number from {least}, got {value!r}.")
    if name == "fill" and value > 255:
        raise UsageError(f"The fill of a padding is a byte, 0..255, got {value}.")
