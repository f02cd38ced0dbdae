"""`soco annotate ...`: a category of one's own, from a folder of photographs to a release that `soco build` reads."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from . import annotate_data, annotate_people, annotate_results
from .annotate_common import opened, project_command, require_annotation
from .common import Commands, command


def add(commands: Commands) -> None:
    """Add the command and its own commands to the parser."""
    example = (
        "soco annotate init my-tools && soco annotate candidates photos --out my-tools && soco annotate serve my-tools"
    )
    parser = command(
        commands, "annotate", "add a category of your own: annotate photographs and make a release", example
    )
    parts = parser.add_subparsers(dest="part", metavar="COMMAND", required=True)
    _add_init(parts)
    _add_check(parts)
    annotate_data.add_candidates_command(parts)
    annotate_people.add(parts)
    _add_serve(parts)
    annotate_results.add(parts)
    annotate_data.add(parts)


def _add_init(parts: Commands) -> None:
    example = "soco annotate init my-dogs --taxonomy ap-10k --category dog"
    parser = command(parts, "init", "make a project folder with a commented project.yaml", example)
    parser.add_argument("folder", type=Path, nargs="?", help="the project folder to make")
    known = "ap-10k, coco-person, a release folder or keypoint_taxonomy.json of SOCO, or a COCO file with keypoints"
    parser.add_argument("--taxonomy", help=f"start from the keypoints of {known} (default: a commented example)")
    parser.add_argument("--category", action="append", default=[], help="only this category; may be repeated")
    parser.add_argument("--example", action="store_true", help="print the commented example and make nothing")
    parser.set_defaults(run=run_init)


def run_init(arguments: argparse.Namespace) -> None:
    """Run it."""
    from ..annotation.starters import EXAMPLE, init_project
    from ..errors import UsageError

    if arguments.example:
        print(EXAMPLE, end="")
        return
    if arguments.folder is None:
        raise UsageError("Name the project folder to make, such as: soco annotate init my-tools")
    print(init_project(arguments.folder, arguments.taxonomy, arguments.category))


def _add_check(parts: Commands) -> None:
    parser = project_command(
        parts, "check", "check project.yaml, and propose concepts by name", "soco annotate check my-tools"
    )
    parser.add_argument("--taxonomy", action="append", default=[], help="prefer the concepts of this one, as for init")
    parser.set_defaults(run=run_check)


def run_check(arguments: argparse.Namespace) -> None:
    """Run it."""
    from ..annotation.project import load_project
    from ..annotation.starters import load_taxonomy, propose_concepts

    project = load_project(arguments.project)
    for category in project.categories:
        cards = sum(keypoint.card is not None for keypoint in category.keypoints)
        print(f"{category.name}: {len(category.keypoints)} keypoints, {cards} with a reference card")
    known = [category for source in arguments.taxonomy for category in load_taxonomy(source)]
    for row in propose_concepts(project.categories, known):
        print(f"proposal: {row['category']}, {row['keypoint']}: concept {row['concept']} ({row['why']})")


def _add_serve(parts: Commands) -> None:
    example = "soco annotate serve my-tools --port 8000"
    parser = project_command(parts, "serve", "serve the pages for annotators, reviewers and the owner", example)
    parser.add_argument("--host", default="127.0.0.1", help="address to bind (default 127.0.0.1: this machine only)")
    parser.add_argument("--port", type=int, default=8000, help="port (default 8000; 0 = a free one)")
    parser.add_argument("--public-url", help="the address that people open, where a proxy is in front of the server")
    parser.add_argument(
        "--suggest", metavar="MODEL", help="first pre-place points with this model, as soco annotate suggest"
    )
    parser.add_argument("--mturk", action="store_true", help="let Mechanical Turk show the page in a HIT")
    parser.add_argument("--mturk-site", action="append", help="origin that counts as Mechanical Turk (for a stand-in)")
    parser.set_defaults(run=run_serve)


def run_serve(arguments: argparse.Namespace) -> None:
    """Run it."""
    require_annotation()
    from ..annotation.serving import TURK_SITES, ServeOptions, serve
    from ..annotation.starting import first_owner_link

    sites = tuple(arguments.mturk_site) if arguments.mturk_site else TURK_SITES
    options = ServeOptions(arguments.host, arguments.port, arguments.public_url, arguments.mturk, sites)
    with opened(arguments) as bench:
        if arguments.suggest:
            from ..annotation.suggestions import suggest_once
            from ..features.backbones import load_backbone
            from ..features.extractor import DenseFeatureExtractor

            suggest_once(
                bench, DenseFeatureExtractor(load_backbone(arguments.suggest, device="auto")), arguments.suggest
            )
        link = first_owner_link(bench, arguments.public_url or f"http://{arguments.host}:{arguments.port}")
        if link:
            print(f"Your own page, shown once (keep the link secret): {link}", file=sys.stderr, flush=True)
        serve(bench, options)
