"""`soco compare`: two results on the same pairs, with intervals of their difference."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Argument, Option

from . import EVALUATE
from .common import FullFlag, JsonFlag, OverwriteFlag
from .options import command

if TYPE_CHECKING:
    from ..utils.text_table import TextTable

_SIDE = "a record with its predictions beside it, a folder with one such record, or a predictions file"


def add(app: typer.Typer) -> None:
    """Add the command."""
    example = "soco compare results/dinov2_b14.json results/dinov3_b16.json"
    help = "compare two results on the same pairs: B minus A, with intervals"
    command(app, run, "compare", help, example, EVALUATE)


@dataclass(frozen=True, kw_only=True)
class ComparisonOptions:
    """What is compared, and how."""

    a: Annotated[Path, Argument(metavar="A", help=_SIDE)]
    b: Annotated[Path, Argument(metavar="B", help=_SIDE)]
    resamples: Annotated[int, Option(help="bootstrap resamples of the images")] = 1000
    seed: Annotated[int, Option(help="random seed of the resamples")] = 0
    per_supercategory: Annotated[bool, Option(help="add one row per supercategory")] = False
    per_category: Annotated[bool, Option(help="add one row per category")] = False


def run(
    options: ComparisonOptions,
    out: Annotated[Path | None, Option(metavar="FILE", help="write the comparison here as JSON")] = None,
    overwrite: OverwriteFlag = False,
    full: FullFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Compare them."""
    import json

    from ..records.compare import compare_predictions, read_side
    from ..records.made_files import write_made
    from ..records.registry import only_record
    from ..reporting.difference_table import difference_table
    from ..utils.terminal import filled, print_text, terminal_width

    options = replace(options, a=only_record(options.a), b=only_record(options.b))
    if _are_answers(options):
        comparison, heading, table = _compare_answers(options)
        notes = ""
    else:
        sides = read_side(options.a), read_side(options.b)
        comparison = compare_predictions(*sides, resamples=options.resamples, seed=options.seed)
        parts = [name for name in ("per_supercategory", "per_category") if getattr(options, name)]
        table = difference_table(comparison, parts=parts, full=full)
        heading, notes = _heading(comparison, options), _not_shared(comparison)
    text = json.dumps(comparison, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    if out is not None:
        write_made(out.parent, {out.name: text}, overwrite=overwrite)
    if as_json:
        print(text, end="")
        return
    print_text(filled(heading, terminal_width()))
    table.print()
    print_text(filled(notes, terminal_width()), end="")


def _are_answers(options: ComparisonOptions) -> bool:
    """Whether both are records of vision-language models. Raises `UsageError` where one of them is."""
    from ..errors import UsageError
    from ..lvlm.compare_answers import is_answers

    kinds = [is_answers(path) for path in (options.a, options.b)]
    if any(kinds) and not all(kinds):
        raise UsageError(f"{options.a} and {options.b} are results of two kinds: only one has answers beside it.")
    return all(kinds)


def _compare_answers(options: ComparisonOptions) -> tuple[dict[str, Any], str, TextTable]:
    """The comparison of two vision-language models, as a record and as heading and table."""
    from ..lvlm.compare_answers import compare_answers, read_answers_side
    from ..reporting.lvlm_comparison import answer_comparison_table

    sides = read_answers_side(options.a), read_answers_side(options.b)
    comparison = compare_answers(*sides, resamples=options.resamples, seed=options.seed)
    heading = (
        f"A {comparison['a']} ({options.a})\nB {comparison['b']} ({options.b})\n"
        f"percent of questions (circular) and rows (average), {options.resamples} resamples of the questions, exact "
        f"test over questions\n"
    )
    return comparison, heading, answer_comparison_table(comparison)


def _heading(comparison: Mapping[str, Any], options: ComparisonOptions) -> str:
    from ..reporting.difference_table import difference_note

    same = "A and B are the same result.\n" if options.a.samefile(options.b) else ""
    return (
        f"A {comparison['a']} ({options.a})\nB {comparison['b']} ({options.b})\n"
        f"on {comparison['dataset']['id']}: PCK in percent, {comparison['resamples']} resamples of the images, "
        f"seed {comparison['seed']}\n{difference_note(comparison)}{same}"
    )


def _not_shared(comparison: Mapping[str, Any]) -> str:
    return "".join(
        f"only in {side.upper()}, not compared: {', '.join(comparison[f'only_in_{side}'])}\n"
        for side in ("a", "b")
        if comparison[f"only_in_{side}"]
    )
