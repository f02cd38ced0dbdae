"""`soco models`: the backbones known by name, and the self-check of any."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys

from ..errors import SocoError, UsageError, unknown_name
from .common import Commands, command


def add(commands: Commands) -> None:
    """Add the command to the parser."""
    example = "soco models --family clip\n  soco models --check facebook/dinov2-base --image-size 798"
    parser = command(commands, "models", "list the backbones known by name, or check one", example)
    parser.add_argument("name", nargs="?", help="say everything about this one (the paper's names are known too)")
    parser.add_argument("--family", help="only models of this family, such as dinov2 or clip (plug-in for those)")
    parser.add_argument("--check", metavar="MODEL", help="load a model (name, Hub id, folder, plug-in) and check it")
    parser.add_argument("--image-size", type=int, help="with --check: check at this network size too")
    parser.add_argument("--layer", type=int, help="with --check: the block to check (default: the last, -1)")
    parser.add_argument("--norm", help="with --check: none or final (default: the list's, else none)")
    parser.add_argument("--device", default="cpu", help="with --check: cpu (default), cuda, auto")
    parser.add_argument("--revision", help="with --check: commit, tag or branch of a Hub model")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Run it."""
    if arguments.check is None:
        for option in ("image_size", "layer", "norm", "revision"):
            if getattr(arguments, option) is not None:
                raise UsageError(f"--{option.replace('_', '-')} goes with --check MODEL.")
        _list(arguments)
    elif arguments.name or arguments.family:
        raise UsageError("--check takes its own model; leave the name and --family out.")
    else:
        _check(arguments)


def _list(arguments: argparse.Namespace) -> None:
    from ..features.model_list import BACKBONES
    from ..reporting.model_tables import format_model, format_models_table, model_record

    specs = list(BACKBONES)
    if arguments.family is not None:
        families = {spec.model_type or "plug-in" for spec in specs}
        if arguments.family not in families:
            raise unknown_name("family", arguments.family, families)
        specs = [spec for spec in specs if (spec.model_type or "plug-in") == arguments.family]
    if arguments.name is not None:
        wanted = arguments.name.casefold()
        specs = [
            spec
            for spec in specs
            if wanted in (name.casefold() for name in (spec.name, spec.hub_id or "", *spec.paper_names))
        ]
        if not specs:
            raise unknown_name("model", arguments.name, (spec.name for spec in BACKBONES))
    if arguments.json:
        print(json.dumps([model_record(spec) for spec in specs], indent=2, ensure_ascii=False))
    elif arguments.name is not None:
        print(format_model(specs[0]), end="")
    else:
        known = sys.stdout.isatty() or "COLUMNS" in os.environ
        width = shutil.get_terminal_size().columns if known else None
        print(format_models_table(specs, width), end="")


def _check(arguments: argparse.Namespace) -> None:
    from ..features.selfcheck.check_model import check_model
    from ..reporting.model_tables import format_selfcheck

    report = check_model(
        arguments.check,
        image_size=arguments.image_size,
        revision=arguments.revision,
        layer=arguments.layer,
        norm=arguments.norm,
        device=arguments.device,
    )
    print(json.dumps(report.to_dict(), indent=2) if arguments.json else format_selfcheck(report), end="")
    if arguments.json:
        print()
    if not report.passed:
        failed = ", ".join(check.name for check in report.checks if check.status == "fail")
        raise SocoError(f"{report.model} failed: {failed}. docs/backbones.md says what each check means.")
