"""The comparison of two vision-language models as text for the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..utils.text_table import BAD, GOOD, TextTable


def answer_comparison_table(comparison: Mapping[str, Any]) -> TextTable:
    """The comparison in percent, a row per setting, parser and measure."""
    rows = [["setting", "parser", "measure", "A", "B", "B - A", "interval", "only A", "only B", "p", "questions"]]
    styles: dict[tuple[int, int | None], str] = {}
    for setting, parsers in comparison["settings"].items():
        for parser, measures in parsers.items():
            for measure, found in measures.items():
                ends = found["interval"]
                shown = "-" if ends is None else f"[{100 * ends[0]:+.1f}, {100 * ends[1]:+.1f}]"
                shares = [f"{100 * found[name]:.1f}" for name in ("a", "b")]
                counts = [str(found["only_a"]), str(found["only_b"]), f"{found['p']:.2g}", str(found["questions"])]
                if ends is not None and ends[0] * ends[1] > 0:
                    styles[len(rows), 5] = GOOD if ends[0] > 0 else BAD
                rows.append([setting, parser, measure, *shares, f"{100 * found['difference']:+.1f}", shown, *counts])
    expendable = ("only A", "only B", "questions", "A", "B", "p")
    return TextTable(rows, left={1, 2}, expendable=expendable, hint="--json", styles=styles)
