"""Feature maps on disk, shared between runs and datasets: one file per model, filled image by image.

A store is a folder named by the hash of everything but the image that decides a map (`key.py`):

    key.json    that, readable; its time of change is the time of the last use
    maps.bin    float32 maps (C, h, w) or (layers, C, h, w), each at slot * stride; grows with the images
    marks.bin   which image's map is stored in which slot, and its checksum (`index.py`)

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
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...errors import SocoError, UsageError, worded
from ...utils.files import atomic_write, explain_write_errors
from ...utils.paths import local_path
from ...utils.private_folders import check_private, make_private
from .index import INDEX_FILE, Marks, write_all

if TYPE_CHECKING:
    import torch

KEY, MAPS, USE, WRITE = "key.json", "maps.bin", "use.lock", "write.lock"
_NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)  # such as NFS mounted with "nolock"
STRIDE = 1 << 16  # each map starts at a multiple: a page of any system, so that it can be mapped by itself
_log = logging.getLogger(__name__)


def default_directory() -> Path:
    """Where stores are kept unless said otherwise: `features` in the cache folder (SOCO_CACHE)."""
    from ...benchmarks.locations import cache_root

    return cache_root() / "features"


class DiskFeatureCache:
    """Maps of some images, `put` and `get` by position, kept between runs and found again by the images' digests.

    Two processes may use one store at the same time: a map that is marked is whole and is not written again.

    Attributes:
        path: folder of the store.
        shape: (images, channels, height, width), or (images, layers, channels, height, width).
    """

    def __init__(
        self,
        directory: str | os.PathLike[str] | None,
        key: Mapping[str, Any],
        shape: tuple[int, ...],
        images: Sequence[bytes],
    ) -> None:
        """Open or make the store.

        Args:
            directory: of all stores, `default_directory()` by default.
            key: see `key.feature_key`.
            shape: of an image's features: (C, h, w), or (layers, C, h, w).
            images: of which image the map at each position is, see `key.image_digests`.

        Raises:
            UsageError: not a POSIX system.
            SocoError: the folder cannot be written, or the disk has no room for the maps that are missing.
        """
        if os.name != "posix":
            raise UsageError(
                f"Shared stores need a POSIX system. Take {worded('--store', 'the CachePolicy')} auto, memory or none."
            )
        self.shape = (len(images), *shape)
        self._images = list(images)
        self._bytes = int(np.prod(shape, dtype=object)) * 4
        self._stride = -(-self._bytes // STRIDE) * STRIDE
        self._is_open = False
        text = json.dumps(key, sort_keys=True, indent=1)
        root = local_path(directory or default_directory())
        self.path = root / hashlib.sha256(text.encode()).hexdigest()[:32]
        try:
            with explain_write_errors(self.path):
                self._use = hold_folder(self.path)
                self._open(text)
        except OSError as error:  # a SocoError is none
            hint = " Its file system has no locks: give a folder on another one." if error.errno in _NO_LOCKS else ""
            raise SocoError(f"The feature store {self.path} cannot be opened ({error.strerror}).{hint}") from error
        self._check_room()

    def _open(self, text: str) -> None:
        key = self.path / KEY
        if key.is_file() and key.read_text(encoding="utf-8", errors="replace") == text:
            os.utime(key)
        else:
            atomic_write(key, text)
        self._write, self._maps = (os.open(self.path / name, os.O_RDWR | os.O_CREAT, 0o644) for name in (WRITE, MAPS))
        with self._locked():
            self._marks = Marks(self.path)
            taken, length = len(self._marks), os.fstat(self._maps).st_size
            needed = (taken - 1) * self._stride + self._bytes if taken else 0
            if length < needed:
                os.ftruncate(self._maps, needed)
                self._say_cut(MAPS)
            if self._marks.is_torn() or length > (taken + 1) * self._stride:  # a kill leaves one map without a mark
                self._say_cut(INDEX_FILE)
        self._is_open = True

    def _say_cut(self, name: str) -> None:
        _log.warning("%s was cut short; what is lost will be made again", self.path / name)

    def _check_room(self) -> None:
        missing = len({image for image in self._images if self._marks.find(image) is None}) * self._bytes
        status = os.statvfs(self.path)
        if missing > status.f_bavail * status.f_frsize:
            self.close()
            raise self._no_room(f"it needs {missing / 1e6:,.0f} MB more")

    def _no_room(self, reason: str) -> SocoError:
        return SocoError(
            f"The disk of the feature store {self.path} is full: {reason}. What is done is kept. Free some space "
            f"(`soco cache list`, `soco cache clear`), choose another {worded('--store-dir', 'directory')}, or take "
            f"{worded('--store', 'the CachePolicy')} none."
        )

    def put(self, index: int, features: torch.Tensor) -> None:
        """Write the map (`shape[1:]`) of position `index` and mark it; nothing is done where it is marked already.

        Raises:
            UsageError: a map of another shape.
            SocoError: the disk is full. What was put before stays.
        """
        if tuple(features.shape) != self.shape[1:]:
            raise UsageError(f"The store holds maps {self.shape[1:]}, got {tuple(features.shape)} for image {index}.")
        data, image = _bytes(features.float().contiguous().cpu()), self._images[index]
        checksum = zlib.crc32(data)
        with self._locked():
            if index in self:
                return
            slot = self._marks.slot_for(image)
            try:
                write_all(self._maps, data, slot * self._stride)
                self._marks.done(image, slot, checksum)
            except OSError as error:
                if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                    raise
                raise self._no_room("a map could not be written") from error

    def get(self, index: int) -> torch.Tensor:
        """The map (`shape[1:]`) at position `index`, on the CPU, mapped from the file. Raises `KeyError`."""
        if not self._is_open:
            raise ValueError("the feature store is closed")
        found = self._marks.find(self._images[index])
        if found is None:
            raise KeyError(f"no feature map was put at index {index}")
        return self._read(found[0])

    def get_many(self, images: range) -> torch.Tensor:
        """The maps (T, ...) of some positions: a copy, unless it is one. Raises as `get`."""
        import torch

        maps = [self.get(index) for index in images]
        return maps[0][None] if len(maps) == 1 else torch.stack(maps)

    def _read(self, slot: int) -> torch.Tensor:
        import torch

        # A mapping of its own, since the file grows; private, for torch wants it writable and nothing may be written.
        mapped = mmap.mmap(self._maps, self._bytes, access=mmap.ACCESS_COPY, offset=slot * self._stride)
        return torch.frombuffer(mapped, dtype=torch.float32).view(self.shape[1:])

    def __contains__(self, index: int) -> bool:
        return self._marks.find(self._images[index]) is not None

    def is_intact(self, index: int) -> bool:
        """Whether the map is there and its bytes are those that were put; a corrupt one is logged and discarded."""
        image = self._images[index]
        found = self._marks.find(image)
        if found is None:
            return False
        slot, checksum = found
        if zlib.crc32(_bytes(self._read(slot))) == checksum:
            return True
        _log.warning("the feature store %s is damaged in slot %d; that map is made again", self.path, slot)
        with self._locked():
            if self._marks.find(image) == found:
                self._marks.lost(image, slot)
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
        if self._is_open:
            self._is_open = False
            self._marks.close()
            for file in (self._maps, self._write, self._use):
                os.close(file)

    def __enter__(self) -> DiskFeatureCache:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _bytes(features: torch.Tensor) -> memoryview:
    values: NDArray[np.float32] = features.numpy()
    return values.reshape(-1).view(np.uint8).data


def hold_folder(path: Path) -> int:
    """The open file whose shared lock says that the cache is in use; made, with its folder, where it is not there."""
    import fcntl

    while True:
        make_private(make_private(path.parent) / path.name)
        check_private(path)
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
