"""`soco compare`: two results on the same pairs, with intervals of their difference."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from typing import Any

from ..utils.paths import local_path
from .common import Commands, command

_SIGNS = {1: "+", -1: "-", 0: "", None: ""}


def add(commands: Commands) -> None:
    """Add the command to the parser."""
    example = "soco compare results/dinov2_b14.json results/dinov3_b16.json"
    parser = command(commands, "compare", "compare two results on the same pairs: B minus A, with intervals", example)
    for side in ("a", "b"):
        parser.add_argument(
            side, type=local_path, help="a record with its predictions beside it, or a predictions file"
        )
    parser.add_argument("--resamples", type=int, default=1000, help="bootstrap resamples of the images (default 1000)")
    parser.add_argument("--seed", type=int, default=0, help="of the resamples (default 0)")
    parser.add_argument("--per-supercategory", action="store_true", help="add a row per supercategory")
    parser.add_argument("--per-category", action="store_true", help="add a row per category")
    parser.add_argument("--out", type=local_path, help="write the comparison here as JSON")
    parser.add_argument("--json", action="store_true", help="print the comparison as JSON instead of a table")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Run it."""
    import json

    from ..records.compare import compare_predictions, read_side
    from ..utils.files import atomic_write

    if _compare_answers(arguments):
        return
    sides = read_side(arguments.a), read_side(arguments.b)
    comparison = compare_predictions(*sides, resamples=arguments.resamples, seed=arguments.seed)
    text = json.dumps(comparison, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    if arguments.out is not None:
        atomic_write(arguments.out, text)
    print(text if arguments.json else _table(comparison, arguments), end="")


def _compare_answers(arguments: argparse.Namespace) -> bool:
    """Compare two records of vision-language models; False where neither is one."""
    import json

    from ..errors import UsageError
    from ..lvlm.compare_answers import compare_answers, is_answers, read_answers_side
    from ..reporting.lvlm_comparison import format_answer_comparison
    from ..utils.files import atomic_write

    kinds = [is_answers(path) for path in (arguments.a, arguments.b)]
    if not any(kinds):
        return False
    if not all(kinds):
        raise UsageError(f"{arguments.a} and {arguments.b} are results of two kinds: only one has answers beside it.")
    sides = read_answers_side(arguments.a), read_answers_side(arguments.b)
    comparison = compare_answers(*sides, resamples=arguments.resamples, seed=arguments.seed)
    text = json.dumps(comparison, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    if arguments.out is not None:
        atomic_write(arguments.out, text)
    heading = (
        f"A {comparison['a']} ({arguments.a})\nB {comparison['b']} ({arguments.b})\n"
        f"percent of questions (circular) and rows (average), {arguments.resamples} resamples of the questions, exact "
        f"test over questions\n\n"
    )
    print(text if arguments.json else heading + format_answer_comparison(comparison), end="")
    return True


def _table(comparison: Mapping[str, Any], arguments: argparse.Namespace) -> str:
    """The comparison in percent, aligned: a row per task, reduction and threshold, and the requested parts below it."""
    from ..reporting.terminal_tables import align, difference_note

    parts = [name for name in ("per_supercategory", "per_category") if getattr(arguments, name)]
    level = f"{100 * comparison['level']:g} % interval"
    rows = [["task", "part", "A", "B", "B - A", level, "sign", "pairs"]]
    rows += _rows(comparison["tasks"], parts)
    heading = (
        f"A {comparison['a']} ({arguments.a})\nB {comparison['b']} ({arguments.b})\n"
        f"on {comparison['dataset']['id']}: PCK in percent, {comparison['resamples']} resamples of the images, "
        f"seed {comparison['seed']}\n{difference_note(comparison)}\n"
    )
    not_shared = [
        f"only in {side.upper()}, not compared: {', '.join(comparison[f'only_in_{side}'])}\n"
        for side in ("a", "b")
        if comparison[f"only_in_{side}"]
    ]
    return heading + align(rows) + "".join(not_shared)


def _rows(tasks: Mapping[str, Any], parts: list[str]) -> Iterator[list[str]]:
    from ..benchmarks.tasks import TASKS

    for task, by_reduction in tasks.items():
        for reduction, by_alpha in by_reduction.items():
            for alpha, breakdown in by_alpha.items():
                title = f"{TASKS[task].title if task in TASKS else task} {reduction} @{alpha}"
                yield [title, "overall", *_cells(breakdown["overall"])]
                for part in parts:
                    for name, value in breakdown[part].items():
                        yield [title, name, *_cells(value)]


def _cells(value: Mapping[str, Any]) -> list[str]:
    from ..reporting.terminal_tables import format_percent

    ends = value["interval"]
    interval = "-" if ends is None else f"{100 * ends[0]:+.2f} .. {100 * ends[1]:+.2f}"
    difference = value["difference"]
    return [
        format_percent(value["a"]),
        format_percent(value["b"]),
        "-" if difference is None else f"{100 * difference:+.2f}",
        interval,
        _SIGNS[value["sign"]],
        str(value["pairs"]),
    ]
