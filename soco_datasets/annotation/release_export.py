"""Projects, and releases they are added to, to one release in the official layout that `soco build` reads."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from ..errors import SocoError, UsageError
from ..utils.files import atomic_folder
from .database import Event
from .opened import open_project
from .project import PROJECT_FILE
from .release_pairs import PairChooser, possible_pairs
from .release_views import (
    CategorySpec,
    ReleaseParts,
    ReleaseView,
    file_number,
    project_category,
    project_view,
    read_release_parts,
)
from .release_writer import ReleaseWriter, copy_release, zip_release
from .results import FinalImage, final_images
from .work import Workbench


@dataclass(frozen=True)
class ExportOptions:
    """How a release is made.

    Attributes:
        pairs: most pairs a category and kind (the paper's release has 200), half as many for each probe split.
        seed: of the draw of pairs.
        at: results as of this time; None = now.
        allow_disputed: export images that have disputed keypoints nobody has reviewed (those points as they are).
        zipped: three archives as the Hub release has them, instead of trees.
        overwrite: replace `out`.
    """

    pairs: int = 200
    seed: int = 0
    at: datetime | None = None
    allow_disputed: bool = False
    zipped: bool = False
    overwrite: bool = False


@dataclass
class ExportResult:
    """What was written: counts by category, and what to know."""

    images: dict[str, int] = field(default_factory=dict)
    pairs: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def export_release(
    sources: Sequence[Path], out: Path, options: ExportOptions | None = None, url: str | None = None
) -> ExportResult:
    """Write one release from projects and at most one release folder.

    Args:
        sources: project folders, and one release folder that they are added to.
        out: folder to make.
        options: how.
        url: database of the project, where it is not in its folder (one project only).

    Raises:
        UsageError: two releases, no project, or projects that contradict one another.
        SocoError: nothing to export, or disputes that nobody has reviewed.
    """
    options = options or ExportOptions()
    projects = [source for source in sources if (source / PROJECT_FILE).is_file()]
    bases = [source for source in sources if source not in projects]
    if not projects or len(bases) > 1:
        raise UsageError(f"Give one or more projects, and at most one release folder; got {len(bases)} others.")
    if url is not None and len(projects) > 1:
        raise UsageError("--database belongs to one project; export several with their databases in their folders.")
    result = ExportResult()
    with ExitStack() as stack:
        benches = [stack.enter_context(open_project(project, url)) for project in projects]
        parts = read_release_parts(bases[0]) if bases else ReleaseParts()
        old = list(parts.views)
        for bench in benches:
            _add_project(parts, bench, options, result)
        new = parts.views[len(old) :]
        if not new:
            raise SocoError("No image is annotated completely yet: nothing to export.")
        with atomic_folder(out, options.overwrite) as folder:
            if bases:
                copy_release(bases[0], folder)
            _write(folder, parts, old, new, options, result)
            if options.zipped:
                zip_release(folder)
        for bench in benches:
            with bench.database.writing() as session:
                session.add(Event(person_id=None, kind="exported", detail={"out": str(out), **result.images}))
    return result


def _add_project(parts: ReleaseParts, bench: Workbench, options: ExportOptions, result: ExportResult) -> None:
    with bench.database.reading() as session:
        images = final_images(session, bench.project, options.at)
    _check_disputes(images, options, result)
    usable: dict[str, list[FinalImage]] = {}
    for image in images:
        if image.points:
            usable.setdefault(image.row.category, []).append(image)
        else:
            result.notes.append(f"{image.result.image}: no visible keypoint, left out")
    for name, own in usable.items():
        _merge_category(parts, project_category(bench.project.category(name)))
        taken = [file_number(view.file) for view in parts.views if view.category == name]
        for number, image in enumerate(own, start=max(taken, default=0) + 1):
            parts.views.append(project_view(image, bench.project.folder, number))
            if image.box_source == "extent of the points":
                result.notes.append(f"{image.result.image}: no box, the extent of its points is taken")
            elif image.box is None:
                result.notes.append(f"{image.result.image}: no box, PCK is normalized by the image")


def _check_disputes(images: Sequence[FinalImage], options: ExportOptions, result: ExportResult) -> None:
    waiting = []
    for image in images:
        judged = {review.keypoint for review in image.reviews}
        names = [name for name, point in image.result.points.items() if point.disputes and name not in judged]
        if names:
            waiting.append(f"{image.result.image}: {', '.join(names[:3])}{' ...' if len(names) > 3 else ''}")
    if waiting and not options.allow_disputed:
        shown = "\n  ".join(waiting[:10])
        raise SocoError(
            f"{len(waiting)} image(s) have disputed keypoints that nobody has reviewed:\n  {shown}\n"
            "Review them (soco annotate invite PROJECT --role reviewer), or give --allow-disputed: points people place "
            "apart are taken at their median, those without a majority count as not visible."
        )
    result.notes += [f"disputed, not reviewed: {line}" for line in waiting]


def _merge_category(parts: ReleaseParts, spec: CategorySpec) -> None:
    """Add a category, or check that a known one says the same."""
    for name, point in spec.points.items():
        for other in parts.categories.values():
            known = other.points.get(name)
            if known is not None and known.concept != point.concept:
                raise UsageError(
                    f"{name!r} has the concept {point.concept!r} in {spec.name!r}, but {known.concept!r} in "
                    f"{other.name!r}. One name has one concept: change it in project.yaml."
                )
    known_category = parts.categories.setdefault(spec.name, spec)
    known_category.supercategory = known_category.supercategory or spec.supercategory
    known_category.template = known_category.template or spec.template
    for name, point in spec.points.items():
        known_category.points[name] = point


def _write(
    folder: Path,
    parts: ReleaseParts,
    old: Sequence[ReleaseView],
    new: Sequence[ReleaseView],
    options: ExportOptions,
    result: ExportResult,
) -> None:
    writer, chooser = ReleaseWriter(folder, parts), PairChooser(parts.categories, options.seed)
    for view in new:
        writer.write_view(view)
        result.images[view.category] = result.images.get(view.category, 0) + 1
    by_category = _grouped(parts.views)
    counts = {"intra": 0, "cross": 0, "probe_train": 0, "probe_test": 0}
    fresh = {view.category for view in new}
    for category in sorted(fresh):
        views = by_category[category]
        if possible_pairs(chooser, views) == 0:
            result.notes.append(f"{category}: no two images share {chooser.min_shared} visible keypoints, so no pairs")
        is_extended = any(view.category == category for view in old)
        pairs = chooser.intra(views, options.pairs)
        if is_extended:  # its old pairs are there already
            names = {view.file for view in new if view.category == category}
            pairs = [pair for pair in pairs if {pair[0].file, pair[1].file} & names]
        counts["intra"] += writer.write_pairs("intra", pairs, chooser)
        others = [view for view in parts.views if view.category != category]
        cross = chooser.cross(others, [view for view in new if view.category == category], options.pairs)
        counts["cross"] += writer.write_pairs("cross", cross, chooser)
        if not is_extended:
            train, test = chooser.probe(views, max(1, options.pairs // 2))
            counts["probe_train"] += writer.write_pairs("trainsplits/train", train, chooser)
            counts["probe_test"] += writer.write_pairs("trainsplits/test", test, chooser, first=1 + len(train))
    counts["cross"] += _write_into_old(writer, chooser, by_category, fresh, new, options)
    writer.write_metadata(sorted(fresh), new)
    result.pairs = counts


def _write_into_old(
    writer: ReleaseWriter,
    chooser: PairChooser,
    by_category: dict[str, list[ReleaseView]],
    fresh: set[str],
    new: Sequence[ReleaseView],
    options: ExportOptions,
) -> int:
    """Pairs whose target is of a category that was there before: as many in all as one category has."""
    targets = [category for category in by_category if category not in fresh]
    targets = [c for c in targets if any(chooser.is_eligible(s, t) for s in new for t in by_category[c])]
    written = 0
    for category in targets:
        share = max(1, options.pairs * len(fresh) // len(targets))
        pairs = chooser.cross(new, by_category[category], min(share, options.pairs))
        written += writer.write_pairs("cross", pairs, chooser)
    return written


def _grouped(views: Sequence[ReleaseView]) -> dict[str, list[ReleaseView]]:
    found: dict[str, list[ReleaseView]] = {}
    for view in views:
        found.setdefault(view.category, []).append(view)
    return dict(sorted(found.items()))


def result_lines(result: ExportResult) -> list[str]:
    """For people."""
    counts: list[tuple[str, Any]] = [*result.images.items(), *result.pairs.items()]
    return [f"{name}: {count}" for name, count in counts] + [f"note: {note}" for note in result.notes]
