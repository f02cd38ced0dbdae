"""`Metadata/keypoint_taxonomy.json`: its format is not published, so take from it whatever parses, and never fail."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ...data.diagnostics import BuildReport
from .categories import normal_spelling

METADATA_FILE = "Metadata/keypoint_taxonomy.json"

# Our field -> the names it may have in the release's file.
_ALIASES: dict[str, tuple[str, ...]] = {
    "category": ("category", "category_name", "name"),
    "supercategory": ("supercategory", "super_category"),
    "group": ("group", "subcategory", "category_group"),
    "keypoint": ("keypoint", "keypoint_name", "name"),
    "keypoint_id": ("keypoint_id", "id"),
    "concept": ("concept_name", "concept"),
    "concept_id": ("concept_id",),
    "kind": ("kind",),
    "shared": ("shared", "is_shared"),
    "part": ("part", "part_name"),
    "part_position": ("part_position", "position_on_object"),
    "point_position": ("point_position", "position_on_part"),
    "template": ("language_template", "language_templates", "template"),
    "description": ("description",),
}
_CATEGORY_LISTS = ("instances", "categories", "taxonomy", "keypoints")
_NO_CATEGORIES = frozenset({"concepts", "supercategories", "groups", "templates", "language_templates"})
_CATEGORY_FIELDS = ("supercategory", "group", "template")
STATED = ("keypoint_id", "concept_id", "concept", "kind", "shared")
_KEYPOINT_FIELDS = (*STATED, "part", "part_position", "point_position", "template", "description")


@dataclass(frozen=True)
class Metadata:
    """What could be read of `keypoint_taxonomy.json`; absent and unreadable fields are left out of the mappings.

    Attributes:
        keypoints: (category, keypoint) -> fields of `KeypointEntry`, "template" and "description" (both as found).
        categories: category -> "supercategory", "group", "template".
        concepts: concept -> "concept_id", "template".
        template: language template of the whole file, as found.
    """

    keypoints: dict[tuple[str, str], dict[str, Any]]
    categories: dict[str, dict[str, Any]]
    concepts: dict[str, dict[str, Any]]
    template: object

    def respelled(self, categories: Iterable[str]) -> Metadata:
        """The same with categories spelled as in `categories` ("kettle_electric" becomes "kettle electric")."""
        known = {normal_spelling(category): category for category in categories}
        own = {category: known.get(normal_spelling(category), category) for category in self.categories}
        return Metadata(
            {(own[category], keypoint): values for (category, keypoint), values in self.keypoints.items()},
            {own[category]: values for category, values in self.categories.items()},
            self.concepts,
            self.template,
        )


def read_metadata(metadata: object, findings: BuildReport | None = None) -> Metadata:
    """Read a parsed `keypoint_taxonomy.json` of any shape as far as it can be understood.

    Understood are lists of categories (`instances`, `categories`, or the file itself) or mappings from the category's
    name, each with `keypoints` (a list of objects or names, or a mapping from the name) or with `concepts` that have
    `keypoints`; and flat lists with one object a keypoint. What is not understood is noted in `findings` (rule
    "unknown_metadata"), never fatal.
    """
    top = metadata if isinstance(metadata, dict) else {}
    found = Metadata({}, {}, {}, _first(top, "template"))
    for name, node in _named(top.get("concepts"), "concept"):
        ids = [_integer(node.get(key)) for key in ("concept_id", "id")]
        values = {"concept_id": next((number for number in ids if number is not None), None)}
        found.concepts.setdefault(name, {**values, **_fields(node, ("template",))})
    nodes = next((top[key] for key in _CATEGORY_LISTS if isinstance(top.get(key), (list, dict))), metadata)
    unread = 0
    for category, node in _named(nodes, "category"):
        points = list(_points(node))
        unread += not points
        if points:
            found.categories.setdefault(category, {}).update(_fields(node, _CATEGORY_FIELDS))
        for keypoint, values in points:
            found.keypoints.setdefault((category, keypoint), values)
    if findings is not None and metadata is not None and (unread or not found.keypoints):
        what = f"{unread} entries were not understood" if found.keypoints else "no keypoint was found in it"
        findings.note(METADATA_FILE, "", "unknown_metadata", f"{what}; kept verbatim in the config 'annotations'.")
    return found


def _points(node: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """(keypoint, its fields) of one object: a category with keypoints or concepts, or a row of a flat list."""
    for keypoint, point in _named(node.get("keypoints"), "keypoint"):
        yield keypoint, _fields(point, _KEYPOINT_FIELDS)
    for concept, owner in _named(node.get("concepts"), "concept"):
        told = {"concept": concept, "concept_id": _integer(owner.get("id")), **_fields(owner, ("concept_id", "kind"))}
        for keypoint, point in _named(owner.get("keypoints"), "keypoint"):
            yield keypoint, {**told, **_fields(point, _KEYPOINT_FIELDS)}
    if "keypoints" not in node and "concepts" not in node:
        keys = _ALIASES["keypoint"] if _text(node.get("category")) else _ALIASES["keypoint"][:-1]
        label = _first_text(node, keys)
        if label:
            yield label, _fields(node, _KEYPOINT_FIELDS)


def _named(nodes: object, what: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """(name, object) of a list of objects or names, or of a mapping from names to objects or ids."""
    keys = (*_ALIASES[what], "name")
    if isinstance(nodes, dict):
        for key, node in nodes.items():
            if what == "category" and (not isinstance(node, (dict, list)) or key in _NO_CATEGORIES):
                continue
            yield str(key), node if isinstance(node, dict) else {"keypoints" if isinstance(node, list) else "id": node}
    for node in nodes if isinstance(nodes, list) else ():
        if isinstance(node, str) and node.strip():
            yield node, {}
        elif isinstance(node, dict):
            name = _first_text(node, keys)
            if name:
                yield name, node


def _fields(node: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """The fields of `node` that are there, under our names, with the types of `KeypointEntry`."""
    values: dict[str, Any] = {}
    for name in names:
        value = _first(node, name)
        if name == "concept" and isinstance(value, dict):
            values.setdefault("concept_id", _integer(value.get("id")))
            value = value.get("name")
        if name.endswith("_id"):
            value = _integer(value)
        elif name == "shared":
            value = value if isinstance(value, bool) else None
        elif name != "template":
            value = _text(value)
        if name.endswith("_position") and value:
            value = value.replace("_", " ")
        if value is not None:
            values[name] = value
    return values


def _first(node: Mapping[str, Any], name: str) -> Any:
    return next((node[key] for key in _ALIASES[name] if node.get(key) is not None), None)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value.strip() else None


def _first_text(node: Mapping[str, Any], keys: Iterable[str]) -> str | None:
    return next((text for key in keys if (text := _text(node.get(key)))), None)


def _integer(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        return None
    try:
        number = int(value)
    except ValueError:
        return None
    return number if -(2**63) <= number < 2**63 else None
