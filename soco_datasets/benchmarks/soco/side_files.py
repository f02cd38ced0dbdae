"""KeypointAnnotations/ and Metadata/: used where they parse, compared with the pair files, kept verbatim always.

Their inner format is not published, so nothing in them is fatal: what does not parse is a repair ("kept verbatim, not
used"), what contradicts the pair files is a note, and the pair files are believed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ...data.diagnostics import BuildReport
from ...data.json_values import (
    check_text,
    finite,
    is_json,
    nfc,
)
from ...data.release_types import ImageRecord, ImageView
from ..release_files import ReleaseFiles, read_error
from .metadata import METADATA_FILE
from .view_fields import read_view

_MOST_DEGREES = 3600.0  # further round than anybody turns
MAPPING_FILE = "Metadata/filename_mapping.json"


@dataclass
class SideFiles:
    """What the side files say.

    Attributes:
        texts: (path, text) of each, verbatim.
        views: image_id -> (file, what its KeypointAnnotations file says of it).
        taxonomy: parsed keypoint_taxonomy.json, or None.
    """

    texts: list[tuple[str, str]] = field(default_factory=list)
    views: dict[str, tuple[str, ImageView]] = field(default_factory=dict)
    taxonomy: Any = None


def read_side_files(files: ReleaseFiles, images: Mapping[str, ImageRecord], findings: BuildReport) -> SideFiles:
    """Read every file below KeypointAnnotations/ and Metadata/; fills in pose and origin of `images`."""
    side = SideFiles()
    for name in files.names:
        if not name.startswith(("KeypointAnnotations/", "Metadata/")):
            continue
        try:
            raw = files.read(name)
        except Exception as error:
            # damaged archive members raise many kinds of error
            findings.error(name, "", "unreadable", f"cannot be read: {read_error(error)}", "get the archive again")
            continue
        side.texts.append((name, _text(name, raw, findings)))
        if not is_json(name):
            continue
        try:
            data = json.loads(raw)
            check_text(raw, data)
        except (ValueError, RecursionError) as error:
            message = f"not valid JSON ({error}): kept verbatim, not used"
            findings.repair(name, "", "side_file_not_json", message, "write the file again, or remove it")
            continue
        if name == METADATA_FILE:
            side.taxonomy = data
        elif name == MAPPING_FILE:
            _take_sources(data, images, findings)
        elif name.startswith("KeypointAnnotations/"):
            _take_annotation(name, data, images, side, findings)
    return side


def _text(name: str, raw: bytes, findings: BuildReport) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        message = "not UTF-8: kept with \\x escapes for the bytes that do not decode"
        findings.repair(name, "", "not_utf8", message, "save it as UTF-8")
        return raw.decode("utf-8", errors="backslashreplace")


def _take_sources(mapping: object, images: Mapping[str, ImageRecord], findings: BuildReport) -> None:
    """filename_mapping.json: where each photograph came from, by category or flat, and either name first."""
    by_file = {record.file: record for record in images.values()}
    known = False
    for category, first, second in _name_pairs(mapping):
        for name, origin in ((second, first), (first, second)):
            places = [f"Images/{category}/{name}"] if category else [f"Images/{name}", name]
            record = next((by_file[nfc(place)] for place in places if nfc(place) in by_file), None)
            if record is not None:
                record.source, known = origin, True
                break
    if mapping and not known:
        findings.note(MAPPING_FILE, "", "unknown_mapping", "names no image of the release: kept verbatim, not used")


def _name_pairs(mapping: object) -> Iterator[tuple[str | None, str, str]]:
    """(category where one is given, name, other name)."""
    for key, value in mapping.items() if isinstance(mapping, dict) else ():
        if isinstance(value, str):
            yield None, key, value
        elif isinstance(value, dict):
            yield from ((key, first, second) for first, second in value.items() if isinstance(second, str))


def _take_annotation(
    name: str, data: object, images: Mapping[str, ImageRecord], side: SideFiles, findings: BuildReport
) -> None:
    image_id = name.removeprefix("KeypointAnnotations/").removesuffix(".json")
    image = images.get(image_id)
    if image is None or not isinstance(data, dict):
        message = "belongs to no image of the release" if image is None else "is no JSON object"
        findings.note(name, "", "annotation_unused", f"{message}: kept verbatim, not used")
        return
    for attribute in ("azimuth", "elevation", "rotation"):
        value = finite(data.get(attribute))
        if value is not None and abs(value) <= _MOST_DEGREES:
            setattr(image, attribute, value)
        elif data.get(attribute) is not None:
            message = f"is {data[attribute]!r}, not a number of degrees: not used"
            findings.repair(name, attribute, "odd_pose", message, "give degrees, or null")
    scratch = BuildReport()
    view = read_view(name, "", data, image, scratch) if isinstance(data.get("keypoints"), list) else None
    if view is None:
        why = "; ".join(f"{item.field}: {item.message}" for item in scratch.of("error")[:2]) or "no list of keypoints"
        findings.note(name, "", "annotation_unused", f"not in a form we can read ({why}): kept verbatim, not used")
        return
    side.views[image_id] = (name, view)
