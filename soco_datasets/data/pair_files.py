"""One pair file of the release -> one `PairRecord`, or findings that say why not.

The only place, with side_files.py, that knows the release's field names (`src_`, `trg_`, `bndbox`, `pos`).
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .findings import Findings
from .records import Box, ConceptGroup, ImageRecord, PairRecord, Point, View
from .source import ReleaseFiles, read_error

_SUBSET_DIRECTORIES = {
    ("intra",): "intra",
    ("cross",): "cross",
    ("trainsplits", "train"): "probe_train",
    ("trainsplits", "test"): "probe_test",
}
# Annotators click a little outside the image now and then; further out the point cannot belong to it.
FAR_OUTSIDE = 0.25  # of the image's longer side


class BadFileError(Exception):
    """A file that cannot be used; its findings are recorded already."""


def subset_of(path: str) -> tuple[str, str] | None:
    """("intra", category directory) and so on for a path below PairAnnotations, None where the layout has no such."""
    parts = path.split("/")[1:]
    subset = _SUBSET_DIRECTORIES.get(tuple(parts[:-2]))
    return (subset, parts[-2]) if subset and path.endswith(".json") else None


def nfc(text: str) -> str:
    """Unicode NFC, so that names from macOS archives meet names from JSON."""
    return unicodedata.normalize("NFC", text)


def load_json(file: str, raw: bytes, findings: Findings) -> Any:
    """Parse JSON strictly: no NaN, no infinity. Records an error and raises `BadFileError` when it does not parse."""

    def refuse(constant: str) -> float:
        raise ValueError(f"holds {constant}, which is not a number of JSON")

    try:
        return json.loads(raw, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        findings.error(file, "", "not_json", f"not valid JSON: {error}", "write the file again")
        raise BadFileError from None


def finite(value: object) -> float | None:
    """The value as a float when it is a finite JSON number, else None (a bool is no number)."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def as_int(value: object) -> int | None:
    """An id given as an integer, a whole float or digits in a string; None otherwise."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value if abs(value) < 2**63 else None
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    if isinstance(value, str) and re.fullmatch(r"-?\d{1,18}", value.strip()):
        return int(value)
    return None


@dataclass(frozen=True)
class PairsRead:
    """Some pair files once read.

    Attributes:
        pairs, findings: in the order of the files.
        views: those that pairs share, by what their files say of them.
    """

    pairs: list[PairRecord]
    findings: Findings
    views: dict[bytes, View]


class PairFileReader:
    """Reads pair files against the images of the release; equal views of an image are read once and shared."""

    def __init__(self, images: Mapping[str, ImageRecord], image_files: Mapping[tuple[str, str], str]) -> None:
        """`image_files` maps (category, file name) to image_id."""
        self._images = images
        self._image_files = image_files
        self._categories_of: dict[str, list[str]] = {}
        for category, name in image_files:
            self._categories_of.setdefault(name, []).append(category)
        self._views: dict[bytes, View] = {}

    def read_all(self, files: ReleaseFiles) -> PairsRead:
        """Read files one after the other; views are shared among these.

        Raises:
            DataNotFoundError: none of the files can be seen from this machine.
        """
        files.check_reachable()
        self._views = {}
        pairs, findings = [], Findings()
        for path in files.names:
            if not path.endswith(".json"):
                findings.note(path, "", "extra_file", "not a pair file: left out")
                continue
            try:
                raw = files.read(path) if subset_of(path) else b""
            except Exception as error:
                # damaged archive members raise many kinds of error
                findings.error(path, "", "unreadable", f"cannot be read: {read_error(error)}", "get the archive again")
                continue
            pair = self.read(path, raw, findings)
            if pair is not None:
                pairs.append(pair)
        return PairsRead(pairs, findings, self._views)

    def read(self, file: str, raw: bytes, findings: Findings) -> PairRecord | None:
        """One file to a record; None when it has an error (recorded in `findings`)."""
        placed = subset_of(file)
        if placed is None:
            message = "not in intra/, cross/ or trainsplits/{train,test}/: left out"
            findings.repair(file, "", "misplaced_file", message, "move it, or remove it")
            return None
        subset, directory = placed
        own = Findings()
        try:
            record = self._parse(file, subset, directory, load_json(file, raw, own), own)
        except BadFileError:
            record = None
        findings.extend(own)
        return None if own.of("error") else record

    def _parse(self, file: str, subset: str, directory: str, data: Any, findings: Findings) -> PairRecord:
        if not isinstance(data, dict):
            findings.error(file, "", "not_object", f"a pair must be a JSON object, this is a {type(data).__name__}")
            raise BadFileError
        pair_id = data.get("pair_id")
        if not isinstance(pair_id, int) or isinstance(pair_id, bool):
            message = f"pair_id is {pair_id!r}, not an integer: not used, the file's path names the pair"
            findings.repair(file, "pair_id", "pair_id_type", message, "give an integer")
        group = data.get("pair_group")
        if group is None or not isinstance(group, str) or nfc(group) != directory:
            message = f"pair_group is {group!r} but the file lies in {directory!r}: the folder counts"
            findings.repair(file, "pair_group", "pair_group", message, "make both equal")
        source = self._side(file, "src", subset, directory, data, findings)
        target = self._side(file, "trg", subset, directory, data, findings)
        if source is None or target is None:
            raise BadFileError
        if source.image_id == target.image_id:
            findings.note(file, "trg_image", "self_pair", "source and target are the same image")
        return PairRecord(
            pair_id=file.removeprefix("PairAnnotations/").removesuffix(".json"),
            subset=subset,
            group=directory,
            source=source,
            target=target,
            overlap=self._overlap(file, data, source, target, findings),
            groups=self._groups(file, data, source, target, findings),
            file=file,
        )

    # One side of the pair ---------------------------------------------------------------------------------------

    def _side(
        self, file: str, side: str, subset: str, directory: str, data: Mapping[str, Any], findings: Findings
    ) -> View | None:
        image = self._image(file, side, subset, directory, data, findings)
        if image is None:
            return None
        stated = [data.get(f"{side}_{name}", "absent") for name in ("imsize", "bndbox", "keypoints")]
        text = f"{image.image_id}\0{json.dumps(stated)}"
        key = hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=16).digest()
        view = self._views.get(key)
        if view is None:
            own = Findings()
            view = read_view(file, f"{side}_", data, image, own)
            if not len(own) and view is not None:
                self._views[key] = view  # only clean views are shared, so that each bad file is named itself
            findings.extend(own)
        return view

    def _image(
        self, file: str, side: str, subset: str, directory: str, data: Mapping[str, Any], findings: Findings
    ) -> ImageRecord | None:
        field = f"{side}_image"
        name = data.get(field)
        if not isinstance(name, str) or not name:
            missing_field(file, field, name, "an image's file name", findings)
            return None
        name = nfc(name)
        category = data.get(f"{side}_category")
        if not isinstance(category, str) or not category:
            category = self._guess_category(name, side, subset, directory)
            if category is None:
                missing_field(file, f"{side}_category", data.get(f"{side}_category"), "a category", findings)
                return None
            message = f"{side}_category is missing: {category!r} taken, where {name} lies"
            findings.repair(file, f"{side}_category", "missing_category", message, "give the category")
        category = nfc(category)
        image_id = self._image_files.get((category, name))
        if image_id is None:
            message = f"the release has no usable image Images/{category}/{name}"
            findings.error(file, field, "missing_image", message, "add the image, or remove the pair")
            return None
        return self._images[image_id]

    def _guess_category(self, name: str, side: str, subset: str, directory: str) -> str | None:
        holders = self._categories_of.get(name, [])
        if directory in holders and (side == "trg" or subset != "cross"):
            return directory
        return holders[0] if len(holders) == 1 else None

    # Matches ----------------------------------------------------------------------------------------------------

    def _overlap(
        self, file: str, data: Mapping[str, Any], source: View, target: View, findings: Findings
    ) -> tuple[str, ...] | None:
        field = "semantic_overlap"
        names = data.get(field)
        if names is None:
            message = "missing: derived from the names that both views have"
            findings.repair(file, field, "missing_overlap", message, "list the names, [] for none")
            return None
        if not _is_name_list(names):
            missing_field(file, field, names, "a list of keypoint names", findings)
            raise BadFileError
        both = {p.name for p in source.points} & {p.name for p in target.points}
        unknown = [name for name in names if nfc(name) not in both]
        if unknown:
            message = f"{_some(unknown)} not visible in both views: skipped"
            findings.repair(file, field, "unknown_overlap", message, "remove the names, or add the points")
        known = [nfc(name) for name in names if nfc(name) in both]
        doubled = sorted({name for name in known if known.count(name) > 1})
        if doubled:
            message = f"{_some(doubled)} listed more than once: counted once"
            findings.repair(file, field, "doubled_overlap", message, "list each name once")
        return tuple(dict.fromkeys(known))

    def _groups(
        self, file: str, data: Mapping[str, Any], source: View, target: View, findings: Findings
    ) -> tuple[ConceptGroup, ...] | None:
        field = "concept_matches"
        groups = data.get(field)
        if groups is None:
            message = "missing: derived from the concepts that both views have"
            findings.repair(file, field, "missing_matches", message, "list the groups, [] for none")
            return None
        if not isinstance(groups, list):
            missing_field(file, field, groups, "a list of groups", findings)
            raise BadFileError
        known_source = {p.name for p in source.points}
        known_target = {p.name for p in target.points}
        result = []
        for number, group in enumerate(groups):
            where = f"{field}[{number}]"
            sides = (group.get("src_keypoints"), group.get("trg_keypoints")) if isinstance(group, dict) else (None,)
            if not all(_is_name_list(names) for names in sides) or not isinstance(group.get("concept_name"), str):
                message = "a group needs concept_name and the name lists src_keypoints and trg_keypoints"
                findings.error(file, where, "bad_group", message, "write the group again")
                raise BadFileError
            names_source = [nfc(name) for name in group["src_keypoints"]]
            names_target = [nfc(name) for name in group["trg_keypoints"]]
            unknown = [n for n in names_source if n not in known_source]
            unknown += [n for n in names_target if n not in known_target]
            if unknown:
                message = f"{_some(unknown)} not visible in that view: skipped"
                findings.repair(file, where, "unknown_match", message, "remove the names, or add the points")
            kept = ConceptGroup(
                nfc(group["concept_name"]),
                tuple(n for n in names_source if n in known_source),
                tuple(n for n in names_target if n in known_target),
            )
            if kept.source and kept.target:
                result.append(kept)
            elif not unknown:
                findings.repair(file, where, "empty_group", "a side of the group is empty: skipped", "remove the group")
        return tuple(result)


def read_view(file: str, prefix: str, data: Mapping[str, Any], image: ImageRecord, findings: Findings) -> View | None:
    """The fields `<prefix>imsize`, `<prefix>bndbox`, `<prefix>keypoints` of `data` as a `View` of `image`.

    Errors and repairs go to `findings`; None when the view cannot be used.
    """
    before = len(findings.of("error"))
    _check_size(file, f"{prefix}imsize", data.get(f"{prefix}imsize"), image, findings)
    bbox, given = _read_box(file, f"{prefix}bndbox", data, image, findings)
    points = _read_points(file, f"{prefix}keypoints", data, image, findings)
    if len(findings.of("error")) > before:
        return None
    return View(image.image_id, bbox, given, points)


def _check_size(file: str, field: str, size: object, image: ImageRecord, findings: Findings) -> None:
    numbers = [as_int(value) for value in size] if isinstance(size, list) else []
    if len(numbers) != 2 or None in numbers:
        missing_field(file, field, size, "[width, height] in pixels", findings)
    elif tuple(numbers) != image.size:
        swapped = " (width and height are swapped: were the points taken on a rotated picture?)"
        message = f"says {numbers}, but {image.file} is {list(image.size)}" + (
            swapped if tuple(numbers[::-1]) == image.size else ""
        )
        mend = "annotate the stored image, or give its true size if the points do belong to it"
        findings.error(file, field, "wrong_size", message, mend)


def _read_box(
    file: str, field: str, data: Mapping[str, Any], image: ImageRecord, findings: Findings
) -> tuple[Box | None, bool]:
    box = data.get(field)
    if field in data and box is None:
        return None, True
    if box is None or box == []:
        message = "missing or empty: the image's box in other files is taken, else the whole image normalises"
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
    file: str, field: str, data: Mapping[str, Any], image: ImageRecord, findings: Findings
) -> tuple[Point, ...]:
    items = data.get(field)
    if not isinstance(items, list):
        missing_field(file, field, items, "a list of keypoints", findings)
        return ()
    if not items:
        message = "lists no keypoint: the pair is kept and scores in no task"
        findings.repair(file, field, "no_points", message, "list the visible keypoints, or remove the pair")
    points: dict[str, Point] = {}
    doubled, bare, long, outside = [], [], [], []
    for number, item in enumerate(items):
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
        if "concept_name" not in item:
            bare.append(name)
        points[name] = Point(
            name=name,
            x=x,
            y=y,
            keypoint_id=as_int(item.get("id")),
            concept_id=as_int(item.get("concept_id")),
            concept=_text(item.get("concept_name")),
            kind=_text(item.get("kind")),
            shared=item["shared"] if isinstance(item.get("shared"), bool) else None,
            bare="concept_name" not in item,
        )
    if doubled:
        message = f"{_some(doubled)} given more than once in one view: the last one counts"
        findings.repair(file, field, "doubled_keypoint", message, "give each keypoint once")
    if bare:
        message = f"{_some(bare)} without concept_name: taken from the release's other files where they agree"
        findings.repair(file, field, "bare_points", message, "give concept_id, concept_name, kind, shared")
    if long:
        message = f"{_some(long)} with more than two coordinates: the first two are x and y"
        findings.repair(file, field, "extra_coordinates", message, "give [x, y]")
    if outside:
        findings.note(file, field, "points_outside", f"{_some(outside)} slightly outside the image: kept as they are")
    return tuple(points.values())


def missing_field(file: str, field: str, value: object, wanted: str, findings: Findings) -> None:
    """Record that a field is absent or of the wrong kind."""
    shown = repr(value) if len(repr(value)) <= 80 else repr(value)[:77] + "..."
    message = f"missing; wanted {wanted}" if value is None else f"is {shown}; wanted {wanted}"
    findings.error(file, field, "bad_field", message, f"give {wanted}")


def _is_name_list(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _text(value: object) -> str | None:
    return nfc(value) if isinstance(value, str) and value else None


def _some(names: Sequence[str], limit: int = 4) -> str:
    shown = ", ".join(dict.fromkeys(names[:limit]))
    return shown + (f" and {len(names) - limit} more" if len(names) > limit else "")
