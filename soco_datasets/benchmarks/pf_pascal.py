"""PF-PASCAL: VOC pictures of at most 300 px, points and boxes in MATLAB files, pair lists in CSV files.

Layout: JPEGImages/<name>.jpg, Annotations/<class>/<name>.mat and the lists, which come from elsewhere and are taken
from the folder, its parent or image_pairs/ under any of the names in use. Points are those without NaN in both
pictures; a mirrored row of the training list (flip 1) is counted, not stored: it repeats the pair in mirrored pictures.
"""

from __future__ import annotations

import contextlib
import csv
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

from ..data.checked_release import Release
from ..data.diagnostics import BuildReport
from ..data.folder import DatasetFolder
from ..data.release_types import Box
from ..data.schema import PAIRS, TableSpec, general_configs
from ..errors import ReleaseError, UsageError
from ..utils.chunks import Mapper
from ..utils.paths import local_path
from .assembly import Annotated, Assembly, Listed, Point, checked_root, folder_with, overlap_notes
from .base import Benchmark, BuildOptions, CountRow, PointRule, Task
from .mat_files import read_mat
from .published import PaperScore, read_scores

CLASSES = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable", "dog"),
    *("horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)
_LIST_NAMES = {
    "trn": ("trn_pairs.csv", "train_pairs_pf_pascal.csv", "trn_pairs_pf_pascal.csv", "train_pairs.csv"),
    "val": ("val_pairs.csv", "val_pairs_pf_pascal.csv"),
    "test": ("test_pairs.csv", "test_pairs_pf_pascal.csv"),
}
_LOOKED_FOR = (
    "JPEGImages/*.jpg, Annotations/<class>/*.mat and test_pairs*.csv (there, in image_pairs/ or one folder up)"
)
_REAL_PAIRS = {"trn": 1_470, "val": 308, "test": 299}
_SAME_POINT = 0.01  # pixels by which the points of list and annotation may differ


@contextlib.contextmanager
def read_pf_pascal(source: str, options: BuildOptions, findings: BuildReport, mapper: Mapper) -> Iterator[Release]:
    """Read the folder.

    Raises:
        ReleaseError: another layout, or no pair list.
        MissingExtraError: scipy is not installed (extra `benchmarks`).
    """
    path = local_path(source)
    if not path.is_dir():
        raise UsageError(f"{source} is not a folder. Expected {_LOOKED_FOR}.")
    assembly = Assembly(checked_root(path, _find_root(path), "PF-PASCAL", _LOOKED_FOR), findings)
    for file in sorted((assembly.root / "Annotations").glob("*/*.mat")):
        _add_image(assembly, file)
    lists = {split: find_list(assembly.root, names) for split, names in _LIST_NAMES.items()}
    if not any(lists.values()):
        raise ReleaseError(
            f"{assembly.root} has no pair list. Put {', '.join(names[0] for names in _LIST_NAMES.values())} into it, "
            "into image_pairs/ or one folder up; they do not come with the pictures."
        )
    rows: dict[str, int] = {}
    for split, listed in lists.items():
        if listed is None:
            findings.note(_LIST_NAMES[split][0], "", "list_missing", "this pair list is not there")
            continue
        assembly.lists[f"soc_{split}"], rows[split] = _pairs(assembly, listed, split)
    counts = Counter(str(CLASSES.index(pair.group) + 1) for pair in assembly.lists.get("soc_test", []))
    assembly.facts = {
        "rows": rows,
        "test_per_class": dict(sorted(counts.items())),
        "notes": [
            *overlap_notes(assembly.lists, "soc_trn", "soc_test"),
            *overlap_notes(assembly.lists, "soc_val", "soc_test"),
        ],
    }
    yield assembly.release(mapper)


def _find_root(path: Path) -> Path | None:
    """The folder with pictures and annotations of classes."""
    root = folder_with(path, "JPEGImages", "Annotations")
    return root if root is not None and any((root / "Annotations").glob("*/*.mat")) else None


def find_list(root: Path, names: Sequence[str]) -> Path | None:
    """The first list of these names in the folder, image_pairs/ or the parent."""
    places = (root, root / "image_pairs", root.parent)
    return next((place / name for place in places for name in names if (place / name).is_file()), None)


def csv_rows(assembly: Assembly, file: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """The rows of a CSV list. Raises `ReleaseError` where a column is missing."""
    try:
        reader = csv.DictReader(file.read_text(encoding="utf-8-sig").splitlines())
        rows = list(reader)
    except (OSError, ValueError, csv.Error) as error:
        raise ReleaseError(f"{file} cannot be read as CSV ({error}). Download it again.") from error
    missing = [name for name in columns if name not in (reader.fieldnames or ())]
    if missing:
        raise ReleaseError(f"{file} lacks the columns {', '.join(missing)}: it has {reader.fieldnames}.")
    return rows


def _add_image(assembly: Assembly, file: Path) -> None:
    content, where = read_mat(assembly, file, ("kps", "bbox")), assembly.relative(file)
    if content is None:
        return
    points, box = content["kps"].astype(float), content["bbox"].astype(float).ravel()
    if points.ndim != 2 or points.shape[1] != 2 or box.shape != (4,):
        message = f"kps is {points.shape}, bbox {box.shape}; expected (N, 2) and 4 numbers"
        assembly.findings.error(where, "kps", "bad_field", message, "get the file again")
        return
    shown: list[Point] = [(str(n), n, float(x), float(y)) for n, (x, y) in enumerate(points) if not (x != x or y != y)]
    corners: Box = (float(box[0]), float(box[1]), float(box[2]), float(box[3]))
    picture = assembly.root / "JPEGImages" / f"{file.stem}.jpg"
    assembly.add(Annotated(file.parent.name, picture, where, corners, shown))


def _pairs(assembly: Assembly, file: Path, split: str) -> tuple[list[Listed], int]:
    """(pairs that are not mirrored, number of all rows)."""
    rows = csv_rows(assembly, file, ("source_image", "target_image", "class"))
    pairs: list[Listed] = []
    for number, row in enumerate(rows):
        where = f"{file.name} (row {number + 2})"
        try:
            category = CLASSES[_positive(row["class"]) - 1]
        except (IndexError, ValueError):
            message = f"class {row['class']!r} is not one of 1 to {len(CLASSES)}"
            assembly.findings.error(where, "class", "bad_field", message, "correct the list")
            continue
        if row.get("flip", "0").strip() not in ("0", ""):
            continue
        source, target = (f"{category}/{PurePosixPath(row[key]).stem}" for key in ("source_image", "target_image"))
        stems = "-".join(image_id.partition("/")[2] for image_id in (source, target))
        _compare_points(assembly, row, (source, target), where)
        pairs.append(Listed(f"{split}/{number:04d}-{stems}", category, source, target, where))
    return pairs, len(rows)


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


def _compare_points(assembly: Assembly, row: Mapping[str, str], ids: tuple[str, str], where: str) -> None:
    """Note where the list's own points are not those that both annotations show."""
    if "XA" not in row or any(image_id not in assembly for image_id in ids):
        return
    shown = [{name: (x, y) for name, _, x, y in assembly.annotated(image_id).points} for image_id in ids]
    shared = [name for name in shown[0] if name in shown[1]]
    for side, points in zip("AB", shown, strict=True):
        try:
            listed = list(zip(*(map(float, row[f"{axis}{side}"].split(";")) for axis in "XY"), strict=True))
        except ValueError:
            listed = []
        own = [points[name] for name in shared]
        same = len(own) == len(listed) and all(
            max(abs(a[0] - b[0]), abs(a[1] - b[1])) <= _SAME_POINT for a, b in zip(own, listed, strict=True)
        )
        if not same:
            message = "its points are not those of the two .mat files, which are used"
            assembly.findings.note(where, f"X{side}", "points_disagree", message)
            return


def _counts(folder: DatasetFolder, all_pairs: bool) -> list[CountRow]:
    counts, rows = folder.manifest["counts"], folder.manifest["facts"]["rows"]
    return [
        CountRow("images (class and picture)", counts["images"], None),
        CountRow("categories", counts["categories"], 20),
        CountRow("rows of trn, mirrored ones included", rows.get("trn", 0), 2 * _REAL_PAIRS["trn"]),
        *(CountRow(f"pairs of {s}", counts["rows"].get("soc", {}).get(s, 0), n) for s, n in _REAL_PAIRS.items()),
    ]


def _published() -> tuple[PaperScore, ...]:
    return read_scores("soco_datasets.benchmarks", "pf_pascal_scores.csv")


BENCHMARK = Benchmark(
    name="pf_pascal",
    title="PF-PASCAL",
    about="299 test pairs of VOC pictures of 20 classes with 4 to 17 points.",
    aliases=("pf-pascal", "pfpascal"),
    reader=read_pf_pascal,
    find_root=_find_root,
    looked_for=_LOOKED_FOR,
    tasks=(Task("soc", "soc", "SOC"),),
    default_tasks=("soc",),
    configs=general_configs(
        TableSpec("soc", PAIRS, ("trn", "val", "test"), "soc", "soc", "a pair of one class; target = same keypoint")
    ),
    scoring={"alphas": (0.1, 0.05, 0.02, 0.15)},
    point_rule=PointRule(
        points="rows of kps without NaN in both pictures, truncated to whole pixels before and after scaling",
        scale="longest side of the target's bbox in the .mat file (the field's papers divide by the picture)",
    ),
    counts=_counts,
    published=_published,
    splits={f"soc {split}": number for split, number in _REAL_PAIRS.items()},
    license="academic use only",
    homepage="https://www.di.ens.fr/willow/research/proposalflow/",
    get_data="https://www.di.ens.fr/willow/research/proposalflow/ (PF-dataset-PASCAL.zip), lists from SCNet or ANC-Net",
    citation="""\
@article{ham2018proposal,
  title   = {Proposal Flow: Semantic Correspondences from Object Proposals},
  author  = {Bumsub Ham and Minsu Cho and Cordelia Schmid and Jean Ponce},
  journal = {TPAMI},
  year    = {2018}
}
""",
    notes=(
        "its lists overlap: a third of the test pairs occur in the training list, 302 of 506 test pictures too",
        "a class may have a single test pair: papers average over pairs (reduction pair_all, normalizer image)",
        "its pictures come from PASCAL VOC, as those of SPair-71k do",
    ),
)
