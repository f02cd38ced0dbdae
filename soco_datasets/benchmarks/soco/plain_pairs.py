"""Pair files in the usual layout, parsed without their keypoints, which say the same words in some twenty files.

What the strict parser of `data.json_values` refuses or repairs is ruled out by counting. Fields: one that is given
twice leaves fewer than there are `":` in the text. Nesting: only the known lists and objects may be there. The two
lists of keypoints, nine tenths of a file, are cut out as bytes.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple, NoReturn

from ...data.json_values import nfc

_LISTS = ((b'"src_keypoints":', b'"trg_'), (b'"trg_keypoints":', b'"semantic_overlap'))  # and what follows each
_LIST_FIELDS = ("src_imsize", "trg_imsize", "src_bndbox", "trg_bndbox")
_LARGE = 2**63


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)


_DECODER = json.JSONDecoder(parse_constant=_refuse)  # of NaN and infinity


class PlainPair(NamedTuple):
    """What a pair file says.

    Attributes:
        data: its fields without the keypoints.
        points: the text of the source's keypoints, of the target's.
        overlap: names, each once.
        groups: concept, names in the source, names in the target; neither is empty.
    """

    data: dict[str, Any]
    points: tuple[bytes, bytes]
    overlap: list[str]
    groups: list[tuple[str, list[str], list[str]]]


def plain_pair(raw: bytes) -> PlainPair | None:
    """The content of a pair file, None where the strict parser has to look at it.

    Whether names are those of points is left to the caller.
    """
    first = _list_place(raw, 0, *_LISTS[0])
    second = _list_place(raw, first[1], *_LISTS[1])
    if first[0] < 0 or second[0] < 0:
        return None
    text = b"0".join((raw[: first[0]], raw[first[1] : second[0]], raw[second[1] :]))
    try:
        data = _DECODER.decode(text.decode())
        if type(data) is not dict or type(data.get("pair_id")) is not int or abs(data["pair_id"]) >= _LARGE:
            return None
        overlap, matches = data["semantic_overlap"], data["concept_matches"]
        if not type(overlap) is type(matches) is list or len(set(overlap)) < len(overlap):
            return None
        groups, fields = [], len(data)
        for group in matches:
            source, target = group["src_keypoints"], group["trg_keypoints"]
            if not (type(source) is type(target) is list and source and target):
                return None
            groups.append((_concept(group), source, target))
            fields += len(group)
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
        return None
    lists = 2 + 2 * len(groups) + [type(data.get(name)) for name in _LIST_FIELDS].count(list)
    usual = _has_fields_once(text, fields) and text.count(b"{") == 1 + len(groups) and text.count(b"[") == lists
    if not usual or not data.get("src_keypoints") == data.get("trg_keypoints") == 0:
        return None
    return PlainPair(data, (raw[slice(*first)], raw[slice(*second)]), overlap, groups)


def plain_points(text: bytes) -> list[dict[str, Any]] | None:
    """A list of keypoints that was cut out, None where the strict parser has to look at its file."""
    try:
        points = _DECODER.decode(text.decode())
    except (ValueError, RecursionError):
        return None
    if type(points) is not list or not all(type(point) is dict for point in points):
        return None
    plain = (
        _has_fields_once(text, sum(map(len, points)))
        and text.count(b"[") == 1 + sum(type(point.get("pos")) is list for point in points)
        and text.count(b"{") == len(points)
    )
    return points if plain else None


def _list_place(raw: bytes, begin: int, field: bytes, following: bytes) -> tuple[int, int]:
    """Start and end of a list, (-1, -1) where it is not found."""
    start = raw.find(field, begin)
    end = raw.find(following, start)
    if start < 1 or end < 0 or raw[start - 1] == ord("\\"):
        return -1, -1
    start += len(field)
    return start, raw.rfind(b"]", start, end) + 1


def _concept(group: dict[str, Any]) -> str:
    concept: str = group["concept_name"]
    return concept if concept.isascii() else nfc(concept)


def _has_fields_once(text: bytes, fields: int) -> bool:
    """Whether the objects of a text, which have this many fields once parsed, have none of them twice.

    False too where it may hold half a character, or a blank before a colon, which hides a field.
    """
    if b"\\" not in text and text.count(b":") == fields:
        return True
    unusual = b"\\u" in text or b" :" in text or b"\n:" in text or b"\t:" in text or b"\r:" in text
    return not unusual and text.count(b'":') == fields
