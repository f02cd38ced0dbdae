"""Feature maps on disk, shared between runs: one file per model and dataset, filled image by image.

A store is a folder named by the hash of everything that decides the maps:

    key.json    that, readable; its time of change is the time of the last use
    maps.bin    one (C, h, w) float32 map an image, at row * stride; sparse where nothing was put
    marks.bin   16 bytes an image: "DONE", crc32 of the map, row; anything else = not there

A map is written before its mark, so a run killed at any moment leaves whole maps only, and a crash of the machine that
loses pages leaves a mark whose checksum does not fit. Writers take a lock for each map. POSIX only.
"""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import mmap
import os
import struct
import zlib
from collections.abc import Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import SocoError, UsageError
from ..files import atomic_write, explain_write_errors

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch

    from ..data.folder import DatasetFolder
    from .extractor import DenseFeatureExtractor

KEY, MAPS, MARKS, USE, WRITE = "key.json", "maps.bin", "marks.bin", "use.lock", "write.lock"
_FORMAT = 1
_MARK = struct.Struct("<4sIQ")
_MARKS = np.dtype([("word", "S4"), ("checksum", "<u4"), ("row", "<u8")])  # the same, of all images
_DONE = b"DONE"
_ALIGN = 64  # bytes; a map read from here lies in memory as one fresh from a forward does
_LIBRARIES = ("soco_datasets", "kornia", "numpy", "pillow", "torch", "transformers")
_log = logging.getLogger(__name__)


def default_directory() -> Path:
    """Where stores are kept unless said otherwise: `features` in the cache folder (SOCO_CACHE)."""
    from ..data.resolve import cache_root

    return cache_root() / "features"


def feature_key(extractor: DenseFeatureExtractor, folder: DatasetFolder, versions: Mapping[str, str]) -> dict[str, Any]:
    """Everything that decides the maps, as JSON values: model, weights, layer, norm, size, statistics, dtype, images.

    Args:
        extractor: makes the maps.
        folder: of the images; its content hash stands for them.
        versions: of the toolkit and the libraries; those that numbers depend on go in.

    Raises:
        UsageError: a model whose weights have no hash, so that a change of it would not be seen.
    """
    model = extractor.describe()
    for part in _leaves(model):
        undeclared = "plugin" in part and part["weights_hash"] == part["config_hash"]
        if undeclared or (part["weights_hash"] is None and part["revision"] is None):
            raise UsageError(
                f"The features of {part['name']} cannot be kept between runs: nothing says which weights it has. "
                "A plug-in declares them with @plugin(weights=FILE). Or take --store auto, memory or none."
            )
    return {
        "format": _FORMAT,
        "model": _without_requested(model),
        "dataset": folder.content_hash,
        "versions": {name: versions[name] for name in _LIBRARIES if name in versions},
    }


def _leaves(model: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    if not model.get("parts"):
        yield model
    for part in model.get("parts", []):
        yield from _leaves(part)


def _without_requested(model: Mapping[str, Any]) -> dict[str, Any]:
    """The size asked for does not matter, the size used does: 798 and 800 may be one store."""
    kept = {name: value for name, value in model.items() if name != "requested_size"}
    if "parts" in kept:
        kept["parts"] = [_without_requested(part) for part in kept["parts"]]
    return kept


class SharedStore:
    """Maps of some images of a dataset, `put` and `get` by position, kept between runs.

    Two processes may use one store at the same time: a map that is marked is whole and is not written again.

    Attributes:
        path: folder of the store.
        shape: (images, channels, height, width).
    """

    def __init__(
        self,
        directory: Path | None,
        key: Mapping[str, Any],
        shape: tuple[int, int, int],
        *,
        total: int,
        rows: NDArray[np.int64],
    ) -> None:
        """Open or make the store.

        Args:
            directory: of all stores, `default_directory()` by default.
            key: see `feature_key`.
            shape: (C, h, w) of a map.
            total: images of the dataset.
            rows: (I,) which of them the positions 0..I-1 stand for.

        Raises:
            SocoError: the folder cannot be written, or the disk has no room for the maps that are missing.
        """
        if os.name != "posix":
            raise UsageError("Shared stores need a POSIX system. Take --store auto, memory or none.")
        self.shape = (len(rows), *shape)
        self._rows, self._total = rows, total
        self._bytes = int(np.prod(shape, dtype=object)) * 4
        self._stride = -(-self._bytes // _ALIGN) * _ALIGN
        text = json.dumps(key, sort_keys=True, indent=1)
        root = Path(directory or default_directory()).expanduser()
        self.path = root / hashlib.sha256(text.encode()).hexdigest()[:32]
        try:
            with explain_write_errors(self.path):
                self._use = _hold(self.path)
                self._open(text)
        except OSError as error:  # a SocoError is none
            raise SocoError(f"The feature store {self.path} cannot be opened ({error.strerror}).") from error
        self._check_room()

    def _open(self, text: str) -> None:
        import torch

        key = self.path / KEY
        if key.is_file() and key.read_text(encoding="utf-8", errors="replace") == text:
            os.utime(key)
        else:
            atomic_write(key, text)
        self._write, self._maps, self._marks = (
            os.open(self.path / name, os.O_RDWR | os.O_CREAT, 0o644) for name in (WRITE, MAPS, MARKS)
        )
        with self._locked():
            for file, name, size in (
                (self._maps, MAPS, self._total * self._stride),
                (self._marks, MARKS, self._total * _MARK.size),
            ):
                length = os.fstat(file).st_size
                if 0 < length < size:
                    _log.warning("%s was cut short; what is lost will be made again", self.path / name)
                if length != size:
                    os.ftruncate(file, size)
        self._view: torch.Tensor | None = None
        if self._total * self._stride:
            mapped = mmap.mmap(self._maps, self._total * self._stride)  # writable for torch's sake; nothing writes
            self._view = torch.frombuffer(mapped, dtype=torch.float32).view(self._total, -1)
        else:
            self._view = torch.empty((self._total, 0))

    def _check_room(self) -> None:
        missing = sum(index not in self for index in range(len(self))) * self._stride
        status = os.statvfs(self.path)
        if missing > status.f_bavail * status.f_frsize:
            self.close()
            raise self._no_room(f"it needs {missing / 1e6:,.0f} MB more")

    def _no_room(self, reason: str) -> SocoError:
        return SocoError(
            f"The disk of the feature store {self.path} is full: {reason}. What is done is kept. Free some space "
            "(`soco cache list`, `soco cache clear`), choose another place with --store-dir, or take --store none."
        )

    def put(self, index: int, features: torch.Tensor) -> None:
        """Write the map (C, h, w) of position `index` and mark it; nothing is done where it is marked already.

        Raises:
            UsageError: a map of another shape.
            SocoError: the disk is full. What was put before stays.
        """
        if tuple(features.shape) != self.shape[1:]:
            raise UsageError(f"The store holds maps {self.shape[1:]}, got {tuple(features.shape)} for image {index}.")
        data = _bytes(features.float().contiguous().cpu())
        row = int(self._rows[index])
        mark = _MARK.pack(_DONE, zlib.crc32(data), row)
        with self._locked():
            if index in self:
                return
            try:
                _write_all(self._maps, data, row * self._stride)
                _write_all(self._marks, memoryview(mark), row * _MARK.size)
            except OSError as error:
                if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                    raise
                raise self._no_room("a map could not be written") from error

    def get(self, index: int) -> torch.Tensor:
        """The map (C, h, w) at position `index`, on the CPU, as a view: do not write to it. Raises `KeyError`."""
        if index not in self:
            raise KeyError(f"no feature map was put at index {index}")
        return self._read(int(self._rows[index]))

    def _read(self, row: int) -> torch.Tensor:
        if self._view is None:
            raise ValueError("the feature store is closed")
        return self._view[row, : self._bytes // 4].view(self.shape[1:])

    def __contains__(self, index: int) -> bool:
        return self._mark(index) is not None

    def _mark(self, index: int) -> int | None:
        """The checksum of a map that is there."""
        row = int(self._rows[index])
        stored = os.pread(self._marks, _MARK.size, row * _MARK.size)
        if len(stored) < _MARK.size:
            return None
        word, checksum, number = _MARK.unpack(stored)
        return checksum if (word, number) == (_DONE, row) else None

    def is_intact(self, index: int) -> bool:
        """Whether the map is there and its bytes are those that were put; a damaged one is said and forgotten."""
        checksum = self._mark(index)
        if checksum is None:
            return False
        row = int(self._rows[index])
        if zlib.crc32(_bytes(self._read(row))) == checksum:
            return True
        _log.warning("the feature store %s is damaged at image %d; its map is made again", self.path, row)
        with self._locked():
            if self._mark(index) == checksum:
                _write_all(self._marks, memoryview(bytes(_MARK.size)), row * _MARK.size)
        return False

    def __len__(self) -> int:
        return self.shape[0]

    @contextmanager
    def _locked(self) -> Iterator[None]:
        import fcntl

        fcntl.flock(self._write, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._write, fcntl.LOCK_UN)

    def close(self) -> None:
        """Close the files; safe to call twice."""
        if self._view is not None:
            self._view = None
            for file in (self._maps, self._marks, self._write, self._use):
                os.close(file)

    def __enter__(self) -> SharedStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _bytes(features: torch.Tensor) -> memoryview:
    values: NDArray[np.float32] = features.numpy()
    return values.reshape(-1).view(np.uint8).data


def _write_all(file: int, data: memoryview, offset: int) -> None:
    while data:
        written = os.pwrite(file, data, offset)
        data, offset = data[written:], offset + written


def _hold(path: Path) -> int:
    """The open file whose shared lock says that the store is in use; made, with its folder, where it is not there."""
    import fcntl

    while True:
        path.mkdir(parents=True, exist_ok=True)
        try:
            file = os.open(path / USE, os.O_RDWR | os.O_CREAT, 0o644)
        except FileNotFoundError:
            continue  # cleared meanwhile
        fcntl.flock(file, fcntl.LOCK_SH)
        try:
            if os.path.samestat(os.fstat(file), os.stat(path / USE)):
                return file
        except FileNotFoundError:
            pass
        os.close(file)


def count_marks(path: Path) -> tuple[int, int]:
    """(images whose map is there, images of the dataset) of the store in a folder; unreadable marks count as none."""
    try:
        data = (path / MARKS).read_bytes()
    except OSError:
        return 0, 0
    marks = np.frombuffer(data[: len(data) // _MARK.size * _MARK.size], dtype=_MARKS)
    return int(((marks["word"] == _DONE) & (marks["row"] == np.arange(len(marks)))).sum()), len(marks)
