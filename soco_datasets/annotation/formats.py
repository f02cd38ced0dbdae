"""The formats by name: reading answers, writing final points."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from ..errors import DataNotFoundError, unknown_name
from ..records.made_files import write_made
from .animal3d_points import animal3d_import
from .coco import coco_export, coco_import
from .csv_files import csv_export, csv_import
from .interchange import AnsweredImage, check_format
from .label_studio import label_studio_config, label_studio_export, label_studio_import
from .results import final_images
from .work import Workbench

_READERS = {
    "coco": coco_import,
    "label-studio": label_studio_import,
    "csv": csv_import,
    "animal3d": animal3d_import,
}
WRITTEN = ("coco", "label-studio", "csv")


def read_answer_file(name: str, file: Path) -> Iterable[AnsweredImage]:
    """The answers in a file of a format.

    Raises:
        UsageError: an unknown format.
        DataNotFoundError: no such file.
        AnnotationFileError: not of that format.
    """
    check_format(name)
    if not file.exists():
        raise DataNotFoundError(f"{file} is not there.")
    return _READERS[name](file)


def write_points(
    bench: Workbench, name: str, out: Path, at: datetime | None = None, *, overwrite: bool = False
) -> list[Path]:
    """Write the final points of all images; of Label Studio also its labeling configuration beside it.

    Args:
        bench: the project.
        name: of the format, one of `WRITTEN`.
        out: the file.
        at: the moment; None = now.
        overwrite: replace other points and other files.

    Raises:
        UsageError: an unknown format, or a file with other content is there.
    """
    if name not in WRITTEN:
        raise unknown_name("format", name, WRITTEN)
    with bench.database.reading() as session:
        images = final_images(session, bench.project, at)
    if name == "csv":
        return write_made(out.parent, {out.name: csv_export(images)}, overwrite=overwrite)
    content = coco_export(bench.project, images) if name == "coco" else label_studio_export(bench.project, images)
    files = {out.name: json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"}
    if name == "label-studio":
        files[out.with_suffix(".config.xml").name] = label_studio_config(bench.project)
    return write_made(out.parent, files, overwrite=overwrite)
