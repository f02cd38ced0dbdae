"""A score report as text for the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def format_scores(report: Mapping[str, Any]) -> str:
    """One table per parser: settings down, then the gaps between them. Percent, intervals in brackets."""
    lines: list[str] = []
    for parser, found in report["parsers"].items():
        header = f"{'setting':<18}{'circular':>22}{'average':>22}{'unread':>9}{'bias':>7}{'questions':>11}"
        lines += [f"parser {parser}", header, "-" * len(header)]
        for setting, part in found["settings"].items():
            overall, bias = part["overall"], part["letters"]["distance_from_uniform"]
            lines.append(
                f"{setting:<18}{_measure(overall, 'circular'):>22}{_measure(overall, 'average'):>22}"
                f"{_percent(part['parse_failures']):>9}{_percent(bias):>7}{overall['groups']:>11,}"
            )
        for name, gap in found["gaps"].items():
            lines.append(
                f"{name:<18}{_measure(gap, 'circular'):>22}{_measure(gap, 'average'):>22}{'':16}{gap['groups']:>11,}"
            )
        lines.append("")
    left_out = {setting: n for setting, n in (report["left_out"] or {}).items() if n}
    if left_out:
        counts = ", ".join(f"{n:,} of {setting}" for setting, n in left_out.items())
        lines.append(f"left out, not answered in all four orderings: {counts}\n")
    lines.append(
        "circular: right in all four orderings; average: of the rows; bias: distance of the letters from uniform"
    )
    return "\n".join(lines)


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f}"


def _measure(part: Mapping[str, Any], name: str) -> str:
    ends = part[f"{name}_interval"]
    return _percent(part[name]) + (f" [{_percent(ends[0])}, {_percent(ends[1])}]" if ends else "")
