"""The summary that `soco evaluate`, `score`, `demo` and `print(result)` show: 80 columns, with intervals and, where it
is comparable, the paper's value.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..records.evaluation import EvaluationResult
from ..records.summary import headline_rows, table_html
from ..utils.terminal import filled, print_text, terminal_width
from ..utils.text import clean, clean_lines
from ..utils.text_table import BEST, TextTable
from .paper_match import comparability_line, differences_from_paper, paper_percent
from .terminal_tables import recipe_note, scores_text_table

_NOTE_STYLE = "yellow"


@dataclass(frozen=True)
class Summary:
    """The parts of a printed summary, each of whole lines.

    Attributes:
        heading: model, data, convention.
        note: why the scores are not comparable with the paper; "" where they are.
        table: a row per task.
        remarks: what else a reader has to know, such as another recipe than the paper's.
    """

    heading: str
    note: str
    table: TextTable
    remarks: str


def summarize(result: EvaluationResult) -> Summary:
    """The summary of a result, PCK in percent over pairs, as in the paper, where that was scored.

    The interval is of the bootstrap over images, at the record's level; "-" where fewer than five images are behind it.
    """
    reduction, first = result.main_metric()
    titles, found = headline_rows(result)
    rows = [cells for _, cells in found]
    if not differences_from_paper([result]):
        papers = [paper_percent(result, task, reduction=reduction, alpha=first) if task else None for task, _ in found]
        if any(value is not None for value in papers):
            titles.append("paper")
            for row, value in zip(rows, papers, strict=True):
                row.append("-" if value is None else f"{value:.2f}")
    over = "" if reduction == "pair" else f" over {reduction}s"
    data = result.dataset["id"] + (", all pairs" if result.split == "all" else "")
    convention = result.protocol.scoring.convention
    return Summary(
        f"{result.model['name']} on {data}: PCK in percent{over}, convention {convention}\n",
        "".join(f"{line}\n" for line in [comparability_line([result])] if line),
        TextTable([titles, *rows], expendable=("pairs", "@0.02", "@0.01", "@0.05"), hint="--full"),
        recipe_note(result.model),
    )


def print_summary(result: EvaluationResult, *, full: bool = False) -> None:
    """Print the summary on stdout, its note in amber on a terminal.

    Args:
        result: a result record.
        full: print all reductions and thresholds in place of the short table.
    """
    summary = summarize(result)
    width = terminal_width()
    print_text(filled(summary.heading, width), style=BEST, end="")
    print_text(filled(summary.note, width), style=_NOTE_STYLE, end="")
    (scores_text_table(result) if full else summary.table).print()
    print_text(filled(summary.remarks, width), end="")


def summary_text(result: EvaluationResult) -> str:
    """The summary as text of any width, as `print` of a `Result` shows it; without a newline at its end."""
    summary = summarize(result)
    return clean_lines(f"{summary.heading}{summary.note}{summary.table.text()}{summary.remarks}".rstrip("\n"))


def summary_html(result: EvaluationResult) -> str:
    """The summary as an HTML table for a notebook; every text is escaped."""
    summary = summarize(result)
    titles, *rows = summary.table.rows
    return table_html(clean(summary.heading.strip()), titles, rows, clean(f"{summary.note}{summary.remarks}".strip()))
