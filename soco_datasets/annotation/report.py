"""The report: agreement, annotators, corrections and suggestions as JSON and as one HTML page with pictures."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from ..errors import missing_extra
from ..records.made_files import write_made
from ..utils.paths import real_path
from .agreement import ImageResult, agreement_report
from .consensus import RULE, Consensus
from .database import ImageRow
from .results import consensus_of
from .review import correction_statistics
from .suggestions import pull_report
from .work import Workbench

FORMAT = 1
_WORST = 12
_CROP = 260  # pixels of a picture in the page


def build_report(
    bench: Workbench, at: datetime | None = None
) -> tuple[dict[str, Any], list[tuple[ImageRow, ImageResult]]]:
    """The report as JSON values, and the results it is made from."""
    with bench.database.reading() as session:
        results = consensus_of(session, bench.project, at)
        corrections = correction_statistics(bench, session)
    own = [result for _, result in results]
    disputes = [
        {"image": result.image, "keypoint": name, "why": list(point.disputes), "outliers": dict(point.outliers)}
        for result in own
        for name, point in result.points.items()
        if point.disputes
    ]
    outliers = [
        {"image": result.image, "keypoint": name, "annotator": person, "why": why}
        for result in own
        for name, point in result.points.items()
        for person, why in point.outliers.items()
    ]
    report = {
        "format": FORMAT,
        "title": bench.project.title,
        "at": at.isoformat() if at else None,
        "rule": RULE,
        "settings": vars(bench.project.settings),
        "agreement": agreement_report(own),
        "corrections": corrections,
        "suggestions": pull_report(bench),
        "disputes": disputes,
        "outliers": outliers,
    }
    return report, results


def aggregate_json(results: Sequence[tuple[ImageRow, ImageResult]]) -> list[dict[str, Any]]:
    """Every image's consensus as JSON values."""
    return [
        {
            "image": result.image,
            "category": result.category,
            "role": row.role,
            "points": {
                name: {
                    "state": point.state,
                    "x": point.x,
                    "y": point.y,
                    "votes": len(point.votes),
                    "spread": point.spread,
                    "outliers": dict(point.outliers),
                    "disputes": list(point.disputes),
                }
                for name, point in result.points.items()
            },
        }
        for row, result in results
    ]


def write_agreement_report(
    bench: Workbench, out: Path, at: datetime | None = None, *, overwrite: bool = False
) -> list[Path]:
    """Write `report.json`, `consensus.json` and `report.html` into a folder, where earlier ones of the project may be.

    Raises:
        MissingExtraError: jinja2 is not installed.
        UsageError: a report of another project, or another file, is there and `overwrite` is false.
    """
    report, results = build_report(bench, at)
    page = render_report_page(report, worst_pictures(bench, results))
    files = {
        "report.json": json.dumps(report, indent=2, allow_nan=False) + "\n",
        "consensus.json": json.dumps(aggregate_json(results), indent=1, allow_nan=False) + "\n",
        "report.html": page,
    }
    inputs = [f"project {bench.project.title} in {real_path(bench.project.folder)}"]
    return write_made(out, files, inputs, overwrite=overwrite)


def render_report_page(report: dict[str, Any], pictures: Sequence[dict[str, Any]]) -> str:
    """The HTML page; every text is escaped, pictures are inside."""
    try:
        from jinja2 import Environment, PackageLoader, StrictUndefined
    except ImportError:
        raise missing_extra("The report page", "annotation", "jinja2") from None
    environment = Environment(
        loader=PackageLoader("soco_datasets.annotation", "templates"), autoescape=True, undefined=StrictUndefined
    )
    environment.filters["percent"] = lambda value, digits=2: "-" if value is None else f"{100 * value:.{digits}f} %"
    environment.filters["plain"] = lambda value, digits=3: "-" if value is None else f"{value:.{digits}f}"
    return environment.get_template("report.html.j2").render(report=report, pictures=pictures)


def worst_pictures(bench: Workbench, results: Sequence[tuple[ImageRow, ImageResult]]) -> list[dict[str, Any]]:
    """The keypoints that people disagree on most, drawn: one color an annotator, the median as a cross."""
    ranked = [
        (_badness(point), row, result, name, point)
        for row, result in results
        for name, point in result.points.items()
        if point.disputes or point.outliers or point.spread is not None
    ]
    ranked.sort(key=lambda one: (-one[0], one[2].image, one[3]))
    return [
        {
            "image": result.image,
            "keypoint": name,
            "why": "; ".join(point.disputes) or _outlier_text(point),
            "spread": point.spread,
            "data": _picture(bench, row, point),
        }
        for _, row, result, name, point in ranked[:_WORST]
    ]


def _badness(point: Consensus) -> float:
    return 10.0 * bool(point.disputes) + 5.0 * bool(point.outliers) + (point.spread or 0.0)


def _outlier_text(point: Consensus) -> str:
    return "; ".join(f"left out: {person} ({why})" for person, why in point.outliers.items())


_COLORS = ("#e69f00", "#56b4e9", "#cc79a7", "#009e73", "#d55e00", "#0072b2")


def _picture(bench: Workbench, row: ImageRow, point: Consensus) -> str:
    """A data URI of the image, scaled down, with every annotator's point."""
    from PIL import Image, ImageDraw

    with Image.open(bench.project.folder / row.file) as opened:
        picture = opened.convert("RGB")
    left, top, right, bottom = _around(row, point)
    scale = 2 * _CROP / max(right - left, bottom - top)
    size = max(1, round((right - left) * scale)), max(1, round((bottom - top) * scale))
    picture = picture.resize(size, box=(left, top, right, bottom))
    draw = ImageDraw.Draw(picture)
    people = sorted(vote.annotator for vote in point.votes)
    for vote in point.votes:
        if vote.state == "visible" and vote.x is not None and vote.y is not None:
            x, y = (vote.x - left) * scale, (vote.y - top) * scale
            color = _COLORS[people.index(vote.annotator) % len(_COLORS)]
            draw.ellipse((x - 6, y - 6, x + 6, y + 6), outline="white", width=4)
            draw.ellipse((x - 6, y - 6, x + 6, y + 6), outline=color, width=2)
    if point.x is not None and point.y is not None:
        x, y = (point.x - left) * scale, (point.y - top) * scale
        for width, color in ((4, "white"), (2, "black")):
            draw.line((x - 9, y, x + 9, y), fill=color, width=width)
            draw.line((x, y - 9, x, y + 9), fill=color, width=width)
    buffer = io.BytesIO()
    picture.save(buffer, format="JPEG", quality=80)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _around(row: ImageRow, point: Consensus) -> tuple[float, float, float, float]:
    """The part of the image to show: all votes with room around them, at least 0.4 of the longest side."""
    places = [(vote.x, vote.y) for vote in point.votes if vote.x is not None and vote.y is not None]
    places = places or [(row.width / 2, row.height / 2)]
    reach = 0.2 * max(row.width, row.height)
    xs, ys = [x for x, _ in places], [y for _, y in places]
    return (
        max(0.0, min(xs) - reach),
        max(0.0, min(ys) - reach),
        min(float(row.width), max(xs) + reach),
        min(float(row.height), max(ys) + reach),
    )
