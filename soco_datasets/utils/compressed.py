"""Compressed files of others (zip, gzip, MATLAB), looked at before they are unpacked: few kB may become terabytes."""

from __future__ import annotations

import gzip
import os
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

_LEAST = 500_000_000  # bytes that a file of any size may unpack to
_LARGE, _ORDINARY = 100_000_000, 900_000_000  # bytes of a file, and of what a smaller one may unpack to
_TIMES = 30  # as many times its size may a larger one
_DEFLATED = 1032  # times that deflate can shrink what it packs at most
_PIECE = 2**20
_MAT_HEADER, _MAT_COMPRESSED = 128, 15


class UnpackedSizeError(ValueError):
    """A file that unpacks to more than it may. The message says to what, and can follow the file's name."""


def check_zip(file: Path | BinaryIO, *, least: int = _LEAST) -> None:
    """Look at the sizes that a zip archive (also .npz, .pth, .xlsx) states; what is read from it cannot exceed them.

    Args:
        file: the archive; an open one is left at its end.
        least: bytes that it may unpack to whatever its size.

    Raises:
        UnpackedSizeError: its members are larger together than they may be.
        zipfile.BadZipFile, OSError: not a zip archive, or one that cannot be read.
    """
    with zipfile.ZipFile(file) as archive:
        unpacked = sum(member.file_size for member in archive.infolist())
        stream = archive.fp
        assert stream is not None  # it is open
        size = stream.seek(0, os.SEEK_END)
    _check(unpacked, size, least)


def read_gzip(path: Path) -> bytes:
    """What a gzip file holds.

    Raises:
        UnpackedSizeError: more than it may.
        OSError, EOFError, zlib.error: not a whole gzip file.
    """
    size = path.stat().st_size
    with gzip.open(path) as file:
        content = file.read(_most(size) + 1)
    _check(len(content), size)
    return content


def check_mat(path: Path) -> None:
    """Unpack the elements of a MATLAB 5 file piece by piece, where they could be too large, and keep nothing of them.

    Raises:
        UnpackedSizeError: they are larger together than they may be.
        OSError: the file cannot be read.
    """
    size = path.stat().st_size
    if size * _DEFLATED <= _LEAST:
        return
    with open(path, "rb") as file:
        header = file.read(_MAT_HEADER)
        order = ">" if header[126:128] == b"MI" else "<"
        unpacked = 0
        while len(tag := file.read(8)) == 8:
            kind, length = struct.unpack(f"{order}II", tag)
            if kind != _MAT_COMPRESSED:
                file.seek(length, os.SEEK_CUR)
                continue
            for piece in _inflated(file, length):
                unpacked += piece
                _check(unpacked, size)


def _inflated(file: BinaryIO, length: int) -> Iterator[int]:
    """Bytes of each piece of a zlib stream of `length` bytes; what is damaged ends it, for another reader to report."""
    stream, left = zlib.decompressobj(), length
    while left and (packed := file.read(min(left, _PIECE))):
        left -= len(packed)
        while packed:
            try:
                yield len(stream.decompress(packed, _PIECE))
            except zlib.error:
                file.seek(left, os.SEEK_CUR)
                return
            packed = stream.unconsumed_tail


def _most(size: int, least: int = _LEAST) -> int:
    """Bytes that a file of `size` bytes may unpack to: of an ordinary one, what any machine has room for twice."""
    times = _TIMES * size
    return max(least, times if size > _LARGE else min(times, _ORDINARY))


def _check(unpacked: int, size: int, least: int = _LEAST) -> None:
    if unpacked > _most(size, least):
        raise UnpackedSizeError(f"it unpacks to {unpacked:,} bytes or more, more than a file of its size may hold")
