"""`soco verify`: recompute a submission."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

import typer
from typer import Argument, Option

from ..utils.terminal import filled, print_note, print_text, terminal_width
from ..utils.text import clean
from ..utils.text_table import BAD, BEST, DIM, GOOD, TextTable
from . import PUBLISH
from .common import JsonFlag, open_dataset
from .completion import complete_data
from .options import command

if TYPE_CHECKING:
    from ..hub.recompute import LeafComparison
    from ..hub.verify import FurtherChecks, Verdict

_LISTED = 40
_WIDE = 44


@dataclass(frozen=True, kw_only=True)
class OriginOptions:
    """What is checked of where a result comes from, beyond its consistency."""

    PANEL: ClassVar[str] = "Where it comes from"
    rerun: Annotated[
        str | None, Option(metavar="N|all", help="forward the images of N drawn pairs again and compare")
    ] = None
    seed: Annotated[str, Option(help="what the pairs are drawn with", show_default="a new one, printed")] = ""
    model: Annotated[
        str | None,
        Option(help="the model for --rerun: a folder, Hub id or plug-in", show_default="the one that is stated"),
    ] = None
    head: Annotated[Path | None, Option(metavar="FILE", help="the learned head for --rerun, where there is one")] = None
    device: Annotated[str, Option(help="for --rerun: cpu, auto, cuda, cuda:1")] = "cpu"
    against: Annotated[
        list[Path] | None, Option(metavar="PATH", help="name results in PATH that this one repeats; may be repeated")
    ] = None
    allow_host: Annotated[
        list[str] | None, Option(metavar="HOST", help="also take files from https://HOST; may be repeated")
    ] = None

    def checks(self, what: str) -> FurtherChecks:
        """What is checked of the result `what`. Raises `UsageError`, `PredictionsError`."""
        from ..hub.foreign_fetch import AllowedHosts
        from ..hub.known_results import fingerprints_of
        from ..hub.rerun_request import RerunRequest
        from ..hub.verify import FurtherChecks

        request = None
        if self.rerun is not None:
            options = {name: getattr(self, name) for name in ("seed", "model", "head", "device")}
            request = RerunRequest.of_text(self.rerun, announce=_announce, **options)
        others = fingerprints_of(self.against or (), what)
        return FurtherChecks(request, others, AllowedHosts(tuple(self.allow_host or ())))


def add(app: typer.Typer) -> None:
    """Add the command."""
    example = "soco verify lab/model@refs/pr/1 --dataset-repo lab/soco --data soco"
    command(app, run, "verify", "recompute a submission and compare it number by number", example, PUBLISH)


def run(
    what: Annotated[
        str,
        Argument(
            metavar="URL_OR_FILE",
            help="a record, its predictions or answers, ORG/MODEL[@REVISION], or an address on the Hub",
        ),
    ],
    data: Annotated[
        str | None,
        Option(
            metavar="DIR",
            help="dataset folder or mini, to compare the targets with",
            show_default="an available one",
            autocompletion=complete_data,
        ),
    ] = None,
    dataset_repo: Annotated[
        str | None, Option(metavar="ORG/NAME", help="refuse submissions for another leaderboard")
    ] = None,
    numbers_only: Annotated[bool, Option(help="compare only the numbers, without the dataset")] = False,
    show_all: Annotated[
        bool, Option("--all", help="list every value, not only the main ones and what differs")
    ] = False,
    as_json: JsonFlag = False,
    origin: OriginOptions = OriginOptions(),
) -> None:
    """Verify it. Exits with 1 unless everything matches."""
    from ..hub.submissions import verify
    from ..hub.verify import MismatchError

    if data is not None:
        open_dataset(data)  # what is wrong with --data is said in its words, before the work
    verdict = verify(what, data, dataset_repo, origin.checks(what))
    if as_json:
        print(_json(verdict))
    else:
        _print(verdict, show_all)
    if not verdict.matches:
        raise MismatchError(f"MISMATCH: {what} is not what its data and the rules give ({verdict.summary}).")
    if origin.rerun is not None and verdict.rerun is None:
        raise MismatchError(f"NOT RERUN: {what} matches its data, but is no PCK result that can be run again.")
    if not verdict.references and not numbers_only:
        raise MismatchError(
            "NOT VERIFIED: the numbers match their data, but nobody checked whether its targets or right answers are "
            "the dataset's: the dataset is not here. Give --data DIR (the built folder, or the published one: hf "
            f"download {dataset_repo or 'ORG/soco'} --repo-type dataset --local-dir DIR), or --numbers-only."
        )


def _announce(text: str) -> None:
    print_note(clean(text))


def _print(verdict: Verdict, whole: bool) -> None:
    """What was compared and found, as text."""
    width = terminal_width()
    main = [check for check in verdict.checks if whole or _is_main(check)]
    others = [check for check in verdict.checks if not (whole or _is_main(check))]
    wrong = [check for check in others if not check.agrees]
    print_text(verdict.what, style=BEST)
    if shown := main + wrong[:_LISTED]:
        _table(shown).print()
    lines = [f"... and {len(wrong) - _LISTED} more that differ (--all lists them)"] * (len(wrong) > _LISTED)
    if agreeing := len(others) - len(wrong):
        lines.append(f"{agreeing} further values of the record match.")
    if verdict.checks and not verdict.mismatches:
        lines.append(f"All {len(verdict.checks)} values are identical to the last digit.")
    for line in lines:
        print_text(filled(line, width))
    for problem in (line for text in verdict.problems for line in text.splitlines()):
        print_text(filled(clean(f"PROBLEM: {problem}"), width), style=BAD)
    compared = "was compared with the dataset" if verdict.references else "was NOT compared with a dataset"
    remarks = (*(f"note: {note}" for note in verdict.notes), *verdict.origin())
    for line in (*remarks, f"verified: {verdict.verification().state}", f"Ground truth {compared}."):
        print_text(filled(clean(line), width))
    agreeing_end = "match" if verdict.references else "the numbers match their data"
    print_text(agreeing_end if verdict.matches else "MISMATCH", style=GOOD if verdict.matches else BAD)


def _table(checks: Sequence[LeafComparison]) -> TextTable:
    rows = [["value", "stated", "computed", ""], *map(_cells, checks)]
    styles: dict[tuple[int, int | None], str] = {(0, None): DIM}
    for row, check in enumerate(checks, 1):
        styles[row, 3] = GOOD if check.agrees else BAD
    return TextTable(rows, left={3}, expendable=("stated",), hint="--json", styles=styles)


def _is_main(check: LeafComparison) -> bool:
    """Whether a value is listed although it matches: what a leaderboard shows, and the overall scores behind it."""
    from ..records.registry import ranked_types

    entry = check.name.endswith((": value", ": dataset revision")) or check.name.startswith("sha256")
    return entry or any(kind.is_headline_leaf(check.name) for kind in ranked_types())


def _cells(check: LeafComparison) -> list[str]:
    """A number that agrees with two decimals, shares in percent; where two differ, with as many as show where."""
    from ..reporting.style import short

    stated, found = (_number(value, check.agrees) for value in (check.stated, check.found))
    return [
        short(check.name.removeprefix("metrics/").removesuffix("/overall/pck"), _WIDE),
        short(stated, _WIDE),
        short(found, _WIDE),
        "identical" if check.agrees else "MISMATCH",
    ]


def _number(value: object, rounded: bool) -> object:
    if not rounded or not isinstance(value, float):
        return value
    return f"{100 * value:.2f} %" if 0 <= value <= 1 else f"{value:.2f}"


def _json(verdict: Verdict) -> str:
    import json

    return json.dumps(
        {
            "what": verdict.what,
            "match": verdict.matches,
            "references_compared": verdict.references,
            "compared": len(verdict.checks),
            "mismatches": [vars(check) for check in verdict.mismatches],
            "problems": list(verdict.problems),
            "notes": list(verdict.notes),
            "verification": verdict.verification().to_dict(),
            "origin": verdict.origin(),
        },
        indent=2,
    )
