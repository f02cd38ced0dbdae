"""`soco build`: a release to a dataset folder."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import typer
from typer import Argument, Option

from ..utils.terminal import print_note
from . import DATA
from .completion import complete_benchmarks
from .engine_options import EngineOptions, open_mapper
from .options import command

if TYPE_CHECKING:
    from ..benchmarks.base import BuildOptions
    from ..benchmarks.build import BuildResult


def add(app: typer.Typer) -> None:
    """Add the command."""
    example = (
        "soco build GenIntelLab/SOCO --out soco\n  soco build mini --out mini\n  soco build ~/SPair-71k --out spair"
    )
    command(app, run, "build", "build a dataset folder from SOCO or another benchmark", example, DATA)


@dataclass(frozen=True, kw_only=True)
class SourceOptions:
    """How a release is read."""

    PANEL: ClassVar[str] = "Source"

    revision: Annotated[str | None, Option(metavar="REV", help="commit, tag or branch of a Hub source")] = None
    benchmark: Annotated[
        str | None,
        Option(
            metavar="NAME",
            help="read the source as this benchmark (see soco benchmarks)",
            show_default="by its files",
            autocompletion=complete_benchmarks,
        ),
    ] = None
    points: Annotated[
        str, Option(metavar="PLACE", help="SPair-71k: points of the image files (image) or of the pair files (pair)")
    ] = "image"
    pair_list: Annotated[
        Path | None, Option(metavar="FILE", help="COCO keypoint files: CSV or JSON of category, source, target")
    ] = None
    field: Annotated[
        list[str] | None,
        Option(metavar="NAME=THEIRS", help="COCO keypoint files: the file's own name of a field; may be repeated"),
    ] = None
    strict: Annotated[bool, Option(help="treat every repair as an error")] = False
    skip_bad: Annotated[bool, Option(help="skip images and pairs with errors and report how many")] = False


@dataclass(frozen=True, kw_only=True)
class PairOptions:
    """How pairs are drawn where a release has none."""

    PANEL: ClassVar[str] = "Pairs"

    draw_pairs: Annotated[bool, Option(help="accept a release without pair files and draw pairs")] = False
    test_pairs: Annotated[int, Option(help="fixed test pairs to draw where the release has none")] = 20_000
    min_shared: Annotated[int, Option(help="fewest keypoints that a drawn pair shares")] = 3
    seed: Annotated[int, Option(help="random seed of the draw")] = 0


@dataclass(frozen=True, kw_only=True)
class FolderOptions:
    """What is written."""

    PANEL: ClassVar[str] = "Output"

    out: Annotated[
        Path | None, Option(metavar="DIR", help="folder to make", show_default="the cache, where load_dataset looks")
    ] = None
    format: Annotated[Literal["arrow", "parquet"], Option(metavar="NAME", help="arrow or parquet")] = "arrow"
    max_shard_size: Annotated[str, Option(metavar="SIZE", help="data in one shard, such as 500MB or 1GiB")] = "500MB"
    preview: Annotated[
        bool, Option("--preview/--no-preview", help="add drawn pairs for the Hub's viewer, no part of the content hash")
    ] = True
    overwrite: Annotated[bool, Option(help="replace --out when it is not empty")] = False


def run(
    read: SourceOptions,
    pairs: PairOptions,
    output: FolderOptions,
    engine: EngineOptions,
    source: Annotated[
        str, Argument(metavar="SOURCE", help="Hub dataset id, folder with the zips, extracted tree, mini")
    ] = "GenIntelLab/SOCO",
) -> None:
    """Build it and report what was found."""
    from ..benchmarks.build import build_dataset

    run = engine.config()
    on_cluster = run.engine != "local"  # the build ends processes of its own as soon as all is read
    with open_mapper(run) if on_cluster else nullcontext() as mapper:
        result = build_dataset(source, output.out, options=_options(read, pairs, output), mapper=mapper)
    _report(result)


def _options(read: SourceOptions, pairs: PairOptions, output: FolderOptions) -> BuildOptions:
    from ..benchmarks.base import BuildOptions

    return BuildOptions(
        benchmark=read.benchmark,
        revision=read.revision,
        format=output.format,
        max_shard_size=output.max_shard_size,
        strict=read.strict,
        skip_bad=read.skip_bad,
        overwrite=output.overwrite,
        preview=output.preview,
        test_pairs=pairs.test_pairs,
        min_shared=pairs.min_shared,
        seed=pairs.seed,
        draw_pairs=pairs.draw_pairs,
        points=read.points,
        pair_list=read.pair_list,
        fields=_field_mapping(read.field or ()),
    )


def _field_mapping(texts: Sequence[str]) -> dict[str, str]:
    """ "keypoints=kps" -> {"keypoints": "kps"}."""
    from ..errors import UsageError

    pairs = [text.partition("=") for text in texts]
    for text, (name, sign, theirs) in zip(texts, pairs, strict=True):
        if not (name and sign and theirs):
            raise UsageError(f"--field takes NAME=THEIRS, such as keypoints=joints; got {text!r}.")
    return {name: theirs for name, _, theirs in pairs}


def _report(result: BuildResult) -> None:
    for item in result.findings:
        if item.severity != "note":
            print_note(item)
    counts = result.manifest["counts"]
    found = result.manifest["findings"]["counts"]
    print(
        f"{result.path}: {counts['images']} images, {counts['categories']} categories, {counts['keypoints']} keypoints"
    )
    for config, splits in counts["rows"].items():
        print(f"  {config:14}" + ", ".join(f"{rows:,} {split}" for split, rows in splits.items()))
    print(
        f"  {sum(found['repair'].values())} repairs, {sum(found['error'].values())} errors passed over, "
        f"{sum(found['note'].values())} notes; content hash {result.manifest['content_hash'][:16]}"
    )
    if result.findings:
        print(f"  soco info {shlex.quote(str(result.path))} --findings   lists what was found")
