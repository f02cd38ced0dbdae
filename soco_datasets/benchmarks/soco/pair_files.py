"""One pair file of the release -> one `PairRecord`, or findings that say why not.

Only this, view_fields.py, match_fields.py and side_files.py know the release's field names (`src_`, `bndbox`, `pos`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NoReturn

from ...data.diagnostics import BuildReport
from ...data.json_values import BadFileError, is_json, load_json, missing_field, nfc
from ...data.pair_table import PairTable, PairTableBuilder
from ...data.release_types import (
    AnnotatedKeypoint,
    ConceptGroup,
    ImageRecord,
    ImageView,
    PairRecord,
)
from ..release_files import ReleaseFiles, read_error
from .categories import normal_spelling
from .match_fields import read_groups, read_overlap
from .view_fields import read_view

_SUBSET_DIRECTORIES = {
    ("intra",): "intra",
    ("cross",): "cross",
    ("trainsplits", "train"): "probe_train",
    ("trainsplits", "test"): "probe_test",
}


_LISTS = ((b"src_keypoints", b"trg_"), (b"trg_keypoints", b"semantic_overlap"))  # and the field that follows each
_LIST_FIELDS = ("src_imsize", "trg_imsize", "src_bndbox", "trg_bndbox", "semantic_overlap", "concept_matches")
_LARGE = 2**63


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)


_DECODER = json.JSONDecoder(parse_constant=_refuse)  # of NaN and infinity


def subset_of(path: str) -> tuple[str, str] | None:
    """("intra", category directory) and so on for a path below PairAnnotations, None where the layout has no such."""
    parts = path.split("/")[1:]
    subset = _SUBSET_DIRECTORIES.get(tuple(parts[:-2]))
    return (subset, parts[-2]) if subset and is_json(path) else None


@dataclass(frozen=True)
class PairsRead:
    """Some pair files once read.

    Attributes:
        table: the pairs in the order of the files; `files` and `views` are left to the caller.
        files: place of each pair's file among those that were read.
        views: of the table, by what files say of them; None for one that this reader has given before.
        findings: in the order of the files.
    """

    table: PairTable
    files: list[int]
    views: list[tuple[bytes, ImageView | None]]
    findings: BuildReport


@dataclass(slots=True)
class _Side:
    """What a pair file says of one image.

    Attributes:
        view: that; only its outline once it was given to the caller, see `PairFileReader._forget`.
        key: of its text, the same for the same words in any file.
        unshared: something was found in it: it is looked at anew in every file, so that each is named itself.
        names: of its points.
    """

    view: ImageView
    key: bytes
    unshared: bool
    names: frozenset[str]


@dataclass(frozen=True, slots=True)
class _CutOut:
    """The text of a list of keypoints that stands for the list, see `PairFileReader._read_plain`."""

    text: bytes


class PairFileReader:
    """Reads pair files against the images of the release; equal views of an image are read once and shared.

    An image is shown by some twenty files in the same words, which are nine tenths of a file: they are recognized by
    their bytes and not parsed again.
    """

    def __init__(self, images: Mapping[str, ImageRecord], image_files: Mapping[tuple[str, str], str]) -> None:
        """`image_files` maps (category, file name) to image_id."""
        self._images = images
        self._image_files = image_files
        self._categories_of: dict[str, list[str]] = {}
        for category, name in image_files:
            self._categories_of.setdefault(name, []).append(category)
        self._by_plain_name: dict[tuple[str, str], str] | None = None
        self._sides: dict[bytes, _Side] = {}  # by key
        self._cut_out: dict[bytes, _Side | None] = {}  # by the digest of its text, image, size and box
        self._outlines: dict[tuple[str, ...], tuple[tuple[AnnotatedKeypoint, ...], frozenset[str]]] = {}
        self._given: set[bytes] = set()

    def __getstate__(self) -> dict[str, Any]:
        """Another process has to give all views anew."""
        return {**self.__dict__, "_sides": {}, "_cut_out": {}, "_outlines": {}, "_given": set()}

    def read_all(self, files: ReleaseFiles) -> PairsRead:
        """Read files one after the other; views are shared among these and with earlier calls.

        Raises:
            DataNotFoundError: none of the files can be seen from this machine.
        """
        files.check_reachable()
        findings, builder = BuildReport(), PairTableBuilder()
        numbers: list[int] = []
        keys: dict[int, bytes] = {}
        for number, path in enumerate(files.names):
            if not is_json(path):
                findings.note(path, "", "extra_file", "not a pair file: left out")
                continue
            try:
                raw = files.read(path) if subset_of(path) else b""
            except Exception as error:
                # damaged archive members raise many kinds of error
                findings.error(path, "", "unreadable", f"cannot be read: {read_error(error)}", "get the archive again")
                continue
            found = self._read(path, raw, findings)
            if found is not None:
                pair, sides = found
                builder.add(pair, (sides[0].unshared, sides[1].unshared))
                numbers.append(number)
                keys |= {id(side.view): side.key for side in sides}
        views = [(keys[id(view)], view) for view in builder.views]
        given = [(key, None if key in self._given else view) for key, view in views]
        for key, view in given:
            if view is not None:
                self._given.add(key)
                self._forget(key)
        return PairsRead(replace(builder.table(), views=[], files=[], ids=None), numbers, given, findings)

    def _forget(self, key: bytes) -> None:
        """Keep of a view that the caller has now no more than its image and the names of its points, which many views
        share; others are made anew for each file anyhow."""
        side = self._sides.get(key)
        if side is None or side.unshared:
            return
        names = tuple(point.name for point in side.view.points)
        if names not in self._outlines:
            points = tuple(AnnotatedKeypoint(name, 0.0, 0.0, None, None, None, None, None, False) for name in names)
            self._outlines[names] = points, frozenset(names)
        points, side.names = self._outlines[names]
        side.view = ImageView(side.view.image_id, None, False, points)

    def _read(self, file: str, raw: bytes, findings: BuildReport) -> tuple[PairRecord, tuple[_Side, _Side]] | None:
        """One file to a record and its sides; None when it has an error (recorded in `findings`)."""
        placed = subset_of(file)
        if placed is None:
            message = "not in intra/, cross/ or trainsplits/{train,test}/: left out"
            findings.repair(file, "", "misplaced_file", message, "move it, or remove it")
            return None
        found = self._read_plain(file, *placed, raw)
        if found is not None:
            return found
        own = BuildReport()
        try:
            found = self._parse(file, *placed, load_json(file, raw, own), own)
        except BadFileError:
            found = None
        findings.extend(own)
        return None if own.of("error") else found

    def _read_plain(
        self, file: str, subset: str, directory: str, raw: bytes
    ) -> tuple[PairRecord, tuple[_Side, _Side]] | None:
        """As `_read`, for a file with nothing to report in the usual layout; None for any other.

        Such a file is read without the strict parser of `data.json_values`: what it refuses or repairs is ruled out by
        counting. Fields: a field given twice leaves fewer than there are `":` in the text. Nesting: only the known
        lists and objects may be there. The two lists of keypoints are cut out and recognized by their bytes.
        """
        places = [_list_place(raw, field, following) for field, following in _LISTS]
        if places[0] is None or places[1] is None or places[0].stop > places[1].start:
            return None
        first, second = places[0], places[1]
        rest = b"".join((raw[: first.start], b"0", raw[first.stop : second.start], b"0", raw[second.stop :]))
        own = BuildReport()
        try:
            data = _DECODER.decode(rest.decode())
            if not isinstance(data, dict) or not _is_plain(rest, data):
                return None
            for (field, _), place in zip(_LISTS, places, strict=True):
                data[field.decode()] = _CutOut(raw[place])  # type: ignore[index]
            found = self._parse(file, subset, directory, data, own)
        except (ValueError, RecursionError, BadFileError):
            return None
        return None if len(own) else found

    def _parse(
        self, file: str, subset: str, directory: str, data: Any, findings: BuildReport
    ) -> tuple[PairRecord, tuple[_Side, _Side]]:
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
        _check_place(file, subset, directory, source.view, target.view, findings)
        if source.view.image_id == target.view.image_id:
            findings.note(file, "trg_image", "self_pair", "source and target are the same image")
        overlap = read_overlap(file, data, source.names, target.names, findings)
        groups = read_groups(file, data, source.names, target.names, findings)
        source, target = self._told(source, groups, 0), self._told(target, groups, 1)
        record = PairRecord(
            pair_id=file.removeprefix("PairAnnotations/")[: -len(".json")],
            subset=subset,
            group=directory,
            source=source.view,
            target=target.view,
            overlap=overlap,
            groups=groups,
            file=file,
        )
        return record, (source, target)

    # One side of the pair ---------------------------------------------------------------------------------------

    def _side(
        self, file: str, side: str, subset: str, directory: str, data: Mapping[str, Any], findings: BuildReport
    ) -> _Side | None:
        image = self._image(file, side, subset, directory, data, findings)
        if image is None:
            return None
        stated = [data.get(f"{side}_{name}", "absent") for name in ("imsize", "bndbox", "keypoints")]
        if not isinstance(stated[2], _CutOut):
            return self._side_of(file, side, image, data, stated, findings)
        text = stated[2].text
        place = hashlib.sha256(b"\0".join((text, f"{image.image_id}\0{stated[:2]!r}".encode()))).digest()
        if place not in self._cut_out:
            points = _DECODER.decode(text.decode())
            known = None
            if _are_plain_points(text, points):
                given = {**data, f"{side}_keypoints": points}
                known = self._side_of(file, side, image, given, [*stated[:2], points], BuildReport())
            self._cut_out[place] = known if known is not None and not known.unshared else None
        known = self._cut_out[place]
        if known is None:
            raise BadFileError  # something is to be reported of it: the file is read again, by the strict parser
        return known

    def _side_of(
        self,
        file: str,
        side: str,
        image: ImageRecord,
        data: Mapping[str, Any],
        stated: list[Any],
        findings: BuildReport,
    ) -> _Side | None:
        text = f"{image.image_id}\0{json.dumps(stated)}"
        key = hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=16).digest()
        known = self._sides.get(key)
        if known is not None and not known.unshared:
            return known
        own = BuildReport()
        view = read_view(file, f"{side}_", data, image, own)
        findings.extend(own)
        if view is None:
            return None
        if known is None:
            known = _Side(view, key, len(own) > 0, frozenset(point.name for point in view.points))
            self._sides[key] = known
        return known

    def _told(self, side: _Side, groups: tuple[ConceptGroup, ...] | None, number: int) -> _Side:
        """A side whose points without a concept field have the concept of the pair's matches that list them, if any."""
        if not side.unshared or not any(point.bare for point in side.view.points):
            return side
        told: dict[str, str] = {}
        for group in groups or ():
            for name in (group.source, group.target)[number]:
                told.setdefault(name, group.concept)
        points = tuple(replace(p, concept=told[p.name]) if p.bare and p.name in told else p for p in side.view.points)
        concepts = json.dumps([point.concept for point in points]).encode()
        key = hashlib.blake2b(side.key + concepts, digest_size=16).digest()
        view = replace(side.view, points=points)
        return self._sides.setdefault(key, _Side(view, key, True, side.names))

    def _image(
        self, file: str, side: str, subset: str, directory: str, data: Mapping[str, Any], findings: BuildReport
    ) -> ImageRecord | None:
        field = f"{side}_image"
        name = data.get(field)
        if not isinstance(name, str) or not name:
            missing_field(file, field, name, "an image's file name", findings)
            return None
        name = nfc(name)
        category = data.get(f"{side}_category")
        if not isinstance(category, str) or not category:
            shared = data.get("category")
            if isinstance(shared, str) and (nfc(shared), name) in self._image_files:
                category, reason = shared, "the category of the pair"
            else:
                category, reason = self._guess_category(name, side, subset, directory), f"where {name} lies"
            if category is None:
                missing_field(file, f"{side}_category", data.get(f"{side}_category"), "a category", findings)
                return None
            message = f"{side}_category is missing: {category!r} taken, {reason}"
            findings.repair(file, f"{side}_category", "missing_category", message, "give the category")
        category = nfc(category)
        image_id = self._image_files.get((category, name))
        if image_id is None:
            message = f"the release has no usable image Images/{category}/{name}"
            if close := self._close_image(category, name):
                message += f" (it has {close})"
            findings.error(file, field, "missing_image", message, "add the image, or remove the pair")
            return None
        return self._images[image_id]

    def _close_image(self, category: str, name: str) -> str | None:
        """An image that differs from a missing one by its ending, by case or by the category's spelling."""

        def plain(category: str, name: str) -> tuple[str, str]:
            return normal_spelling(category), name.rpartition("/")[2].rpartition(".")[0].casefold()

        if self._by_plain_name is None:
            self._by_plain_name = {plain(*key): self._images[value].file for key, value in self._image_files.items()}
        return self._by_plain_name.get(plain(category, name))

    def _guess_category(self, name: str, side: str, subset: str, directory: str) -> str | None:
        holders = self._categories_of.get(name, [])
        if directory in holders and (side == "trg" or subset != "cross"):
            return directory
        return holders[0] if len(holders) == 1 else None


def _check_place(
    file: str, subset: str, directory: str, source: ImageView, target: ImageView, findings: BuildReport
) -> None:
    """A pair lies with those within a category or with those across, in the folder of its target's category."""
    own, other = source.category, target.category
    if (own == other) == (subset == "cross"):
        what = (
            f"source and target are both of {own!r}" if own == other else f"source is of {own!r}, target of {other!r}"
        )
        holds = (
            "cross/ holds pairs of two categories" if subset == "cross" else "this folder holds pairs of one category"
        )
        findings.error(file, "", "misfiled_pair", f"{what}, but {holds}", "move it to where it belongs")
    elif other != directory:
        message = f"the target is of {other!r} but the file lies in {directory!r}: the folder counts"
        findings.repair(file, "trg_category", "other_folder", message, "move it to the folder of its target")


def _list_place(raw: bytes, field: bytes, following: bytes) -> slice | None:
    """Where the list of a field is in a file that has one named `following...` after it; None where that is not so."""
    start = raw.find(b'"%s":' % field)
    end = raw.find(b'"%s' % following, start)
    if start < 1 or end < 0 or raw[start - 1] == ord("\\"):
        return None
    start += len(field) + 3
    return slice(start, raw.rfind(b"]", start, end) + 1)


def _is_plain(text: bytes, data: dict[str, Any]) -> bool:
    """Whether the text of a pair without its keypoints has every field once, and the usual lists and objects only."""
    groups = data.get("concept_matches")
    groups = groups if isinstance(groups, list) else []
    if not all(isinstance(group, dict) for group in groups):
        return False
    lists = sum(isinstance(data.get(name), list) for name in _LIST_FIELDS)
    fields = len(data) + sum(map(len, groups))
    return (
        _has_fields_once(text, fields)
        and text.count(b"[") == lists + 2 * len(groups)
        and text.count(b"{") == 1 + len(groups)
        and all(type(data.get(field.decode())) is int for field, _ in _LISTS)
        and abs(_as_number(data.get("pair_id"))) < _LARGE
    )


def _has_fields_once(text: bytes, fields: int) -> bool:
    """Whether the objects of a text, which have this many fields once parsed, have none of them twice.

    False too where it may hold half a character, or a blank before a colon, which hides a field.
    """
    if b"\\" not in text and text.count(b":") == fields:
        return True
    unusual = b"\\u" in text or b" :" in text or b"\n:" in text or b"\t:" in text or b"\r:" in text
    return not unusual and text.count(b'":') == fields


def _as_number(value: object) -> int:
    return value if isinstance(value, int) else 0


def _are_plain_points(text: bytes, points: Any) -> bool:
    """Likewise for the text of a list of keypoints."""
    if not isinstance(points, list) or not all(isinstance(point, dict) for point in points):
        return False
    return (
        _has_fields_once(text, sum(map(len, points)))
        and text.count(b"[") == 1 + sum(isinstance(point.get("pos"), list) for point in points)
        and text.count(b"{") == len(points)
    )
