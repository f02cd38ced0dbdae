"""What one annotation file says of one image: its size, box and visible keypoints -> a `ImageView`.

Pair files say it of two images, each field with a prefix, KeypointAnnotations of one.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from operator import itemgetter
from typing import Any, NamedTuple

from ...data.diagnostics import BuildReport
from ...data.json_values import (
    as_int,
    finite,
    first_names,
    missing_field,
    nfc,
)
from ...data.release_types import (
    AnnotatedKeypoint,
    Box,
    ImageRecord,
    ImageView,
)

# Annotators click a little outside the image now and then; further out the point cannot belong to it.
FAR_OUTSIDE = 0.25  # of the image's longer side
_NUMBERS = (int, float)
_LARGE = 2**63
_usual_fields = itemgetter("name", "pos", "concept_name", "kind", "shared", "id", "concept_id")


# Fields of a keypoint that no score depends on, and whether a value is of the right kind.
_FITS: dict[str, Callable[[object], bool]] = {
    "id": lambda value: value is None or as_int(value) is not None,
    "concept_id": lambda value: value is None or as_int(value) is not None,
    "kind": lambda value: value is None or isinstance(value, str),
    "shared": lambda value: value is None or isinstance(value, bool),
}


def read_view(
    file: str, prefix: str, data: Mapping[str, Any], image: ImageRecord, findings: BuildReport
) -> ImageView | None:
    """The fields `<prefix>imsize`, `<prefix>bndbox`, `<prefix>keypoints` of `data` as a `ImageView` of `image`.

    Errors and repairs go to `findings`; None when the view cannot be used.
    """
    before = len(findings.of("error"))
    _check_size(file, f"{prefix}imsize", data.get(f"{prefix}imsize"), image, findings)
    bbox, given = _read_box(file, f"{prefix}bndbox", data, image, findings)
    points = _read_points(file, f"{prefix}keypoints", data, image, findings)
    if len(findings.of("error")) > before:
        return None
    return ImageView(image.image_id, bbox, given, points)


def _check_size(file: str, field: str, size: object, image: ImageRecord, findings: BuildReport) -> None:
    numbers = [as_int(value) for value in size] if isinstance(size, list) else []
    if size is None:
        message = f"missing: {list(image.size)} taken, the size of {image.file}"
        findings.repair(file, field, "missing_size", message, "give [width, height] in pixels")
    elif len(numbers) != 2 or None in numbers:
        missing_field(file, field, size, "[width, height] in pixels", findings)
    elif tuple(numbers) != image.size:
        swapped = " (width and height are swapped: were the points taken on a rotated picture?)"
        message = f"says {numbers}, but {image.file} is {list(image.size)}" + (
            swapped if tuple(numbers[::-1]) == image.size else ""
        )
        mend = "annotate the stored image, or give its true size if the points do belong to it"
        findings.error(file, field, "wrong_size", message, mend)


def _read_box(
    file: str, field: str, data: Mapping[str, Any], image: ImageRecord, findings: BuildReport
) -> tuple[Box | None, bool]:
    box = data.get(field)
    if field in data and box is None:
        return None, True
    if box is None or box == []:
        message = "missing or empty: the image's box in other files is taken, else the whole image normalizes"
        findings.repair(file, field, "missing_box", message, "give [left, top, right, bottom], or null")
        return None, False
    numbers = [finite(value) for value in box] if isinstance(box, list) else []
    if len(numbers) != 4 or None in numbers:
        missing_field(file, field, box, "[left, top, right, bottom] in pixels, or null", findings)
        return None, False
    left, top, right, bottom = (float(n or 0.0) for n in numbers)
    mend = "give left < right and top < bottom inside the image, or null"
    if right <= left or bottom <= top:
        findings.error(file, field, "empty_box", f"{box} has no area or is inverted", mend)
    elif right <= 0 or bottom <= 0 or left >= image.width or top >= image.height:
        message = f"{box} lies wholly outside the image of {image.width} x {image.height}"
        findings.error(file, field, "far_box", message, mend)
    return (left, top, right, bottom), True


def _read_points(
    file: str, field: str, data: Mapping[str, Any], image: ImageRecord, findings: BuildReport
) -> tuple[AnnotatedKeypoint, ...]:
    items = data.get(field)
    if not isinstance(items, list):
        missing_field(file, field, items, "a list of keypoints", findings)
        return ()
    if not items:
        message = "lists no keypoint: the pair is kept and scores in no task"
        findings.repair(file, field, "no_points", message, "list the visible keypoints, or remove the pair")
    points: dict[str, AnnotatedKeypoint] = {}
    doubled, bare, long, outside, odd = (list[str]() for _ in range(5))
    for number, item in enumerate(items):
        usual = _usual_point(item, image.width, image.height)
        if usual is not None and usual.name not in points:
            points[usual.name] = usual
            continue
        where = f"{field}[{number}]"
        name = item.get("name") if isinstance(item, dict) else None
        if not isinstance(name, str) or not name:
            findings.error(file, where, "no_name", "a keypoint needs a name (a non-empty string)", "name it")
            continue
        name = nfc(name)
        position = item.get("pos")
        numbers = [finite(value) for value in position[:2]] if isinstance(position, list) else []
        if len(numbers) != 2 or numbers[0] is None or numbers[1] is None:
            message = f"the position of {name} is {position!r}, not two finite numbers [x, y]"
            findings.error(file, f"{where}.pos", "bad_position", message, "give [x, y] in pixels")
            continue
        x, y = numbers[0], numbers[1]
        if len(position) > 2:
            long.append(name)
        beyond = max(-x, -y, x - image.width, y - image.height)
        if beyond > FAR_OUTSIDE * max(image.size):
            message = f"{name} at {position} lies far outside the image of {image.width} x {image.height}"
            findings.error(file, f"{where}.pos", "far_outside", message, "correct the point, or leave it out")
            continue
        if beyond > 0:
            outside.append(name)
        if name in points:
            doubled.append(name)
            del points[name]  # the last one counts, at its own place in the order, as in the reference
        concept = item.get("concept_name")
        if concept is not None and not isinstance(concept, str):
            missing_field(file, f"{where}.concept_name", concept, "a concept's name, or null", findings)
        if "concept_name" not in item:
            bare.append(name)
        odd += [f"{field_name} of {name}" for field_name, fits in _FITS.items() if not fits(item.get(field_name))]
        points[name] = AnnotatedKeypoint(
            name=sys.intern(name),  # the names and concepts of all images are the same few
            x=x,
            y=y,
            keypoint_id=as_int(item.get("id")),
            concept_id=as_int(item.get("concept_id")),
            concept=_text(concept),
            kind=_text(item.get("kind")),
            shared=item["shared"] if isinstance(item.get("shared"), bool) else None,
            bare="concept_name" not in item,
        )
    _report_points(file, field, _Flaws(doubled, bare, long, odd, outside), findings)
    return tuple(points.values())


class _Flaws(NamedTuple):
    """Names of the points of a view that have something to be reported, by what it is."""

    doubled: list[str]
    bare: list[str]
    long: list[str]
    odd: list[str]
    outside: list[str]


def _report_points(file: str, field: str, flaws: _Flaws, findings: BuildReport) -> None:
    if flaws.doubled:
        message = f"{first_names(flaws.doubled)} given more than once in one view: the last one counts"
        findings.repair(file, field, "doubled_keypoint", message, "give each keypoint once")
    if flaws.bare:
        message = (
            f"{first_names(flaws.bare)} without concept_name: taken from the release's other files where they agree"
        )
        findings.repair(file, field, "bare_points", message, "give concept_id, concept_name, kind, shared")
    if flaws.long:
        message = f"{first_names(flaws.long)} with more than two coordinates: the first two are x and y"
        findings.repair(file, field, "extra_coordinates", message, "give [x, y]")
    if flaws.odd:
        message = f"{first_names(flaws.odd)} of the wrong kind: not used"
        findings.repair(
            file, field, "odd_field", message, "give integers as ids, text as kind, true or false as shared"
        )
    if flaws.outside:
        findings.note(
            file, field, "points_outside", f"{first_names(flaws.outside)} slightly outside the image: kept as they are"
        )


def _usual_point(item: Any, width: int, height: int) -> AnnotatedKeypoint | None:
    """A keypoint of which there is nothing to report, inside the image; None for any other."""
    try:
        name, position, concept, kind, shared, number, concept_number = _usual_fields(item)
    except (KeyError, TypeError):
        return None
    if type(name) is not str or not name or type(position) is not list or len(position) != 2:
        return None
    x, y = position
    if type(x) not in _NUMBERS or type(y) not in _NUMBERS or not (0 <= x <= width and 0 <= y <= height):
        return None
    if type(number) is not int or type(concept_number) is not int or type(shared) is not bool:
        return None
    if type(concept) is not str or type(kind) is not str or abs(number) >= _LARGE or abs(concept_number) >= _LARGE:
        return None
    name, concept, kind = sys.intern(nfc(name)), _text(concept), _text(kind)
    return AnnotatedKeypoint(name, float(x), float(y), number, concept_number, concept, kind, shared, False)


def _text(value: object) -> str | None:
    return sys.intern(nfc(value)) if isinstance(value, str) and value else None
