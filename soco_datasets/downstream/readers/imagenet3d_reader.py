"""ImageNet3D: objects with three angles, in the processed form or the released one, which `prepare` processes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from PIL import Image

from ...errors import DatasetFolderError, SocoError, UsageError
from ...utils.compressed import check_zip
from ...utils.files import atomic_folder
from ...utils.progress import progress
from .base import DataReader, Finding, ImageSet, decode, open_image, picture_findings, read_data_bytes
from .unpickling import load_object_array

CANVAS = 512
_ANGLES = ("azimuth", "elevation", "theta")


@dataclass(frozen=True)
class PosedObject:
    """One object in the processed form.

    Attributes:
        name: "class/stem".
        category: its class.
        image: file.
        angles: azimuth, elevation, theta in radians.
    """

    name: str
    category: str
    image: Path
    angles: tuple[float, float, float]


_LARGEST_SCALED = 1e9  # pixels of an image scaled by distance / 4


class ImageNet3dReader(DataReader):
    """Processed objects by split."""

    kind: ClassVar[str] = "imagenet3d"
    title: ClassVar[str] = "ImageNet3D"
    expected: ClassVar[dict[str, int]] = {"classes": 200}
    not_on_hub: ClassVar[str] = (
        "its repository holds one archive (gated); download it, run `soco downstream prepare imagenet3d`"
    )

    def open(self) -> None:
        self._broken: list[Finding] = []
        self._objects: dict[str, list[PosedObject]] = {}
        if (self.root / "lists").is_dir() and not (self.root / "train").is_dir():
            raise DatasetFolderError(
                f"{self.root} is the released form. Process it once: soco downstream prepare imagenet3d {self.root} OUT"
            )
        if not (self.root / "train" / "annotations").is_dir():
            raise DatasetFolderError(f"{self.root} holds no train/annotations/<class>/*.npz of ImageNet3D.")
        self.layout = "processed"
        for split in ("train", "val"):
            self._objects[split] = self._read_split(split)

    def _read_split(self, split: str) -> list[PosedObject]:
        base, objects = self.root / split, []
        classes = sorted(path for path in (base / "annotations").glob("*") if path.is_dir())
        for folder in classes:
            listed = base / "lists" / folder.name / "mesh01.txt"
            stems = sorted(path.stem for path in folder.glob("*.npz"))
            if listed.is_file():
                lines = read_data_bytes(listed).decode(errors="replace").split("\n")
                wanted = [Path(line.strip()).stem for line in lines if line]
                for stem in sorted(set(wanted) - set(stems)):
                    self._broken.append(Finding("error", f"{listed}", f"{stem} has no annotation.", "process again"))
                for stem in sorted(set(stems) - set(wanted)):
                    self._broken.append(Finding("warning", f"{folder / stem}.npz", "not in the list; not used."))
                stems = sorted(set(stems) & set(wanted))
            for stem in stems:
                image = base / "images" / folder.name / f"{stem}.JPEG"
                if not image.is_file():
                    self._broken.append(Finding("error", str(image), "the image is missing.", "process again"))
                    continue
                angles = self._angles(folder / f"{stem}.npz")
                if angles is not None:
                    objects.append(PosedObject(f"{folder.name}/{stem}", folder.name, image, angles))
        return objects

    def _angles(self, path: Path) -> tuple[float, float, float] | None:
        try:
            check_zip(path)
            with np.load(path, allow_pickle=False) as file:
                azimuth, elevation, theta = (float(file[name]) for name in _ANGLES)
        except Exception as error:  # damaged archives raise almost anything
            problem = f"no angles can be read ({error})."
            self._broken.append(Finding("error", str(path), problem, "angles are plain numbers; objects are refused"))
            return None
        angles = (azimuth, elevation, theta)
        if not all(math.isfinite(one) for one in angles):
            self._broken.append(Finding("error", str(path), "an angle is not finite."))
            return None
        return angles

    def counts(self) -> dict[str, int]:
        found = {split: len(objects) for split, objects in self._objects.items()}
        return {**found, "classes": len({one.category for objects in self._objects.values() for one in objects})}

    def objects(self, split: str) -> list[PosedObject]:
        """Objects of "train" or "val", of the subset where there is one."""
        return self.options.kept(self._objects[split], split)

    def image_set(self, split: str) -> ImageSet:
        """The squares of a split."""
        objects = self.objects(split)
        keys = tuple(one.name for one in objects)
        return ImageSet(split, keys, lambda number: decode(objects[number].image), self.fingerprint)

    def inspect(self, sampled: Callable[[Sequence[Any]], Sequence[Any]]) -> Iterable[Finding]:
        yield from self._broken
        classes = {one.category for one in self._objects["train"]}
        for split, objects in self._objects.items():
            if not objects:
                yield Finding("error", f"{self.root}/{split}", "no object.", "process again")
                continue
            degrees = [one for one in objects if max(map(abs, one.angles)) > 2 * math.pi + 0.1]
            if degrees:
                largest = max(map(abs, degrees[0].angles))
                problem = f"angles reach {largest:.1f} ({len(degrees)} such objects): degrees instead of radians."
                yield Finding("error", f"{self.root}/{split} {degrees[0].name}", problem, "angles are in radians")
            unknown = sorted({one.category for one in objects} - classes)
            if unknown:
                yield Finding("warning", f"{self.root}/{split}/{unknown[0]}", "a class without training objects.")
            for one in sampled(objects):
                found = picture_findings(one.image)
                yield from found
                if not any(item.severity == "error" for item in found):
                    with open_image(one.image) as image:
                        if image.size[0] != image.size[1]:
                            problem = f"{image.size[0]}x{image.size[1]} pixels, expected a square of {CANVAS}."
                            yield Finding("error", str(one.image), problem, "process again")


def prepare_imagenet3d(source: Path, out: Path, overwrite: bool = False) -> dict[str, int]:
    """Process the released form: each object centered at a fixed distance on a black square.

    Objects without a status, of `status_bad` or at distance 0 are left out; the image is scaled by distance / 4
    (bicubic) and (px, py) moved to the middle of 512 x 512.

    Args:
        source: unpacked `imagenet3d_v1`, with images, annotations and lists.
        out: new folder of the processed form.
        overwrite: replace `out`.

    Returns:
        How many objects were kept, and how many left out and why.
    """
    nested = source / "imagenet3d_v1"
    source = nested if nested.is_dir() else source
    lists = sorted((source / "lists").glob("*_imagenet_*.txt"))
    if not lists:
        raise UsageError(f"{source} has no lists/<class>_imagenet_train.txt. Unpack imagenet3d_v1.zip and give it.")
    counts = {"kept": 0, "bad status": 0, "no distance": 0, "unreadable": 0}
    with atomic_folder(out, overwrite) as folder:
        for path in lists:
            category, _, split = path.stem.rpartition("_imagenet_")
            kept: list[str] = []
            stems = read_data_bytes(path).decode(errors="replace").split()
            for stem in progress(stems, f"{category} {split}", unit="image"):
                kept += _prepare_image(source, folder / split, category, Path(stem).stem, counts)
            listed = folder / split / "lists" / category / "mesh01.txt"
            listed.parent.mkdir(parents=True, exist_ok=True)
            listed.write_text("".join(f"{name}.JPEG\n" for name in kept), encoding="utf-8")
    return counts


def _prepare_image(source: Path, out: Path, category: str, stem: str, counts: dict[str, int]) -> list[str]:
    try:
        entries = load_object_array(source / "annotations" / category / f"{stem}.npz", "annotations")
        picture = decode(source / "images" / category / f"{stem}.JPEG")
    except SocoError:
        counts["unreadable"] += 1
        return []
    names = []
    for number, entry in enumerate(np.ravel(entries)):
        why, posed = _posed(entry, picture)
        counts[why] += 1
        if posed is None:
            continue
        name = f"{stem}_{number:02d}"
        px, py, distance, *angles = posed
        for folder in ("images", "annotations"):
            (out / folder / category).mkdir(parents=True, exist_ok=True)
        square = centered_object(picture, px, py, distance)
        square.save(out / "images" / category / f"{name}.JPEG", quality=95)
        known = dict(zip(_ANGLES, map(np.float64, angles), strict=True))
        np.savez(out / "annotations" / category / f"{name}.npz", allow_pickle=False, **known)
        names.append(name)
    return names


def _posed(entry: Any, picture: Image.Image) -> tuple[str, list[float] | None]:
    """What is counted of an annotated object, and (px, py, distance, angles) of one that is kept."""
    try:
        if entry.get("object_status") in (None, "", "status_bad"):
            return "bad status", None
        distance = float(entry.get("distance", 0))
        if not distance > 0:
            return "no distance", None
        values = [float(entry["px"]), float(entry["py"]), distance, *(float(entry[angle]) for angle in _ANGLES)]
    except (AttributeError, KeyError, TypeError, ValueError):
        return "unreadable", None
    large = picture.width * picture.height * (distance / 4) ** 2 > _LARGEST_SCALED
    return ("unreadable", None) if large or not all(map(math.isfinite, values)) else ("kept", values)


def centered_object(picture: Image.Image, px: float, py: float, distance: float) -> Image.Image:
    """A picture scaled by distance / 4 (bicubic), with (px, py) in the middle of a black 512 x 512 square."""
    scale = distance / 4
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    square = Image.new("RGB", (CANVAS, CANVAS))
    place = (CANVAS // 2 - round(px * scale), CANVAS // 2 - round(py * scale))
    square.paste(picture.resize(size, Image.Resampling.BICUBIC), place)
    return square
