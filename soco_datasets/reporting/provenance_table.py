"""What was evaluated, on what and how, as a table."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from ..records.evaluation import EvaluationResult
from ..utils.text import clean
from .export import Cell, Column, ReportTable
from .score_access import model_names

_SIDE_BY_SIDE = 3  # models with columns of their own
_ALL = "all"


def provenance_table(results: Sequence[EvaluationResult]) -> ReportTable:
    """One row per fact, one column per model; with more than three models one row per fact, or per fact and model."""
    facts: dict[str, list[Cell]] = {}
    for index, result in enumerate(results):
        for fact, value in _facts(result):
            facts.setdefault(fact, [None] * len(results))[index] = value
    names = model_names(results)
    rows: list[tuple[Cell, ...]] = []
    if len(results) <= _SIDE_BY_SIDE:
        columns = (Column("fact"), *(Column(name) for name in names))
        rows = [(fact, *row) for fact, row in facts.items()]
    else:
        columns = (Column("fact"), Column("model"), Column("value"))
        for fact, row in facts.items():
            if len(set(row)) == 1:
                rows.append((fact, _ALL, row[0]))
            else:
                rows += [(fact, name, value) for name, value in zip(names, row, strict=True)]
    note = "From the records: models, data, protocol, versions and what was computed."
    return ReportTable("provenance", "Provenance", note, columns, tuple(rows))


def _facts(result: EvaluationResult) -> Iterator[tuple[str, str | None]]:
    groups = {
        "model": result.model,
        "dataset": result.dataset,
        "protocol": result.protocol.to_dict(),
        "counts": result.counts,
        "versions": result.versions,
        "device": result.device if isinstance(result.device, dict) else {"": result.device},
        "evaluated": {"": result.created},
    }
    for group, values in groups.items():
        for name, value in values.items():
            text = value if isinstance(value, str) else None if value is None else json.dumps(value, ensure_ascii=False)
            yield f"{group} {clean(name)}".strip().replace("_", " "), text
