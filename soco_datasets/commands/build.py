"""`soco build`: a release to a dataset folder."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence

from ..utils.paths import local_path
from .common import Commands, command
from .engine_options import add_engine_options, engine_config, open_mapper


def add(commands: Commands) -> None:
    """Add the command to the parser."""
    example = (
        "soco build ~/Downloads/SOCO --out soco-data\n  soco build mini --out mini-data\n"
        "  soco build ~/SPair-71k --out spair-data"
    )
    parser = command(commands, "build", "build a dataset folder from SOCO or another benchmark", example)
    parser.add_argument(
        "source",
        nargs="?",
        default="GenIntelLab/SOCO",
        help="Hub dataset id, folder with the zips, extracted tree, mini",
    )
    parser.add_argument("--out", type=local_path, help="folder to make (default: the cache, where load_dataset looks)")
    parser.add_argument("--revision", help="commit, tag or branch of a Hub source")
    parser.add_argument("--format", default="arrow", help="arrow (default) or parquet")
    parser.add_argument("--max-shard-size", default="500MB", help="data in one shard, such as 500MB (default) or 1GiB")
    parser.add_argument("--strict", action="store_true", help="make an error of every repair")
    parser.add_argument("--skip-bad", action="store_true", help="leave out images and pairs with errors and go on")
    parser.add_argument("--overwrite", action="store_true", help="replace --out when it is not empty")
    parser.add_argument("--test-pairs", type=int, default=20_000, help="fixed pairs to draw where the release has none")
    parser.add_argument("--min-shared", type=int, default=3, help="keypoints a drawn pair shares at least (default 3)")
    parser.add_argument("--seed", type=int, default=0, help="seed of that draw (default 0)")
    parser.add_argument("--draw-pairs", action="store_true", help="accept a release without pair files and draw pairs")
    parser.add_argument(
        "--benchmark", help="read the source as this benchmark (see soco benchmarks; default: by its files)"
    )
    parser.add_argument("--points", default="image", help="SPair-71k: points of the image (default) or the pair files")
    parser.add_argument(
        "--pair-list", type=local_path, help="COCO keypoint files: CSV or JSON of category, source, target"
    )
    parser.add_argument(
        "--field", action="append", metavar="NAME=THEIRS", help="COCO keypoint files: the file's own name of a field"
    )
    add_engine_options(parser)
    parser.set_defaults(run=run)


def _field_mapping(texts: Sequence[str]) -> dict[str, str]:
    """ "keypoints=kps" -> {"keypoints": "kps"}."""
    from ..errors import UsageError

    pairs = [text.partition("=") for text in texts]
    for text, (name, sign, theirs) in zip(texts, pairs, strict=True):
        if not (name and sign and theirs):
            raise UsageError(f"--field takes NAME=THEIRS, such as keypoints=joints; got {text!r}.")
    return {name: theirs for name, _, theirs in pairs}


def run(arguments: argparse.Namespace) -> None:
    """Run it."""
    from ..benchmarks.base import BuildOptions
    from ..benchmarks.build import build_dataset

    options = BuildOptions(
        benchmark=arguments.benchmark,
        revision=arguments.revision,
        format=arguments.format,
        max_shard_size=arguments.max_shard_size,
        strict=arguments.strict,
        skip_bad=arguments.skip_bad,
        overwrite=arguments.overwrite,
        test_pairs=arguments.test_pairs,
        min_shared=arguments.min_shared,
        seed=arguments.seed,
        draw_pairs=arguments.draw_pairs,
        points=arguments.points,
        pair_list=arguments.pair_list,
        fields=_field_mapping(arguments.field or ()),
    )
    with open_mapper(engine_config(arguments)) as mapper:
        result = build_dataset(arguments.source, arguments.out, options=options, mapper=mapper)
    for item in result.findings:
        if item.severity != "note":
            print(item, file=sys.stderr)
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
