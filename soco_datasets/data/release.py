"""A release's files -> a checked `Release`. Nothing is written; every problem of every file is collected first."""

from __future__ import annotations

from ..files import progress
from .consensus import compare_annotations, complete_pairs, distinct_views, drop_doubled, settle_views
from .descriptions import build_descriptions
from .findings import Findings
from .image_files import read_images
from .pair_files import PairFileReader, subset_of
from .records import SUBSETS, ImageRecord, PairRecord, Release
from .side_files import read_side_files
from .source import ReleaseFiles, read_error
from .taxonomy_build import Observation, build_taxonomy


def read_release(files: ReleaseFiles, findings: Findings) -> Release:
    """Read and check everything. Errors are in `findings`; what has an error is left out of the result."""
    images = read_images(files, findings)
    side = read_side_files(files, images, findings)
    pairs = drop_doubled(_read_pairs(files, images, findings), findings)
    settle_views(pairs, images, findings)
    paired = {view.image_id for pair in pairs for view in (pair.source, pair.target)}
    compare_annotations(side.views, images, paired, findings)

    observations: dict[Observation, None] = {}
    for view, view_files in distinct_views(pairs):
        observations.update(dict.fromkeys(view.observations(view_files[0])))
    for image_id, (file, view) in side.views.items():
        if image_id not in paired:
            observations.update(dict.fromkeys(view.observations(file)))
    taxonomy = build_taxonomy(observations, side.taxonomy, findings)
    complete_pairs(pairs, images, taxonomy, findings)
    _note_leftovers(files, images, paired, findings)
    return Release(
        origin={"kind": files.kind, "id": files.id, "revision": files.revision},
        images=images,
        pairs={subset: [pair for pair in pairs if pair.subset == subset] for subset in SUBSETS},
        taxonomy=taxonomy,
        descriptions=build_descriptions(taxonomy, side.taxonomy, findings),
        side_files=side.texts,
    )


def _read_pairs(files: ReleaseFiles, images: dict[str, ImageRecord], findings: Findings) -> list[PairRecord]:
    by_name = {(record.category, record.file.rpartition("/")[2]): record.image_id for record in images.values()}
    reader = PairFileReader(images, by_name)
    paths = [name for name in files.names if name.startswith("PairAnnotations/")]
    pairs = []
    for path in progress(paths, "Reading pairs", total=len(paths), unit="pair"):
        if not path.endswith(".json"):
            findings.note(path, "", "extra_file", "not a pair file: left out")
            continue
        try:
            raw = files.read(path) if subset_of(path) else b""
        except Exception as error:
            # damaged archive members raise many kinds of error
            findings.error(path, "", "unreadable", f"cannot be read: {read_error(error)}", "get the archive again")
            continue
        pair = reader.read(path, raw, findings)
        if pair is not None:
            pairs.append(pair)
    return pairs


def _note_leftovers(files: ReleaseFiles, images: dict[str, ImageRecord], paired: set[str], findings: Findings) -> None:
    unpaired = [image_id for image_id in images if image_id not in paired]
    if unpaired:
        shown = ", ".join(unpaired[:3])
        message = f"{len(unpaired)} image(s) in no pair (such as {shown}): kept in `images`"
        findings.note("Images", "", "unpaired_image", message)
    rotated = sum(record.exif_orientation != 1 for record in images.values())
    if rotated:
        message = f"{rotated} image(s) carry an EXIF rotation, which is never applied: points are in un-rotated pixels"
        findings.note("Images", "", "exif_rotation", message)
