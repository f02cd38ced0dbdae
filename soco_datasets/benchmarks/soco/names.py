"""What a keypoint name says: the part it lies on, where the part is on the object, where the point is on the part.

SOCO names are not one grammar (`vehicle_wheel_front_left_center`, `front_left_wheel`, `numberplate`), so a name that
does not parse is kept whole as its part. The concept, where given, says which words name the part:

    vehicle_wheel_front_left_center   wheel_center      wheel, front left, center
    ambulance_carriage_rear_top_left  carriage_corner   carriage, -, rear top left
    car_doorhandle_front_left         door_handle       door_handle, front left, -
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from .categories import CATEGORIES, normal_spelling

_SEPARATORS = re.compile(r"[_\s-]+")
_CENTER = frozenset({"center", "centre", "middle"})
_VERTICAL = frozenset({"top", "bottom", "upper", "lower"})
_POSITIONS = (
    _CENTER | _VERTICAL | frozenset({"left", "right", "front", "rear", "back", "hind", "fore", "mid", "inner", "outer"})
)
# A part has several of these, so the positions in the name tell them apart (carriage_corner: rear top left).
_SEVERAL = frozenset({"corner", "end", "edge", "side"})
# A part has one of these, so the positions in the name are the part's (wing_tip: left).
_SINGLE = frozenset({"tip", "base", "root", "head"})
_GENERIC_OWNERS = frozenset({"vehicle", "bike", "animal", "aircraft", "plane", "truck", "furniture", "object"})


@dataclass(frozen=True)
class NameParts:
    """The pieces of a keypoint name. Each of its words is in one of them or is the last word of the concept (corner).

    Attributes:
        part: the part, words joined by "_" ("door_handle"); the whole name where it does not parse.
        part_position: of the part on the object, words joined by a space ("front left"), or None.
        point_position: of the point on the part ("center"), or None.
        owner: the leading word(s) that say what the part belongs to ("vehicle"), or None.
    """

    part: str
    part_position: str | None = None
    point_position: str | None = None
    owner: str | None = None


def split_words(text: str) -> list[str]:
    """The words of a name, split at underscores, hyphens and white space."""
    return [word for word in _SEPARATORS.split(text) if word]


def parse_name(
    name: str,
    concept: str | None = None,
    category: str | None = None,
    *,
    part: str | None = None,
    part_position: str | None = None,
    point_position: str | None = None,
) -> NameParts:
    """Parse a keypoint name. Never raises; what does not parse is kept whole as the part.

    Args:
        name: the keypoint's name.
        concept: name of its concept, where it has one.
        category: the category it belongs to, so that its name counts as owner where it is not one of SOCO's.
        part: explicit value from the release, wins over the parsed one; likewise `part_position`, `point_position`.

    >>> parse_name("vehicle_wheel_front_left_center", "wheel_center")
    NameParts(part='wheel', part_position='front left', point_position='center', owner='vehicle')
    >>> parse_name("tail_base")
    NameParts(part='tail_base', part_position=None, point_position=None, owner=None)
    """
    words = split_words(name)
    parsed = (_by_concept(words, concept, category) if concept else None) or _by_words(name, words, category)
    return NameParts(
        part or parsed.part,
        part_position or parsed.part_position,
        point_position or parsed.point_position,
        parsed.owner,
    )


def point_noun(concept: str | None, part: str | None) -> str | None:
    """What the points of a concept are called on their part: "corner" for (carriage_corner, carriage), else None."""
    words = _without_owner(split_words(concept or ""), None)
    if len(words) > 1 and words[-1].casefold() in _SEVERAL and _joined(words[:-1]) == _joined(split_words(part or "")):
        return words[-1]
    return None


@cache
def _owners() -> frozenset[str]:
    return _GENERIC_OWNERS | {normal_spelling(name) for name in CATEGORIES}


def _owner_length(words: Sequence[str], category: str | None) -> int:
    """How many of the leading words name an object (0 when none do), the longest such name."""
    own = normal_spelling(category) if category else ""
    longest = min(len(words), max(4, len(own.split())))
    for length in range(longest, 0, -1):
        spelled = normal_spelling(" ".join(words[:length]))
        if spelled == own or spelled in _owners():
            return length
    return 0


def _without_owner(words: list[str], category: str | None) -> list[str]:
    length = _owner_length(words, category)
    return words[length:] if length < len(words) else words


def _joined(words: Sequence[str]) -> str:
    return "".join(words).casefold()


def _all_positions(words: Sequence[str]) -> bool:
    return all(word.casefold() in _POSITIONS for word in words)


def _spans(words: Sequence[str], wanted: Sequence[str]) -> Iterator[tuple[int, int]]:
    """All (start, end) where `words` spell `wanted`, however the letters are split into words (doorhandle)."""
    target = _joined(wanted)
    for start in range(len(words)):
        spelled = ""
        for end in range(start, len(words)):
            spelled += words[end].casefold()
            if spelled == target:
                yield start, end + 1
            if len(spelled) >= len(target):
                break


@dataclass(frozen=True)
class _Reading:
    """One way to read a concept: the words to find in the name, the part to report and the word for the point."""

    find: list[str]
    part: list[str]
    point_word: str | None = None  # a position the concept itself names ("center")
    noun: str | None = None  # "corner": the name's positions are the point's


def _readings(concept: str, category: str | None) -> list[_Reading]:
    words = _without_owner(split_words(concept), category)
    if not words:
        return []
    rest, last = words[:-1], words[-1].casefold()
    if last in _CENTER | _VERTICAL:
        return [_Reading(rest, rest, point_word=words[-1])] if rest else []
    readings = [_Reading(words, words)]
    if rest and last in _SEVERAL:
        readings.append(_Reading(rest, rest, noun=last))
    elif rest and last in _SINGLE:
        readings.append(_Reading(rest, words))
    return readings


def _by_concept(words: list[str], concept: str, category: str | None) -> NameParts | None:
    """Parse around the words of the concept; None when the name does not hold them or holds others as well."""
    for reading in _readings(concept, category):
        for start, end in _spans(words, reading.find):
            before, after = words[:start], list(words[end:])
            length = _owner_length(before, category)
            if reading.noun and after and after[-1].casefold() == reading.noun:
                after.pop()
            if _all_positions(before[length:]) and _all_positions(after):
                on_object, on_part = _divide(before[length:], after, reading)
                return _assemble(before[:length], reading.part, on_object, on_part)
    return None


def _by_words(name: str, words: list[str], category: str | None) -> NameParts:
    """Parse without a concept: [owner] positions part positions; the name itself when it has no such pieces."""
    length = _owner_length(words, category)
    owner, rest = (words[:length], words[length:]) if length < len(words) else ([], words)
    inside = [i for i, word in enumerate(rest) if word.casefold() not in _POSITIONS]
    if not inside:  # "chair_back", "bus_front_left": the position is all there is to name the part with
        return _assemble(owner, rest, [], []) if owner else NameParts(name)
    first, last = inside[0], inside[-1] + 1
    if not owner and last - first == len(words):
        return NameParts(name)
    part = rest[first:last]
    return _assemble(owner, part, *_divide(rest[:first], rest[last:], _Reading(part, part)))


def _divide(before: list[str], after: list[str], reading: _Reading) -> tuple[list[str], list[str]]:
    """Positions before and after the part -> (of the part on the object, of the point on the part)."""
    center = next((i for i, word in enumerate(after) if word.casefold() in _CENTER), None)
    if reading.point_word and after and after[-1].casefold() == reading.point_word.casefold():
        return before + after[:-1], after[-1:]
    if center is not None:
        return before + after[:center], after[center:]
    if reading.point_word:
        return before + after, [reading.point_word]
    if reading.noun:
        return (before, after) if after else ([], before)
    if after and all(word.casefold() in _VERTICAL for word in after):
        return before, after
    return before + after, []


def _assemble(owner: list[str], part: list[str], on_object: list[str], on_part: list[str]) -> NameParts:
    return NameParts("_".join(part), " ".join(on_object) or None, " ".join(on_part) or None, " ".join(owner) or None)
