"""Two results compared on the same pairs, for a notebook."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..records.summary import table_html
from ..reporting.difference_table import difference_table

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

    def __repr__(self) -> str:
        _, *rows = difference_table(self.values).rows
        shown = "; ".join(f"{row[0]} {row[4]} {row[5]}" for row in rows)
        return f"<ResultComparison {self.values['b']} - {self.values['a']}: {shown}>"

    def _repr_html_(self) -> str:
        heading, rows = f"A {self.values['a']}, B {self.values['b']}", difference_table(self.values).rows
        note = "PCK in percent, paired over the same pairs; better: where the interval leaves out 0"
        return table_html(heading, rows[0], rows[1:], note=note)


def _numbers(value: Mapping[str, Any]) -> dict[str, Any]:
    low, high = value["interval"] or (None, None)
    return {name: value[name] for name in ("a", "b", "difference")} | {
        "low": low, "high": high, "sign": value["sign"], "pairs": value["pairs"]
    }  # fmt: skip
