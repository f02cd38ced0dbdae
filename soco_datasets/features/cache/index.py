"""Which image's map is stored in which slot of a shared store: a file of marks, 48 bytes a slot, that only grows.

    "DONE" (the map is there) or "LOST" (it was found damaged), crc32 of the map, slot, sha256 of the image

A slot belongs to its image for good: a process that has read where a map is stored can rely on it, whatever others add.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

INDEX_FILE = "marks.bin"
ENTRY = struct.Struct("<4sIQ32s")
_FIELDS = np.dtype([("word", "S4"), ("checksum", "<u4"), ("slot", "<u8"), ("image", "V32")])  # the same, of all slots
_DONE, _LOST = b"DONE", b"LOST"


class Marks:
    """The open marks of a store. Writing needs the store's lock; reading does not.

    Args:
        folder: of the store; the file is made where it is not there.
    """

    def __init__(self, folder: Path) -> None:
        self._file = os.open(folder / INDEX_FILE, os.O_RDWR | os.O_CREAT, 0o644)
        self._slots: dict[bytes, int] = {}
        self._known = 0
        self._read_new()

    def __len__(self) -> int:
        """Slots that are taken."""
        return os.fstat(self._file).st_size // ENTRY.size

    def is_torn(self) -> bool:
        """Whether the last mark is not whole."""
        return os.fstat(self._file).st_size % ENTRY.size != 0

    def find(self, image: bytes) -> tuple[int, int] | None:
        """(slot, crc32) of the map of an image, None where it is not there."""
        mark = self._mark(image)
        return None if mark is None or mark[0] != _DONE else (mark[2], mark[1])

    def slot_for(self, image: bytes) -> int:
        """Where the map of an image is to be written: the slot it had, else the first that nobody has."""
        mark = self._mark(image)
        return len(self) if mark is None else mark[2]

    def done(self, image: bytes, slot: int, checksum: int) -> None:
        """Mark a map that has been written whole."""
        self._write(slot, ENTRY.pack(_DONE, checksum, slot, image))
        self._slots[image] = slot

    def lost(self, image: bytes, slot: int) -> None:
        """Forget a map; its slot stays the image's."""
        self._write(slot, ENTRY.pack(_LOST, 0, slot, image))

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def _mark(self, image: bytes) -> tuple[bytes, int, int] | None:
        """(word, crc32, slot) of an image's mark as it is now; another process may have written it."""
        if image not in self._slots:
            self._read_new()
        slot = self._slots.get(image)
        stored = b"" if slot is None else os.pread(self._file, ENTRY.size, slot * ENTRY.size)
        if len(stored) < ENTRY.size:
            return None
        word, checksum, number, owner = ENTRY.unpack(stored)
        return (word, checksum, slot) if (number, owner) == (slot, image) and slot is not None else None

    def _read_new(self) -> None:
        total = len(self)
        if total <= self._known:
            return
        data = os.pread(self._file, (total - self._known) * ENTRY.size, self._known * ENTRY.size)
        marks = _parse(data)
        slots = np.arange(self._known, self._known + len(marks))
        for number in np.flatnonzero(np.isin(marks["word"], (_DONE, _LOST)) & (marks["slot"] == slots)).tolist():
            self._slots[marks["image"][number].tobytes()] = self._known + number
        self._known += len(marks)

    def _write(self, slot: int, mark: bytes) -> None:
        write_all(self._file, memoryview(mark), slot * ENTRY.size)


def write_all(file: int, data: memoryview, offset: int) -> None:
    """Write at a place of an open file, all of it or an `OSError`."""
    while data:
        written = os.pwrite(file, data, offset)
        data, offset = data[written:], offset + written


def count_marks(folder: Path) -> int:
    """The maps that are there in the store of a folder; unreadable marks count as none."""
    try:
        marks = _parse((folder / INDEX_FILE).read_bytes())
    except OSError:
        return 0
    return int(((marks["word"] == _DONE) & (marks["slot"] == np.arange(len(marks)))).sum())


def _parse(data: bytes) -> NDArray[np.void]:
    """The whole marks in some bytes."""
    return np.frombuffer(data[: len(data) // ENTRY.size * ENTRY.size], dtype=_FIELDS)
