"""ImageNet-1k: class folders, the flat validation folder with the devkit, Kaggle's layout, Parquet, WebDataset tars."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar

from PIL import Image

from ...errors import DatasetFolderError, UsageError
from .base import DataReader, Finding, ImageSet, decode, picture_findings
from .rows import ParquetRows, TarMembers, hub_parquet

_PICTURES = (".jpeg", ".jpg", ".png")
_VAL_NAMES = ("val", "validation")


class ImageNetReader(DataReader):
    """Images with class numbers 0..999, the rank of their wnid in sorted order.

    Attributes:
        classes: wnids in order; empty where the data holds numbers only.
    """

    kind: ClassVar[str] = "imagenet"
    title: ClassVar[str] = "ImageNet-1k"
    expected: ClassVar[dict[str, int]] = {"train": 1_281_167, "val": 50_000, "classes": 1000}

    def open(self) -> None:
        self.classes: list[str] = []
        self._items: dict[str, list[tuple[str, int, Any]]] = {}
        self._read: Callable[[Any], bytes] = lambda place: Path(place).read_bytes()
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
                f"{self.root} is no layout of ImageNet: it needs {train}/<wnid>/*.JPEG, ILSVRC/Data/CLS-LOC, Parquet "
                f"files or tars of {train} and {val}. Other names of the splits go into --split-names."
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
        with open(table / "LOC_val_solution.csv", newline="", encoding="utf-8") as file:
            wnids = {row["ImageId"]: row["PredictionString"].split()[0] for row in csv.DictReader(file)}
        self._items["val"] = self._flat(images / val, wnids)

    def _open_parquet(self, train: str, val: str) -> None:
        self.layout = "Parquet"
        for split, name in (("train", train), ("val", val)):
            self._take_rows(split, ParquetRows(self._found(name, ".parquet")))

    def _take_rows(self, split: str, rows: ParquetRows) -> None:
        labels = rows.column("label")
        self._items[split] = [(f"{split}/{row}", int(label), (rows, row)) for row, label in enumerate(labels)]
        self._read = lambda place: place[0].image_bytes(place[1])

    def _open_tars(self, train: str, val: str) -> None:
        self.layout = "WebDataset"
        for split, name in (("train", train), ("val", val)):
            items = []
            for key, parts in TarMembers(self._found(name, ".tar")).samples:
                image = next((parts[one] for one in ("jpg", "jpeg", "png", "webp") if one in parts), None)
                if image is None:
                    raise DatasetFolderError(f"{key} of the tars has no image; it has {', '.join(sorted(parts))}.")
                label = int(TarMembers.read(parts["cls"])) if "cls" in parts else -1
                items.append((key, label, image))
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
        return decode(self._read(place), name)

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
            unknown = [key for key, label, _ in items if label < 0]
            if unknown:
                problem = f"{len(unknown)} images have no known class (labels of test images are -1)."
                yield Finding("error", unknown[0], problem, "remove them, or add the class to the training split")
            foreign = sorted({label for _, label, _ in items if label >= 0} - known)
            if foreign:
                yield Finding("error", f"{self.root} {split}", f"class {foreign[0]} has no training image.", "add it")
            for key, _, place in sampled(items):
                yield from picture_findings(self._read(place), key)
        if self.layout.startswith(("class", "Kaggle")):
            counts = Counter(label for _, label, _ in self._items["train"])
            empty = [self.classes[label] for label in range(len(self.classes)) if not counts[label]]
            if empty:
                yield Finding("error", f"train/{empty[0]}", f"{len(empty)} class folders hold no image.", "copy them")


class HubImageNetReader(ImageNetReader):
    """A copy of ImageNet on the Hub in Parquet, columns `image` and `label`, read where it is."""

    def __init__(self, repo: str, options: Any = None) -> None:
        from .base import DataOptions

        name, _, revision = repo.partition("@")
        self.options, self.root, self.layout = options or DataOptions(), Path(repo), f"Hub {name}"
        train, val = self.options.split_names or ("train", "validation")
        self.classes, self._items, commits = [], {}, set()
        for split, theirs in (("train", train), ("val", val)):
            rows, commit = hub_parquet(name, theirs, revision=revision or None)
            self._take_rows(split, rows)
            commits.add(commit)
        self._fingerprint = "".join(sorted(commits))


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
    synsets = loadmat(meta, squeeze_me=True)["synsets"]
    wnids = {int(one["ILSVRC2012_ID"]): str(one["WNID"]) for one in synsets}
    numbers = truth.read_text(encoding="utf-8").split()
    unknown = {number for number in numbers if int(number) not in wnids}
    if unknown:
        raise UsageError(f"{truth} has classes that {meta} does not know: {', '.join(sorted(unknown)[:5])}.")
    return {f"ILSVRC2012_val_{row:08d}": wnids[int(number)] for row, number in enumerate(numbers, start=1)}
