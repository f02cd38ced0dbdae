"""`soco annotate candidates | import | export | merge | backup`: data in and out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

import typer
from typer import Argument, Option

from .annotate_common import AtOption, Database, ProjectOptions, moment, open_bench, require_annotation
from .common import OverwriteFlag
from .options import command


def add_candidates_command(parts: typer.Typer) -> None:
    """Add `candidates` to `soco annotate`."""
    example = "soco annotate candidates ImageNet3D --out my-beds --quota 40 --exclude soco"
    help = "choose photographs for a project; each rejection has its reason"
    command(parts, run_candidates, "candidates", help, example)


def add(parts: typer.Typer) -> None:
    """Add the commands other than `candidates` to `soco annotate`."""
    help = "import answers: as an annotator's, or as the known ones of gold images"
    example = "soco annotate import my-tools gold.csv --format csv --as qualification"
    command(parts, run_import_answers, "import", help, example)
    help = "write a release in the official layout for soco build, or the points as COCO, Label Studio JSON or CSV"
    example = "soco annotate export my-tools --out my-release && soco build my-release --out my-data"
    command(parts, run_export_release, "export", help, example)
    help = "make one release from several projects, and a release they are added to"
    command(parts, run_merge, "merge", help, "soco annotate merge soco-release my-tools my-plants --out merged")
    help = "copy the database as of one moment, while people work"
    command(parts, run_backup, "backup", help, "soco annotate backup my-tools --out backups/2026-05-01.sqlite")


@dataclass(frozen=True, kw_only=True)
class PhotographOptions:
    """Where photographs come from."""

    source: Annotated[
        Path, Argument(metavar="SOURCE", help="ImageNet3D, Animal3D, a COCO file, or a folder of photographs")
    ]
    category: Annotated[
        str | None,
        Option(metavar="NAME", help="of all pictures", show_default="as the source says, or the folder's name"),
    ] = None
    images: Annotated[Path | None, Option(metavar="DIR", help="of a COCO file: the folder of its pictures")] = None
    exclude: Annotated[
        list[Path] | None,
        Option(
            metavar="DIR",
            help="a built folder, or a folder of pictures, whose images must not come again; may be repeated",
        ),
    ] = None
    license: Annotated[str | None, Option(metavar="NAME", help="of pictures whose source does not state one")] = None


@dataclass(frozen=True, kw_only=True)
class SelectionOptions:
    """Which photographs are taken."""

    PANEL: ClassVar[str] = "Selection"

    min_area: Annotated[float, Option(help="least box area / image area")] = 0.05
    min_side: Annotated[float, Option(help="least longest side of the box / of the image")] = 0.2
    max_objects: Annotated[int, Option(help="most objects in a picture")] = 1
    any_pose: Annotated[bool, Option(help="keep pictures without valid pose metadata")] = False
    quota: Annotated[int, Option(help="most pictures per category, 0 = all")] = 40
    hash_distance: Annotated[int, Option(help="bits of 64 that near-duplicates differ in")] = 6


def run_candidates(
    photographs: PhotographOptions,
    selection: SelectionOptions,
    out: Annotated[Path, Option(metavar="DIR", help="the project")],
    database: Database = None,
) -> None:
    """Choose photographs."""
    with open_bench(out, database) as bench:
        from ..annotation.candidate_filters import FilterOptions, excluded_images, judge_candidates, read_source
        from ..annotation.candidate_table import TABLE, add_candidates, known_images

        options = FilterOptions(
            selection.min_area,
            selection.min_side,
            selection.max_objects,
            not selection.any_pose,
            selection.quota,
            selection.hash_distance,
        )
        judged = judge_candidates(
            read_source(photographs.source, photographs.category, photographs.images),
            options,
            bench.project.by_name,
            excluded_images(photographs.exclude or []),
            known_images(bench),
        )
        counts = add_candidates(bench, photographs.source, judged, options, photographs.license)
        print(", ".join(f"{kind}: {count}" for kind, count in sorted(counts.items())) or "no pictures found")
        print(out / TABLE)


def run_import_answers(
    project: ProjectOptions,
    file: Annotated[Path, Argument(metavar="FILE", help="a file, or the folder of Animal3D")],
    format: Annotated[str, Option(metavar="NAME", help="coco, label-studio, csv or animal3d")],
    role: Annotated[
        str,
        Option(
            "--as",
            metavar="ROLE",
            help="annotator:NAME, gold (mixed into the work) or qualification (the test before it)",
        ),
    ],
    keypoint_map: Annotated[
        Path | None, Option(metavar="FILE", help="YAML: category or '*', then their keypoint: our keypoint")
    ] = None,
) -> None:
    """Import answers."""
    with project.open() as bench:
        from ..annotation.formats import read_answer_file
        from ..annotation.interchange import import_answers
        from ..annotation.point_import import read_keypoint_map

        names = read_keypoint_map(keypoint_map) if keypoint_map else {}
        result = import_answers(bench, read_answer_file(format, file), role, names)
        print(f"{result.images} images, {result.points} answers; {result.already} images answered before")
        for line in result.skipped:
            print(f"skipped: {line}")


@dataclass(frozen=True, kw_only=True)
class ReleaseOptions:
    """What a release holds, and where it is written."""

    out: Annotated[Path, Option(metavar="PATH", help="folder (or file) to make", rich_help_panel="Output")]
    pairs: Annotated[int, Option(help="most pairs per category and kind")] = 200
    seed: Annotated[int, Option(help="random seed of the draw of pairs")] = 0
    at: AtOption = None
    allow_disputed: Annotated[bool, Option(help="export disputed keypoints that nobody has reviewed")] = False
    zip: Annotated[bool, Option(help="three archives, as the Hub release has them", rich_help_panel="Output")] = False
    overwrite: OverwriteFlag = False


def run_export_release(
    project: ProjectOptions,
    options: ReleaseOptions,
    format: Annotated[
        str, Option(metavar="NAME", help="release, coco, label-studio or csv", rich_help_panel="Output")
    ] = "release",
) -> None:
    """Write a release, or the points in another format."""
    if format == "release":
        _export([project.project], options, project.database)
        return
    with project.open() as bench:
        from ..annotation.formats import write_points

        for path in write_points(bench, format, options.out, moment(options.at), overwrite=options.overwrite):
            print(path)


def run_merge(
    sources: Annotated[list[Path], Argument(metavar="DIR...", help="project folders, and at most one release folder")],
    options: ReleaseOptions,
) -> None:
    """Merge projects."""
    _export(sources, options, None)


def _export(sources: list[Path], options: ReleaseOptions, url: str | None) -> None:
    require_annotation()
    from ..annotation.release_export import ExportOptions, export_release, result_lines

    chosen = ExportOptions(
        options.pairs, options.seed, moment(options.at), options.allow_disputed, options.zip, options.overwrite
    )
    print("\n".join(result_lines(export_release(sources, options.out, chosen, url))))
    print(options.out)


def run_backup(
    project: ProjectOptions,
    out: Annotated[Path, Option(metavar="FILE", help="SQLite file to write")],
    overwrite: Annotated[bool, Option(help="replace it")] = False,
) -> None:
    """Copy the database."""
    with project.open() as bench:
        from ..annotation.backup import backup

        print(backup(bench, out, overwrite))
