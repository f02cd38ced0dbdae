"""NYUv2: GeoNet-style training files, the labeled MATLAB 7.3 file, and the framework's own pickle."""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ...errors import DatasetFolderError, MissingExtraError, SocoError, missing_extra
from ...metrics.depth import MAX_DEPTH
from ...utils.compressed import check_mat, read_gzip
from .base import DataReader, Finding, ImageSet, read_data_json
from .unpickling import load_named_arrays

HEIGHT, WIDTH, MARGIN = 480, 640, 80  # pixels; the margin is cut on both sides
# Corrupt in the archive of 30,916 files; the reference leaves out the sorted positions 6919 and 21181, which are these.
_KNOWN_BAD = {
    "bedroom_0129_r-1315328302.785180-1089784518.mat",
    "library_0006_r-1300708259.539496-3335480784.mat",
}
_MEANS = (122.175, 116.169, 103.508)
_FOCAL = 519.0  # pixels of NYU's color camera, for normals computed from depth


class NyuSample(NamedTuple):
    """One picture with its truth, cut to 480 x 480.

    Attributes:
        pixels: (480, 480, 3) uint8.
        depth: (480, 480) float32 meters; 0 = missing or deeper than 10 m.
        normals: (3, 480, 480) float32.
    """

    pixels: NDArray[np.uint8]
    depth: NDArray[np.float32]
    normals: NDArray[np.float32]


class NyuReader(DataReader):
    """Samples of "train" and "test"."""

    kind: ClassVar[str] = "nyu"
    title: ClassVar[str] = "NYUv2"
    expected: ClassVar[dict[str, int]] = {"train": 30_914, "test": 654}
    not_on_hub: ClassVar[str] = (
        "the Hub's NYU data comes from another preparation (FastDepth) without normals; download the files named in "
        "docs/howto/downstream/nyu_depth.md"
    )

    def open(self) -> None:
        found = sorted((self.root / "nyu_geonet").glob("*.mat"))
        self._train = [path for path in found if path.name not in _KNOWN_BAD]
        pickle = next(iter(sorted(self.root.rglob("nyuv2_snorm_all.pkl"))), None)
        mat = next(iter(sorted(self.root.rglob("nyu_depth_v2_labeled.mat"))), None)
        self._arrays: dict[str, Any] = {}
        self._file = pickle or mat
        if pickle is not None:
            self.layout = "pickle"
            self._open_pickle(pickle)
        elif mat is not None:
            self.layout = "MATLAB"
            self._open_mat(mat)
        elif sorted(self.root.rglob("*.parquet")):
            raise DatasetFolderError(
                f"{self.root}: the Hub's NYU data comes from another preparation (FastDepth), without normals and with "
                "partial training images; it is not a source for this protocol. See docs/howto/downstream/nyu_depth.md."
            )
        else:
            raise DatasetFolderError(
                f"{self.root} holds neither nyuv2/nyuv2_snorm_all.pkl nor nyu_depth_v2_labeled.mat. "
                "See docs/howto/downstream/nyu_depth.md for how to get them."
            )

    def _open_pickle(self, path: Path) -> None:
        content = load_named_arrays(path, keys=("depths", "images", "snorms", "test_indices"))
        try:
            self._arrays = {name: np.asarray(content[name]) for name in ("depths", "images", "snorms")}
            indices = np.ravel(np.asarray(content["test_indices"]))
        except ValueError as error:  # lists of several lengths
            raise DatasetFolderError(f"{path} is not the framework's file ({error}). Copy it again.") from error
        if not all(one.dtype.kind in "uif" for one in (*self._arrays.values(), indices)):
            raise DatasetFolderError(f"{path}: depths, images, snorms or test_indices do not hold numbers.")
        shapes = {name: array.shape for name, array in self._arrays.items()}
        count = (*shapes["images"], 0)[0]
        wanted = {"depths": (count, HEIGHT, WIDTH), "images": (count, 3, HEIGHT, WIDTH)}
        wanted["snorms"] = wanted["images"]
        if shapes != wanted:
            swapped = shapes["depths"] == (count, WIDTH, HEIGHT)
            hint = "height and width are swapped" if swapped else "another shape than the framework's file"
            raise DatasetFolderError(f"{path}: {hint}: {shapes}, expected {wanted}.")
        if not all(number == int(number) and 0 <= number < count for number in indices.tolist()):
            raise DatasetFolderError(f"{path}: test_indices are not positions among {count} images.")
        self._test = [int(number) for number in indices]

    def _open_mat(self, path: Path) -> None:
        images, depths = _open_hdf5(path)
        count = images.shape[:1]
        if images.shape != (*count, 3, WIDTH, HEIGHT) or depths.shape != (*count, WIDTH, HEIGHT):
            raise DatasetFolderError(
                f"{path}: images {images.shape}, rawDepths {depths.shape}; expected (N, 3, 640, 480) and (N, 640, 480)."
            )
        normals_file = next(iter(sorted(self.root.rglob("all_normals.pklz"))), None)
        if normals_file is None:
            raise DatasetFolderError(f"{self.root} lacks all_normals.pklz, the normals of the labeled set.")
        try:
            packed = read_gzip(normals_file)
        except (OSError, EOFError, ValueError, zlib.error) as error:
            raise DatasetFolderError(f"{normals_file} cannot be unpacked ({error}). Copy it again.") from error
        normals = np.asarray(load_named_arrays(packed, str(normals_file), ["all_normals"])["all_normals"])
        if normals.dtype.kind not in "uif":
            raise DatasetFolderError(f"{normals_file} holds no numbers `all_normals`.")
        if normals.shape != (len(images), HEIGHT, WIDTH, 3):
            raise DatasetFolderError(f"{normals_file}: normals {normals.shape}, expected ({len(images)}, 480, 640, 3).")
        self._arrays = {"images": images, "depths": depths, "normals": normals}
        self._test = _split_indices(self.root, len(images))

    def counts(self) -> dict[str, int]:
        return {"train": len(self._train), "test": len(self._test)}

    def items(self, split: str) -> list[Any]:
        """What identifies the samples of "train" (files) or "test" (numbers), of the subset where there is one."""
        return self.options.kept(self._train if split == "train" else self._test, split)

    def sample(self, split: str, number: int) -> NyuSample:
        """A sample by its position in `items`."""
        return self._sample(split, self.items(split)[number])

    def _sample(self, split: str, item: Any) -> NyuSample:
        if split == "train":
            return _crop(*_geonet(item))
        if self.layout == "pickle":
            picture = np.moveaxis(self._arrays["images"][item], 0, 2)
            return _crop(picture, self._arrays["depths"][item], np.moveaxis(self._arrays["snorms"][item], 0, 2))
        try:
            picture = np.transpose(self._arrays["images"][item], (2, 1, 0))
            depth = np.transpose(self._arrays["depths"][item])
        except Exception as error:  # damaged files raise many kinds of error in h5py
            raise DatasetFolderError(f"{self._file} image {item} cannot be read ({error}). Copy it again.") from error
        return _crop(picture, depth, self._arrays["normals"][item])

    def image_set(self, split: str) -> ImageSet:
        """The squares of a split."""
        items = self.items(split)
        keys = tuple(item.name if isinstance(item, Path) else str(item) for item in items)
        load = lambda number: Image.fromarray(self._sample(split, items[number]).pixels)  # noqa: E731
        return ImageSet(split, keys, load, self.fingerprint, lambda _: (HEIGHT, HEIGHT))

    def inspect(self, sampled: Callable[[Sequence[Any]], Sequence[Any]]) -> Iterable[Finding]:
        for split, items in (("train", self._train), ("test", self._test)):
            if not items:
                yield Finding("error", f"{self.root} {split}", "no sample.", "training files go into nyu_geonet/*.mat")
            angles = []
            for item in sampled(items):
                name = str(item) if isinstance(item, Path) else f"{self._file} image {item}"
                try:
                    sample = self._sample(split, item)
                except MissingExtraError:  # not the file's fault: the tasks on this data are null
                    raise
                except SocoError as error:
                    yield Finding("error", name, str(error), "copy it again")
                    continue
                yield from _inspect_sample(name, sample)
                angles.append(median_angle_to_depth(sample))
            known = [angle for angle in angles if angle is not None]
            if known and float(np.median(known)) > 90:
                problem = f"normals are {np.median(known):.0f} degrees from those of the depth: the sign is flipped."
                yield Finding("error", f"{self.root} {split}", problem, "negate the normals of this source")


def _inspect_sample(name: str, sample: NyuSample) -> Iterable[Finding]:
    depth = sample.depth
    if np.isnan(depth).any():
        yield Finding("error", name, "the depth holds NaN.", "missing depth is 0")
    elif not (depth > 0).any():
        raw = "the depth is empty, or all above 10 m: is it in millimeters?"
        yield Finding("error", name, raw, "depth is in meters")
    if not np.isfinite(sample.normals).all():
        yield Finding("error", name, "a normal is not finite.")
        return
    lengths = np.linalg.norm(sample.normals, axis=0)
    zero = int(((lengths < 1e-6) & (depth > 0)).sum())
    if zero:
        yield Finding("warning", name, f"{zero} pixels with depth have a normal of length 0; they count as 90 degrees.")
    if sample.pixels.max() == 0:
        yield Finding("error", name, "the picture is black.")


def normals_from_depth(depth: NDArray[Any], focal: float = _FOCAL) -> NDArray[np.float64]:
    """(3, H, W) unit normals in the camera frame facing the camera, by differences; NaN where depth is missing."""
    height, width = depth.shape
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float64)
    z = np.where(depth > 0, depth, np.nan).astype(np.float64)
    points = np.stack([(columns - width / 2) / focal * z, (rows - height / 2) / focal * z, z])
    along = np.full_like(points, np.nan)
    down = np.full_like(points, np.nan)
    along[:, :, 2:-2] = points[:, :, 4:] - points[:, :, :-4]
    down[:, 2:-2] = points[:, 4:] - points[:, :-4]
    normal = np.cross(down, along, axis=0)
    return normal / np.maximum(np.linalg.norm(normal, axis=0), 1e-12)


def median_angle_to_depth(sample: NyuSample) -> float | None:
    """Median angle in degrees between a sample's normals and those of its depth (camera frame, facing the camera).

    Above 90 the sign is flipped. None where fewer than 100 pixels have both.
    """
    own = normals_from_depth(np.where(np.isfinite(sample.depth), sample.depth, 0))
    counted = np.isfinite(own).all(axis=0) & (np.linalg.norm(sample.normals, axis=0) > 0.5)
    if counted.sum() < 100:
        return None
    cosine = (own[:, counted] * sample.normals[:, counted]).sum(axis=0)
    return float(np.degrees(np.median(np.arccos(np.clip(cosine, -1, 1)))))


def _crop(picture: NDArray[Any], depth: NDArray[Any], normals: NDArray[Any]) -> NyuSample:
    window = np.s_[:HEIGHT, MARGIN : WIDTH - MARGIN]
    cut = np.asarray(depth[window], dtype=np.float32)
    with np.errstate(invalid="ignore"):
        cut = np.where(cut > MAX_DEPTH, np.float32(0), cut)
    directions = np.moveaxis(np.asarray(normals[window], dtype=np.float32), 2, 0)
    return NyuSample(np.ascontiguousarray(picture[window].astype(np.uint8)), cut, np.ascontiguousarray(directions))


def _geonet(path: Path) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    try:
        from scipy.io import loadmat
    except ImportError as error:
        raise missing_extra("Reading GeoNet's training files", "downstream", "scipy") from error
    try:
        check_mat(path)
        content = loadmat(path)
        picture, depth, normals = content["img"], content["depth"], content["norm"]
    except Exception as error:  # damaged files raise many kinds of error in scipy
        raise DatasetFolderError(f"{path} is not a training file of GeoNet ({error}). Copy it again.") from error
    if not all(isinstance(one, np.ndarray) and one.dtype.kind in "uif" for one in (picture, depth, normals)):
        raise DatasetFolderError(f"{path}: img, depth or norm do not hold numbers.")
    if picture.ndim != 3 or picture.shape[2] != 3:
        raise DatasetFolderError(f"{path}: img {picture.shape}; expected at least 480 x 640 x 3.")
    if picture.shape[0] < HEIGHT or picture.shape[1] < WIDTH or depth.shape != picture.shape[:2]:
        swapped = picture.shape[:2] == (WIDTH, HEIGHT)
        hint = ": height and width are swapped" if swapped else ""
        raise DatasetFolderError(f"{path}: img {picture.shape}, depth {depth.shape}; expected 480 x 640{hint}.")
    if normals.shape != picture.shape:
        raise DatasetFolderError(f"{path}: norm {normals.shape} does not fit img {picture.shape}.")
    return (picture + 2 * np.array(_MEANS)).astype(np.uint8), depth, normals


@lru_cache(maxsize=4)
def _open_hdf5(path: Path) -> tuple[Any, Any]:
    """Its images and its raw depths, which are read image by image."""
    try:
        import h5py
    except ImportError as error:
        raise missing_extra("The labeled MATLAB 7.3 file", "downstream", "h5py") from error
    try:
        file = h5py.File(path, "r")
        found = file["images"], file["rawDepths"]
    except Exception as error:  # damaged files raise many kinds of error in h5py
        raise DatasetFolderError(f"{path} is not a whole MATLAB 7.3 (HDF5) file ({error}). Copy it again.") from error
    if not all(isinstance(one, h5py.Dataset) and one.dtype.kind in "uif" for one in found):
        raise DatasetFolderError(f"{path}: images or rawDepths hold no numbers.")
    return found


def _split_indices(root: Path, count: int) -> list[int]:
    """Positions of the test images: of `test_SN40.json`, whose entries begin with a number counted from 1."""
    path = next(iter(sorted(root.rglob("test_SN40.json"))), None)
    if path is None:
        raise DatasetFolderError(f"{root} lacks test_SN40.json (metadata archive), which lists the test images.")
    try:
        text = json.dumps(read_data_json(path))
    except ValueError as error:
        raise DatasetFolderError(f"{path} is not JSON ({error}). Copy it again.") from error
    numbers = {int(found) - 1 for found in re.findall(r"(\d+)_", text)}
    if not numbers or max(numbers) >= count:
        raise DatasetFolderError(f"{path} does not list images of a set of {count}.")
    return sorted(numbers)
