"""What the files of a release say together: one box and one position per keypoint of an image, each pair once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import chain
from typing import TypeVar

import numpy as np

from ...data.diagnostics import BuildReport
from ...data.pair_table import PairTable, ViewedFiles
from ...data.release_types import (
    AnnotatedKeypoint,
    Box,
    FileList,
    ImageRecord,
    ImageView,
)
from ...data.taxonomy import Taxonomy

_K = TypeVar("_K")


def merge_views(viewed: Iterable[ViewedFiles], images: Mapping[str, ImageRecord], findings: BuildReport) -> None:
    """Gather each image's box and visible keypoints from the views of its pairs into `images`.

    Files that contradict the majority (another box, another position of a keypoint) are errors by name. A box that is
    missing or null in some files is filled in from the others.
    """
    seen: dict[str, dict[ImageView, list[FileList]]] = defaultdict(lambda: defaultdict(list))
    for item in viewed:
        seen[item.view.image_id][item.view].append(item.files)
    for image_id, shown in seen.items():
        record = images[image_id]
        if len(shown) == 1:  # all files say the same: nothing to settle, no file to be named
            (view,) = shown
            record.bbox = view.bbox
            record.points = tuple({point.name: point for point in view.points}.values())
            continue
        views = {view: list(chain.from_iterable(parts)) for view, parts in shown.items()}
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
    for name in union:
        positions: dict[tuple[float, float], list[str]] = defaultdict(list)
        for view, files in views.items():
            for point in view.points:
                if point.name == name:
                    positions[(point.x, point.y)].extend(files)
        _report_minorities(f"{name} of {image_id}", "keypoints", positions, findings)
        best = _majority(positions)
        union[name] = union[name]._replace(x=best[0], y=best[1])
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
    pairs: PairTable, images: Mapping[str, ImageRecord], taxonomy: Taxonomy, findings: BuildReport
) -> PairTable:
    """The pairs with the settled box in every view, and bare points with the concept the rest of the release gives."""
    views = list(pairs.views)
    lacking = np.zeros(len(views), dtype=np.bool_)
    for number in np.unique(pairs.sides).tolist():
        view = views[number]
        box = images[view.image_id].bbox
        lacking[number] = view.bbox_given and view.bbox is None and box is not None
        points = tuple(_with_concept(point, view.category, taxonomy) for point in view.points)
        views[number] = replace(view, bbox=box, bbox_given=True, points=points)
    for row, side in np.argwhere(lacking[pairs.sides]).tolist():
        image_id = views[pairs.sides[row, side]].image_id
        message = f"the box of {image_id} is null here but given in other files: theirs is taken"
        findings.repair(pairs.files[row], "bndbox", "missing_box", message, "make the files agree")
    for record in images.values():
        record.points = tuple(_with_concept(point, record.category, taxonomy) for point in record.points)
    return replace(pairs, views=views)


def _with_concept(point: AnnotatedKeypoint, category: str, taxonomy: Taxonomy) -> AnnotatedKeypoint:
    if not point.bare:
        return point
    entry = taxonomy.entry(category, point.name)
    return point._replace(
        keypoint_id=entry.keypoint_id, concept_id=entry.concept_id, concept=entry.concept, kind=entry.kind
    )


def deduplicate_pairs(pairs: PairTable, findings: BuildReport) -> PairTable:
    """Each (source, target) of a subset once: equal doubles are left out (a repair), unequal ones are errors."""
    codes: dict[str, int] = {}
    image = np.array([codes.setdefault(view.image_id, len(codes)) for view in pairs.views], dtype=np.int64)
    source, target = image[pairs.sides].reshape(-1, 2).T
    key = (pairs.list_codes * len(codes) + source) * len(codes) + target
    _, first, inverse = np.unique(key, return_index=True, return_inverse=True)
    kept = first[inverse] == np.arange(len(pairs))
    for number in np.flatnonzero(~kept).tolist():
        other, pair = (pairs.take(np.array([place])) for place in (first[inverse[number]], number))
        file, other_file = pair.files[0], other.files[0]
        if _content(pair) == _content(other):
            message = f"the same pair as {other_file}: left out"
            findings.repair(file, "", "doubled_pair", message, "remove one of them")
        else:
            message = f"the same pair as {other_file}, but annotated differently"
            findings.error(file, "", "doubled_pair", message, "keep the right one and remove the other")
    return pairs if kept.all() else pairs.take(np.flatnonzero(kept))


def _content(pair: PairTable) -> tuple[object, ...]:
    (record,) = pair.records()
    return record.source, record.target, record.overlap, record.groups


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
