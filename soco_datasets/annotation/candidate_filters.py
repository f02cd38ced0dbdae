"""Which photographs are worth annotating: recorded thresholds, no duplicates, a quota spread over views."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..errors import DataNotFoundError, UsageError
from ..utils.progress import progress
from .candidate import Candidate
from .photo_files import BadPhotographError, PhotoFile, decode_photograph, hash_distance, read_photograph
from .source_animal3d import is_animal3d, read_animal3d
from .source_coco import find_coco, read_coco
from .source_folder import read_folder
from .source_imagenet3d import is_imagenet3d, read_imagenet3d


@dataclass(frozen=True)
class FilterOptions:
    """What is kept; all of it is recorded with the result.

    Attributes:
        min_area: least box area / image area.
        min_side: least longest side of the box / longest image side.
        max_objects: most objects in a picture.
        require_pose: leave out pictures without valid pose metadata, where the source has poses.
        quota: most pictures a category, 0 = no limit; spread over azimuth where it is known.
        hash_distance: perceptual hashes that differ in at most so many of 64 bits are near-duplicates.
    """

    min_area: float = 0.05
    min_side: float = 0.2
    max_objects: int = 1
    require_pose: bool = True
    quota: int = 40
    hash_distance: int = 6

    def __post_init__(self) -> None:
        for name in ("min_area", "min_side"):
            if not 0 <= getattr(self, name) <= 1:
                raise UsageError(f"--{name.replace('_', '-')} is a share from 0 to 1, got {getattr(self, name)}.")
        if self.max_objects < 1 or self.quota < 0 or not 0 <= self.hash_distance <= 64:
            raise UsageError("--max-objects must be at least 1, --quota at least 0 and --hash-distance from 0 to 64.")


@dataclass(frozen=True)
class JudgedCandidate:
    """A candidate with the decision: `reason` is "" for a chosen one, hashes are "" where it does not decode."""

    candidate: Candidate
    reason: str
    sha256: str = ""
    phash: str = ""


@dataclass
class KnownImages:
    """Pictures that may not come again: hashes -> where they are."""

    exact: dict[str, str] = field(default_factory=dict)
    similar: dict[str, str] = field(default_factory=dict)

    def add(self, sha256: str, phash: str | None, where: str) -> None:
        """Add one."""
        self.exact.setdefault(sha256, where)
        if phash:
            self.similar.setdefault(phash, where)

    def find(self, sha256: str, phash: str, distance: int) -> str | None:
        """ "same file as ..." or "looks like ...", None where there is no such."""
        if sha256 in self.exact:
            return f"same file as {self.exact[sha256]}"
        close = min(self.similar, key=lambda other: hash_distance(other, phash), default=None)
        if close is not None and hash_distance(close, phash) <= distance:
            return f"looks like {self.similar[close]}"
        return None


def read_source(source: Path, category: str | None = None, images: Path | None = None) -> Iterator[Candidate]:
    """The candidates of a source: ImageNet3D, Animal3D, a COCO file, or a plain folder, told by its layout.

    Args:
        source: folder or file.
        category: of all pictures, instead of what the source says.
        images: of a COCO file, the folder of its pictures.

    Raises:
        DataNotFoundError: there is nothing.
    """
    if not source.exists():
        raise DataNotFoundError(f"{source} is not there.")
    found: Iterator[Candidate]
    if source.is_dir() and is_imagenet3d(source):
        found = read_imagenet3d(source)
    elif source.is_dir() and is_animal3d(source):
        found = read_animal3d(source)
    elif (coco := find_coco(source)) is not None:
        found = read_coco(coco, images)
    elif source.is_dir():
        return read_folder(source, category)
    else:
        raise UsageError(f"{source} is neither a folder nor a COCO annotation file (.json).")
    return (replace(candidate, category=category) if category else candidate for candidate in found)


def excluded_images(folders: Sequence[Path]) -> KnownImages:
    """The images of built dataset folders, or of plain folders of pictures."""
    from ..data.folder import open_folder
    from ..data.manifest import MANIFEST

    known = KnownImages()
    for folder in folders:
        if (folder / MANIFEST).is_file():
            images = open_folder(folder).images
            files: Iterable[tuple[str, bytes]] = ((image_id, images.jpeg_bytes(image_id)) for image_id in images)
        elif folder.is_dir():
            files = ((one.name, one.path.read_bytes()) for one in read_folder(folder, "any"))
        else:
            raise DataNotFoundError(f"--exclude {folder} is not there.")
        for name, data in progress(files, f"Hashing {folder.name}", unit="image"):
            try:
                photograph = decode_photograph(data)
            except BadPhotographError:
                continue
            known.add(photograph.sha256, photograph.phash, f"{name} of {folder}")
    return known


def judge_candidates(
    candidates: Iterable[Candidate],
    options: FilterOptions,
    categories: Iterable[str] | None = None,
    excluded: KnownImages | None = None,
    existing: KnownImages | None = None,
) -> list[JudgedCandidate]:
    """Every candidate with its decision, in the order of the source. A broken file is a row, never an error.

    Args:
        candidates: from `read_source`.
        options: thresholds.
        categories: known ones; None = any.
        excluded: images of other data sets.
        existing: images of the project.
    """
    excluded, existing = excluded or KnownImages(), existing or KnownImages()
    judged: list[JudgedCandidate] = []
    wanted = None if categories is None else set(categories)
    for candidate in progress(candidates, "Judging pictures", unit="image"):
        reason = filter_reason(candidate, options)
        if reason is None and wanted is not None and candidate.category not in wanted:
            reason = f"category: {candidate.category!r} is not in project.yaml"
        if reason is not None:
            judged.append(JudgedCandidate(candidate, reason))
            continue
        try:
            photograph = open_candidate(candidate)
        except BadPhotographError as error:
            judged.append(JudgedCandidate(candidate, f"unreadable: {error}"))
            continue
        hashes = (photograph.sha256, photograph.phash)
        if (match := excluded.find(*hashes, options.hash_distance)) is not None:
            judged.append(JudgedCandidate(candidate, f"excluded: {match}", *hashes))
        elif (match := existing.find(*hashes, options.hash_distance)) is not None:
            judged.append(JudgedCandidate(candidate, f"duplicate: {match}", *hashes))
        else:
            existing.add(*hashes, candidate.name)
            judged.append(JudgedCandidate(candidate, "", *hashes))
    return _apply_quota(judged, options.quota)


def open_candidate(candidate: Candidate) -> PhotoFile:
    """Decode a candidate's picture; its size must be what the source's annotation says.

    Raises:
        BadPhotographError: it does not decode or has another size.
    """
    photograph = read_photograph(candidate.path, upright=not candidate.has_points)
    if candidate.width and (photograph.width, photograph.height) != (candidate.width, candidate.height):
        stated = f"{candidate.width} x {candidate.height}"
        raise BadPhotographError(f"is {photograph.width} x {photograph.height} pixels, its annotation says {stated}")
    return photograph


def filter_reason(candidate: Candidate, options: FilterOptions) -> str | None:
    """Why the filters leave a candidate out, None where they keep it. What a source does not state is not required."""
    if candidate.error is not None:
        return f"unreadable: {candidate.error}"
    if not candidate.objects:
        return None
    main = candidate.objects[0]
    if options.require_pose and main.valid_pose is False:
        return "pose: no valid pose metadata" + (f" ({main.status})" if main.status else "")
    if len(candidate.objects) > options.max_objects:
        return f"objects: {len(candidate.objects)}, at most {options.max_objects}"
    if not candidate.single_object and options.max_objects == 1:
        return "objects: a crowd or dense scene"
    if main.area_fraction is not None and main.area_fraction < options.min_area:
        return f"area: {main.area_fraction:.4f} of the image, at least {options.min_area}"
    if main.longest_side_fraction is not None and main.longest_side_fraction < options.min_side:
        return f"size: longest side {main.longest_side_fraction:.4f} of the image's, at least {options.min_side}"
    return None


def _apply_quota(judged: Sequence[JudgedCandidate], quota: int) -> list[JudgedCandidate]:
    if quota == 0:
        return list(judged)
    by_category: dict[str, list[int]] = {}
    for index, one in enumerate(judged):
        if not one.reason:
            by_category.setdefault(one.candidate.category, []).append(index)
    result = list(judged)
    for indices in by_category.values():
        azimuths = [judged[i].candidate.objects[0].azimuth if judged[i].candidate.objects else None for i in indices]
        kept = {indices[position] for position in spread_over_azimuth(azimuths, quota)}
        for index in set(indices) - kept:
            result[index] = replace(judged[index], reason=f"quota: {quota} others of the category are chosen")
    return result


def spread_over_azimuth(azimuths: Sequence[float | None], count: int) -> list[int]:
    """At most `count` positions whose azimuths (radians) lie as far apart as a greedy choice gets them.

    The first known azimuth begins; then always the one furthest, around the circle, from those chosen. Unknown ones
    follow in their order.

    >>> spread_over_azimuth([0.0, 0.1, 3.1, None, 1.6], 3)
    [0, 2, 4]
    """
    known = [index for index, value in enumerate(azimuths) if value is not None]
    chosen: list[int] = []
    distance: Mapping[int, float] = dict.fromkeys(known, math.inf)
    while len(chosen) < count and len(chosen) < len(known):
        best = max((i for i in known if i not in chosen), key=lambda i: (distance[i], -i))
        chosen.append(best)
        distance = {i: min(distance[i], _apart(azimuths[i], azimuths[best])) for i in known}
    unknown = [index for index, value in enumerate(azimuths) if value is None]
    return sorted(chosen + unknown[: max(0, count - len(chosen))])


def _apart(first: float | None, second: float | None) -> float:
    assert first is not None
    assert second is not None
    return abs((first - second + math.pi) % (2 * math.pi) - math.pi)


def options_record(options: FilterOptions) -> dict[str, Any]:
    """As JSON values."""
    return dict(vars(options))
