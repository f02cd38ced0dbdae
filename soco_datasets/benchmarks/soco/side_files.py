"""KeypointAnnotations/ and Metadata/: used where they parse, compared with the pair files, kept verbatim always.

Their inner format is not published, so nothing in them is fatal: what does not parse is a repair ("kept verbatim, not
used"), what contradicts the pair files is a note, and the pair files are believed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, overload

from ...data.diagnostics import BuildReport
from ...data.json_values import (
    finite,
    is_json,
    nfc,
)
from ...data.release_types import ImageRecord, ImageView
from ...utils.foreign import ForeignTextError, read_json_text
from ..release_files import ReleaseFiles, read_error
from .metadata import METADATA_FILE
from .view_fields import read_view

_MOST_DEGREES = 3600.0  # further round than anybody turns
MAPPING_FILE = "Metadata/filename_mapping.json"


class SideTexts(Sequence[tuple[str, str]]):
    """(path, text) of side files, verbatim; read when asked for.

    Args:
        names: of the files.
        read: the bytes of a file.
    """

    def __init__(self, names: Sequence[str], read: Callable[[str], bytes]) -> None:
        self._names, self._read = names, read

    def __len__(self) -> int:
        return len(self._names)

    @overload
    def __getitem__(self, place: int) -> tuple[str, str]: ...
    @overload
    def __getitem__(self, place: slice) -> SideTexts: ...
    def __getitem__(self, place: int | slice) -> tuple[str, str] | SideTexts:
        if isinstance(place, slice):
            return SideTexts(self._names[place], self._read)
        name = self._names[place]
        return name, self._read(name).decode("utf-8", errors="backslashreplace")


@dataclass
class SideFiles:
    """What the side files say.

    Attributes:
        names: of those that can be read.
        views: image_id -> (file, what its KeypointAnnotations file says of it).
        taxonomy: parsed keypoint_taxonomy.json, or None.
    """

    names: list[str] = field(default_factory=list)
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
        side.names.append(name)
        _check_text(name, raw, findings)
        if not is_json(name):
            continue
        try:
            data = read_json_text(raw, huge=True, on_double=lambda field: None)
        except ForeignTextError as error:
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


def _check_text(name: str, raw: bytes, findings: BuildReport) -> None:
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        message = "not UTF-8: kept with \\x escapes for the bytes that do not decode"
        findings.repair(name, "", "not_utf8", message, "save it as UTF-8")


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
