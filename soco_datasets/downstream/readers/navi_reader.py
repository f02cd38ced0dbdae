"""NAVI: wild and multiview images of objects with cameras, disparity codes and masks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ...errors import DatasetFolderError
from ...metrics.navi import depth_from_codes, rotations_from_quaternions, square_crop
from ...metrics.segmentation import resize_nearest
from .base import DataReader, Finding, ImageSet, decode, open_image, picture_findings, read_data_json

SIDE = 512  # pixels of the views and of the crops
POINTS = 128  # points a side that are matched
_WILD = "wild_set"


@dataclass(frozen=True, eq=False)
class NaviImage:
    """One annotated image.

    Attributes:
        key: "object/scene/stem".
        folder: of its scene.
        stem: of its files.
        size: (height, width) that its camera is for.
        rotation: (3, 3), object to camera.
        translation: (3,), meters.
        focal: pixels of `size`.
    """

    key: str
    folder: Path
    stem: str
    size: tuple[int, int]
    rotation: NDArray[np.float64]
    translation: NDArray[np.float64]
    focal: float

    def file(self, kind: str, suffix: str) -> Path:
        """A file of the image, the smaller copy where the resizing script made one."""
        small = self.folder / kind / f"downsampled_{self.stem}{suffix}"
        return small if small.is_file() else self.folder / kind / f"{self.stem}{suffix}"


@dataclass(frozen=True)
class NaviView:
    """An image as it is matched.

    Attributes:
        pixels: (512, 512, 3) uint8, cropped to the object.
        points: (3, 128, 128) meters in the camera's frame; z = 0 where there is none.
    """

    pixels: NDArray[np.uint8]
    points: NDArray[np.float64]


class NaviReader(DataReader):
    """Images of the wild sets by object."""

    kind: ClassVar[str] = "navi"
    title: ClassVar[str] = "NAVI"
    expected: ClassVar[dict[str, int]] = {"objects": 36, "wild images": 2_298}
    not_on_hub: ClassVar[str] = "it is published as an archive; download and unpack it"

    def open(self) -> None:
        nested = next((one for one in sorted(self.root.glob("navi_v1*")) if one.is_dir()), None)
        self.base = nested or self.root
        self._broken: list[Finding] = []
        self.objects = [folder for folder in sorted(self.base.iterdir()) if folder.is_dir() and _scenes(folder)]
        if not self.objects:
            raise DatasetFolderError(f"{self.root} holds no <object>/wild_set or <object>/multiview* folder of NAVI.")
        multiview = [scene.name for one in self.objects for scene in _scenes(one) if scene.name != _WILD]
        self.layout = "NAVI 1.5" if any(name.startswith("multiview-") for name in multiview) else "NAVI 1.0"
        self.wild: dict[str, list[NaviImage]] = {}
        for one in self.objects:
            if (one / _WILD).is_dir():
                self.wild[one.name] = self._images(one.name, one / _WILD)

    def _images(self, name: str, folder: Path) -> list[NaviImage]:
        path = folder / "annotations.json"
        try:
            entries = read_data_json(path)
            if not isinstance(entries, list):
                raise ValueError("it holds no list of images")
        except (OSError, ValueError) as error:
            self._broken.append(Finding("error", str(path), f"cannot be read ({error}).", "copy it again"))
            return []
        images = []
        for row, entry in enumerate(entries):
            try:
                images.append(_image(name, folder, entry))
            except (KeyError, TypeError, ValueError) as error:  # UsageError is a ValueError
                self._broken.append(Finding("error", f"{path} entry {row}", f"no usable camera ({error})."))
        return sorted(images, key=lambda image: image.key)

    def counts(self) -> dict[str, int]:
        return {"objects": len(self.objects), "wild images": sum(len(images) for images in self.wild.values())}

    def image_set(self, images: Sequence[NaviImage]) -> ImageSet:
        """Views of some images, cropped to the object."""
        keys = tuple(image.key for image in images)
        return ImageSet("views", keys, lambda i: Image.fromarray(self.view(images[i]).pixels), self.fingerprint)

    def view(self, image: NaviImage) -> NaviView:
        """An image as it is matched, see `NaviView`."""
        pixels, depth = _resized(image)
        return crop_view(pixels, depth, image.focal * SIDE / min(image.size))

    def inspect(self, sampled: Callable[[Sequence[Any]], Sequence[Any]]) -> Iterable[Finding]:
        yield from self._broken
        for name, images in self.wild.items():
            known = {image.stem for image in images}
            folder = self.base / name / _WILD / "images"
            for path in sorted(folder.glob("*")) if folder.is_dir() else ():
                if "_" not in path.stem and path.stem not in known:
                    yield Finding("warning", str(path), "an image without an annotation; it is not used.")
        for image in sampled([image for images in self.wild.values() for image in images]):
            yield from _inspect_image(image)


def crop_view(pixels: NDArray[np.uint8], depth: NDArray[np.float64], focal: float) -> NaviView:
    """Crop a 512 x 512 view around its object and lift its depth.

    Args:
        pixels: (512, 512, 3) uint8.
        depth: (512, 512) meters, 0 = none.
        focal: pixels; the principal point is the middle.
    """
    top, left, side = square_crop(depth > 0)
    side = max(side, 1)
    rows, columns = np.mgrid[0:SIDE, 0:SIDE] + 0.5
    raster = np.stack([(columns - SIDE / 2) / focal * depth, (rows - SIDE / 2) / focal * depth, depth])
    cut = raster[:, top : top + side, left : left + side]
    small = resize_nearest(resize_nearest(cut, SIDE, SIDE), POINTS, POINTS)
    picture = pixels[top : top + side, left : left + side].transpose(2, 0, 1)
    return NaviView(np.ascontiguousarray(resize_nearest(picture, SIDE, SIDE).transpose(1, 2, 0)), small)


@lru_cache(maxsize=8)
def _resized(image: NaviImage) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Pixels and depth of the central 512 x 512 with the shorter side at 512, by nearest sampling."""
    picture = np.asarray(decode(image.file("images", ".jpg"), turned=True))
    codes = _codes(image.file("depth", ".png"))
    height, width = (round(side * SIDE / min(image.size)) for side in image.size)
    top, left = (height - SIDE) // 2, (width - SIDE) // 2
    window = np.s_[..., top : top + SIDE, left : left + SIDE]
    pixels = resize_nearest(picture.transpose(2, 0, 1), height, width)[window].transpose(1, 2, 0)
    return pixels, depth_from_codes(resize_nearest(codes, height, width)[window])


def _codes(path: Path) -> NDArray[np.uint16]:
    try:
        with open_image(path) as image:
            image.load()
            return np.array(image).astype(np.uint16)
    except DatasetFolderError:
        raise
    except Exception as error:  # damaged images raise almost anything
        raise DatasetFolderError(f"{path} cannot be decoded ({error}). Copy it again.") from error


def _scenes(folder: Path) -> list[Path]:
    names = ("multiview", _WILD)
    return [one for one in sorted(folder.iterdir()) if one.is_dir() and one.name.startswith(names)]


def _image(name: str, folder: Path, entry: dict[str, Any]) -> NaviImage:
    stem = Path(entry["filename"]).stem
    camera = entry["camera"]
    focal, translation = float(camera["focal_length"]), np.array(camera["t"], dtype=np.float64) / 1000
    if not (focal > 0 and np.isfinite(translation).all() and translation.shape == (3,)):
        raise ValueError("focal_length or t")
    height, width = (int(side) for side in entry["image_size"])
    rotation = rotations_from_quaternions(camera["q"])
    return NaviImage(f"{name}/{folder.name}/{stem}", folder, stem, (height, width), rotation, translation, focal)


def _inspect_image(image: NaviImage) -> Iterable[Finding]:
    path, depth_file = image.file("images", ".jpg"), image.file("depth", ".png")
    if not path.is_file():
        yield Finding("error", str(path), "the image is missing.", "copy it, or remove its annotation")
        return
    found = picture_findings(path, turned=True)
    yield from found
    try:
        codes = _codes(depth_file)
    except DatasetFolderError as error:
        yield Finding("error", str(depth_file), str(error))
        return
    if any(one.severity == "error" for one in found):
        return
    width, height = decode(path, turned=True).size
    ratio, wanted = height / width, image.size[0] / image.size[1]
    if abs(ratio / wanted - 1) > 0.02 and abs(ratio * wanted - 1) < 0.02:
        problem = f"the image is {width}x{height}, its annotation says {image.size[1]}x{image.size[0]}: swapped sides."
        yield Finding("error", str(path), problem, "keep the EXIF orientation of the original")
    elif abs(ratio / wanted - 1) > 0.02:
        yield Finding("error", str(path), f"the image is {width}x{height}, its annotation says another shape.")
    elif abs(codes.shape[0] / codes.shape[1] / wanted - 1) > 0.02:
        yield Finding("error", str(depth_file), f"the depth is {codes.shape[1]}x{codes.shape[0]}, another shape.")
    depth = depth_from_codes(codes)
    if not (depth > 0).any():
        yield Finding("error", str(depth_file), "the depth is empty.", "copy the depth file again")
        return
    middle, distance = float(np.median(depth[depth > 0])), float(image.translation[2])
    if distance > 0 and not 0.2 < middle / distance < 5:
        problem = f"the median depth is {middle:.3g} m, the camera is {distance:.3g} m away: wrong units."
        yield Finding("error", str(depth_file), problem, "depth is coded as 655350 / millimeters, t is in millimeters")
