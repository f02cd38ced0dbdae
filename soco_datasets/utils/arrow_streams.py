"""How much memory an Arrow stream of others takes once it is read, from its framing alone: nothing is unpacked.

A compressed buffer begins with the size that it unpacks to. A small file can state anything there, so it is looked at
before Arrow takes the memory. Format: https://arrow.apache.org/docs/format/Columnar.html#serialization-and-ipc.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from pathlib import Path

from .parquet_files import BoundsError, most_unpacked

_CONTINUES = 0xFFFFFFFF
_DICTIONARY, _RECORDS = 2, 3  # of the union MessageHeader
_LONGEST = 100_000_000  # bytes of the metadata of one message


def check_stream(path: Path) -> None:
    """Check that an Arrow IPC stream does not unpack to more than a file of its size may hold.

    Raises:
        BoundsError: it does, or its framing is damaged.
        OSError: it cannot be read.
    """
    size = path.stat().st_size
    if not size:
        return
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        try:
            total = sum(_unpacked(data, message, body) for message, body in _messages(data))
        except (struct.error, IndexError, ValueError) as error:
            raise BoundsError(f"its framing as an Arrow stream is damaged ({error})") from None
    if total > most_unpacked(size):
        raise BoundsError(f"it has {total:,} bytes once it is unpacked, more than a file of its size may hold")


def _messages(data: mmap.mmap) -> Iterator[tuple[int, int]]:
    """(place of the metadata, place of the body) of each message of a stream."""
    place = 0
    while place + 4 <= len(data):
        (length,) = struct.unpack_from("<I", data, place)
        place += 4
        if length == _CONTINUES:
            (length,) = struct.unpack_from("<I", data, place)
            place += 4
        if length == 0:
            return
        if length > _LONGEST:
            raise ValueError(f"a message of {length:,} bytes")
        body = place + length
        yield place, body
        field = _field(data, _root(data, place), 3)
        (body_length,) = struct.unpack_from("<q", data, field) if field else (0,)
        if body_length < 0:
            raise ValueError("a body of negative length")
        place = body + body_length


def _unpacked(data: mmap.mmap, message: int, body: int) -> int:
    """Bytes that the buffers of one message take: as they are, or what compressed ones state."""
    table = _root(data, message)
    kind, header = _field(data, table, 1), _field(data, table, 2)
    if not kind or not header or data[kind] not in (_DICTIONARY, _RECORDS):
        return 0
    batch = _follow(data, header)
    if data[kind] == _DICTIONARY:
        inner = _field(data, batch, 1)
        batch = _follow(data, inner) if inner else batch
    buffers, compressed = _field(data, batch, 2), _field(data, batch, 3)
    if not buffers:
        return 0
    vector = _follow(data, buffers)
    (count,) = struct.unpack_from("<I", data, vector)
    total = 0
    for offset, length in struct.iter_unpack("<qq", data[vector + 4 : vector + 4 + 16 * count]):
        stated = length
        if compressed and length >= 8:
            (stated,) = struct.unpack_from("<q", data, body + offset)
            stated = length if stated == -1 else stated  # -1: this buffer is not compressed
        if stated < 0:
            raise ValueError("a buffer of negative length")
        total += stated
    return total


def _root(data: mmap.mmap, place: int) -> int:
    return place + int(struct.unpack_from("<I", data, place)[0])


def _follow(data: mmap.mmap, place: int) -> int:
    return place + int(struct.unpack_from("<I", data, place)[0])


def _field(data: mmap.mmap, table: int, number: int) -> int:
    """Where a field of a flatbuffer table is stored, 0 where it is absent."""
    vtable = table - int(struct.unpack_from("<i", data, table)[0])
    (length,) = struct.unpack_from("<H", data, vtable)
    slot = 4 + 2 * number
    if slot + 2 > length:
        return 0
    (offset,) = struct.unpack_from("<H", data, vtable + slot)
    return table + offset if offset else 0
