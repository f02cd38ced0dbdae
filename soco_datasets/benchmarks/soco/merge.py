"""What the files of a release say together: one box and one position per keypoint of an image, each pair once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TypeVar

from ...data.diagnostics import BuildReport
from ...data.release_types import (
    AnnotatedKeypoint,
    Box,
    ImageRecord,
    ImageView,
    PairRecord,
)
from ...data.taxonomy import Taxonomy

_K = TypeVar("_K")


def distinct_views(pairs: Iterable[PairRecord]) -> list[tuple[ImageView, list[str]]]:
    """Every view object with the files that show it. Equal clean views are one object (see PairFileReader), so going by
    identity avoids hashing 120,000 views of twenty points each."""
    files: dict[int, tuple[ImageView, list[str]]] = {}
    for pair in pairs:
        for view in (pair.source, pair.target):
            files.setdefault(id(view), (view, []))[1].append(pair.file)
    return list(files.values())


def merge_views(pairs: Iterable[PairRecord], images: Mapping[str, ImageRecord], findings: BuildReport) -> None:
    """Gather each image's box and visible keypoints from the views of its pairs into `images`.

    Files that contradict the majority (another box, another position of a keypoint) are errors by name. A box that is
    missing or null in some files is filled in from the others.
    """
    seen: dict[str, dict[ImageView, list[str]]] = defaultdict(lambda: defaultdict(list))
    for view, files in distinct_views(pairs):
        seen[view.image_id][view].extend(files)
    for image_id, views in seen.items():
        record = images[image_id]
        record.bbox = _settle_box(image_id, views, findings)
        record.points = _settle_points(image_id, views, findings)


def _settle_box(image_id: str, views: Mapping[ImageView, list[str]], findings: BuildReport) -> Box | None:
    boxes: dict[Box, list[str]] = defaultdict(list)
    for view, files in views.items():
        if view.bbox is not None:
            boxes[view.bbox].extend(files)
    _report_minorities(f"the box of {image_id}", "bndbox", boxes, findings)
    return _majority(boxes) if boxes else None


def _settle_points(
    image_id: str, views: Mapping[ImageView, list[str]], findings: BuildReport
) -> tuple[AnnotatedKeypoint, ...]:
    union: dict[str, AnnotatedKeypoint] = {}
    for view in sorted(views, key=lambda view: (-len(view.points), -len(views[view]))):
        for point in view.points:
            if point.name not in union or (union[point.name].bare and not point.bare):
                union[point.name] = point
    if len(views) == 1:
        return tuple(union.values())
    for name in union:
        positions: dict[tuple[float, float], list[str]] = defaultdict(list)
        for view, files in views.items():
            for point in view.points:
                if point.name == name:
                    positions[(point.x, point.y)].extend(files)
        _report_minorities(f"{name} of {image_id}", "keypoints", positions, findings)
        best = _majority(positions)
        union[name] = replace(union[name], x=best[0], y=best[1])
    for view, files in views.items():
        if 0 < len(view.points) < len(union):
            message = f"{image_id} shows {len(view.points)} keypoints here and {len(union)} over all files"
            findings.note(files[0], "keypoints", "views_differ", message)
    return tuple(union.values())


def _majority(values: Mapping[_K, list[str]]) -> _K:
    return min(values, key=lambda value: (-len(values[value]), min(values[value])))


def _report_minorities(what: str, field: str, values: Mapping[_K, list[str]], findings: BuildReport) -> None:
    """An error for each file that disagrees with the majority; where there is none, for every file."""
    if len(values) < 2:
        return
    most = max(len(files) for files in values.values())
    agreed = [value for value, files in values.items() if len(files) == most]
    for value, files in values.items():
        if len(agreed) == 1 and value == agreed[0]:
            continue
        others = next(other for other in values if other != value) if len(agreed) > 1 else agreed[0]
        for file in files:
            message = f"{what} is {_plain(value)} here and {_plain(others)} in {values[others][0]}"
            message += f" and {len(values[others]) - 1} more file(s)" if len(values[others]) > 1 else ""
            findings.error(file, field, "contradiction", message, "make the files agree")


def _plain(value: object) -> str:
    return str(list(value)) if isinstance(value, tuple) else str(value)


def fill_pairs(
    pairs: Iterable[PairRecord], images: Mapping[str, ImageRecord], taxonomy: Taxonomy, findings: BuildReport
) -> None:
    """Give every pair's views the settled box, and bare points the concept the rest of the release gives them."""
    completed: dict[
        int, tuple[ImageView, ImageView]
    ] = {}  # by identity; holding the view keeps its id from being reused

    def complete(view: ImageView, file: str) -> ImageView:
        box = images[view.image_id].bbox
        if view.bbox_given and view.bbox is None and box is not None:
            message = f"the box of {view.image_id} is null here but given in other files: theirs is taken"
            findings.repair(file, "bndbox", "missing_box", message, "make the files agree")
        if id(view) not in completed:
            points = tuple(_with_concept(point, view.category, taxonomy) for point in view.points)
            completed[id(view)] = (view, replace(view, bbox=box, bbox_given=True, points=points))
        return completed[id(view)][1]

    for pair in pairs:
        pair.source = complete(pair.source, pair.file)
        pair.target = complete(pair.target, pair.file)
    for record in images.values():
        record.points = tuple(_with_concept(point, record.category, taxonomy) for point in record.points)


def _with_concept(point: AnnotatedKeypoint, category: str, taxonomy: Taxonomy) -> AnnotatedKeypoint:
    if not point.bare:
        return point
    entry = taxonomy.entry(category, point.name)
    return replace(
        point, keypoint_id=entry.keypoint_id, concept_id=entry.concept_id, concept=entry.concept, kind=entry.kind
    )


def deduplicate_pairs(pairs: list[PairRecord], findings: BuildReport) -> list[PairRecord]:
    """Each (source, target) of a subset once: equal doubles are left out (a repair), unequal ones are errors."""
    first: dict[tuple[str, str, str], PairRecord] = {}
    kept = []
    for pair in pairs:
        key = (pair.subset, pair.source.image_id, pair.target.image_id)
        other = first.setdefault(key, pair)
        if other is pair:
            kept.append(pair)
            continue
        if (pair.source, pair.target, pair.overlap, pair.groups) == (
            other.source,
            other.target,
            other.overlap,
            other.groups,
        ):
            message = f"the same pair as {other.file}: left out"
            findings.repair(pair.file, "", "doubled_pair", message, "remove one of them")
        else:
            message = f"the same pair as {other.file}, but annotated differently"
            findings.error(pair.file, "", "doubled_pair", message, "keep the right one and remove the other")
    return kept


def compare_annotations(
    annotated: Mapping[str, tuple[str, ImageView]],
    images: Mapping[str, ImageRecord],
    paired: set[str],
    findings: BuildReport,
) -> None:
    """Use KeypointAnnotations for images in no pair; note where they contradict the pair files for the others."""
    for image_id, (file, view) in annotated.items():
        record = images[image_id]
        if image_id not in paired:
            record.bbox, record.points = view.bbox, view.points
            continue
        ours = {point.name: (point.x, point.y) for point in record.points}
        theirs = {point.name: (point.x, point.y) for point in view.points}
        differing = sorted(name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name))
        if differing:
            message = (
                f"{len(differing)} keypoint(s) differ from the pair files, which count: {', '.join(differing[:4])}"
            )
            findings.note(file, "keypoints", "annotation_disagrees", message)
        if view.bbox != record.bbox:
            message = f"the box {view.bbox} differs from the pair files' {record.bbox}, which counts"
            findings.note(file, "bndbox", "annotation_disagrees", message)
