"""`soco benchmarks`: what can be built and evaluated, and what papers report on it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Argument

from ..utils.terminal import filled, terminal_width
from ..utils.text_table import TextTable
from . import DATA
from .completion import complete_benchmarks
from .options import command

if TYPE_CHECKING:
    from ..benchmarks.base import Benchmark
    from ..benchmarks.published import PaperScore


def add(app: typer.Typer) -> None:
    """Add the command."""
    example = "soco benchmarks\n  soco benchmarks spair71k"
    help = "list benchmarks: counts, license, protocol, published scores"
    command(app, run, "benchmarks", help, example, DATA)


def run(
    name: Annotated[
        str | None,
        Argument(
            metavar="NAME",
            help="one of them: also its published scores",
            show_default="all, in short",
            autocompletion=complete_benchmarks,
        ),
    ] = None,
) -> None:
    """Describe all of them, or one with its published scores."""
    from ..benchmarks.base import benchmarks, get_benchmark

    if name is None:
        print("\n\n".join(_described(benchmark) for benchmark in benchmarks().values()))
        return
    benchmark = get_benchmark(name)
    print(_described(benchmark))
    scores = benchmark.published()
    if scores:
        print()
        _published(scores).print()


def _published(scores: Sequence[PaperScore]) -> TextTable:
    rows = [["published", "task", "reduction", "alpha", "by", "percent", "source"]]
    for score in scores:
        alpha = "" if score.alpha is None else f"{score.alpha:g}"
        where = score.source or f"SOCO paper, table {score.table}"
        task = score.task if score.subset == "overall" else f"{score.task} {score.subset}"
        rows.append([score.label, task, score.reduction or "-", alpha, score.normalizer, f"{score.percent:.2f}", where])
    return TextTable(rows, left={1, 2, 6}, expendable=("source", "by", "reduction", "alpha"))


def _described(benchmark: Benchmark) -> str:
    rule = benchmark.point_rule
    padding = "on all sides" if rule.centered else "right and bottom"
    alphas = benchmark.scoring.get("alphas", (0.1, 0.05, 0.02))
    pairs = ", ".join(f"{count:,} {name}" for name, count in benchmark.splits.items())
    heading = f"{', '.join((benchmark.name, *benchmark.aliases))}: {benchmark.title}"
    rows = [
        ["  tasks", ", ".join(task.name for task in benchmark.tasks)],
        ["  pairs", pairs or "see soco info"],
        [
            "  protocol",
            f"padding {padding}; {rule.points}; divided by: {rule.scale}; "
            f"alphas {', '.join(f'{alpha:g}' for alpha in alphas)}",
        ],
        ["  license", benchmark.license],
        ["  data", benchmark.get_data],
        ["  published", f"{len(benchmark.published())} scores"],
        *(["  note", note] for note in benchmark.notes),
    ]
    width = terminal_width()
    about = filled(f"  {benchmark.about}", width, "  ")
    return f"{heading}\n{about}\n{TextTable(rows, left=None, prose=True).text(width)}".rstrip()
