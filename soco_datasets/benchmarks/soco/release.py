"""A release's files -> a checked `Release`. Nothing is written; every problem of every file is collected first."""

from __future__ import annotations

from ...data.diagnostics import BuildReport
from ...data.release_types import (
    PAIR_SUBSETS,
    ImageRecord,
    ImageView,
    PairRecord,
    Release,
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
    distinct_views,
    fill_pairs,
    merge_views,
)
from .metadata import METADATA_FILE
from .pair_files import PairFileReader
from .side_files import SideFiles, read_side_files
from .taxonomy_build import Observation, build_taxonomy

_CHUNK = 1000  # pair files that one call of a mapper reads


def read_release(files: ReleaseFiles, findings: BuildReport, mapper: Mapper = map) -> Release:
    """Read and check everything. Errors are in `findings`; what has an error is left out of the result."""
    images = read_images(files, findings, mapper)
    side = read_side_files(files, images, findings)
    pairs = _read_pairs(files, images, findings, mapper)
    while True:
        found = BuildReport()
        usable, taxonomy = _merge_files(pairs, images, side, found)
        kept = [pair for pair in pairs if pair.file not in found.blamed]
        views = {name: (file, view) for name, (file, view) in side.views.items() if file not in found.blamed}
        if len(kept) == len(pairs) and len(views) == len(side.views):
            break
        # errors between files: what they name goes, and what the others say is settled again without it
        findings.extend(found.of("error"))
        findings.blame(found.blamed)
        pairs, side.views = kept, views
    findings.extend(found)
    findings.blame(found.blamed)
    pairs = usable
    fill_pairs(pairs, images, taxonomy, findings)
    paired = _paired(pairs)
    _note_leftovers(images, paired, taxonomy, findings)
    return Release(
        origin={"kind": files.kind, "id": files.id, "revision": files.revision},
        images=images,
        pairs={subset: [pair for pair in pairs if pair.subset == subset] for subset in PAIR_SUBSETS},
        taxonomy=taxonomy,
        read_file=files.read,
        descriptions=build_descriptions(taxonomy, side.taxonomy, findings),
        side_files=side.texts,
        supercategories=_supercategories(images),
    )


def _merge_files(
    pairs: list[PairRecord], images: dict[str, ImageRecord], side: SideFiles, findings: BuildReport
) -> tuple[list[PairRecord], Taxonomy]:
    """What all files say together: the pairs without doubles, and the taxonomy; settles box and points of `images`."""
    for record in images.values():
        record.bbox, record.points = None, ()
    pairs = deduplicate_pairs(pairs, findings)
    merge_views(pairs, images, findings)
    paired = _paired(pairs)
    compare_annotations(side.views, images, paired, findings)
    observations: list[Observation] = []
    for view, view_files in distinct_views(pairs):
        observations += view.observations(view_files)
    for image_id, (file, view) in side.views.items():
        if image_id not in paired:
            observations += view.observations([file])
    return pairs, build_taxonomy(observations, side.taxonomy, findings)


def _paired(pairs: list[PairRecord]) -> set[str]:
    return {view.image_id for pair in pairs for view in (pair.source, pair.target)}


def _read_pairs(
    files: ReleaseFiles, images: dict[str, ImageRecord], findings: BuildReport, mapper: Mapper
) -> list[PairRecord]:
    by_name = {(record.category, record.file.rpartition("/")[2]): record.image_id for record in images.values()}
    paths = [name for name in files.names if name.startswith("PairAnnotations/")]
    parts = [files.part(names) for names in chunks_of(paths, _CHUNK)]
    pairs: list[PairRecord] = []
    views: dict[bytes, ImageView] = {}
    for read in progress(
        mapper(PairFileReader(images, by_name).read_all, parts), "Reading pairs", total=len(parts), unit="part"
    ):
        shared = {id(view): views.setdefault(key, view) for key, view in read.views.items()}
        for pair in read.pairs:
            pair.source = shared.get(id(pair.source), pair.source)
            pair.target = shared.get(id(pair.target), pair.target)
        pairs += read.pairs
        findings.extend(read.findings)
    return pairs


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
