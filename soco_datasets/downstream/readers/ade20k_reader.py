"""ADE20K, SceneParsing release: pairs of images and 8-bit masks (0 = other, 1..150)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ...errors import DatasetFolderError
from .base import Finding, ImageSet, Pairing, decode, image_size, open_image, pair_by_name, picture_findings
from .hub_rows import ParquetReader
from .rows import ParquetRows

CLASSES = 151  # label 0 included
_SPLITS = {"train": "training", "val": "validation"}


class Ade20kReader(ParquetReader):
    """Images and masks by split, matched by name."""

    kind: ClassVar[str] = "ade20k"
    title: ClassVar[str] = "ADE20K SceneParsing"
    expected: ClassVar[dict[str, int]] = {"train": 20_210, "val": 2_000}
    hub_splits: ClassVar[Mapping[str, str | None]] = {"train": "train", "val": "validation"}
    hub_config: ClassVar[str] = "scene_parsing"

    def open(self) -> None:
        self._pairs: dict[str, Pairing] = {}
        self._files: dict[str, tuple[dict[str, Path], dict[str, Path]]] = {}
        self._rows: dict[str, ParquetRows] = {}
        nested = self.root / "ADEChallengeData2016"
        root = nested if nested.is_dir() else self.root
        if (root / "images" / "training").is_dir():
            self.layout = "SceneParsing folders"
            for split, name in _SPLITS.items():
                pictures, masks = _stems(root / "images" / name), _stems(root / "annotations" / name, (".png",))
                self._files[split] = (pictures, masks)
                self._pairs[split] = pair_by_name(pictures, masks, ("image", "mask"))
        elif files := sorted(self.root.rglob("*.parquet")):
            self.layout = "Parquet"
            own = {split: [one for one in files if _is_of(one, split)] for split in _SPLITS}
            self.take_rows({split: ParquetRows(paths) for split, paths in own.items()})
        else:
            raise DatasetFolderError(
                f"{self.root} is not the SceneParsing release: no images/training and annotations/training "
                "(ADEChallengeData2016), no Parquet files. The full ADE20K with RGB masks is another data set."
            )

    def take_rows(self, rows: Mapping[str, ParquetRows]) -> None:
        self._files, self._rows, self._pairs = {}, dict(rows), {}
        for split, own in rows.items():
            own.require("image", "annotation")
            self._pairs[split] = Pairing([str(row) for row in range(len(own))])

    def counts(self) -> dict[str, int]:
        return {split: len(pairing.both) for split, pairing in self._pairs.items()}

    def stems(self, split: str) -> list[str]:
        """Names of the pairs of "train" or "val", of the subset where there is one."""
        return self.options.kept(self._pairs[split].both, split)

    def _source(self, split: str, stem: str, kind: int) -> Path | bytes:
        if split in self._rows:
            return self._rows[split].image_bytes(int(stem), ("image", "annotation")[kind])
        return self._files[split][kind][stem]

    def where(self, split: str, stem: str, kind: int = 0) -> str:
        """The image (0) or the mask (1) of a pair, for messages."""
        return self._rows[split].where(int(stem)) if split in self._rows else str(self._files[split][kind][stem])

    def image_set(self, split: str) -> ImageSet:
        """The images of a split."""
        stems = self.stems(split)
        return ImageSet(
            split,
            tuple(stems),
            lambda number: decode(self._source(split, stems[number], 0), self.where(split, stems[number])),
            self.fingerprint,
        )

    def mask(self, split: str, stem: str) -> NDArray[np.uint8]:
        """(H, W) labels. Raises `DatasetFolderError` where the mask is not an 8-bit map of labels."""
        source = self._source(split, stem, 1)
        try:
            with open_image(source, self.where(split, stem, 1)) as image:
                image.load()
                if image.mode not in ("L", "P"):
                    raise DatasetFolderError(
                        f"{self.where(split, stem, 1)} has mode {image.mode}, not 8-bit labels: RGB masks are those of "
                        "the full ADE20K, another data set."
                    )
                return np.array(image)
        except DatasetFolderError:
            raise
        except Exception as error:  # damaged images raise almost anything
            name = self.where(split, stem, 1)
            raise DatasetFolderError(f"The mask {name} cannot be decoded ({error}). Copy it again.") from error

    def class_names(self) -> dict[int, str]:
        """Label -> name of the release's objectInfo150.txt; empty where that file is not there."""
        places = (self.root / "objectInfo150.txt", self.root / "ADEChallengeData2016" / "objectInfo150.txt")
        path = next((one for one in places if one.is_file()), None)
        if path is None:
            return {}
        rows = [line.split("\t") for line in path.read_text(encoding="utf-8", errors="replace").splitlines()]
        return {int(row[0]): row[-1].split(",")[0].strip() for row in rows if row[0].strip().isdecimal()}

    def inspect(self, sampled: Callable[[Sequence[Any]], Sequence[Any]]) -> Iterable[Finding]:
        for split, pairing in self._pairs.items():
            yield from pairing.findings
            if not pairing.both:
                yield Finding("error", f"{self.root} {split}", "no pair of image and mask.", "copy the split")
            for stem in sampled(pairing.both):
                yield from self._inspect_pair(split, stem)

    def _inspect_pair(self, split: str, stem: str) -> Iterable[Finding]:
        name, of_mask = self.where(split, stem), self.where(split, stem, 1)
        try:
            source = self._source(split, stem, 0)
            found = picture_findings(source, name)
            yield from found
            mask = self.mask(split, stem)
        except DatasetFolderError as error:
            yield Finding("error", of_mask, str(error))
            return
        if int(mask.max()) >= CLASSES:
            problem = f"the mask holds {int(mask.max())}; labels are 0 to 150."
            yield Finding("error", of_mask, problem, "see objectInfo150")
        if not mask.any():
            yield Finding("warning", of_mask, "the mask holds no counted pixel.")
        if any(one.severity == "error" for one in found):
            return
        width, height = image_size(source)
        if mask.shape == (width, height) and width != height:
            problem = f"the mask is {mask.shape[1]}x{mask.shape[0]}, the image {width}x{height}: swapped sides."
            yield Finding("error", of_mask, problem, "transpose the mask, or turn the image")
        elif mask.shape != (height, width):
            problem = f"the mask is {mask.shape[1]}x{mask.shape[0]}, the image {width}x{height}."
            yield Finding("error", of_mask, problem, "copy both again")


def _stems(folder: Path, suffixes: tuple[str, ...] = (".jpg", ".jpeg", ".png")) -> dict[str, Path]:
    if not folder.is_dir():
        return {}
    return {path.stem: path for path in sorted(folder.iterdir()) if path.suffix.lower() in suffixes}


def _is_of(path: Path, split: str) -> bool:
    return path.name.startswith(split) or path.parent.name.startswith(split)
