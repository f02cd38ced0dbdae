"""ImageNet-1k: class folders, the flat validation folder with the devkit, Kaggle's layout, Parquet, WebDataset tars."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from PIL import Image

from ...errors import DatasetFolderError, UsageError
from ...utils.compressed import check_mat
from .base import Finding, ImageSet, decode, picture_findings, read_data_bytes
from .hub_rows import ParquetReader
from .rows import ParquetRows, TarMembers

_PICTURES = (".jpeg", ".jpg", ".png")
_VAL_NAMES = ("val", "validation")


class ImageNetReader(ParquetReader):
    """Images with class numbers 0..999, the rank of their wnid in sorted order.

    Attributes:
        classes: wnids in order; empty where the data holds numbers only.
    """

    kind: ClassVar[str] = "imagenet"
    title: ClassVar[str] = "ImageNet-1k"
    expected: ClassVar[dict[str, int]] = {"train": 1_281_167, "val": 50_000, "classes": 1000}
    hub_splits: ClassVar[Mapping[str, str | None]] = {"train": "train", "val": "validation"}

    def open(self) -> None:
        self.classes: list[str] = []
        self._items: dict[str, list[tuple[str, int, Any]]] = {}
        self._read: Callable[[Any], Path | bytes] = Path
        train, val = self.options.split_names or ("train", "val")
        root = self.root
        if (root / "ILSVRC" / "Data" / "CLS-LOC").is_dir():
            root = root / "ILSVRC"
        if (root / "Data" / "CLS-LOC").is_dir():
            self._open_kaggle(root, train, val)
        elif (root / train).is_dir() and any(one.is_dir() for one in (root / train).iterdir()):
            self._open_folders(root, train, val)
        elif self._found(train, ".parquet"):
            self._open_parquet(train, val)
        elif self._found(train, ".tar"):
            self._open_tars(train, val)
        else:
            raise DatasetFolderError(
                f"{self.root} is not a layout of ImageNet: it needs {train}/<wnid>/*.JPEG, ILSVRC/Data/CLS-LOC, "
                f"Parquet files or tars of {train} and {val}. Other names of the splits go into --split-names."
            )

    def _found(self, split: str, suffix: str) -> list[Path]:
        names = _VAL_NAMES if split in _VAL_NAMES else (split,)
        return sorted(
            path
            for path in self.root.rglob(f"*{suffix}")
            if any(path.name.startswith(name) or path.parent.name == name for name in names)
        )

    def _open_folders(self, root: Path, train: str, val: str) -> None:
        self.layout = "class folders"
        self.classes = sorted(folder.name for folder in (root / train).iterdir() if folder.is_dir())
        self._items["train"] = self._of_folders(root / train)
        folder = next((root / name for name in (val, *_VAL_NAMES) if (root / name).is_dir()), None)
        if folder is None:
            raise DatasetFolderError(f"{root} has no folder {val}. Name the splits with --split-names TRAIN,VAL.")
        if any(one.is_dir() for one in folder.iterdir()):
            self._items["val"] = self._of_folders(folder)
        else:
            self.layout = "class folders, flat validation"
            self._items["val"] = self._flat(folder, _devkit_wnids(self.root))

    def _of_folders(self, folder: Path) -> list[tuple[str, int, Any]]:
        rank = {wnid: number for number, wnid in enumerate(self.classes)}
        items = []
        for one in sorted(path for path in folder.iterdir() if path.is_dir()):
            files = sorted(path for path in one.iterdir() if path.suffix.lower() in _PICTURES)
            items += [(f"{folder.name}/{one.name}/{path.name}", rank.get(one.name, -1), path) for path in files]
        return items

    def _flat(self, folder: Path, wnids: dict[str, str]) -> list[tuple[str, int, Any]]:
        rank = {wnid: number for number, wnid in enumerate(self.classes)}
        files = sorted(path for path in folder.iterdir() if path.suffix.lower() in _PICTURES)
        return [(f"{folder.name}/{path.name}", rank.get(wnids.get(path.stem, ""), -1), path) for path in files]

    def _open_kaggle(self, root: Path, train: str, val: str) -> None:
        self.layout = "Kaggle"
        images = root / "Data" / "CLS-LOC"
        table = next((one for one in (self.root, root) if (one / "LOC_val_solution.csv").is_file()), None)
        if table is None:
            raise DatasetFolderError(f"{self.root} lacks LOC_val_solution.csv, which names the validation classes.")
        self.classes = sorted(folder.name for folder in (images / train).iterdir() if folder.is_dir())
        self._items["train"] = self._of_folders(images / train)
        path = table / "LOC_val_solution.csv"
        rows = csv.DictReader(io.StringIO(read_data_bytes(path).decode(errors="replace")))
        try:
            wnids = {row["ImageId"]: row["PredictionString"].split()[0] for row in rows}
        except (KeyError, IndexError, AttributeError, csv.Error) as error:
            raise DatasetFolderError(f"{path}, line {rows.line_num}: no ImageId and PredictionString.") from error
        self._items["val"] = self._flat(images / val, wnids)

    def _open_parquet(self, train: str, val: str) -> None:
        self.layout = "Parquet"
        self.take_rows(
            {split: ParquetRows(self._found(name, ".parquet")) for split, name in (("train", train), ("val", val))}
        )

    def take_rows(self, rows: Mapping[str, ParquetRows]) -> None:
        self.classes, self._items = [], {}
        for split, own in rows.items():
            own.require("image", "label")
            labels = own.column("label")
            self._items[split] = [
                (f"{split}/{row}", label if isinstance(label, int) else -1, (own, row))
                for row, label in enumerate(labels)
            ]
        self._read = lambda place: place[0].image_bytes(place[1])

    def _open_tars(self, train: str, val: str) -> None:
        self.layout = "WebDataset"
        for split, name in (("train", train), ("val", val)):
            items = []
            for key, parts in TarMembers(self._found(name, ".tar")).samples:
                image = next((parts[one] for one in ("jpg", "jpeg", "png", "webp") if one in parts), None)
                if image is None:
                    raise DatasetFolderError(f"{key} of the tars has no image; it has {', '.join(sorted(parts))}.")
                items.append((key, _class_number(key, parts), image))
            self._items[split] = items
        self._read = TarMembers.read

    def counts(self) -> dict[str, int]:
        classes = len({label for _, label, _ in self._items["train"] if label >= 0})
        return {"train": len(self._items["train"]), "val": len(self._items["val"]), "classes": classes}

    def items(self, split: str) -> list[tuple[str, int, Any]]:
        """(key, class, place) of the images of "train" or "val", of the subset where there is one."""
        return self.options.kept(self._items[split], split)

    def image(self, place: Any, name: str) -> Image.Image:
        """A decoded image by its place."""
        return decode(self._read(place), _where(place, name))

    def image_set(self, split: str) -> ImageSet:
        """The images of a split."""
        items = self.items(split)
        return ImageSet(
            split, tuple(key for key, _, _ in items), lambda i: self.image(items[i][2], items[i][0]), self.fingerprint
        )

    def inspect(self, sampled: Callable[[Sequence[Any]], Sequence[Any]]) -> Iterable[Finding]:
        known = {label for _, label, _ in self._items["train"]}
        for split, items in self._items.items():
            if not items:
                yield Finding("error", f"{self.root} {split}", "no image.", "copy the split")
            unknown = [_where(place, key) for key, label, place in items if label < 0]
            if unknown:
                problem = f"{len(unknown)} images have no known class (labels of test images are -1)."
                yield Finding("error", unknown[0], problem, "remove them, or add the class to the training split")
            foreign = [(_where(place, key), label) for key, label, place in items if label >= 0 and label not in known]
            if foreign:
                problem = f"class {foreign[0][1]} has no training image ({len(foreign)} such images)."
                yield Finding("error", foreign[0][0], problem, "add the class, or remove them")
            for key, _, place in sampled(items):
                try:
                    yield from picture_findings(self._read(place), _where(place, key))
                except DatasetFolderError as error:
                    yield Finding("error", _where(place, key), str(error))
        if self.layout.startswith(("class", "Kaggle")):
            counts = Counter(label for _, label, _ in self._items["train"])
            empty = [self.classes[label] for label in range(len(self.classes)) if not counts[label]]
            if empty:
                yield Finding("error", f"train/{empty[0]}", f"{len(empty)} class folders hold no image.", "copy them")


def _class_number(key: str, parts: Mapping[str, Any]) -> int:
    """The class of a sample of a tar; -1 where it has none."""
    text = TarMembers.read(parts["cls"]).strip() if "cls" in parts else b"-1"
    try:
        return int(text)
    except ValueError as error:
        raise DatasetFolderError(f"{key}.cls holds {text[:20]!r}, which is not a class number.") from error


def _where(place: Any, key: str) -> str:
    """An image for messages: its path, its row, or its key in a tar."""
    if isinstance(place, Path):
        return str(place)
    return place[0].where(place[1]) if isinstance(place[0], ParquetRows) else key


def _devkit_wnids(root: Path) -> dict[str, str]:
    """Stem of a validation file -> wnid, from the devkit, whose own class numbers are another order."""
    truth = next(iter(sorted(root.rglob("ILSVRC2012_validation_ground_truth.txt"))), None)
    meta = next(iter(sorted(root.rglob("meta.mat"))), None)
    if truth is None or meta is None:
        raise DatasetFolderError(
            f"{root}: a flat validation folder needs the devkit (ILSVRC2012_validation_ground_truth.txt and meta.mat): "
            "the devkit's class numbers are another order than sorted wnids. Add it, or sort images into class folders."
        )
    try:
        from scipy.io import loadmat
    except ImportError as error:
        from ...errors import missing_extra

        raise missing_extra("The devkit's meta.mat", "downstream", "scipy") from error
    try:
        check_mat(meta)
        synsets = loadmat(meta, squeeze_me=True)["synsets"]
        wnids = {int(one["ILSVRC2012_ID"]): str(one["WNID"]) for one in synsets}
    except Exception as error:  # damaged files raise many kinds of error in scipy
        raise DatasetFolderError(f"{meta} cannot be read ({type(error).__name__}: {error}). Copy it again.") from error
    by_text = {str(number): wnid for number, wnid in wnids.items()}
    numbers = read_data_bytes(truth).decode(errors="replace").split()
    unknown = set(numbers) - set(by_text)
    if unknown:
        raise UsageError(f"{truth} has classes that {meta} does not know: {', '.join(sorted(unknown)[:5])[:80]}.")
    return {f"ILSVRC2012_val_{row:08d}": by_text[number] for row, number in enumerate(numbers, start=1)}
