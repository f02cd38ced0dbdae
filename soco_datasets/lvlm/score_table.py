"""A score report as text for the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..utils.terminal import filled
from ..utils.text_table import TextTable


def format_scores(report: Mapping[str, Any], width: int | None = None) -> str:
    """One table per parser: settings down, then the gaps between them. Percent, intervals in brackets.

    Args:
        report: the record's fields.
        width: columns of the terminal, which the tables are fitted to; None = any number.
    """
    parts: list[str] = []
    for parser, found in report["parsers"].items():
        rows = [["setting", "circular", "average", "unparsed", "bias", "questions"]]
        for setting, part in found["settings"].items():
            overall, bias = part["overall"], part["letters"]["distance_from_uniform"]
            measures = _measure(overall, "circular"), _measure(overall, "average")
            shares = _percent(part["parse_failures"]), _percent(bias)
            rows.append([setting, *measures, *shares, f"{overall['groups']:,}"])
        for name, gap in found["gaps"].items():
            measures = _measure(gap, "circular"), _measure(gap, "average")
            rows.append([name, *measures, "", "", f"{gap['groups']:,}"])
        table = TextTable(rows, expendable=("questions", "bias", "unparsed"), hint="--json")
        parts.append(f"parser {parser}\n{table.text(width)}")
    left_out = {setting: n for setting, n in (report["left_out"] or {}).items() if n}
    if left_out:
        counts = ", ".join(f"{n:,} of {setting}" for setting, n in left_out.items())
        parts.append(f"{filled(f'left out, not answered in all four orderings: {counts}', width)}\n")
    legend = "circular: right in all four orderings; average: over all rows; bias: distance of the letters from uniform"
    return "\n".join([*parts, filled(legend, width)])


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f}"


def _measure(part: Mapping[str, Any], name: str) -> str:
    ends = part[f"{name}_interval"]
    return _percent(part[name]) + (f" [{_percent(ends[0])}, {_percent(ends[1])}]" if ends else "")
