"""Chosen candidates into the project, and the table that says of every picture why it was taken or not."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import select

from ..utils.files import atomic_write
from .candidate_filters import FilterOptions, JudgedCandidate, KnownImages, open_candidate, options_record
from .database import Event, ImageRow
from .project_images import NewImage, add_image
from .work import Workbench

TABLE = "candidates.csv"
RUNS = "candidates.json"
COLUMNS = (
    "source", "name", "category", "decision", "reason", "file", "objects", "single_object", "area_fraction",
    "longest_side_fraction", "valid_pose", "azimuth", "status", "sha256", "phash", "origin", "license",
)  # fmt: skip


def known_images(bench: Workbench) -> KnownImages:
    """The images that the project has."""
    known = KnownImages()
    with bench.database.reading() as session:
        for row in session.scalars(select(ImageRow).order_by(ImageRow.id)):
            known.add(row.sha256, row.phash, f"{row.file} of the project")
    return known


def add_candidates(
    bench: Workbench,
    source: Path,
    judged: Sequence[JudgedCandidate],
    options: FilterOptions,
    license: str | None = None,
) -> dict[str, int]:
    """Copy the chosen pictures into the project and write `candidates.csv` (all runs) and `candidates.json` (options).

    Returns:
        Number of pictures for each kind of decision: "chosen", "pose", "area", ...
    """
    rows = []
    for one in judged:
        file = _add(bench, one, license) if not one.reason else ""
        candidate = one.candidate
        rows.append(
            {
                "source": str(source),
                "name": candidate.name,
                "category": candidate.category,
                "decision": "rejected" if one.reason else "chosen",
                "reason": one.reason,
                "file": file,
                **candidate.measures(),
                "sha256": one.sha256,
                "phash": one.phash,
                "origin": candidate.origin,
                "license": candidate.license or license,
            }
        )
    counts: dict[str, int] = {}
    for one in judged:
        kind = one.reason.partition(":")[0] or "chosen"
        counts[kind] = counts.get(kind, 0) + 1
    _write(bench.project.folder, str(source), rows, {"options": options_record(options), "counts": counts})
    with bench.database.writing() as session:
        session.add(Event(person_id=None, kind="candidates", detail={"source": str(source), **counts}))
    return counts


def _add(bench: Workbench, one: JudgedCandidate, license: str | None) -> str:
    candidate = one.candidate
    main = candidate.objects[0] if candidate.objects else None
    radians = (main.azimuth, main.elevation, main.theta) if main else (None, None, None)
    azimuth, elevation, rotation = (None if value is None else math.degrees(value) for value in radians)
    new = NewImage(
        candidate.category,
        candidate.path.name,
        main.box if main else None,
        azimuth,
        elevation,
        rotation,
        candidate.origin,
        candidate.license or license or bench.project.license,
    )
    photograph = open_candidate(candidate)
    with bench.database.writing() as session:
        return add_image(session, bench.project.folder, new, photograph).file


def _write(folder: Path, source: str, rows: list[dict[str, Any]], run: dict[str, Any]) -> None:
    table, runs = folder / TABLE, folder / RUNS
    kept: list[dict[str, Any]] = []
    if table.is_file():
        with open(table, encoding="utf-8", newline="") as file:
            kept = list(csv.DictReader(file))
    chosen = {row["name"] for row in kept if row.get("source") == source and row.get("decision") == "chosen"}
    rows = [row for row in rows if row["name"] not in chosen]  # looked at again: the earlier decision stands
    names = {row["name"] for row in rows}
    kept = [row for row in kept if not (row.get("source") == source and row.get("name") in names)]
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows([{key: plain_cell(value) for key, value in row.items()} for row in (*kept, *rows)])
    atomic_write(table, buffer.getvalue())
    earlier = json.loads(runs.read_text(encoding="utf-8")) if runs.is_file() else []
    stamp = datetime.now(UTC).isoformat(timespec="seconds")
    atomic_write(runs, json.dumps([*earlier, {"source": source, "time": stamp, **run}], indent=2) + "\n")


def plain_cell(value: object) -> object:
    """A cell that a spreadsheet program does not take for a formula, and a table for a line break."""
    if not isinstance(value, str):
        return value
    text = " ".join(value.split())
    return f"'{text}" if text[:1] in tuple("=+-@\t") else text
