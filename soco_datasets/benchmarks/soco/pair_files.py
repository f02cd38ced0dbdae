"""One pair file of the release -> one `PairRecord`, or findings that say why not.

Only this, view_fields.py and side_files.py know the release's field names (`src_`, `trg_`, `bndbox`, `pos`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...data.diagnostics import BuildReport
from ...data.json_values import (
    BadFileError,
    first_names,
    is_json,
    load_json,
    missing_field,
    nfc,
)
from ...data.release_types import (
    ConceptGroup,
    ImageRecord,
    ImageView,
    PairRecord,
)
from ..release_files import ReleaseFiles, read_error
from .categories import normal_spelling
from .view_fields import read_view

_SUBSET_DIRECTORIES = {
    ("intra",): "intra",
    ("cross",): "cross",
    ("trainsplits", "train"): "probe_train",
    ("trainsplits", "test"): "probe_test",
}


def subset_of(path: str) -> tuple[str, str] | None:
    """("intra", category directory) and so on for a path below PairAnnotations, None where the layout has no such."""
    parts = path.split("/")[1:]
    subset = _SUBSET_DIRECTORIES.get(tuple(parts[:-2]))
    return (subset, parts[-2]) if subset and is_json(path) else None


@dataclass(frozen=True)
class PairsRead:
    """Some pair files once read.

    Attributes:
        pairs, findings: in the order of the files.
        views: those that pairs share, by what their files say of them.
    """

    pairs: list[PairRecord]
    findings: BuildReport
    views: dict[bytes, ImageView]


class PairFileReader:
    """Reads pair files against the images of the release; equal views of an image are read once and shared."""

    def __init__(self, images: Mapping[str, ImageRecord], image_files: Mapping[tuple[str, str], str]) -> None:
        """`image_files` maps (category, file name) to image_id."""
        self._images = images
        self._image_files = image_files
        self._categories_of: dict[str, list[str]] = {}
        for category, name in image_files:
            self._categories_of.setdefault(name, []).append(category)
        self._views: dict[bytes, ImageView] = {}
        self._by_plain_name: dict[tuple[str, str], str] | None = None

    def read_all(self, files: ReleaseFiles) -> PairsRead:
        """Read files one after the other; views are shared among these.

        Raises:
            DataNotFoundError: none of the files can be seen from this machine.
        """
        files.check_reachable()
        self._views = {}
        pairs, findings = [], BuildReport()
        for path in files.names:
            if not is_json(path):
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

    def read(self, file: str, raw: bytes, findings: BuildReport) -> PairRecord | None:
        """One file to a record; None when it has an error (recorded in `findings`)."""
        placed = subset_of(file)
        if placed is None:
            message = "not in intra/, cross/ or trainsplits/{train,test}/: left out"
            findings.repair(file, "", "misplaced_file", message, "move it, or remove it")
            return None
        subset, directory = placed
        own = BuildReport()
        try:
            record = self._parse(file, subset, directory, load_json(file, raw, own), own)
        except BadFileError:
            record = None
        findings.extend(own)
        return None if own.of("error") else record

    def _parse(self, file: str, subset: str, directory: str, data: Any, findings: BuildReport) -> PairRecord:
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
        _check_place(file, subset, directory, source, target, findings)
        if source.image_id == target.image_id:
            findings.note(file, "trg_image", "self_pair", "source and target are the same image")
        return PairRecord(
            pair_id=file.removeprefix("PairAnnotations/")[: -len(".json")],
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
        self, file: str, side: str, subset: str, directory: str, data: Mapping[str, Any], findings: BuildReport
    ) -> ImageView | None:
        image = self._image(file, side, subset, directory, data, findings)
        if image is None:
            return None
        stated = [data.get(f"{side}_{name}", "absent") for name in ("imsize", "bndbox", "keypoints")]
        text = f"{image.image_id}\0{json.dumps(stated)}"
        key = hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=16).digest()
        view = self._views.get(key)
        if view is None:
            own = BuildReport()
            view = read_view(file, f"{side}_", data, image, own)
            if not len(own) and view is not None:
                self._views[key] = view  # only clean views are shared, so that each bad file is named itself
            findings.extend(own)
        return view

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

    # Matches ----------------------------------------------------------------------------------------------------

    def _overlap(
        self, file: str, data: Mapping[str, Any], source: ImageView, target: ImageView, findings: BuildReport
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
            message = f"{first_names(unknown)} not visible in both views: skipped"
            findings.repair(file, field, "unknown_overlap", message, "remove the names, or add the points")
        known = [nfc(name) for name in names if nfc(name) in both]
        doubled = sorted({name for name in known if known.count(name) > 1})
        if doubled:
            message = f"{first_names(doubled)} listed more than once: counted once"
            findings.repair(file, field, "doubled_overlap", message, "list each name once")
        return tuple(dict.fromkeys(known))

    def _groups(
        self, file: str, data: Mapping[str, Any], source: ImageView, target: ImageView, findings: BuildReport
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
                message = f"{first_names(unknown)} not visible in that view: skipped"
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


def _is_name_list(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)
