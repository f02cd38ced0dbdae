"""`soco benchmarks`: what can be built and evaluated, and what papers report on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from typer import Argument

from . import DATA
from .completion import complete_benchmarks
from .options import command

if TYPE_CHECKING:
    from ..benchmarks.base import Benchmark


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
        print(f"\n  {'published':40}{'task':16}{'reduction':14}{'alpha':>6}{'by':>7}{'percent':>9}  source")
    for score in scores:
        alpha = "" if score.alpha is None else f"{score.alpha:g}"
        where = score.source or f"SOCO paper, table {score.table}"
        task = score.task if score.subset == "overall" else f"{score.task} {score.subset}"
        print(
            f"  {score.label:40}{task:16}{score.reduction or '-':14}{alpha:>6}{score.normalizer:>7}"
            f"{score.percent:>9.2f}  {where}"
        )


def _described(benchmark: Benchmark) -> str:
    rule = benchmark.point_rule
    padding = "on all sides" if rule.centered else "right and bottom"
    alphas = benchmark.scoring.get("alphas", (0.1, 0.05, 0.02))
    pairs = ", ".join(f"{count:,} {name}" for name, count in benchmark.splits.items())
    lines = [
        f"{', '.join((benchmark.name, *benchmark.aliases))}: {benchmark.title}",
        f"  {benchmark.about}",
        f"  tasks       {', '.join(task.name for task in benchmark.tasks)}",
        f"  pairs       {pairs or 'see soco info'}",
        f"  protocol    padding {padding}; {rule.points}; divided by: {rule.scale}; "
        f"alphas {', '.join(f'{alpha:g}' for alpha in alphas)}",
        f"  license     {benchmark.license}",
        f"  data        {benchmark.get_data}",
        f"  published   {len(benchmark.published())} scores",
        *(f"  note        {note}" for note in benchmark.notes),
    ]
    return "\n".join(lines)
