"""`soco annotate candidates | import | export | merge | backup`: data in and out."""

from __future__ import annotations

import argparse
from pathlib import Path

from .annotate_common import add_database, moment, opened, project_command
from .common import Commands, command

_FORMATS = "coco, label-studio, csv or animal3d"


def add_candidates_command(parts: Commands) -> None:
    """Add `candidates`."""
    example = "soco annotate candidates ImageNet3D --out my-beds --quota 40 --exclude soco-data"
    parser = command(parts, "candidates", "choose photographs for a project; each rejection has its reason", example)
    parser.add_argument("source", type=Path, help="ImageNet3D, Animal3D, a COCO file, or a folder of photographs")
    parser.add_argument("--out", type=Path, required=True, help="the project")
    add_database(parser)
    parser.add_argument("--category", help="of all pictures (default: as the source says, or the folder's name)")
    parser.add_argument("--images", type=Path, help="of a COCO file: the folder of its pictures")
    parser.add_argument("--min-area", type=float, default=0.05, help="least box area / image area (default 0.05)")
    parser.add_argument(
        "--min-side", type=float, default=0.2, help="least longest side of the box / of the image (default 0.2)"
    )
    parser.add_argument("--max-objects", type=int, default=1, help="most objects in a picture (default 1)")
    parser.add_argument("--any-pose", action="store_true", help="keep pictures without valid pose metadata")
    parser.add_argument("--quota", type=int, default=40, help="most pictures a category, 0 = all (default 40)")
    parser.add_argument(
        "--hash-distance", type=int, default=6, help="bits of 64 that near-duplicates differ in (default 6)"
    )
    exclude = "a built folder, or a folder of pictures, whose images must not come again; may be repeated"
    parser.add_argument("--exclude", type=Path, action="append", default=[], metavar="DIR", help=exclude)
    parser.add_argument("--license", help="of pictures whose source does not state one")
    parser.set_defaults(run=run_candidates)


def run_candidates(arguments: argparse.Namespace) -> None:
    """Run it."""
    arguments.project = arguments.out
    with opened(arguments) as bench:
        from ..annotation.candidate_filters import FilterOptions, excluded_images, judge_candidates, read_source
        from ..annotation.candidate_table import TABLE, add_candidates, known_images

        options = FilterOptions(
            arguments.min_area,
            arguments.min_side,
            arguments.max_objects,
            not arguments.any_pose,
            arguments.quota,
            arguments.hash_distance,
        )
        judged = judge_candidates(
            read_source(arguments.source, arguments.category, arguments.images),
            options,
            bench.project.by_name,
            excluded_images(arguments.exclude),
            known_images(bench),
        )
        counts = add_candidates(bench, arguments.source, judged, options, arguments.license)
        print(", ".join(f"{kind}: {count}" for kind, count in sorted(counts.items())) or "no pictures found")
        print(arguments.out / TABLE)


def add(parts: Commands) -> None:
    """Add the commands other than `candidates`."""
    _add_import(parts)
    _add_export(parts)
    _add_backup(parts)


def _add_import(parts: Commands) -> None:
    example = "soco annotate import my-tools gold.csv --format csv --as qualification"
    parser = project_command(
        parts, "import", "bring in answers: as an annotator's, or as the known ones of gold images", example
    )
    parser.add_argument("file", type=Path, help="a file, or the folder of Animal3D")
    parser.add_argument("--format", required=True, help=_FORMATS)
    who = "annotator:NAME, gold (mixed into the work) or qualification (the test before it)"
    parser.add_argument("--as", dest="role", required=True, help=who)
    parser.add_argument("--keypoint-map", type=Path, help="YAML: category or '*', then their keypoint: our keypoint")
    parser.set_defaults(run=run_import_answers)


def run_import_answers(arguments: argparse.Namespace) -> None:
    """Run it."""
    with opened(arguments) as bench:
        from ..annotation.formats import read_answer_file
        from ..annotation.interchange import import_answers
        from ..annotation.point_import import read_keypoint_map

        names = read_keypoint_map(arguments.keypoint_map) if arguments.keypoint_map else {}
        result = import_answers(bench, read_answer_file(arguments.format, arguments.file), arguments.role, names)
        print(f"{result.images} images, {result.points} answers; {result.already} images answered before")
        for line in result.skipped:
            print(f"skipped: {line}")


def _add_export(parts: Commands) -> None:
    example = "soco annotate export my-tools --out my-release && soco build my-release --out my-data"
    parser = project_command(
        parts,
        "export",
        "write a release in the official layout for soco build, or the points as COCO, Label Studio JSON or CSV",
        example,
    )
    parser.add_argument("--format", default="release", help="release (default), coco, label-studio or csv")
    _add_release_options(parser)
    parser.set_defaults(run=run_export_release)
    example = "soco annotate merge soco-release my-tools my-plants --out merged"
    parser = command(parts, "merge", "one release from several projects, and a release they are added to", example)
    parser.add_argument("sources", nargs="+", type=Path, help="project folders, and at most one release folder")
    _add_release_options(parser)
    parser.set_defaults(run=run_merge)


def _add_release_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, required=True, help="folder (or file) to make")
    parser.add_argument("--pairs", type=int, default=200, help="most pairs a category and kind (default 200)")
    parser.add_argument("--seed", type=int, default=0, help="of the draw of pairs (default 0)")
    parser.add_argument("--at", help="results as of this time")
    parser.add_argument("--allow-disputed", action="store_true", help="export disputed keypoints nobody has reviewed")
    parser.add_argument("--zip", action="store_true", help="three archives, as the Hub release has them")
    parser.add_argument("--overwrite", action="store_true", help="replace --out when it is not empty")


def run_export_release(arguments: argparse.Namespace) -> None:
    """Run it."""
    if arguments.format != "release":
        with opened(arguments) as bench:
            from ..annotation.formats import write_points

            for path in write_points(bench, arguments.format, arguments.out, moment(arguments.at)):
                print(path)
        return
    _export([arguments.project], arguments, arguments.database)


def run_merge(arguments: argparse.Namespace) -> None:
    """Run it."""
    _export(arguments.sources, arguments, None)


def _export(sources: list[Path], arguments: argparse.Namespace, url: str | None) -> None:
    from .annotate_common import require_annotation

    require_annotation()
    from ..annotation.release_export import ExportOptions, export_release, result_lines

    options = ExportOptions(
        arguments.pairs,
        arguments.seed,
        moment(arguments.at),
        arguments.allow_disputed,
        arguments.zip,
        arguments.overwrite,
    )
    result = export_release(sources, arguments.out, options, url)
    print("\n".join(result_lines(result)))
    print(arguments.out)


def _add_backup(parts: Commands) -> None:
    example = "soco annotate backup my-tools --out backups/2026-05-01.sqlite"
    parser = project_command(parts, "backup", "copy the database as of one moment, while people work", example)
    parser.add_argument("--out", type=Path, required=True, help="SQLite file to write")
    parser.add_argument("--overwrite", action="store_true", help="replace it")
    parser.set_defaults(run=run_backup)


def run_backup(arguments: argparse.Namespace) -> None:
    """Run it."""
    with opened(arguments) as bench:
        from ..annotation.backup import backup

        print(backup(bench, arguments.out, arguments.overwrite))
