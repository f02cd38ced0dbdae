"""A release's files -> a checked `Release`. Nothing is written; every problem of every file is collected first."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import chain, islice

import numpy as np

from ...data.checked_release import Release
from ...data.diagnostics import BuildReport
from ...data.pair_table import PairTable, joined_tables
from ...data.release_types import (
    PAIR_SUBSETS,
    ImageRecord,
    ImageView,
)
from ...data.taxonomy import Taxonomy
from ...utils.chunks import Mapper, chunks_of
from ...utils.progress import progress
from ..image_files import read_images
from ..release_files import ReleaseFiles
from .categories import supercategory_of
from .descriptions import build_descriptions
from .merge import (
    compare_annotations,
    deduplicate_pairs,
    fill_pairs,
    merge_views,
)
from .metadata import METADATA_FILE
from .pair_files import PairFileReader, subset_of
from .side_files import SideFiles, SideTexts, read_side_files
from .taxonomy_build import build_taxonomy

_CHUNK = 1000  # pair files that one call of a mapper reads


def read_release(files: ReleaseFiles, findings: BuildReport, mapper: Mapper = map) -> Release:
    """Read and check everything. Errors are in `findings`; what has an error is left out of the result."""
    images = read_images(files, findings, mapper)
    side, pairs = _read_annotations(files, images, findings, mapper)
    while True:
        found = BuildReport()
        usable, taxonomy = _merge_files(pairs, images, side, found)
        kept = [number for number, file in enumerate(pairs.files) if file not in found.blamed]
        views = {name: (file, view) for name, (file, view) in side.views.items() if file not in found.blamed}
        if len(kept) == len(pairs) and len(views) == len(side.views):
            break
        # errors between files: what they name goes, and what the others say is settled again without it
        findings.extend(found.of("error"))
        findings.blame(found.blamed)
        pairs, side.views = pairs.take(np.array(kept, dtype=np.int64)), views
    findings.extend(found)
    findings.blame(found.blamed)
    pairs = fill_pairs(usable, images, taxonomy, findings)
    _note_leftovers(images, _paired(pairs), taxonomy, findings)
    lists = {subset: _of_list(pairs, subset) for subset in PAIR_SUBSETS}
    listed = _listed(files)
    _note_emptied(lists, listed, findings)
    return Release(
        origin={"kind": files.kind, "id": files.id, "revision": files.revision},
        images=images,
        pairs=dict(lists),
        taxonomy=taxonomy,
        read_file=files.read,
        descriptions=build_descriptions(taxonomy, side.taxonomy, findings),
        side_files=SideTexts(side.names, files.read),
        supercategories=_supercategories(images),
        listed=listed,
    )


def _merge_files(
    pairs: PairTable, images: dict[str, ImageRecord], side: SideFiles, findings: BuildReport
) -> tuple[PairTable, Taxonomy]:
    """What all files say together: the pairs without doubles, and the taxonomy; settles box and points of `images`."""
    for record in images.values():
        record.bbox, record.points = None, ()
    pairs = deduplicate_pairs(pairs, findings)
    viewed = pairs.viewed()
    merge_views(viewed, images, findings)
    paired = _paired(pairs)
    compare_annotations(side.views, images, paired, findings)
    observations = chain.from_iterable(
        chain(
            (item.view.observations(item.files) for item in viewed),
            (view.observations([file]) for image_id, (file, view) in side.views.items() if image_id not in paired),
        )
    )
    return pairs, build_taxonomy(observations, side.taxonomy, findings)


def _paired(pairs: PairTable) -> set[str]:
    return {pairs.views[number].image_id for number in np.unique(pairs.sides).tolist()}


def _of_list(pairs: PairTable, subset: str) -> PairTable:
    code = pairs.lists.index(subset) if subset in pairs.lists else -1
    return pairs.take(np.flatnonzero(pairs.list_codes == code))


def _read_annotations(
    files: ReleaseFiles, images: dict[str, ImageRecord], findings: BuildReport, mapper: Mapper
) -> tuple[SideFiles, PairTable]:
    """What the side files say, read here while other processes read the pair files, and the pairs."""
    by_name = {(record.category, record.file.rpartition("/")[2]): record.image_id for record in images.values()}
    paths = [name for name in files.names if name.startswith("PairAnnotations/")]
    parts = (files.part(names) for names in chunks_of(paths, _CHUNK))
    total = -(-len(paths) // _CHUNK)
    tables: list[PairTable] = []
    known: dict[bytes, int] = {}
    views: list[ImageView] = []
    numbers = []
    reads = progress(mapper(PairFileReader(images, by_name).read_all, parts), "Reading pairs", total=total, unit="part")
    first = list(islice(reads, 1))  # the mapper gives out the next ones before it gives this
    side = read_side_files(files, images, findings)
    for place, read in enumerate(chain(first, reads)):
        for key, view in read.views:
            if view is not None and key not in known:
                known[key] = len(views)
                _, other = side.views.get(view.image_id, ("", None))
                views.append(other if other == view else view)  # one object for both
        numbers.append(np.array([known[key] for key, _ in read.views], dtype=np.int32))
        tables.append(replace(read.table, files=[paths[place * _CHUNK + number] for number in read.files]))
        findings.extend(read.findings)
    return side, joined_tables(tables or [PairTable.of(())], views, numbers or [np.empty(0, dtype=np.int32)])


def _listed(files: ReleaseFiles) -> Counter[str]:
    """How many files the release has of each list."""
    placed = (subset_of(name) for name in files.names if name.startswith("PairAnnotations/"))
    return Counter(found[0] for found in placed if found is not None)


def _note_emptied(lists: dict[str, PairTable], listed: Counter[str], findings: BuildReport) -> None:
    for subset, pairs in lists.items():
        if listed[subset] and not len(pairs):
            message = f"none of its {listed[subset]} file(s) can be used: it stays empty, no pairs take their place"
            mend = "fix the files; pairs are drawn only where a release has no pair files of a list"
            findings.repair("PairAnnotations", subset, "emptied_list", message, mend)


def _note_leftovers(
    images: dict[str, ImageRecord], paired: set[str], taxonomy: Taxonomy, findings: BuildReport
) -> None:
    unseen = sorted(set(taxonomy.categories()) - {record.category for record in images.values()})
    if unseen:
        message = f"{len(unseen)} categories without images (such as {', '.join(unseen[:3])}): kept in `taxonomy`"
        findings.note(METADATA_FILE, "", "category_without_images", message)
    unpaired = [image_id for image_id in images if image_id not in paired]
    if unpaired:
        shown = ", ".join(unpaired[:3])
        message = f"{len(unpaired)} image(s) in no pair (such as {shown}): kept in `images`"
        findings.note("Images", "", "unpaired_image", message)
    rotated = sum(record.exif_orientation != 1 for record in images.values())
    if rotated:
        message = f"{rotated} image(s) carry an EXIF rotation, which is never applied: points are in un-rotated pixels"
        findings.note("Images", "", "exif_rotation", message)


def _supercategories(images: dict[str, ImageRecord]) -> dict[str, str]:
    known = {record.category: supercategory_of(record.category) for record in images.values()}
    return {category: parent for category, parent in known.items() if parent is not None}
