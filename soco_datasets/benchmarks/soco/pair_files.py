"""One pair file of the release -> one `PairRecord`, or findings that say why not.

Only this, plain_pairs.py, view_fields.py, match_fields.py and side_files.py know the release's field names (`src_`,
`bndbox`, `pos`).
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import marshal
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

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
from .plain_pairs import ABSENT, PlainPair, plain_pair, plain_points
from .view_fields import read_view

_SUBSET_DIRECTORIES = {
    ("intra",): "intra",
    ("cross",): "cross",
    ("trainsplits", "train"): "probe_train",
    ("trainsplits", "test"): "probe_test",
}


def _value_bytes(value: Any) -> bytes:
    """Values of JSON as bytes, the same for values of the same kind and content alone; faster than as JSON."""
    return marshal.dumps(value, 2)


def subset_of(path: str) -> tuple[str, str] | None:
    """("intra", category directory) and so on for a path below PairAnnotations, None where the layout has no such."""
    return _subset_of_folder(path.rpartition("/")[0]) if is_json(path) else None


@functools.lru_cache(maxsize=1000)
def _subset_of_folder(folder: str) -> tuple[str, str] | None:
    parts = folder.split("/")[1:]
    subset = _SUBSET_DIRECTORIES.get(tuple(parts[:-1]))
    return (subset, parts[-1]) if subset else None


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
        self._plain_sides: dict[tuple[object, ...], _Side | None] = {}  # by the digest of its points, and the rest
        self._outlines: dict[tuple[str, ...], tuple[tuple[AnnotatedKeypoint, ...], frozenset[str]]] = {}
        self._given: set[bytes] = set()

    def __getstate__(self) -> dict[str, Any]:
        """Another process has to give all views anew."""
        return {**self.__dict__, "_sides": {}, "_plain_sides": {}, "_outlines": {}, "_given": set()}

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
            placed = subset_of(path)
            if placed is None and not is_json(path):
                findings.note(path, "", "extra_file", "not a pair file: left out")
                continue
            try:
                raw = files.read(path) if placed else b""
            except Exception as error:
                # damaged archive members raise many kinds of error
                findings.error(path, "", "unreadable", f"cannot be read: {read_error(error)}", "get the archive again")
                continue
            sides = self._add_plain(*placed, raw, builder) if placed else None
            if sides is None:
                found = self._read(path, raw, findings)
                if found is None:
                    continue
                pair, sides = found
                builder.add(pair, (sides[0].unshared, sides[1].unshared))
            numbers.append(number)
            for side in sides:
                keys[id(side.view)] = side.key
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
        own, found = BuildReport(), None
        with contextlib.suppress(BadFileError):
            found = self._parse(file, *placed, load_json(file, raw, own), own)
        findings.extend(own)
        return None if own.of("error") else found

    def _add_plain(
        self, subset: str, directory: str, raw: bytes, builder: PairTableBuilder
    ) -> tuple[_Side, _Side] | None:
        """Add the pair of a file with nothing to report in the usual layout, and give its sides.

        None for any other file, of which nothing was added: `_read` looks at it by the strict parser.
        """
        pair = plain_pair(raw)
        if pair is None or pair.data.get("pair_group") != directory:
            return None
        try:
            source, target = self._plain_side(0, pair), self._plain_side(1, pair)
            if source is None or target is None:
                return None
            own, other = source.view.category, target.view.category
            if (
                (own == other) == (subset == "cross")
                or other != directory
                or source.view.image_id == target.view.image_id
            ):
                return None
            builder.add_shown(subset, directory, (source.view, target.view), pair.overlap, pair.groups)
        except (KeyError, TypeError):  # a name that is not shown, or is none
            return None
        return source, target

    def _plain_side(self, number: int, pair: PlainPair) -> _Side | None:
        """A side of a pair by what its file says word for word; None where something is to be reported of it."""
        text, stated, get = pair.points[number], pair.stated[2 * number : 2 * number + 2], pair.data.get
        name, category = (get("trg_image"), get("trg_category")) if number else (get("src_image"), get("src_category"))
        key = hashlib.sha256(text).digest(), _value_bytes(stated), name, category
        if key not in self._plain_sides:
            side = ("src", "trg")[number]
            points, own, found = plain_points(text), BuildReport(), None
            if points is not None:
                data = {**pair.data, f"{side}_keypoints": points}
                # a subset and a folder of no name: a side that leaves its category out is not plain
                image = self._image("", side, "cross", "", data, own)
                found = None if image is None else self._side_of("", side, image, data, [*stated, points], own)
            self._plain_sides[key] = None if len(own) or found is None or found.unshared else found
        return self._plain_sides[key]

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
        stated = [data.get(f"{side}_{name}", ABSENT) for name in ("imsize", "bndbox", "keypoints")]
        return self._side_of(file, side, image, data, stated, findings)

    def _side_of(
        self,
        file: str,
        side: str,
        image: ImageRecord,
        data: Mapping[str, Any],
        stated: list[Any],
        findings: BuildReport,
    ) -> _Side | None:
        key = hashlib.blake2b(_value_bytes([image.image_id, stated]), digest_size=16).digest()
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
        points = tuple(p._replace(concept=told[p.name]) if p.bare and p.name in told else p for p in side.view.points)
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
