"""How well a score predicts other tasks over a set of models: Pearson's r, its uncertainty, and against a baseline.

r = sum((x - mean x)(y - mean y)) / sqrt(sum((x - mean x)^2) sum((y - mean y)^2)) over models. Intervals are percentiles
of r over bootstrap resamples of the models; a difference is taken within each resample, so that what both correlations
share cancels. A lower-is-better task gives a negative r, so strengths are compared as |r|.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import UsageError
from .model_table import ModelTable

LEAST = 3  # models a correlation needs; through two points every line fits
_CHUNK = 1 << 20  # resampled values held at once

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ModelBootstrap:
    """How intervals of a correlation are made: percentiles over resamples of the models.

    Attributes:
        level: of the intervals, above 0 and below 1.
        resamples: how many, 100 or more.
        seed: of NumPy's PCG64, 0 or more.

    Raises:
        UsageError: one of them is out of its range.
    """

    level: float = 0.95
    resamples: int = 10_000
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.level < 1:
            raise UsageError(f"The level of an interval lies between 0 and 1, such as 0.95; got {self.level:g}.")
        if self.resamples < 100:
            raise UsageError(f"An interval needs at least 100 resamples, got {self.resamples}.")
        if self.seed < 0:
            raise UsageError(f"A seed is not negative, got {self.seed}.")


@dataclass(frozen=True)
class Correlation:
    """One Pearson correlation over models.

    Attributes:
        r: over all `models`.
        low, high: bootstrap percentile interval.
        models: those with both values.
        leave_one_out: least and greatest r with one model left out, each with the model that was; None below four
            models, or where leaving one out always leaves a constant column.
        degenerate: resamples without a correlation (a column constant in them), left out of the interval.
    """

    r: float
    low: float
    high: float
    models: tuple[str, ...]
    leave_one_out: tuple[tuple[float, str], tuple[float, str]] | None
    degenerate: int


@dataclass(frozen=True)
class Difference:
    """|r| of x minus |r| of the baseline, and the signed difference, over the models with all three values."""

    strength: float
    strength_low: float
    strength_high: float
    signed: float
    signed_low: float
    signed_high: float
    models: tuple[str, ...]
    degenerate: int


@dataclass(frozen=True)
class TaskCorrelation:
    """A task's correlation with x and, where asked for, with the baseline."""

    task: str
    x: Correlation
    baseline: Correlation | None = None
    difference: Difference | None = None


@dataclass(frozen=True)
class CorrelationStudy:
    """All tasks of a table.

    Attributes:
        x, baseline: column names.
        level: of the intervals, such as 0.95.
        resamples, seed: of the bootstrap (NumPy's PCG64; each correlation starts it anew).
        models: those that were considered.
        tasks: one entry per task, in the table's order.
        table: the values.
        notes: missing values and what else a reader must know, in sentences.
    """

    x: str
    baseline: str | None
    level: float
    resamples: int
    seed: int
    models: tuple[str, ...]
    tasks: tuple[TaskCorrelation, ...]
    table: ModelTable
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Everything but the table, as plain JSON values."""
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "table"}
        return {**fields, "tasks": [dataclasses.asdict(task) for task in self.tasks]}


def correlate(
    table: ModelTable,
    x: str,
    baseline: str | None = None,
    *,
    tasks: Sequence[str] | None = None,
    models: Sequence[str] | None = None,
    bootstrap: ModelBootstrap | None = None,
) -> CorrelationStudy:
    """Correlate a column, and a baseline, with every task of a table.

    Args:
        table: models by columns, see `read_model_table`.
        x, baseline: columns; the unambiguous beginning of a name is enough.
        tasks: columns to predict; None = all others.
        models: only these models; None = all.
        bootstrap: how intervals are made; None = the defaults.

    Raises:
        UsageError: an unknown column or model, no task, fewer than three models with both values, or a column that is
            constant over them; names the columns.
    """
    drawn = bootstrap or ModelBootstrap()
    names = {name: table.column(name) for name in [x, *([baseline] if baseline is not None else []), *(tasks or [])]}
    predictor, rival = names[x], None if baseline is None else names[baseline]
    if predictor == rival:
        raise UsageError(f"x and the baseline are the same column, {predictor!r}.")
    wanted = list(dict.fromkeys(names[task] for task in tasks)) if tasks is not None else list(table.columns)
    wanted = [task for task in wanted if task not in (predictor, rival)]
    if not wanted:
        raise UsageError(f"There is no task to correlate with: the columns are {', '.join(table.columns)}.")
    chosen = table if models is None else table.select(models)
    correlations = _Correlations(chosen, drawn)
    found = tuple(correlations.task(task, predictor, rival) for task in wanted)
    used = [predictor, *([rival] if rival is not None else []), *wanted]
    notes = [*chosen.notes, *_missing(chosen, used), *_degenerate(found, drawn.resamples)]
    return CorrelationStudy(
        predictor, rival, drawn.level, drawn.resamples, drawn.seed, chosen.models, found, chosen, tuple(notes)
    )


def pearson(x: Floats, y: Floats) -> Floats:
    """Pearson's r along the last axis, NaN where x or y is constant there. (..., n) and (..., n) -> (...)."""
    constant = (x.max(-1) == x.min(-1)) | (y.max(-1) == y.min(-1))
    x, y = (v - v.mean(-1, keepdims=True) for v in (x, y))
    with np.errstate(invalid="ignore", divide="ignore"):
        r = (x * y).sum(-1) / np.sqrt((x * x).sum(-1) * (y * y).sum(-1))
    return np.asarray(np.where(constant, np.nan, np.clip(r, -1, 1)))


@dataclass(frozen=True)
class _Correlations:
    table: ModelTable
    bootstrap: ModelBootstrap

    def task(self, task: str, x: str, baseline: str | None) -> TaskCorrelation:
        ours = self._correlation(x, task)
        if baseline is None:
            return TaskCorrelation(task, ours)
        return TaskCorrelation(task, ours, self._correlation(baseline, task), self._difference(x, baseline, task))

    def _correlation(self, x: str, task: str) -> Correlation:
        (a, y), models = self._complete(x, task)
        draws = np.concatenate([pearson(a[rows], y[rows]) for rows in self._rows(len(models))])
        low, high = self._interval(draws)
        return Correlation(
            float(pearson(a, y)), low, high, models, _leave_one_out(a, y, models), int(np.isnan(draws).sum())
        )

    def _difference(self, x: str, baseline: str, task: str) -> Difference:
        (a, b, y), models = self._complete(x, baseline, task)
        both = [(pearson(a[rows], y[rows]), pearson(b[rows], y[rows])) for rows in self._rows(len(models))]
        ours, theirs = (np.concatenate(draws) for draws in zip(*both, strict=True))
        whole = float(pearson(a, y)), float(pearson(b, y))
        return Difference(
            abs(whole[0]) - abs(whole[1]),
            *self._interval(np.abs(ours) - np.abs(theirs)),
            whole[0] - whole[1],
            *self._interval(ours - theirs),
            models,
            int(np.isnan(ours - theirs).sum()),
        )

    def _complete(self, *names: str) -> tuple[list[Floats], tuple[str, ...]]:
        """The columns over the models that have a value in all of them, scaled so that no product overflows."""
        values = np.stack([self.table.columns[name] for name in names])
        rows = np.flatnonzero(~np.isnan(values).any(axis=0))
        models = tuple(self.table.models[row] for row in rows)
        what = " with ".join(repr(name) for name in names)
        if len(rows) < LEAST:
            listed = f" ({', '.join(models)})" if models else ""
            raise UsageError(
                f"Correlating {what} needs at least {LEAST} models with all of these values; there "
                f"{'is' if len(rows) == 1 else 'are'} {len(rows)}{listed}."
            )
        columns = []
        for name, column in zip(names, values[:, rows], strict=True):
            if column.max() == column.min():
                raise UsageError(
                    f"Correlating {what}: {name!r} is {column[0]:g} for all {len(rows)} models, so there is no "
                    "correlation. Choose other models, or other tasks."
                )
            columns.append(column / np.abs(column).max())
        return columns, models

    def _rows(self, models: int) -> Iterator[NDArray[np.int64]]:
        """Resamples of row numbers, in chunks: floor(u * models) with u from PCG64."""
        random = np.random.Generator(np.random.PCG64(self.bootstrap.seed))
        step = max(1, _CHUNK // models)
        resamples = self.bootstrap.resamples
        for start in range(0, resamples, step):
            yield (random.random((min(step, resamples - start), models)) * models).astype(np.int64)

    def _interval(self, draws: Floats) -> tuple[float, float]:
        tail = (1 - self.bootstrap.level) / 2
        low, high = np.quantile(draws[~np.isnan(draws)], [tail, 1 - tail])
        return float(low), float(high)


def _leave_one_out(x: Floats, y: Floats, models: Sequence[str]) -> tuple[tuple[float, str], tuple[float, str]] | None:
    if len(models) <= LEAST:
        return None
    rest = ~np.eye(len(models), dtype=bool)
    r = np.array([float(pearson(x[keep], y[keep])) for keep in rest])
    if np.isnan(r).all():
        return None
    least, most = int(np.nanargmin(r)), int(np.nanargmax(r))
    return (float(r[least]), models[least]), (float(r[most]), models[most])


def _missing(table: ModelTable, names: Sequence[str]) -> Iterator[str]:
    """What is missing, columns that lack the same models together."""
    lacking: dict[tuple[str, ...], list[str]] = {}
    for name in names:
        absent = tuple(m for m, gone in zip(table.models, np.isnan(table.columns[name]), strict=True) if gone)
        if absent:
            lacking.setdefault(absent, []).append(name)
    for absent, columns in lacking.items():
        yield (
            f"Missing values, left out pairwise: {len(absent)} of {len(table.models)} models ({', '.join(absent)}) in "
            f"{', '.join(columns)}."
        )


def _degenerate(tasks: Sequence[TaskCorrelation], resamples: int) -> Iterator[str]:
    for task in tasks:
        worst = max(c.degenerate for c in (task.x, task.baseline, task.difference) if c is not None)
        if worst:
            yield (
                f"{task.task}: in {worst} of {resamples} resamples a column is constant; they are left out of the "
                "intervals."
            )
