"""What every reader gives: images, counts found against counts expected, findings, and the identity of the data."""

from __future__ import annotations

import contextlib
import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar

import numpy as np
from PIL import Image

from ...data.release_types import MAX_FILE_BYTES, MAX_PIXELS
from ...errors import DatasetFolderError, SocoError, UsageError
from ...geometry import ImageSize
from ...utils.foreign import read_bounded_bytes, read_json_file

T = TypeVar("T")
SYNTHETIC_FILE = "synthetic.json"  # in the root of what `soco downstream synth` wrote
_SAMPLED = 200  # items that the check before a run looks at
_ORIENTATION = 0x0112
_LARGEST_JSON, _MOST_VALUES = 4_000_000_000, 200_000_000  # annotations of a million boxes are a file of a gigabyte


def read_data_json(path: Path) -> Any:
    """A JSON file of a data set or of predictions on it; NaN and infinity are read, of a field given twice the last.

    Raises:
        ForeignTextError: a `ValueError`: not JSON, or more than is read.
        OSError: it cannot be read.
    """
    return read_json_file(path, _LARGEST_JSON, finite=False, on_double=lambda name: None, most_values=_MOST_VALUES)


def read_data_bytes(path: Path) -> bytes:
    """The bytes of a file of a data set. Raises `DatasetFolderError` where it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise DatasetFolderError(f"{path} cannot be read ({error.strerror}). Copy it again.") from error


@dataclass(frozen=True)
class Finding:
    """Something missing or odd in a data set.

    Attributes:
        severity: an "error" makes numbers wrong or impossible; a "warning" is to be known.
        where: file, and row or key.
        problem: what is wrong.
        fix: what to do.
    """

    severity: Literal["error", "warning"]
    where: str
    problem: str
    fix: str = ""

    def __str__(self) -> str:
        return f"{self.severity}: {self.where}: {self.problem}{f' Fix: {self.fix}' if self.fix else ''}"


@dataclass(frozen=True)
class ImageSet:
    """Images that tasks want features of; requests on sets of one name are merged.

    Attributes:
        name: of the set within its data set.
        keys: one per image, distinct.
        load: position -> RGB image; called from several threads.
        identity: of the data set's content, and of whatever else decides the pixels.
        size: position -> (width, height); None where all have one size after the transform.
    """

    name: str
    keys: tuple[str, ...]
    load: Callable[[int], Image.Image]
    identity: str
    size: Callable[[int], ImageSize] | None = None

    def __len__(self) -> int:
        return len(self.keys)

    def digests(self) -> list[bytes]:
        """32 bytes per image that change with the data set's content or the image's key."""
        return [hashlib.sha256(f"{self.identity}\0{self.name}\0{key}".encode()).digest() for key in self.keys]


@dataclass(frozen=True)
class DataOptions:
    """How a data set is read.

    Attributes:
        subset: images (objects, videos, pairs) kept of each split; None = all.
        seed: of the subset's draw.
        split_names: names of the training and the validation split, where they are not the usual ones.
        pairs: a file of pairs to take instead of drawing them (NAVI).
    """

    subset: int | None = None
    seed: int = 0
    split_names: tuple[str, str] | None = None
    pairs: Path | None = None

    def kept(self, items: Sequence[T], salt: str = "") -> list[T]:
        """The subset of some items, in their order."""
        if self.subset is None or len(items) <= self.subset:
            return list(items)
        if self.subset < 1:
            raise UsageError(f"--subset takes a number of at least 1, got {self.subset}.")
        digest = hashlib.sha256(f"{self.seed}/{salt}".encode()).digest()
        chosen = np.random.default_rng(list(digest[:8])).permutation(len(items))[: self.subset]
        return [items[number] for number in sorted(chosen)]


class DataReader(ABC):
    """One data set in one of its layouts.

    Attributes:
        kind: what `--data KIND=DIR` calls it.
        title: of the data set.
        expected: what is counted -> the complete set's number.
        root: folder or file.
        layout: which of the layouts was found.
        hub: id and revision of a copy on the Hub; None for local files.
        not_on_hub: why no Hub id can be given, and what to do.
    """

    hub: Mapping[str, str] | None = None
    not_on_hub: ClassVar[str] = "it is read from local files only: download it"
    kind: ClassVar[str] = ""
    title: ClassVar[str] = ""
    expected: ClassVar[Mapping[str, int]] = {}

    def __init__(self, root: Path, options: DataOptions | None = None) -> None:
        self.root, self.options = Path(root), options or DataOptions()
        self.layout = ""
        if not self.root.exists():
            raise UsageError(f"{self.root} does not exist. Give the folder of {self.title}, or make one with `synth`.")
        self.open()

    @abstractmethod
    def open(self) -> None:
        """Find the layout and read the index. Raises `SocoError` where there is none."""

    @abstractmethod
    def counts(self) -> dict[str, int]:
        """What is there, with the keys of `expected`."""

    @abstractmethod
    def inspect(self, sampled: Callable[[Sequence[T]], Sequence[T]]) -> Iterable[Finding]:
        """Findings about the items that `sampled` chooses, and about the whole."""

    def files(self) -> list[Path]:
        """The files that make up the data set; their paths and sizes are its identity."""
        return sorted(path for path in self.root.rglob("*") if path.is_file()) if self.root.is_dir() else [self.root]

    @property
    def fingerprint(self) -> str:
        """Hex sha256 of the sorted relative paths and sizes of the files."""
        if not hasattr(self, "_fingerprint"):
            base = self.root if self.root.is_dir() else self.root.parent
            lines = [f"{path.relative_to(base).as_posix()}\t{path.stat().st_size}" for path in self.files()]
            self._fingerprint = hashlib.sha256("\n".join(lines).encode()).hexdigest()
        return self._fingerprint

    @property
    def synthetic(self) -> dict[str, Any] | None:
        """What `soco downstream synth` says about this folder; None of real data.

        Raises:
            DatasetFolderError: the file was damaged.
        """
        path = (self.root if self.root.is_dir() else self.root.parent) / SYNTHETIC_FILE
        if not path.exists():
            return None
        try:
            made = read_data_json(path)
            numbers = [made["version"], *made["expected"].values()]
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            numbers = [None]
        if not all(type(number) is int and number >= 0 for number in numbers):
            raise DatasetFolderError(
                f"{path} is not what `soco downstream synth` wrote. Remove it, or write the data again."
            )
        return dict(made)

    def expected_counts(self) -> Mapping[str, int]:
        """Those of the complete set, or of the synthetic release."""
        made = self.synthetic
        return made["expected"] if made else self.expected

    def check(self, deep: bool = True) -> list[Finding]:
        """Everything missing or odd, errors first.

        Args:
            deep: look at every item; otherwise at up to 200 of each kind.
        """

        def sampled(items: Sequence[T]) -> Sequence[T]:
            if deep or len(items) <= _SAMPLED:
                return items
            return [items[number] for number in np.linspace(0, len(items) - 1, _SAMPLED).astype(int)]

        found = self.counts()
        findings = [
            Finding("warning", str(self.root), f"{found.get(what, 0):,} {what}, expected {count:,}.", "see the counts")
            for what, count in self.expected_counts().items()
            if found.get(what, 0) != count
        ]
        findings += self.inspect(sampled)
        return sorted(findings, key=lambda one: one.severity)

    def describe(self) -> dict[str, Any]:
        """The `dataset` of a record."""
        made = self.synthetic
        return {
            "id": f"synthetic {self.kind}" if made else self.title,
            "content_hash": self.fingerprint,
            "kind": self.kind,
            "layout": self.layout,
            "found": self.counts(),
            "expected": dict(self.expected_counts()),
            **({"synthetic": made["version"]} if made else {}),
            **({"hub": dict(self.hub)} if self.hub else {}),
        }


@dataclass
class Pairing:
    """Files of two kinds matched by name.

    Attributes:
        both: stems with both.
        findings: what lacks its partner.
    """

    both: list[str]
    findings: list[Finding] = field(default_factory=list)


def pair_by_name(first: Mapping[str, Path], second: Mapping[str, Path], names: tuple[str, str]) -> Pairing:
    """Match files by stem; a file without its partner is an error."""
    result = Pairing(sorted(first.keys() & second.keys()))
    for stem in sorted(first.keys() ^ second.keys()):
        has, lacks = names if stem in first else names[::-1]
        path = first.get(stem) or second[stem]
        result.findings.append(Finding("error", str(path), f"{has} without its {lacks}.", f"add it, or remove {stem}"))
    return result


def decode(source: Path | bytes, name: str = "", *, turned: bool = False) -> Image.Image:
    """An RGB image of a file or bytes; gray, palette and CMYK are converted.

    Args:
        source: file or its bytes.
        name: what messages call it.
        turned: apply the EXIF orientation.

    Raises:
        DatasetFolderError: it cannot be decoded whole.
    """
    from PIL import ImageOps

    name = name or str(source)
    try:
        data = read_bounded_bytes(source, MAX_FILE_BYTES) if isinstance(source, Path) else source
        with open_image(data, name) as image:
            image.load()
            whole = ImageOps.exif_transpose(image) if turned else image
            return whole.convert("RGB")
    except DatasetFolderError:
        raise
    except Exception as error:  # damaged images raise almost anything
        raise DatasetFolderError(f"{name} cannot be decoded ({error}). Copy it again.") from error


def open_image(source: Path | bytes, name: str = "") -> Image.Image:
    """An image of which only the header has been read.

    Raises:
        DatasetFolderError: it cannot be read, or is of more than 64 million pixels.
    """
    import io

    name = name or (str(source) if isinstance(source, Path) else "an image")
    try:
        image = Image.open(io.BytesIO(source) if isinstance(source, bytes) else source)
    except Exception as error:  # damaged headers raise almost anything
        raise DatasetFolderError(f"{name} cannot be decoded ({error}). Copy it again.") from error
    if image.width * image.height > MAX_PIXELS:
        image.close()
        raise DatasetFolderError(
            f"{name} cannot be decoded: it is {image.width} x {image.height} pixels, more than {MAX_PIXELS:,}."
        )
    return image


def picture_findings(source: Path | bytes, name: str = "", *, turned: bool = False) -> list[Finding]:
    """Whether an image decodes, and whether its stored orientation or color space is unusual."""
    name, orientation = name or str(source), 1
    try:
        decode(source, name, turned=turned)
        with open_image(source, name) as image:
            mode = image.mode
            with contextlib.suppress(Exception):  # damaged EXIF raises almost anything, and turns nothing
                orientation = image.getexif().get(_ORIENTATION, 1)
    except SocoError as error:
        return [Finding("error", name, str(error), "copy the file again")]
    found = []
    if orientation not in (0, 1) and not turned:
        problem = "EXIF orientation is not upright; the image is read as stored."
        found.append(Finding("warning", name, problem, "turn the file if its annotations are for the turned image"))
    if mode not in ("RGB", "L", "P"):
        found.append(Finding("warning", name, f"color mode {mode}; converted to RGB."))
    return found


def image_size(source: Path | bytes) -> ImageSize:
    """(width, height) as stored, from the header."""
    with open_image(source) as image:
        return image.size
