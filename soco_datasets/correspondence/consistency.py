"""Whether predictions can come from the protocol that they state: what is cheap to check, so always checked.

A record that follows from its predictions says nothing of where these come from. A real run leaves marks that made-up
predictions have to imitate: its positions are cells of the stated grid, a query has one answer in all tasks, a choice
among candidates is one of them, and no model comes near to what the grid allows. Of files that state no grid (imported
from other programs) none of this is known: they are `claimed`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ..benchmarks.base import SOCO, Task, benchmarks
from ..benchmarks.tasks import TASKS
from ..config import Protocol
from ..metrics.candidate_choice import candidate_cells
from ..records.annotated_points import AnnotatedPoints
from ..records.candidate_names import candidate_points, has_candidates
from ..records.fingerprint import Fingerprint
from ..records.header import Header
from ..records.predictions import read_annotated_images, read_header
from ..records.scores import row_errors
from ..records.validation import codes, points_array, sizes_array, whole_array
from ..records.verification import State
from .grid_positions import (
    TOLERANCE,
    best_positions,
    best_possible,
    positions_on_grid,
    statement_problems,
)
from .matchers.matcher import Matcher, matcher_class
from .similarity import content_cells

TOO_NEAR, TOO_CLOSE, TOO_MANY, FEWEST = 0.25, 0.02, 0.9, 50
"""Too good: 90 % of 50 or more predictions are within a quarter of a cell of the best possible ones, or within 2 % of
the normalizer of their target, which also holds for grids that are finer than any model's."""
COPIED = 0.95
_SIMILARITY = 1e-3  # by which a similarity may exceed 1
_EQUAL = 1e-6  # by which similarities of one query and cell may differ

Kind = Literal["inconsistent", "too good", "copied"]


@dataclass(frozen=True)
class OriginFinding:
    """Something that a real run of the stated protocol would not give.

    Attributes:
        kind: "inconsistent" = it cannot; "too good" and "copied" = it is not to be expected, and a rerun decides.
        text: what, with numbers.
    """

    kind: Kind
    text: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.text}"


@dataclass(frozen=True)
class Consistency:
    """What was found in one predictions table.

    Attributes:
        state: "claimed" where no grid is stated, "recomputed" with findings or where a part could not be looked at,
            else "consistent".
        findings: what speaks against it.
        checked: what was looked at, in words with numbers.
        notes: what could not be looked at, and why; and copies with the same weights.
        best: task -> alpha -> the PCK (fraction) that no predictions on this grid can exceed.
    """

    state: State
    findings: tuple[OriginFinding, ...] = ()
    checked: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    best: dict[str, dict[str, float | None]] = field(default_factory=dict)

    @property
    def line(self) -> str:
        """All findings in one line, or what was checked."""
        if self.findings:
            return "; ".join(map(str, self.findings))
        return f"{self.state}: {'; '.join(self.checked or self.notes)}"


@dataclass
class _Rows:
    """The rows of a table as arrays, with what the stated protocol allows; N rows of T tasks."""

    table: pa.Table
    header: Header
    grid: int
    sizes: NDArray[np.float64]
    cells: NDArray[np.float64]
    similarity: NDArray[np.float32]
    task: NDArray[np.int64]
    query: NDArray[np.int64]
    matchers: list[Matcher | None]
    findings: list[OriginFinding] = field(default_factory=list)
    checked: list[str] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)

    @property
    def protocol(self) -> Protocol:
        return self.header.protocol

    def of(self, wanted: Sequence[bool]) -> NDArray[np.bool_]:
        """(N,) whether a row is of one of the wanted tasks."""
        found: NDArray[np.bool_] = np.array(wanted, dtype=bool)[self.task]
        return found

    def count(self, bad: NDArray[np.bool_], of: int, what: str, fine: str) -> None:
        """Record a finding where any is set, else what was checked."""
        number = int(bad.sum())
        if number:
            where = self.table.slice(int(bad.argmax()), 1).select(["task", "pair_id", "keypoint"]).to_pylist()[0]
            self.findings.append(
                OriginFinding("inconsistent", f"{number:,} of {of:,} {what} (first: {', '.join(where.values())})")
            )
        elif of:
            self.checked.append(f"{of:,} {fine}")


def check_consistency(table: pa.Table, others: Sequence[Fingerprint] = ()) -> Consistency:
    """Check a predictions table for what a real run of its stated protocol always gives.

    Args:
        table: as `predictions.read_predictions` gives it.
        others: sketches of other submissions, of which equal ones are named.

    Raises:
        PredictionsError: the table's header or annotations are damaged.
    """
    header = read_header(table)
    tasks = [_task_of(name, header) for name in header.tasks]
    chosen = frozenset(name for name, task in zip(header.tasks, tasks, strict=True) if task and _chooses(task))
    copies, same = _copies(Fingerprint.of(table, chosen), others) if others else ([], [])
    grid = header.protocol.features.grid
    if grid is None:
        note = "the protocol states no patch grid, so where the predictions come from cannot be checked"
        return Consistency("recomputed" if copies else "claimed", tuple(copies), notes=(note, *same))
    rows = _rows(table, header, tasks, grid)
    wrong, untold = statement_problems(header.model, header.protocol.features)
    rows.findings += [OriginFinding("inconsistent", text) for text in wrong]
    rows.unchecked += untold
    _check_time(rows)
    _check_positions(rows)
    _check_similarities(rows)
    choices = _check_candidates(rows)
    _check_shared(rows, choices)
    _check_windows(rows)
    subcell = frozenset(
        name for name, matcher in zip(header.tasks, rows.matchers, strict=True) if matcher is None or matcher.is_subcell
    )
    _check_too_good(rows, subcell, chosen)
    findings = (*rows.findings, *copies)
    best = best_possible(table, subcell)
    state: State = "recomputed" if findings or rows.unchecked else "consistent"
    return Consistency(state, findings, tuple(rows.checked), (*rows.unchecked, *same), best)


def best_in_words(found: Consistency) -> list[str]:
    """What the grid allows, one line per task, such as "PCK of soc on this grid: 100.0 at 0.1, 95.1 at 0.05"."""
    lines = []
    for task, by_alpha in found.best.items():
        shown = ", ".join(f"{100 * pck:.1f} at {alpha}" for alpha, pck in by_alpha.items() if pck is not None)
        if shown:
            lines.append(f"PCK of {task} on this grid: {shown}")
    return lines


def _task_of(name: str, header: Header) -> Task | None:
    benchmark = benchmarks().get(str(header.dataset.get("benchmark", SOCO)))
    found = {task.name: task for task in benchmark.tasks}.get(name) if benchmark else None
    return found or TASKS.get(name)


def _chooses(task: Task) -> bool:
    return matcher_class(task.matcher).needs_candidates


def _rows(table: pa.Table, header: Header, tasks: Sequence[Task | None], grid: int) -> _Rows:
    names = pa.array(list(header.tasks), pa.string())
    sizes = sizes_array(table["target_size"])
    points = points_array(table["source_point"])
    query = codes(table, ("source_image_id", "target_image_id"))
    for axis in (0, 1):
        known, code = np.unique(points[:, axis], return_inverse=True)
        query = np.unique(query * len(known) + code, return_inverse=True)[1]
    rows = _Rows(
        table=table,
        header=header,
        grid=grid,
        sizes=sizes,
        cells=positions_on_grid(points_array(table["prediction"]), sizes, header.protocol),
        similarity=whole_array(table["similarity"]).to_numpy(zero_copy_only=False).astype(np.float32),
        task=pc.index_in(whole_array(table["task"]), value_set=names).to_numpy(zero_copy_only=False).astype(np.int64),
        query=query,
        matchers=[matcher_class(task.matcher)(header.protocol.scoring) if task else None for task in tasks],
    )
    unknown = [name for name, matcher in zip(header.tasks, rows.matchers, strict=True) if matcher is None]
    if unknown:
        rows.unchecked.append(f"how {', '.join(unknown)} finds positions is not known here, so less was checked of it")
    return rows


def _check_time(rows: _Rows) -> None:
    """A result is not made later than it is checked; a day is left for clocks that go wrong."""
    made = rows.header.created
    if datetime.fromisoformat(made) > datetime.now(UTC) + timedelta(days=1):
        rows.findings.append(OriginFinding("inconsistent", f"it states to be made at {made}, later than now"))


def _check_positions(rows: _Rows) -> None:
    whole = rows.of([matcher is not None and matcher.reach() == 0 for matcher in rows.matchers])
    off = whole & (np.abs(rows.cells - np.rint(rows.cells)).max(axis=1, initial=0) > TOLERANCE)
    grid = f"{rows.grid} x {rows.grid}"
    rows.count(off, int(whole.sum()), "predictions off the grid", f"predictions on the {grid} grid")
    last = np.full_like(rows.cells, rows.grid - 1)
    if rows.protocol.scoring.valid_area:
        among = rows.of([matcher is not None and matcher.needs_candidates for matcher in rows.matchers])
        last = np.where(among[:, None], last, content_cells(rows.sizes.astype(np.int64), rows.grid) - 1)
    beyond = (rows.cells < -TOLERANCE) | (rows.cells > last + TOLERANCE)
    outside: NDArray[np.bool_] = beyond[:, 0] | beyond[:, 1]
    where = "cells that hold some of the image" if rows.protocol.scoring.valid_area else "padded square"
    rows.count(outside, len(outside), f"predictions outside the {where}", f"predictions within the {where}")


def _check_similarities(rows: _Rows) -> None:
    absent = np.isnan(rows.similarity)
    rows.count(absent, len(absent), "predictions without a similarity", "similarities present")
    bad = ~absent & ~(np.abs(rows.similarity) <= 1 + _SIMILARITY)
    rows.count(bad, int((~absent).sum()), "similarities outside -1 to 1", "similarities within -1 to 1")


def _check_shared(rows: _Rows, choices: Mapping[str, NDArray[np.int64]]) -> None:
    """A query that several rows share has one answer by each matcher, and one best similarity of the map."""
    names = [None if matcher is None else matcher.name for matcher in rows.matchers]
    shared, differ = 0, np.zeros(len(rows.table), dtype=bool)
    for name in dict.fromkeys(names):
        own = np.flatnonzero(rows.of([other == name for other in names]))
        keys = rows.query[own]
        if name is None or (matcher_class(name).needs_candidates and name not in choices):
            continue
        if name in choices:
            keys = np.unique(np.column_stack([keys, choices[name][own]]), axis=0, return_inverse=True)[1].reshape(-1)
        first, repeated = _firsts(keys)
        shared += repeated
        moved = np.abs(rows.cells[own] - rows.cells[own[first]]).max(axis=1, initial=0) > TOLERANCE
        differ[own] = moved | _unequal(rows.similarity[own], rows.similarity[own[first]])
    rows.count(differ, shared, "answers to a query that tasks or pairs share differ", "shared queries have one answer")
    best = np.flatnonzero(rows.of([matcher is not None and matcher.gives_best for matcher in rows.matchers]))
    first, repeated = _firsts(rows.query[best])
    unequal = np.zeros(len(rows.table), dtype=bool)
    unequal[best] = _unequal(rows.similarity[best], rows.similarity[best[first]])
    if not differ.any():
        rows.count(unequal, repeated, "best similarities of a shared query differ", "of them with one best similarity")


def _check_windows(rows: _Rows) -> None:
    """Positions between cells are within the window around the best cell, where the table has that too."""
    hard = np.flatnonzero(rows.of([m is not None and m.gives_best and m.reach() == 0 for m in rows.matchers]))
    cell = np.full((int(rows.query.max(initial=-1)) + 1, 2), np.nan)
    cell[rows.query[hard]] = rows.cells[hard]
    for matcher in {m.name: m for m in rows.matchers if m is not None and m.is_subcell}.values():
        window = matcher.reach()
        if window is None:
            continue
        own = rows.of([m is not None and m.name == matcher.name for m in rows.matchers])
        apart = np.abs(rows.cells - cell[rows.query]).max(axis=1, initial=0)
        known = own & ~np.isnan(apart)
        what = f"within {window} cells of the best cell"
        far = known & (apart > window + TOLERANCE)
        rows.count(far, int(known.sum()), f"soft positions not {what}", f"soft positions {what}")


def _check_candidates(rows: _Rows) -> dict[str, NDArray[np.int64]]:
    """Choices are candidate cells, and no better than the best cell.

    Gives matcher -> (N,) a number of the set of candidates that each row chose among.
    """
    names = [name for name, m in zip(rows.header.tasks, rows.matchers, strict=True) if m and m.needs_candidates]
    if not names:
        return {}
    images = read_annotated_images(rows.table)
    listed = [name for name in names if has_candidates(rows.table, name)]
    if images is None or listed != names:
        rows.unchecked.append(
            f"the candidates of {', '.join(names)} are not in the file, so its choices were not checked"
        )
        return {}
    annotated, features = AnnotatedPoints.of(images), rows.protocol.features
    bad, total = np.zeros(len(rows.table), dtype=bool), 0
    sets = np.full(len(rows.table), -1, dtype=np.int64)
    for name in names:
        own = np.flatnonzero(rows.task == list(rows.header.tasks).index(name))
        counts, points = candidate_points(rows.table.take(pa.array(own)), name, annotated)
        owner = np.repeat(own, counts)
        cells = candidate_cells(
            rows.protocol.to_square(annotated.points[points], rows.sizes[owner]),
            rows.sizes[owner].max(axis=1, initial=1),
            size=features.size,
            grid=rows.grid,
            convention=rows.protocol.point_convention,
        )
        chosen = np.rint(rows.cells[:, 1]) * rows.grid + np.rint(rows.cells[:, 0])
        among = np.zeros(len(rows.table), dtype=bool)
        among[owner[cells == chosen[owner]]] = True
        bad[own] = ~among[own]
        total += len(own)
        sets[own] = _set_numbers(own, owner, cells)
    rows.count(bad, total, "choices that are not candidate cells", "choices among their candidates")
    _check_no_better(rows)
    return {m.name: sets for m in rows.matchers if m is not None and m.needs_candidates}


def _check_no_better(rows: _Rows) -> None:
    """A candidate is not more similar than the best cell, unless that is chosen among valid cells only."""
    if rows.protocol.scoring.valid_area:
        return
    best = np.full(int(rows.query.max(initial=-1)) + 1, np.nan)
    hard = rows.of([m is not None and m.gives_best for m in rows.matchers])
    best[rows.query[hard]] = rows.similarity[hard]
    chosen = rows.of([m is not None and m.needs_candidates for m in rows.matchers])
    known = chosen & ~np.isnan(best[rows.query])
    above = known & (rows.similarity > best[rows.query] + _EQUAL)
    rows.count(above, int(known.sum()), "choices more similar than the best cell", "of them at most as similar as it")


def _check_too_good(rows: _Rows, subcell: frozenset[str], chosen: frozenset[str]) -> None:
    """No model finds nearly every point as exactly as its grid allows."""
    for number, name in enumerate(rows.header.tasks):
        own = np.flatnonzero(rows.task == number)
        if name in chosen or len(own) < FEWEST:
            continue
        part = rows.table.take(pa.array(own))
        apart = best_positions(part, rows.protocol, name in subcell).apart
        near = float(((apart <= TOO_NEAR) | (row_errors(part) <= TOO_CLOSE)).mean())
        if near >= TOO_MANY:
            rows.findings.append(
                OriginFinding(
                    "too good", f"{100 * near:.1f} % of the {len(own):,} predictions of {name} are the best possible"
                )
            )


def _copies(own: Fingerprint, others: Sequence[Fingerprint]) -> tuple[list[OriginFinding], list[str]]:
    """Findings of files of other weights that are equal or nearly so, and notes of those of the same weights."""
    findings, notes = [], []
    for other in others:
        task, shared, share = own.most_equal(other)
        if share < COPIED:
            continue
        text = f"{100 * share:.1f} % of {shared:,} compared predictions of {task} are those of {other.name}"
        if own.weights is not None and own.weights == other.weights:
            notes.append(f"{text}, of the same weights")
        else:
            findings.append(OriginFinding("copied", f"{text}, which states other weights"))
    return findings, notes


def _firsts(keys: NDArray[np.int64]) -> tuple[NDArray[np.int64], int]:
    """((N,) the first place of each key, how many of the N share their key with another)."""
    _, first, inverse, counts = np.unique(keys, return_index=True, return_inverse=True, return_counts=True)
    return first[inverse], int(counts[counts > 1].sum())


def _unequal(one: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.bool_]:
    """(N,) whether similarities differ; absent ones are equal."""
    differ: NDArray[np.bool_] = ~(np.abs(one - other) <= _EQUAL) & ~(np.isnan(one) & np.isnan(other))
    return differ


def _set_numbers(rows: NDArray[np.int64], owner: NDArray[np.int64], cells: NDArray[np.int64]) -> NDArray[np.int64]:
    """(R,) a number of the set of candidate cells of each of the rows, the same for equal sets."""
    order = np.lexsort((cells, owner))
    numbers = np.random.default_rng(0).integers(1, 2**62, size=int(cells.max(initial=0)) + 1)
    pairs = np.unique(np.column_stack([owner[order], cells[order]]), axis=0)
    place = np.searchsorted(rows, pairs[:, 0])
    sums = np.zeros(len(rows), dtype=np.int64)
    np.add.at(sums, place, numbers[pairs[:, 1]])  # wraps around: a hash
    return sums
