"""CSV: one line a keypoint of an image. Columns image, category, keypoint, state, x, y; annotator when imported."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

from .interchange import AnsweredImage, hidden_points
from .json_files import AnnotationFileError
from .results import FinalImage
from .state import PointAnswer

COLUMNS = ("image", "category", "keypoint", "state", "x", "y")


def csv_export(images: Sequence[FinalImage]) -> str:
    """The project's final points."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(COLUMNS)
    for image in images:
        for name, (x, y) in image.points.items():
            writer.writerow([image.row.file, image.row.category, name, "visible", x, y])
        for name in hidden_points(image):
            writer.writerow([image.row.file, image.row.category, name, "hidden", "", ""])
    return buffer.getvalue()


def csv_import(file: Path) -> Iterator[AnsweredImage]:
    """The answers of a CSV file, in groups of image and annotator.

    Raises:
        AnnotationFileError: missing columns, or a line that cannot be read, by its number.
    """
    groups: dict[tuple[str, str | None, str | None], dict[str, PointAnswer]] = {}
    try:
        with open(file, encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream)
            missing = {"image", "keypoint", "state"} - set(reader.fieldnames or ())
            if missing:
                raise AnnotationFileError(f"{file} lacks the column(s) {', '.join(sorted(missing))}.")
            for row in reader:
                key = (row["image"] or "", row.get("category") or None, row.get("annotator") or None)
                groups.setdefault(key, {})[row["keypoint"] or ""] = _answer(row, f"{file}, line {reader.line_num}")
    except (UnicodeDecodeError, csv.Error) as error:
        raise AnnotationFileError(f"{file} is not a CSV file in UTF-8 ({error}).") from None
    for (image, category, annotator), points in groups.items():
        yield AnsweredImage(image, category, points, None, annotator)


def _answer(row: dict[str, str], where: str) -> PointAnswer:
    state = (row["state"] or "").strip()
    if state not in ("visible", "hidden", "unsure"):
        raise AnnotationFileError(f"{where}: state is {state!r}; it is visible, hidden or unsure.")
    if state != "visible":
        return PointAnswer(state)
    try:
        x, y = float(row.get("x") or ""), float(row.get("y") or "")
    except ValueError:
        x = y = math.nan
    if not (math.isfinite(x) and math.isfinite(y)):
        raise AnnotationFileError(f"{where}: a visible point needs finite numbers x and y.")
    return PointAnswer(state, x, y)
