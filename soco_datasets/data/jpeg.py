"""JPEG headers: taking the orientation out without touching the picture."""

from __future__ import annotations

import re
import struct

_APP1, _SOS = 0xE1, 0xDA
_EXIF = b"Exif\0\0"
_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_ORIENTATION = 0x0112
_SHORT = 3
_XMP_ORIENTATION = re.compile(rb"(tiff:Orientation(?:\s*=\s*[\"']|>))[2-8]")


def without_orientation(data: bytes) -> bytes:
    """The same JPEG with every statement of an orientation, EXIF or XMP, set to 1 (upright); all else byte for byte.

    What is no JPEG, or has a damaged header, is returned as it is.
    """
    if data[:2] != b"\xff\xd8":
        return data
    changed = bytearray(data)
    position = 2
    while position + 4 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if marker == 0xFF:  # a fill byte
            position += 1
            continue
        if marker == _SOS:
            break
        length = int.from_bytes(data[position + 2 : position + 4], "big")
        start, end = position + 4, position + 2 + length
        if marker == _APP1 and data.startswith(_EXIF, start):
            _reset_exif(changed, start + len(_EXIF), min(end, len(data)))
        elif marker == _APP1 and data.startswith(_XMP, start):
            changed[start:end] = _XMP_ORIENTATION.sub(rb"\g<1>1", data[start:end])
        position = end
    return bytes(changed) if changed != data else data


def _reset_exif(data: bytearray, start: int, end: int) -> None:
    """Set the orientation in the first directory of the TIFF block at `start` to 1, in place."""
    order = {b"II": "<", b"MM": ">"}.get(bytes(data[start : start + 2]))
    if order is None or start + 8 > end:
        return
    directory = start + struct.unpack_from(order + "I", data, start + 4)[0]
    if directory + 2 > end:
        return
    for index in range(struct.unpack_from(order + "H", data, directory)[0]):
        entry = directory + 2 + 12 * index
        if entry + 12 > end:
            return
        tag, kind = struct.unpack_from(order + "HH", data, entry)
        if tag == _ORIENTATION and kind == _SHORT:
            struct.pack_into(order + "H", data, entry + 8, 1)
