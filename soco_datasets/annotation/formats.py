"""The formats by name: reading answers, writing final points."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from ..errors import DataNotFoundError, unknown_name
from ..utils.files import atomic_write
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


def write_points(bench: Workbench, name: str, out: Path, at: datetime | None = None) -> list[Path]:
    """Write the final points of all images; of Label Studio also its labeling configuration beside it.

    Raises:
        UsageError: an unknown format.
    """
    if name not in WRITTEN:
        raise unknown_name("format", name, WRITTEN)
    with bench.database.reading() as session:
        images = final_images(session, bench.project, at)
    if name == "csv":
        atomic_write(out, csv_export(images))
        return [out]
    content = coco_export(bench.project, images) if name == "coco" else label_studio_export(bench.project, images)
    atomic_write(out, json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    if name == "coco":
        return [out]
    config = out.with_suffix(".config.xml")
    atomic_write(config, label_studio_config(bench.project))
    return [out, config]
