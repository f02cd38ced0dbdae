"""What the formats share: images with answers, found in the project by file name; and what is written out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from ..errors import UsageError, unknown_name
from .database import ImageRow
from .point_import import import_gold, import_votes, mapped
from .results import FinalImage
from .state import PointAnswer
from .work import Workbench

FORMATS = ("coco", "label-studio", "csv", "animal3d")


@dataclass(frozen=True)
class AnsweredImage:
    """Answers for one image of a file that is imported.

    Attributes:
        file: name or path of the image.
        category: as the file says; None where it does not.
        points: keypoint -> answer.
        size: (width, height) that positions refer to, where the file states it.
        annotator: who, where the file says.
    """

    file: str
    category: str | None
    points: Mapping[str, PointAnswer]
    size: tuple[int, int] | None = None
    annotator: str | None = None


@dataclass
class ImportResult:
    """What an import did."""

    images: int = 0
    points: int = 0
    already: int = 0
    skipped: list[str] = field(default_factory=list)


def import_answers(
    bench: Workbench,
    answered: Iterable[AnsweredImage],
    role: str,
    names: Mapping[str, Mapping[str, str]] | None = None,
) -> ImportResult:
    """Bring answers into the project, all or nothing.

    Args:
        bench: the project.
        answered: of a file.
        role: "gold", "qualification", or "annotator:NAME" (where the file names annotators, theirs are added to it).
        names: mapping of keypoints, see `read_keypoint_map`.

    Raises:
        UsageError: unknown keypoints, points outside their image, sizes that differ.
    """
    result = ImportResult()
    with bench.database.writing(exclusive=True) as session:
        index = images_by_stem(session)
        for one in answered:
            row = find_image(index, one)
            if row is None:
                result.skipped.append(f"{one.file}: no such image in the project")
                continue
            if one.size is not None and one.size != (row.width, row.height):
                raise UsageError(f"{one.file}: stated as {one.size}, the project's image is {(row.width, row.height)}.")
            points = mapped(one.points, row.category, names or {})
            kind, _, who = role.partition(":")
            if kind == "annotator":
                name = " ".join(part for part in (who, one.annotator) if part) or "unnamed"
                stored = import_votes(session, bench.project, row, name, _completed(bench, row, points))
                result.already += stored == 0
            else:
                stored = import_gold(session, bench.project, row, role, points)
            result.images, result.points = result.images + (stored > 0), result.points + stored
    return result


def _completed(bench: Workbench, row: ImageRow, points: Mapping[str, PointAnswer]) -> dict[str, PointAnswer]:
    """The answers with a "hidden" for each of the category's keypoints that the file does not place."""
    category = bench.project.category(row.category)
    return {**{name: PointAnswer("hidden") for name in category.by_name}, **points}


def images_by_stem(session: Session) -> dict[str, list[ImageRow]]:
    """Stem of the file, or of the place it came from -> images."""
    found: dict[str, list[ImageRow]] = {}
    for row in session.scalars(select(ImageRow).order_by(ImageRow.id)):
        for key in {stem(row.file), stem(row.origin or row.file)}:
            found.setdefault(key, []).append(row)
    return found


def find_image(index: Mapping[str, list[ImageRow]], one: AnsweredImage) -> ImageRow | None:
    """The image that a file's entry means: by stem, and by category where several have it."""
    rows = index.get(stem(one.file), [])
    if len(rows) > 1 and one.category is not None:
        rows = [row for row in rows if row.category == one.category] or rows
    if len(rows) > 1:
        rows = [row for row in rows if row.file.endswith(one.file)] or rows
    return rows[0] if len(rows) == 1 else None


def stem(file: str) -> str:
    """File name without folders and ending, as it is compared."""
    return Path(file.replace("\\", "/")).name.rpartition(".")[0].lower() or Path(file).name.lower()


def check_format(name: str) -> None:
    """Raises `UsageError` for an unknown format."""
    if name not in FORMATS:
        raise unknown_name("format", name, FORMATS)


def hidden_points(image: FinalImage) -> list[str]:
    """Keypoints that people agreed are not visible."""
    return [name for name, point in image.result.points.items() if point.state == "hidden" and name not in image.points]
