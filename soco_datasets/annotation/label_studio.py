"""Label Studio's JSON: one task an image, keypoint labels in percent of the image, choices for what is not visible."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from xml.sax.saxutils import quoteattr

from .interchange import AnsweredImage, hidden_points
from .json_files import AnnotationFileError, read_outside_json
from .project import Project
from .results import FinalImage
from .state import PointAnswer

_POINT, _IMAGE, _HIDDEN = "kp", "image", "not_visible"


def label_studio_export(project: Project, images: Sequence[FinalImage]) -> list[dict[str, Any]]:
    """The project's final points as tasks with one annotation each."""
    return [
        {
            "id": image.row.id,
            "data": {"image": image.row.file, "category": image.row.category, "project": project.title},
            "annotations": [{"completed_by": 1, "result": _results(image)}],
        }
        for image in images
    ]


def _results(image: FinalImage) -> list[dict[str, Any]]:
    row = image.row
    size = {"original_width": row.width, "original_height": row.height, "image_rotation": 0}
    found: list[dict[str, Any]] = [
        {
            "id": f"p{number}",
            "type": "keypointlabels",
            "from_name": _POINT,
            "to_name": _IMAGE,
            **size,
            "value": {"x": 100 * x / row.width, "y": 100 * y / row.height, "width": 0.5, "keypointlabels": [name]},
        }
        for number, (name, (x, y)) in enumerate(image.points.items())
    ]
    hidden = hidden_points(image)
    if hidden:
        value = {"choices": hidden}
        found.append({"id": "h", "type": "choices", "from_name": _HIDDEN, "to_name": _IMAGE, "value": value})
    return found


def label_studio_config(project: Project) -> str:
    """The labeling configuration that goes with the tasks."""
    names = dict.fromkeys(name for category in project.categories for name in category.by_name)
    labels = "\n".join(f"    <Label value={quoteattr(name)}/>" for name in names)
    choices = "\n".join(f"    <Choice value={quoteattr(name)}/>" for name in names)
    return (
        f'<View>\n  <Image name="{_IMAGE}" value="$image" zoom="true"/>\n'
        f'  <KeyPointLabels name="{_POINT}" toName="{_IMAGE}">\n{labels}\n  </KeyPointLabels>\n'
        f'  <Choices name="{_HIDDEN}" toName="{_IMAGE}" choice="multiple">\n{choices}\n  </Choices>\n</View>\n'
    )


def label_studio_import(file: Path) -> Iterator[AnsweredImage]:
    """The answers of an export; each annotation of a task is another annotator's.

    Raises:
        AnnotationFileError: not such a file.
    """
    tasks = read_outside_json(file)
    if not isinstance(tasks, list) or not all(isinstance(task, dict) for task in tasks):
        raise AnnotationFileError(f"{file} is not a list of tasks: not an export of Label Studio in its JSON format.")
    for number, task in enumerate(tasks):
        data = task.get("data")
        image = data.get("image") if isinstance(data, dict) else None
        if not isinstance(image, str) or not isinstance(task.get("annotations"), list):
            raise AnnotationFileError(f"{file}: task {number} has no data.image or no annotations.")
        name = unquote(image.partition("?d=")[2] or image)
        for annotation in task["annotations"]:
            if not isinstance(annotation, dict) or annotation.get("was_cancelled"):
                continue
            points, size = _answers(annotation.get("result"), f"{file}: task {number}")
            who = annotation.get("completed_by")
            who = who.get("email") or who.get("id") if isinstance(who, dict) else who
            category = data.get("category") if isinstance(data, dict) else None
            if points:
                annotator = None if who is None else str(who)
                yield AnsweredImage(name, category if isinstance(category, str) else None, points, size, annotator)


def _answers(results: object, where: str) -> tuple[dict[str, PointAnswer], tuple[int, int] | None]:
    points: dict[str, PointAnswer] = {}
    size: tuple[int, int] | None = None
    for result in results if isinstance(results, list) else ():
        try:
            value = result["value"]
            if result["type"] == "keypointlabels":
                size = (int(result["original_width"]), int(result["original_height"]))
                x, y = float(value["x"]), float(value["y"])
                if not (math.isfinite(x) and math.isfinite(y)):
                    raise ValueError("a position that is not finite")
                points[str(value["keypointlabels"][0])] = PointAnswer("visible", x * size[0] / 100, y * size[1] / 100)
            elif result["type"] == "choices":
                points.update({str(name): PointAnswer("hidden") for name in value["choices"]})
        except (TypeError, KeyError, ValueError, IndexError, OverflowError) as error:
            raise AnnotationFileError(f"{where} has a malformed result ({type(error).__name__}: {error}).") from None
    return points, size
