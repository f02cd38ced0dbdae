"""Features of images (maps, with or without a layer axis) in memory, else in a temporary memory-mapped file."""

from __future__ import annotations

import contextlib
import errno
import math
import mmap
import os
import shutil
import tempfile
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np

from ...errors import SocoError, UsageError, worded

if TYPE_CHECKING:
    import torch

_CGROUP = Path("/sys/fs/cgroup")


def available_memory() -> int:
    """Bytes of memory that can be had now: the system's, or less where a container (cgroup v2) has less left."""
    free = 0
    with contextlib.suppress(OSError, ValueError, IndexError):
        fields = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines() if ":" in line)
        free = int(fields.get("MemAvailable", "0").split()[0]) * 1024
    if not free:
        try:
            free = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        except (ValueError, OSError, AttributeError):
            free = 4 << 30  # nothing is known: assume a small machine
    with contextlib.suppress(OSError, ValueError):
        limit = int((_CGROUP / "memory.max").read_text())  # "max" where there is none
        free = min(free, max(0, limit - int((_CGROUP / "memory.current").read_text())))
    return free


class MemoryFeatureCache:
    """A preallocated (count, *shape) array of features, `put` and `get` by image.

    The disk kind maps a file that has no name, so that nothing is left behind however the process ends. Its space is
    reserved at once: a full disk is an error here, not a crash in the middle of the work.

    Attributes:
        kind: "memory" (also a GPU's) or "disk".
        device: in whose memory the maps are.
        shape: (count, channels, height, width), or (count, layers, channels, height, width).
        nbytes: size of the array.
    """

    def __init__(
        self,
        count: int,
        shape: tuple[int, ...],
        *,
        memory_budget: int | None = None,
        directory: str | Path | None = None,
        dtype: str = "float32",
        device: str = "cpu",
    ) -> None:
        """Reserve the space.

        Args:
            count: number of images.
            shape: of an image's features: (C, h, w), or (layers, C, h, w).
            memory_budget: bytes the store may take in memory; half of `available_memory()` by default. 0 = disk.
            directory: where the file goes when it does not fit; the system's temporary folder by default.
            dtype: torch dtype of the maps.
            device: in whose memory the maps are kept.

        Raises:
            UsageError: a negative number.
            SocoError: the maps fit neither the budget nor the disk.
        """
        import torch

        self.shape = (count, *shape)
        if min(self.shape) < 0 or (memory_budget is not None and memory_budget < 0):
            raise UsageError(f"A feature cache needs sizes of 0 or more, got {self.shape} and budget {memory_budget}.")
        self._dtype: torch.dtype = getattr(torch, dtype)
        self.nbytes = int(np.prod(self.shape, dtype=object)) * self._dtype.itemsize
        budget = available_memory() // 2 if memory_budget is None else memory_budget
        self.kind = "memory" if self.nbytes <= budget else "disk"
        self.device = device
        self._filled = np.zeros(count, dtype=bool)
        self._maps: torch.Tensor | None
        if self.kind == "memory":
            self._maps = torch.empty((count, _padded(self.shape, self._dtype)), dtype=self._dtype, device=device)
        else:
            self._maps = self._map_file(Path(directory or tempfile.gettempdir()), budget)

    def _map_file(self, directory: Path, budget: int) -> torch.Tensor:
        import torch

        try:
            size = self.shape[0] * _padded(self.shape, self._dtype) * self._dtype.itemsize
            if shutil.disk_usage(directory).free < size:  # said before the disk is filled in vain
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            with tempfile.TemporaryFile(prefix="soco-features-", dir=directory) as file:
                file.truncate(size)
                if hasattr(os, "posix_fallocate"):  # else a sparse file: a full disk would kill us at a later write
                    os.posix_fallocate(file.fileno(), 0, size)
                mapped = mmap.mmap(file.fileno(), size)  # holds the nameless file open
        except OSError as error:
            full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
            reason = "which has not that much space left" if full else f"which cannot be written ({error.strerror})"
            raise SocoError(
                f"{self.shape[0]} feature maps take {_gigabytes(self.nbytes)}: more than the memory budget of "
                f"{_gigabytes(budget)}, so they go to {directory}, {reason}. Free some space, set TMPDIR to another "
                f"disk, raise {worded('--memory-budget', 'memory_budget')}, or take a smaller image size."
            ) from error
        return torch.frombuffer(mapped, dtype=self._dtype).view(self.shape[0], -1)

    def put(self, index: int, features: torch.Tensor) -> None:
        """Store the features (`shape[1:]`) of image `index`; a second `put` replaces it."""
        if tuple(features.shape) != self.shape[1:]:
            raise UsageError(f"The cache holds {self.shape[1:]}, got {tuple(features.shape)} for image {index}.")
        self._view(index).copy_(features)
        self._filled[index] = True

    def get(self, index: int) -> torch.Tensor:
        """The features (`shape[1:]`) of image `index`, where it is kept: a view.

        Do not write to it, nor use it after `close`.

        Raises:
            KeyError: nothing was put at `index`.
        """
        view = self._view(index)
        if not self._filled[index]:
            raise KeyError(f"no feature map was put at index {index}")
        return view

    def get_many(self, images: range) -> torch.Tensor:
        """The features (T, ...) of neighboring images, a view as that of `get`. Raises as `get`."""
        for index in images:
            self.get(index)
        assert self._maps is not None  # else `get` had raised
        return self._maps[images.start : images.stop, : math.prod(self.shape[1:])].view(-1, *self.shape[1:])

    def is_intact(self, index: int) -> bool:
        """Whether the map is there; nothing can damage it."""
        return index in self

    def __contains__(self, index: int) -> bool:
        return bool(self._filled[index])

    def __len__(self) -> int:
        return self.shape[0]

    def _view(self, index: int) -> torch.Tensor:
        if self._maps is None:
            raise ValueError("the feature store is closed")
        return self._maps[index, : math.prod(self.shape[1:])].view(self.shape[1:])

    def close(self) -> None:
        """Give the memory or the file back; safe to call twice."""
        self._maps = None  # unmapped, and the file gone, with the last view

    def __enter__(self) -> MemoryFeatureCache:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"MemoryFeatureCache({self.shape}, {_gigabytes(self.nbytes)}, in {self.kind})"


def _padded(shape: tuple[int, ...], dtype: torch.dtype) -> int:
    """Elements from one map to the next: each starts at a multiple of 64 bytes, as a tensor of its own does.

    So a matrix product takes the same path, to the last bit, wherever its map is kept.
    """
    step = 64 // dtype.itemsize
    return -(-math.prod(shape[1:]) // step) * step


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB"
