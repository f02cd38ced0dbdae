"""The summary that `soco evaluate`, `score` and `demo` print: 80 columns, with intervals and, where it is comparable,
the paper's value.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..benchmarks.tasks import task_title
from ..config import alpha_key
from ..records.evaluation import EvaluationResult
from ..utils.terminal import filled, print_text, terminal_width
from ..utils.text_table import BEST, TextTable, format_percent
from .paper_match import comparability_line, differences_from_paper, paper_percent
from .score_access import main_alpha, main_reduction, score_of
from .terminal_tables import recipe_note, scores_text_table

_MOST_ALPHAS = 4  # columns of thresholds beside the first; --full shows all
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
    scoring = result.protocol.scoring
    reduction, first = main_reduction([result]), main_alpha([result])
    others = [alpha for alpha in sorted(scoring.alphas, reverse=True) if alpha != first][:_MOST_ALPHAS]
    level = f"{100 * (result.intervals or {}).get('level', 0.95):g} %"
    with_paper = not differences_from_paper([result])
    titles = ["task", f"PCK@{alpha_key(first)}", f"[{level}]", *(f"@{alpha_key(alpha)}" for alpha in others), "pairs"]
    papers = []
    rows = []
    for task in result.metrics:
        scores = [score_of(result, task, reduction=reduction, alpha=alpha) for alpha in (first, *others)]
        papers.append(paper_percent(result, task, reduction=reduction, alpha=first) if with_paper else None)
        ends = [scores[0].low, scores[0].high]
        interval = "-" if None in ends else f"[{', '.join(map(format_percent, ends))}]"
        percents = [format_percent(score.pck) for score in scores]
        rows.append([task_title(task), percents[0], interval, *percents[1:], f"{scores[0].pairs:,}"])
        rows += _random_row(result, task, reduction, [first, *others])
        papers += [None] * (len(rows) - len(papers))
    if any(value is not None for value in papers):
        titles.append("paper")
        for row, value in zip(rows, papers, strict=True):
            row.append("-" if value is None else f"{value:.2f}")
    over = "" if reduction == "pair" else f" over {reduction}s"
    data = result.dataset["id"] + (", all pairs" if result.split == "all" else "")
    return Summary(
        f"{result.model['name']} on {data}: PCK in percent{over}, convention {scoring.convention}\n",
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


def _random_row(result: EvaluationResult, task: str, reduction: str, alphas: list[float]) -> Iterator[list[str]]:
    """What a random choice among the candidates gets, of geo tasks."""
    overall = [result.metrics[task][reduction][alpha_key(alpha)]["overall"] for alpha in alphas]
    if all("random_pck" in one for one in overall):
        percents = [format_percent(one["random_pck"]) for one in overall]
        yield [f"{task_title(task)}: random", percents[0], "", *percents[1:], f"{overall[0]['pairs']:,}"]
