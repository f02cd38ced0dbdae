"""MISC210K, single instance: COCO pictures of 34 classes in the layout of a COCO keypoint file.

The layout of the original archive is not public; this reads the form of its published derivative, `misc_*.json` with 52
point slots per annotation. Only single-instance pictures of a class are used, as in the SOCO paper's table r7 (MISC*).
"""

from __future__ import annotations

from pathlib import Path

from ..data.folder import DatasetFolder
from ..data.schema import general_configs
from .base import Benchmark, CountRow, Task
from .coco_keypoints import CONFIGS, POINT_RULE, keypoint_file, pair_origins, read_keypoint_file
from .published import PaperScore, read_scores


def _find_root(path: Path) -> Path | None:
    """The folder of the only keypoint file, if that is named `misc*.json`."""
    file = keypoint_file(path)
    if file is None or not file.name.casefold().startswith("misc"):
        return None
    return file.parent.parent if file.parent.name == "annotations" else file.parent


def _counts(folder: DatasetFolder, all_pairs: bool) -> list[CountRow]:
    facts, counts = folder.manifest["facts"], folder.manifest["counts"]
    return [
        CountRow("pictures", facts["pictures"], 4_812),
        CountRow("categories", counts["categories"], 34),
        CountRow("single-instance pictures of a class", counts["images"], None),
        CountRow("pairs", counts["rows"].get("soc", {}).get("test", 0), None),
    ]


def _published() -> tuple[PaperScore, ...]:
    return read_scores("soco_datasets.benchmarks", "misc210k_scores.csv")


BENCHMARK = Benchmark(
    name="misc210k",
    title="MISC210K (single instance)",
    about="COCO pictures of 34 classes with 5 to 52 points; only the single-instance correspondences.",
    aliases=("misc", "misc*"),
    reader=read_keypoint_file,
    find_root=_find_root,
    looked_for="misc*.json, a COCO keypoint file (in it or in annotations/), and images/",
    tasks=(Task("soc", "soc", "SOC"),),
    default_tasks=("soc",),
    configs=general_configs(*CONFIGS),
    point_rule=POINT_RULE,
    settle_pairs=pair_origins,
    counts=_counts,
    published=_published,
    license="signed agreement: non-commercial, no redistribution",
    get_data="on request from its authors (https://github.com/YXSUNMADMAX/MISC210K)",
    notes=(
        "its pair lists are not public: pairs of single-instance pictures are generated, with at least 3 shared points "
        "(--min-shared 1 for all)",
    ),
)
