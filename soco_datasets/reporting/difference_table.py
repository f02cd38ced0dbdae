"""Two results compared on the same pairs, as a table: for `soco compare` and for a notebook."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..benchmarks.tasks import task_title
from ..config import alpha_key
from ..utils.text_table import BAD, BEST, GOOD, TextTable, format_percent

_BETTER = {1: "B", -1: "A", 0: "", None: ""}
_DIFFERENCE, _SIDE = 4, 6  # columns
_WORDS: dict[str, dict[Any, str]] = {"layer": {-1: "last"}, "norm": {True: "final", False: "none"}}


def difference_table(comparison: Mapping[str, Any], *, parts: Sequence[str] = (), full: bool = False) -> TextTable:
    """The comparison in percent: a row per task, and the requested parts below it.

    "better" is the side that has more where the interval leaves out 0.

    Args:
        comparison: what `records.compare.compare_predictions` gives.
        parts: of "per_supercategory" and "per_category".
        full: all thresholds and reductions; else the first threshold over pairs, where these were scored.
    """
    rows = [["task", "part", "A", "B", "B - A", f"[{100 * comparison['level']:g} %]", "better", "pairs"]]
    rows += _rows(comparison["tasks"], parts, full)
    styles: dict[tuple[int, int | None], str] = {}
    for row, cells in enumerate(rows[1:], start=1):
        if side := cells[_SIDE]:
            styles[row, _DIFFERENCE] = GOOD if side == "B" else BAD
            styles[row, 2 if side == "A" else 3] = BEST
    return TextTable(rows, expendable=(*(() if parts else ("part",)), "pairs", "better"), hint="--json", styles=styles)


def difference_note(comparison: Mapping[str, Any]) -> str:
    """One line that says in which settings two compared runs differ; "" where in none.

    A setting that one of the two models does not have, such as a layer of SIFT, is no difference.

    >>> difference_note({"differ": {"image_size": [800, 400], "layer": [-1, 9], "norm": [None, False]}})
    'the runs differ in image size (800, 400), layer (last, 9)\\n'
    """
    words = []
    for name, values in comparison.get("differ", {}).items():
        if None not in values:
            shown = (_WORDS.get(name, {}).get(value, str(value)) for value in values)
            words.append(f"{name.replace('_', ' ')} ({', '.join(shown)})")
    return f"the runs differ in {', '.join(words)}\n" if words else ""


def _rows(tasks: Mapping[str, Any], parts: Sequence[str], full: bool) -> Iterator[list[str]]:
    for task, by_reduction in tasks.items():
        main = "pair" if "pair" in by_reduction else next(iter(by_reduction))
        for reduction, by_alpha in by_reduction.items():
            first = alpha_key(0.1) if alpha_key(0.1) in by_alpha else max(by_alpha, key=float)
            for alpha, breakdown in by_alpha.items():
                if not full and (reduction, alpha) != (main, first):
                    continue
                title = f"{task_title(task)} {reduction} @{alpha}"
                yield [title, "overall", *_cells(breakdown["overall"])]
                for part in parts:
                    for name, value in breakdown[part].items():
                        yield [title, name, *_cells(value)]


def _cells(value: Mapping[str, Any]) -> list[str]:
    ends, difference = value["interval"], value["difference"]
    return [
        format_percent(value["a"]),
        format_percent(value["b"]),
        "-" if difference is None else f"{100 * difference:+.2f}",
        "-" if ends is None else f"[{100 * ends[0]:+.2f}, {100 * ends[1]:+.2f}]",
        _BETTER[value["sign"]],
        f"{value['pairs']:,}",
    ]
