"""`soco verify`: recompute a submission."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from .common import Commands, command

if TYPE_CHECKING:
    from ..hub.recompute import LeafComparison
    from ..hub.verify import Verdict

_LISTED = 40
_WIDE = 44


def add(commands: Commands) -> None:
    """Add the command to the parser."""
    example = "soco verify lab/model@refs/pr/1 --dataset-repo lab/soco --data soco-data"
    parser = command(commands, "verify", "compute a submission again and compare it number by number", example)
    parser.add_argument(
        "what",
        metavar="URL_OR_FILE",
        help="a record, its predictions or answers, ORG/MODEL[@REVISION], or an address on the Hub",
    )
    parser.add_argument(
        "--data", help="dataset folder or mini, to compare the targets with (default: an available one)"
    )
    parser.add_argument("--dataset-repo", metavar="ORG/NAME", help="refuse submissions for another leaderboard")
    parser.add_argument("--rerun", metavar="N|all", help="forward the images of N drawn pairs again and compare")
    parser.add_argument("--seed", default="", help="what the pairs are drawn with (default: a new one, printed)")
    parser.add_argument("--model", help="the model for --rerun: a folder, Hub id or plug-in with the stated weights")
    parser.add_argument("--head", help="the learned head for --rerun, where the result has one")
    parser.add_argument("--device", default="cpu", help="for --rerun: cpu (default), auto, cuda, cuda:1")
    parser.add_argument(
        "--against", action="append", default=[], metavar="PATH", help="name results in PATH that this one repeats"
    )
    parser.add_argument(
        "--allow-host", action="append", default=[], metavar="HOST", help="also take files from this host (https)"
    )
    parser.add_argument("--numbers-only", action="store_true", help="do without the dataset: compare only the numbers")
    parser.add_argument("--all", action="store_true", help="list every value, not only the main ones and what differs")
    parser.add_argument("--json", action="store_true", help="print the verdict as JSON")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Run it. Exits with 1 unless everything matches."""
    from ..hub.foreign_fetch import AllowedHosts
    from ..hub.known_results import fingerprints_of
    from ..hub.rerun import RerunRequest
    from ..hub.submissions import verify
    from ..hub.verify import FurtherChecks, MismatchError

    rerun = None
    if arguments.rerun is not None:
        options = {name: getattr(arguments, name) for name in ("seed", "model", "head", "device")}
        rerun = RerunRequest.of_text(arguments.rerun, announce=_announce, **options)
    further = FurtherChecks(
        rerun, fingerprints_of(arguments.against, arguments.what), AllowedHosts(tuple(arguments.allow_host))
    )
    verdict = verify(arguments.what, arguments.data, arguments.dataset_repo, further)
    print(_json(verdict) if arguments.json else _text(verdict, arguments.all))
    if not verdict.matches:
        raise MismatchError(f"MISMATCH: {arguments.what} is not what its data and the rules give ({verdict.summary}).")
    if rerun is not None and verdict.rerun is None:
        raise MismatchError(
            f"NOT RERUN: {arguments.what} matches its data, but is no PCK result that can be run again."
        )
    if not verdict.references and not arguments.numbers_only:
        raise MismatchError(
            "NOT VERIFIED: the numbers match their data, but nobody checked whether its targets or right answers are "
            "the dataset's: the dataset is not here. Give --data DIR (the built folder, or the published one: hf "
            f"download {arguments.dataset_repo or 'ORG/soco'} --repo-type dataset --local-dir DIR), or --numbers-only."
        )


def _announce(text: str) -> None:
    import sys

    from ..utils.text import clean

    print(clean(text), file=sys.stderr)


def _text(verdict: Verdict, whole: bool) -> str:
    from ..reporting.terminal_tables import align
    from ..utils.text import clean

    main = [check for check in verdict.checks if whole or _is_main(check)]
    others = [check for check in verdict.checks if not (whole or _is_main(check))]
    wrong = [check for check in others if not check.agrees]
    rows = [["value", "stated", "computed", ""]]
    rows += [_cells(check) for check in main + wrong[:_LISTED]]
    lines = [align(rows, right=False)] if len(rows) > 1 else []
    if len(wrong) > _LISTED:
        lines.append(f"... and {len(wrong) - _LISTED} more that differ (--all lists them)\n")
    if agreeing := len(others) - len(wrong):
        lines.append(f"{agreeing} further values of the record match.\n")
    lines += [f"PROBLEM: {clean(line)}\n" for problem in verdict.problems for line in problem.splitlines()]
    lines += [f"note: {clean(note)}\n" for note in verdict.notes]
    lines += [f"{clean(line)}\n" for line in verdict.origin()]
    lines.append(f"verified: {clean(verdict.verification().state)}\n")
    compared = "were compared with the dataset" if verdict.references else "were NOT compared with a dataset"
    agreeing_end = "match" if verdict.references else "the numbers match their data"
    end = agreeing_end if verdict.matches else "MISMATCH"
    return f"{clean(verdict.what)}\n{''.join(lines)}Targets or right answers {compared}.\n{end}"


def _is_main(check: LeafComparison) -> bool:
    """Whether a value is listed although it matches: what a leaderboard shows, and the overall scores behind it."""
    from ..records.registry import ranked_types

    entry = check.name.endswith((": value", ": dataset revision")) or check.name.startswith("sha256")
    return entry or any(kind.is_headline_leaf(check.name) for kind in ranked_types())


def _cells(check: LeafComparison) -> list[str]:
    from ..reporting.style import short

    return [
        short(check.name, 60),
        short(check.stated, _WIDE),
        short(check.found, _WIDE),
        "ok" if check.agrees else "MISMATCH",
    ]


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
