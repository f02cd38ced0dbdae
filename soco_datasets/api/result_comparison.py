"""Two results compared on the same pairs, for a notebook."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..config import alpha_key
from ..records.summary import table_html
from ..utils.text_table import format_percent

if TYPE_CHECKING:
    import pandas as pd


class ResultComparison:
    """B - A of every score of two results.

    Attributes:
        values: what `records.compare.compare_predictions` gives, JSON values.
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.values = values

    def to_pandas(self) -> pd.DataFrame:
        """One row per score: task, level, group, reduction, alpha; a, b and difference, fractions; low and high, the
        ends of its interval; sign, 1 or -1 where the interval leaves out 0, else 0; pairs.
        """
        import pandas as pd

        rows = []
        for task, by_reduction in self.values["tasks"].items():
            for reduction, by_alpha in by_reduction.items():
                for alpha, part in by_alpha.items():
                    groups = [("overall", "overall", part["overall"])]
                    for level in ("supercategory", "category"):
                        groups += [(level, name, value) for name, value in part[f"per_{level}"].items()]
                    for level, group, value in groups:
                        place = {"task": task, "level": level, "group": group, "reduction": reduction}
                        rows.append({**place, "alpha": float(alpha), **_numbers(value)})
        return pd.DataFrame(rows)

    def _headline(self) -> list[list[str]]:
        rows = []
        for task, by_reduction in self.values["tasks"].items():
            by_alpha = next(iter(by_reduction.values()))
            alpha = alpha_key(0.1) if alpha_key(0.1) in by_alpha else next(iter(by_alpha))
            value = by_alpha[alpha]["overall"]
            ends = value["interval"]
            numbers = [format_percent(value[name]) for name in ("a", "b", "difference")]
            rows.append(
                [f"{task} @{alpha}", *numbers, "-" if ends is None else f"[{100 * ends[0]:.2f}, {100 * ends[1]:.2f}]"]
            )
        return rows

    def __repr__(self) -> str:
        shown = "; ".join(f"{row[0]} {row[3]} {row[4]}" for row in self._headline())
        return f"<ResultComparison {self.values['b']} - {self.values['a']}: {shown}>"

    def _repr_html_(self) -> str:
        heading = f"A {self.values['a']}, B {self.values['b']}"
        columns = ["task", "A", "B", "B - A", f"{100 * self.values['level']:g} % interval"]
        return table_html(heading, columns, self._headline(), note="PCK in percent, paired over the same pairs")


def _numbers(value: Mapping[str, Any]) -> dict[str, Any]:
    low, high = value["interval"] or (None, None)
    return {name: value[name] for name in ("a", "b", "difference")} | {
        "low": low, "high": high, "sign": value["sign"], "pairs": value["pairs"]
    }  # fmt: skip
