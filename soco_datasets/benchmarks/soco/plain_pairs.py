"""Pair files in the usual layout, parsed without their keypoints, which say the same words in some twenty files.

What the strict parser of `data.json_values` refuses or repairs is ruled out by counting. Fields: one that is given
twice leaves fewer than there are `":` in the text. Nesting: only the known lists and objects may be there. The two
lists of keypoints, nine tenths of a file, are cut out as bytes.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple, NoReturn

from ...data.json_values import nfc

STATED = ("src_imsize", "src_bndbox", "trg_imsize", "trg_bndbox")
ABSENT = "absent"
_LARGE = 2**63


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)


_DECODER = json.JSONDecoder(parse_constant=_refuse)  # of NaN and infinity
_OTHERS = bytes(set(range(256)) - set(b"{[:\\"))  # bytes that are not counted


class PlainPair(NamedTuple):
    """What a pair file says.

    Attributes:
        data: its fields without the keypoints.
        stated: the values of its fields `STATED`, `ABSENT` for one that it has not.
        points: the text of the source's keypoints, of the target's.
        overlap: names, each once.
        groups: concept, names in the source, names in the target; neither is empty.
    """

    data: dict[str, Any]
    stated: list[Any]
    points: tuple[bytes, bytes]
    overlap: list[str]
    groups: list[tuple[str, list[str], list[str]]]


def plain_pair(raw: bytes) -> PlainPair | None:
    """The content of a pair file, None where the strict parser has to look at it.

    Whether names are those of points is left to the caller.
    """
    start, end = _list_place(raw, 0, b'"src_keypoints":', b'"trg_')
    other_start, other_end = _list_place(raw, end, b'"trg_keypoints":', b'"semantic_overlap')
    if start < 0 or other_start < 0:
        return None
    text = b"0".join((raw[:start], raw[end:other_start], raw[other_end:]))
    try:
        decoded = text.decode()
        data, last = _DECODER.raw_decode(decoded)
        if decoded[last:].strip(" \t\n\r") or type(data) is not dict:
            return None
        if type(data.get("pair_id")) is not int or abs(data["pair_id"]) >= _LARGE:
            return None
        overlap, matches = data["semantic_overlap"], data["concept_matches"]
        if not type(overlap) is type(matches) is list or len(set(overlap)) < len(overlap):
            return None
        groups, fields = [], len(data)
        for group in matches:
            concept, source, target = group["concept_name"], group["src_keypoints"], group["trg_keypoints"]
            if not (type(source) is type(target) is list and source and target):
                return None
            groups.append((concept if concept.isascii() else nfc(concept), source, target))
            fields += len(group)
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
        return None
    stated = [data.get(name, ABSENT) for name in STATED]
    lists = 2 + 2 * len(groups) + sum([type(value) is list for value in stated])
    cut = data.get("src_keypoints") == data.get("trg_keypoints") == 0
    if not cut or not _is_plain(text, fields, 1 + len(groups), lists):
        return None
    return PlainPair(data, stated, (raw[start:end], raw[other_start:other_end]), overlap, groups)


def plain_points(text: bytes) -> list[dict[str, Any]] | None:
    """A list of keypoints that was cut out, None where the strict parser has to look at its file."""
    try:
        points = _DECODER.decode(text.decode())
    except (ValueError, RecursionError):
        return None
    if type(points) is not list or not all(type(point) is dict for point in points):
        return None
    lists = 1 + sum(type(point.get("pos")) is list for point in points)
    return points if _is_plain(text, sum(map(len, points)), len(points), lists) else None


def _list_place(raw: bytes, begin: int, field: bytes, following: bytes) -> tuple[int, int]:
    """Start and end of a list, (-1, -1) where it is not found."""
    start = raw.find(field, begin)
    end = raw.find(following, start)
    if start < 1 or end < 0 or raw[start - 1] == ord("\\"):
        return -1, -1
    start += len(field)
    return start, raw.rfind(b"]", start, end) + 1


def _is_plain(text: bytes, fields: int, objects: int, lists: int) -> bool:
    """Whether a text, which has this many of each once parsed, has no field twice and no others within.

    False too where it may hold half a character, or a blank before a colon, which hides a field.
    """
    marks = text.translate(None, _OTHERS)
    if marks.count(b"{") != objects or marks.count(b"[") != lists:
        return False
    if b"\\" not in marks and marks.count(b":") == fields:
        return True
    unusual = b"\\u" in text or b" :" in text or b"\n:" in text or b"\t:" in text or b"\r:" in text
    return not unusual and text.count(b'":') == fields
