"""`soco annotate ...`: a category of one's own, from a folder of photographs to a release that `soco build` reads."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from typer import Argument, Option

from . import ANNOTATE, annotate_data, annotate_people, annotate_results
from .annotate_common import ProjectOptions
from .completion import complete_models
from .options import command, group

_TAXONOMY = (
    "start from the keypoints of ap-10k, coco-person, a release folder or keypoint_taxonomy.json of SOCO, or a COCO "
    "file with keypoints"
)


def add(app: typer.Typer) -> None:
    """Add the command and its own commands."""
    example = (
        "soco annotate init my-tools && soco annotate candidates photos --out my-tools && soco annotate serve my-tools"
    )
    help = "add a category of your own: annotate photographs and make a release"
    parts = group(app, "annotate", help, example, ANNOTATE)
    example = "soco annotate init my-dogs --taxonomy ap-10k --category dog"
    command(parts, run_init, "init", "make a project folder with a commented project.yaml", example)
    example = "soco annotate check my-tools"
    command(parts, run_check_project, "check", "check project.yaml, and propose concepts by name", example)
    annotate_data.add_candidates_command(parts)
    annotate_people.add(parts)
    example = "soco annotate serve my-tools --port 8000"
    command(parts, run_serve, "serve", "serve the pages for annotators, reviewers and the owner", example)
    annotate_results.add(parts)
    annotate_data.add(parts)


def run_init(
    folder: Annotated[Path | None, Argument(metavar="DIR", help="the project folder to make")] = None,
    taxonomy: Annotated[
        str | None, Option(metavar="SOURCE", help=_TAXONOMY, show_default="a commented example")
    ] = None,
    category: Annotated[list[str] | None, Option(metavar="NAME", help="only this category; may be repeated")] = None,
    example: Annotated[bool, Option(help="print the commented example and make nothing")] = False,
) -> None:
    """Make a project folder."""
    from ..annotation.starters import EXAMPLE, init_project
    from ..errors import UsageError

    if example:
        print(EXAMPLE, end="")
        return
    if folder is None:
        raise UsageError("Name the project folder to make, such as: soco annotate init my-tools")
    print(init_project(folder, taxonomy, category or []))


def run_check_project(
    project: ProjectOptions,
    taxonomy: Annotated[
        list[str] | None, Option(metavar="SOURCE", help="prefer the concepts of this one, as for init; may be repeated")
    ] = None,
) -> None:
    """Check a project."""
    from ..annotation.project import load_project
    from ..annotation.starters import load_taxonomy, propose_concepts

    checked = load_project(project.project)
    for category in checked.categories:
        cards = sum(keypoint.card is not None for keypoint in category.keypoints)
        print(f"{category.name}: {len(category.keypoints)} keypoints, {cards} with a reference card")
    known = [category for source in taxonomy or () for category in load_taxonomy(source)]
    for row in propose_concepts(checked.categories, known):
        print(f"proposal: {row['category']}, {row['keypoint']}: concept {row['concept']} ({row['why']})")


@dataclass(frozen=True, kw_only=True)
class ServerOptions:
    """Where and for whom the pages are served."""

    host: Annotated[str, Option(metavar="HOST", help="address to bind; 127.0.0.1: this machine only")] = "127.0.0.1"
    port: Annotated[int, Option(help="port, 0 = a free one")] = 8000
    public_url: Annotated[
        str | None, Option(metavar="URL", help="the address that people open, where a proxy is in front of the server")
    ] = None
    suggest: Annotated[
        str | None,
        Option(
            metavar="MODEL",
            help="first pre-place points with this model, as soco annotate suggest",
            autocompletion=complete_models,
        ),
    ] = None
    mturk: Annotated[bool, Option(help="let Mechanical Turk show the page in a HIT")] = False
    mturk_site: Annotated[
        list[str] | None, Option(metavar="URL", help="origin that counts as Mechanical Turk (for a stand-in)")
    ] = None


def run_serve(project: ProjectOptions, server: ServerOptions) -> None:
    """Serve the pages."""
    with project.open() as bench:
        from ..annotation.serving import TURK_SITES, ServeOptions, serve
        from ..annotation.starting import first_owner_link

        sites = tuple(server.mturk_site) if server.mturk_site else TURK_SITES
        options = ServeOptions(server.host, server.port, server.public_url, server.mturk, sites)
        if server.suggest:
            from ..annotation.suggestions import suggest_once
            from ..features.backbones import load_backbone
            from ..features.extractor import DenseFeatureExtractor

            suggest_once(bench, DenseFeatureExtractor(load_backbone(server.suggest, device="auto")), server.suggest)
        link = first_owner_link(bench, server.public_url or f"http://{server.host}:{server.port}")
        if link:
            print(f"Your own page, shown once (keep the link secret): {link}", file=sys.stderr, flush=True)
        serve(bench, options)
