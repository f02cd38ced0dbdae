"""Global vectors of images on disk: one memory-mapped (N, layers, C) array, filled image by image, kept between runs.

A folder named by the hash of the model, the transform and the list of images:

    key.json      what decides the vectors, readable; its time of change is the time of the last use
    vectors.npy   (N, layers, C)
    marks.npy     (N,) uint64: 0 = missing, else 2**32 + crc32 of the vector's bytes

A vector is written before its mark, so a run killed at any moment resumes with whole vectors only. Several processes
may fill one array: they write the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...errors import SocoError, UsageError, worded
from ...utils.files import atomic_write, explain_write_errors
from ...utils.paths import local_path
from .disk import KEY, default_directory, hold_folder

if TYPE_CHECKING:
    import torch

VECTORS, MARKS = "vectors.npy", "marks.npy"
VECTOR_DTYPES = ("float32", "float16")
_WRITTEN = 1 << 32


class GlobalVectorCache:
    """One (N, layers, C) array in a file.

    Attributes:
        path: its folder.
        array: the memory-mapped array; rows without a vector hold zeros.
    """

    def __init__(
        self,
        directory: Path | None,
        key: Mapping[str, Any],
        shape: tuple[int, int],
        images: Sequence[bytes],
        dtype: str = "float32",
    ) -> None:
        """Open or make the array.

        Args:
            directory: of all caches, `disk.default_directory()` by default.
            key: see `key.feature_key`.
            shape: (layers, C).
            images: digest of the image at each position, see `key.image_digests`.
            dtype: one of `VECTOR_DTYPES`; part of the key.

        Raises:
            UsageError: another dtype, or not a POSIX system.
            SocoError: the folder cannot be written, or the disk is too small.
        """
        if dtype not in VECTOR_DTYPES or os.name != "posix":
            raise UsageError(
                f"Global vectors are stored as {' or '.join(VECTOR_DTYPES)} on a POSIX system, not {dtype}."
            )
        digest = hashlib.sha256(b"".join(images)).hexdigest()
        text = json.dumps({**key, "images": digest, "dtype": dtype, "kind": "vectors"}, sort_keys=True, indent=1)
        root = local_path(directory or default_directory())
        self.path = root / hashlib.sha256(text.encode()).hexdigest()[:32]
        whole = (len(images), *shape)
        with explain_write_errors(self.path):
            self._use: int | None = hold_folder(self.path)
            self._check_room(whole, dtype)
            if (self.path / KEY).is_file():
                os.utime(self.path / KEY)
            else:
                atomic_write(self.path / KEY, text)
            self.array: NDArray[Any] = _mapped(self.path / VECTORS, whole, dtype)
            self._marks: NDArray[np.uint64] = _mapped(self.path / MARKS, whole[:1], "uint64")

    def _check_room(self, shape: tuple[int, ...], dtype: str) -> None:
        needed = int(np.prod(shape, dtype=object)) * np.dtype(dtype).itemsize
        if not (self.path / VECTORS).exists() and needed > shutil.disk_usage(self.path).free:
            self.close()
            raise SocoError(
                f"The global vectors of {shape[0]} images take {needed / 1e9:.1f} GB, more than {self.path} has left. "
                f"Free some space, choose another {worded('--store-dir', 'directory')}, or store them as float16."
            )

    def put(self, index: int, vectors: torch.Tensor) -> None:
        """Write the vectors (layers, C) of the image at position `index` and mark them. Raises `UsageError`."""
        values = vectors.float().cpu().numpy()
        if values.shape != self.array.shape[1:]:
            raise UsageError(f"The cache holds vectors {self.array.shape[1:]}, got {values.shape} for image {index}.")
        self.array[index] = values
        self._marks[index] = _WRITTEN + zlib.crc32(self.array[index].tobytes())

    def __contains__(self, index: int) -> bool:
        mark = int(self._marks[index])
        return mark == _WRITTEN + zlib.crc32(self.array[index].tobytes())

    def missing(self) -> list[int]:
        """Positions without a vector, or with a damaged one."""
        return [index for index in range(len(self.array)) if index not in self]

    def __len__(self) -> int:
        return len(self.array)

    def close(self) -> None:
        """Write what is mapped and close; safe to call twice."""
        if self._use is None:
            return
        for mapped in (getattr(self, "array", None), getattr(self, "_marks", None)):
            if isinstance(mapped, np.memmap):
                mapped.flush()
        os.close(self._use)
        self._use = None

    def __enter__(self) -> GlobalVectorCache:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def count_vectors(folder: Path) -> int:
    """Marked vectors of the cache in a folder; an unreadable file counts as none."""
    try:
        return int(np.count_nonzero(np.load(folder / MARKS, mmap_mode="r")))
    except Exception:  # damaged headers of arrays raise almost anything
        return 0


def _mapped(path: Path, shape: tuple[int, ...], dtype: str) -> NDArray[Any]:
    """A writable mapping of an array file, which is made of zeros where it is absent or of another shape."""
    try:
        found: NDArray[Any] = np.lib.format.open_memmap(path, mode="r+")
        if found.shape == shape and found.dtype == np.dtype(dtype):
            return found
    except Exception:  # damaged headers of arrays raise almost anything
        pass
    made: NDArray[Any] = np.lib.format.open_memmap(path, mode="w+", dtype=np.dtype(dtype), shape=shape)
    return made
