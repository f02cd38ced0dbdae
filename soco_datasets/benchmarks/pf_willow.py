"""PF-WILLOW: ten folders of object pictures with ten points each; a CSV file lists all ordered pairs within a folder.

The points are those of the list, its A the source and its B the target. There are no boxes: errors are divided by the
longest side of the extent of the target's own ten points. (Loaders that pad the point list with -1 and take the extent
of that give larger thresholds and higher scores; some papers have these.)
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from ..data.checked_release import Release
from ..data.diagnostics import BuildReport
from ..data.folder import DatasetFolder
from ..data.release_types import Box
from ..data.schema import PAIRS, TableSpec, general_configs
from ..errors import ReleaseError, UsageError
from ..utils.chunks import Mapper
from ..utils.paths import local_path
from .assembly import Annotated, Assembly, Listed, Point, checked_root
from .base import Benchmark, BuildOptions, CountRow, PointRule, Task
from .pf_pascal import csv_rows, find_list
from .published import PaperScore, read_scores

_POINTS = 10
_LISTS = ("test_pairs_pf.csv", "test_pairs.csv", "test_pairs_pf_willow.csv")
_LOOKED_FOR = "<folder>/*.png beside <folder>/*.mat, and test_pairs_pf.csv or test_pairs.csv (there or one folder up)"
_COLUMNS = [f"{axis}{side}{n}" for side in "AB" for axis in "XY" for n in range(1, _POINTS + 1)]


@contextlib.contextmanager
def read_pf_willow(source: str, options: BuildOptions, findings: BuildReport, mapper: Mapper) -> Iterator[Release]:
    """Read the folder. Raises `ReleaseError` for another layout or where the list is missing."""
    path = local_path(source)
    if not path.is_dir():
        raise UsageError(f"{source} is not a folder. Expected {_LOOKED_FOR}.")
    assembly = Assembly(checked_root(path, _find_root(path), "PF-WILLOW", _LOOKED_FOR), findings)
    file = find_list(assembly.root, _LISTS)
    if file is None:
        raise ReleaseError(
            f"{assembly.root} has no pair list {' or '.join(_LISTS[:2])}, in it or one folder up. Get the list, which "
            "does not come with the pictures."
        )
    pairs = []
    for number, row in enumerate(csv_rows(assembly, file, ("imageA", "imageB", *_COLUMNS))):
        pair = _pair(assembly, row, number, f"{file.name} (row {number + 2})")
        if pair is not None:
            pairs.append(pair)
    assembly.lists["soc_test"] = pairs
    yield assembly.release(mapper)


def _find_root(path: Path) -> Path | None:
    """The folder whose sub-folders hold PNG pictures beside .mat files of the same name."""

    def fits(folder: Path) -> bool:
        if (folder / "JPEGImages").exists():
            return False
        return any(mat.with_suffix(".png").is_file() for mat in folder.glob("*/*.mat"))

    if fits(path):
        return path
    inner = [folder for folder in sorted(path.iterdir()) if folder.is_dir() and fits(folder)]
    return inner[0] if len(inner) == 1 else None


def _pair(assembly: Assembly, row: Mapping[str, str], number: int, where: str) -> Listed | None:
    ids, views = [], []
    for side in "AB":
        name = PurePosixPath(row[f"image{side}"])
        folder = name.parent.name
        try:
            points: list[Point] = [
                (str(n), n, float(row[f"X{side}{n + 1}"]), float(row[f"Y{side}{n + 1}"])) for n in range(_POINTS)
            ]
        except (TypeError, ValueError) as error:
            message = f"has a point that is not a number ({error})"
            assembly.findings.error(where, f"X{side}", "bad_field", message, "get the list again")
            return None
        image_id = f"{folder}/{name.stem}"
        if image_id not in assembly:
            picture = assembly.root / folder / name.name
            assembly.add(Annotated(folder, picture, where, None, points))
        elif list(assembly.annotated(image_id).points) != points:
            message = f"the points of {image_id} differ from those of an earlier row: each row's own are used"
            assembly.findings.note(where, f"X{side}", "points_disagree", message)
        ids.append(image_id)
        views.append(points)
    group = ids[1].partition("/")[0]
    if ids[0].partition("/")[0] != group:
        message = f"pairs {ids[0]} with {ids[1]}, a picture of another folder"
        assembly.findings.error(where, "imageB", "bad_pair", message, "get the list again")
        return None
    stems = "-".join(image_id.partition("/")[2] for image_id in ids)
    return Listed(f"{number:04d}-{stems}", group, ids[0], ids[1], where, None, _extent(views[1]), views[0], views[1])


def _extent(points: list[Point]) -> Box:
    xs, ys = [point[2] for point in points], [point[3] for point in points]
    return min(xs), min(ys), max(xs), max(ys)


def _counts(folder: DatasetFolder, all_pairs: bool) -> list[CountRow]:
    counts = folder.manifest["counts"]
    return [
        CountRow("images", counts["images"], 100),
        CountRow("folders", counts["categories"], 10),
        CountRow("pairs", counts["rows"].get("soc", {}).get("test", 0), 900),
    ]


def _published() -> tuple[PaperScore, ...]:
    return read_scores("soco_datasets.benchmarks", "pf_willow_scores.csv")


BENCHMARK = Benchmark(
    name="pf_willow",
    title="PF-WILLOW",
    about="900 ordered pairs of 100 pictures in ten folders, ten points each.",
    aliases=("pf-willow", "pfwillow"),
    reader=read_pf_willow,
    find_root=_find_root,
    looked_for=_LOOKED_FOR,
    tasks=(Task("soc", "soc", "SOC"),),
    default_tasks=("soc",),
    configs=general_configs(
        TableSpec("soc", PAIRS, ("test",), "soc", "soc", "a pair of one folder; target_bbox = extent of its points")
    ),
    scoring={"alphas": (0.1, 0.05, 0.02, 0.15)},
    point_rule=PointRule(
        points="the ten points of the list, truncated to whole pixels before and after scaling",
        scale="longest side of the extent of the target's ten points (never padded with -1)",
    ),
    counts=_counts,
    published=_published,
    splits={"soc test": 900},
    license="academic use only",
    homepage="https://www.di.ens.fr/willow/research/proposalflow/",
    get_data="https://www.di.ens.fr/willow/research/proposalflow/ (PF-dataset.zip) with test_pairs_pf.csv",
    citation="""\
@inproceedings{ham2016proposal,
  title     = {Proposal Flow},
  author    = {Bumsub Ham and Minsu Cho and Cordelia Schmid and Jean Ponce},
  booktitle = {CVPR},
  year      = {2016}
}
""",
    notes=(
        "published scores of several papers used a threshold from points padded with -1: they are about 10 too high",
    ),
)
