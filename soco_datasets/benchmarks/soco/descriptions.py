"""A keypoint in words: "Center point of the front left wheel of a bus".

Text is generated from category, concept, point position and part position, as in the SOCO paper. The release's own
language templates take precedence where they can be filled.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ...data.diagnostics import BuildReport
from ...data.taxonomy import KeypointEntry, Taxonomy
from ...utils.english import noun_phrase, with_article
from .metadata import METADATA_FILE, Metadata, read_metadata
from .names import point_noun, split_words

_FIELD = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")
_FOREIGN_FIELD = re.compile(r"%[sd(]|\$\{?\w|<\w+>|\[\w+\]")  # of template languages other than ours
_POSITION = r"(?:front|rear|back|hind|fore|mid|left|right|upper|lower|top|bottom|inner|outer|middle|center)"
_POINT_LAST = re.compile(
    rf"(?P<part>(?!{_POSITION}\b)\S+(?: (?!{_POSITION}\b)\S+)*?) (?P<position>{_POSITION}(?: {_POSITION})*)"
    rf" (?P<point>(?!{_POSITION}\b)\S+)"
)
_ARTICLE = re.compile(r"\b(an?|a\(n\)) \{category\}", re.IGNORECASE)


def describe_keypoint(entry: KeypointEntry) -> str:
    """One plain sentence without a full stop. Never empty.

    >>> from soco_datasets.data.taxonomy import KeypointEntry
    >>> row = ("bus", "transportation", None, 1, "x", 7, "wheel_center", "wheel", "front left", "center", None, None)
    >>> describe_keypoint(KeypointEntry(*row))
    'Center point of the front left wheel of a bus'
    >>> row = ("kettle electric", "tools", None, 1, "x", 7, "paw", "leg_rear_left_paw", None, None, None, None)
    >>> describe_keypoint(KeypointEntry(*row))
    'Paw of the rear left leg of an electric kettle'
    """
    part = _words(entry.part) or _words(entry.keypoint) or _words(entry.concept) or "point"
    part_position, point_position = _words(entry.part_position), _words(entry.point_position)
    place = _part_phrase(f"{part_position} {part}".strip())
    if point_position:
        place = f"{point_position} {point_noun(entry.concept, entry.part) or 'point'} of the {place}"
    text = f"{place} of {with_article(noun_phrase(_words(entry.category)) or 'object')}"
    return text[0].upper() + text[1:]


def _part_phrase(words: str) -> str:
    """The words of a part, in English where its last word is a point on a part that comes before its position.

    >>> _part_phrase("leg front left knee"), _part_phrase("left ear"), _part_phrase("tail base")
    ('knee of the front left leg', 'left ear', 'tail base')
    """
    match = _POINT_LAST.fullmatch(words)
    return f"{match['point']} of the {match['position']} {match['part']}" if match else words


def build_descriptions(
    taxonomy: Taxonomy, metadata: object | None, findings: BuildReport | None = None
) -> list[dict[str, Any]]:
    """Rows of the config `descriptions`, one per keypoint, in the order of `taxonomy`.

    Args:
        taxonomy: the keypoints.
        metadata: parsed `Metadata/keypoint_taxonomy.json`, which may hold language templates ("{point_position} point
            of the {part} of a {category}") for a keypoint, its concept, its category or all, looked up in this order.
        findings: templates that cannot be filled are noted here (rule "unknown_template"), once per template; generated
            text takes their place.
    """
    stated = read_metadata(metadata).respelled(taxonomy.categories())
    unfilled: dict[str, list[KeypointEntry]] = {}
    rows = []
    for entry in taxonomy:
        text, origin = None, "generated"
        for template, literal in _templates(entry, stated):
            text = _fill(template, entry, literal)
            if text is not None:
                origin = "release"
                break
            unfilled.setdefault(template, []).append(entry)
        rows.append(
            {
                "category": entry.category,
                "keypoint": entry.keypoint,
                "text": text or describe_keypoint(entry),
                "origin": origin,
            }
        )
    if findings is not None:
        _note_unfilled(unfilled, findings)
    return rows


def _note_unfilled(unfilled: Mapping[str, list[KeypointEntry]], findings: BuildReport) -> None:
    for template, entries in unfilled.items():
        shown = template if len(template) <= 80 else template[:77] + "..."
        others = f" and {len(entries) - 1} other keypoint(s)" if len(entries) > 1 else ""
        where = f"{entries[0].keypoint!r} of {entries[0].category!r}{others}"
        message = f"the language template {shown!r} cannot be filled for {where}; the text is generated."
        findings.note(METADATA_FILE, entries[0].keypoint, "unknown_template", message)


def _templates(entry: KeypointEntry, stated: Metadata) -> Iterator[tuple[str, bool]]:
    """(template, whether it may be literal text) for a keypoint, most specific first."""
    own = stated.keypoints.get((entry.category, entry.keypoint), {})
    for template in _strings(own.get("template")):
        yield template, True
    for template in _strings(own.get("description")):
        yield template, True
    concept = stated.concepts.get(entry.concept or "", {})
    for source in (
        concept.get("template"),
        stated.categories.get(entry.category, {}).get("template"),
        stated.template,
    ):
        for template in _strings(source):
            yield template, False


def _strings(value: object) -> list[str]:
    """The non-empty strings of a string, a list or a mapping (of languages: English first)."""
    if isinstance(value, Mapping):
        return _strings([value[key] for key in sorted(value, key=lambda key: (str(key) != "en", str(key)))])
    found = value if isinstance(value, list) else [value]
    return [item for item in found if isinstance(item, str) and item.strip()]


def _fill(template: str, entry: KeypointEntry, literal: bool) -> str | None:
    """The template with its {fields} filled; None where one is unknown or empty or it holds other braces.

    Templates are foreign data: only plain {name} fields are replaced, never attributes, indices or format
    specifications. A template without fields is text for one keypoint only (`literal`).
    """
    rest = _FIELD.sub("", template)
    if "{" in rest or "}" in rest or _FOREIGN_FIELD.search(rest):
        return None
    names = [name.lower() for name in _FIELD.findall(template)]
    values = _values(entry)
    if not (names or literal) or any(not values.get(name) for name in names):
        return None
    template = _ARTICLE.sub("{a_category}", template)
    values["a_category"] = with_article(values["category"])
    text = " ".join(_FIELD.sub(lambda match: values[match[1].lower()], template).split())
    return text[0].upper() + text[1:]


def _values(entry: KeypointEntry) -> dict[str, str]:
    words = {
        "category": noun_phrase(_words(entry.category)),
        "supercategory": entry.supercategory,
        "group": entry.group,
        "keypoint": entry.keypoint,
        "name": entry.keypoint,
        "concept": entry.concept,
        "part": _part_phrase(_words(entry.part)),
        "part_position": entry.part_position,
        "position": entry.part_position or entry.point_position,
        "point_position": entry.point_position,
        "kind": entry.kind,
    }
    return {name: _words(value) for name, value in words.items()}


def _words(text: str | None) -> str:
    """A name as words; a name that is nothing but separators is kept as it is."""
    return " ".join(split_words(text or "")) or (text or "").strip()
