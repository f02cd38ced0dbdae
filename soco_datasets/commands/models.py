"""`soco models`: the backbones known by name, and the self-check of any."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated, ClassVar

import typer
from typer import Argument, Option

from ..errors import SocoError, UsageError, unknown_name
from ..utils.terminal import filled, print_text, terminal_width
from ..utils.text_table import BAD, BEST, GOOD
from . import EVALUATE
from .common import JsonFlag
from .completion import complete_models
from .options import command


def add(app: typer.Typer) -> None:
    """Add the command."""
    example = "soco models --family clip\n  soco models --check facebook/dinov2-base --image-size 798"
    command(app, run, "models", "list the backbones known by name, or check one", example, EVALUATE)


@dataclass(frozen=True, kw_only=True)
class CheckOptions:
    """Which model is checked, and how."""

    PANEL: ClassVar[str] = "Check"

    check: Annotated[
        str | None, Option(metavar="MODEL", help="load a model (name, Hub id, folder, plug-in) and check it")
    ] = None
    image_size: Annotated[int | None, Option(help="with --check: check at this network size too")] = None
    layer: Annotated[int | None, Option(help="with --check: the block to check", show_default="the last, -1")] = None
    norm: Annotated[
        str | None, Option(metavar="NAME", help="with --check: none or final", show_default="the list's, else none")
    ] = None
    device: Annotated[str, Option(metavar="NAME", help="with --check: cpu, cuda, auto")] = "cpu"
    revision: Annotated[
        str | None, Option(metavar="REV", help="with --check: commit, tag or branch of a Hub model")
    ] = None


def run(
    options: CheckOptions,
    name: Annotated[
        str | None,
        Argument(
            metavar="NAME",
            help="show everything about this one (the paper's names are known too)",
            autocompletion=complete_models,
        ),
    ] = None,
    family: Annotated[
        str | None,
        Option(metavar="NAME", help="only models of this family, such as dinov2 or clip (plug-in for those)"),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """List them, describe one, or check one."""
    if options.check is None:
        for option in ("image_size", "layer", "norm", "revision"):
            if getattr(options, option) is not None:
                raise UsageError(f"--{option.replace('_', '-')} goes with --check MODEL.")
        _list(name, family, as_json)
    elif name or family:
        raise UsageError("--check takes its own model; leave the name and --family out.")
    else:
        _check(options.check, options, as_json)


def _list(name: str | None, family: str | None, as_json: bool) -> None:
    from ..features.model_list import BACKBONES, models_of_family
    from ..reporting.model_tables import format_model, format_models_table, model_record

    specs = list(BACKBONES) if family is None else models_of_family(family)
    if name is not None:
        wanted = name.casefold()
        specs = [
            spec
            for spec in specs
            if wanted in (known.casefold() for known in (spec.name, spec.hub_id or "", *spec.paper_names))
        ]
        if not specs:
            raise unknown_name("model", name, (spec.name for spec in BACKBONES), lister="soco models")
    if as_json:
        print(json.dumps([model_record(spec) for spec in specs], indent=2, ensure_ascii=False))
    elif name is not None:
        print(format_model(specs[0], terminal_width()), end="")
    else:
        print(format_models_table(specs, terminal_width()), end="")


def _check(model: str, options: CheckOptions, as_json: bool) -> None:
    from ..features.selfcheck.check_model import check_model
    from ..reporting.model_tables import selfcheck_heading, selfcheck_table, selfcheck_verdict

    report = check_model(
        model,
        image_size=options.image_size,
        revision=options.revision,
        layer=options.layer,
        norm=options.norm,
        device=options.device,
    )
    if as_json:
        print(json.dumps(report.to_dict(), indent=2))
    else:
        print_text(filled(selfcheck_heading(report), terminal_width()), style=BEST)
        selfcheck_table(report).print()
        print_text(selfcheck_verdict(report), style=GOOD if report.passed else BAD)
    if not report.passed:
        failed = ", ".join(check.name for check in report.checks if check.status == "fail")
        raise SocoError(f"{report.model} failed: {failed}. docs/howto/backbones.md says what each check means.")
