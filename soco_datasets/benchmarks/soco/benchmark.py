"""SOCO as a `Benchmark`: its reader, tasks, counts and published scores."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator
from importlib.resources import files as package_files
from pathlib import Path

from ...data.checked_release import Release
from ...data.diagnostics import BuildReport
from ...data.folder import DatasetFolder
from ...data.pairs import PairIndex
from ...utils.chunks import Mapper
from ..base import SOCO, Benchmark, BuildOptions, CountRow, Task
from .categories import CATEGORIES, REAL_COUNTS
from .missing_pairs import draw_missing_pairs
from .paper import paper_scores
from .release import read_release
from .source import ARCHIVES, HUB_RELEASE, REQUIRED, open_release, release_root

_ABOUT = 0.05  # how far from a number the paper rounds

TASKS = (
    Task("cc", "cc", "CC"),
    Task("soc", "soc", "SOC"),
    Task("cross_cc", "cross_cc", "Cross-CC"),
    Task("cross_soc", "cross_soc", "Cross-SOC"),
    Task("cc_soft", "cc", "CC soft", "soft"),
    Task("soc_soft", "soc", "SOC soft", "soft"),
    Task("cross_cc_soft", "cross_cc", "Cross-CC soft", "soft"),
    Task("cross_soc_soft", "cross_soc", "Cross-SOC soft", "soft"),
    Task("soc_geo", "soc_geo", "SOC-geo", "candidates"),
    Task("soc_geo_multi", "soc_geo", "SOC-geo 2+", "candidates", min_candidates=2),
    Task("cross_soc_geo", "cross_soc_geo", "Cross-SOC-geo", "candidates"),
    Task("cross_soc_geo_multi", "cross_soc_geo", "Cross-SOC-geo 2+", "candidates", min_candidates=2),
)
_CITATION = """\
@article{soco2026,
  title   = {SOCO: Semantic Object Correspondence},
  journal = {arXiv preprint arXiv:2605.31597},
  year    = {2026}
}
"""


@contextlib.contextmanager
def read_soco(source: str, options: BuildOptions, findings: BuildReport, mapper: Mapper) -> Iterator[Release]:
    """Open and read a SOCO release, see `source.open_release` and `release.read_release`."""
    required = ("Images", "KeypointAnnotations") if options.draw_pairs else REQUIRED
    with open_release(source, findings, options.revision, required) as files:
        yield read_release(files, findings, mapper)


def soco_counts(folder: DatasetFolder, all_pairs: bool = True) -> list[CountRow]:
    """The counts of a built folder, each beside the paper's where it states one.

    Args:
        folder: a built dataset folder.
        all_pairs: also count every possible pair (the `all` splits), a second or two for the real release.
    """
    images = folder.table("images", "test", columns=["category", "supercategory"])
    keypoints = folder.table("keypoints", "test", columns=["category", "keypoints"])
    visible = [set(names) for names in keypoints["keypoints"].to_pylist()]
    categories = Counter(images["category"].to_pylist())
    supercategory = dict(zip(images["category"].to_pylist(), images["supercategory"].to_pylist(), strict=True))
    supercategories = Counter(supercategory[category] for category in categories)
    real = REAL_COUNTS
    checks = [
        CountRow("images", images.num_rows, real.images),
        CountRow("categories", len(categories), real.categories),
        CountRow("fewest images of a category", min(categories.values()), real.images_per_category),
        CountRow("most images of a category", max(categories.values()), real.images_per_category),
        CountRow("visible keypoints", sum(map(len, visible)), real.about_keypoints, _ABOUT),
    ]
    for name, number in real.supercategories.items():
        checks.append(CountRow(f"categories of {name}", supercategories.get(name, 0), number))
    if unknown := supercategories.get(None, 0):
        checks.append(CountRow("categories of no known supercategory", unknown, 0))
    for config, split, number in (
        ("soc", "test", real.intra_pair_files),
        ("cross_soc", "test", real.cross_pair_files),
        ("soc_probe", "train", real.probe_train_pair_files),
        ("soc_probe", "test", real.probe_test_pair_files),
    ):
        stored = config in folder.configs and split in folder.splits(config)
        here = folder.table(config, split, columns=["pair_id"]).num_rows if stored else 0
        checks.append(CountRow(f"fixed pairs in {config} ({split})", here, number))
    if all_pairs:
        for cross, name, pairs, matches in (
            (False, "SOC", real.about_soc_pairs, real.about_soc_correspondences),
            (True, "Cross-SOC", real.about_cross_soc_pairs, None),
        ):
            order = keypoints["category"].to_pylist()
            index = PairIndex(order, visible, cross=cross, min_shared=real.min_shared)
            checks.append(CountRow(f"all {name} pairs", len(index), pairs, _ABOUT))
            checks.append(CountRow(f"all {name} correspondences", index.correspondences(), matches, _ABOUT))
    return checks


def soco_remarks(folder: DatasetFolder) -> list[str]:
    """The categories of the folder that are none of the 100, in one line."""
    present = set(folder.table("images", "test", columns=["category"])["category"].to_pylist())
    unknown = sorted(present - set(CATEGORIES))
    if not unknown:
        return []
    shown = ", ".join(unknown[:8]) + (f" and {len(unknown) - 8} more" if len(unknown) > 8 else "")
    return [f"Not among the 100 SOCO categories: {shown}"]


def _find_root(path: Path) -> Path | None:
    return release_root(path)


def _is_full_record(dataset_id: str, categories: int) -> bool:
    return dataset_id == HUB_RELEASE or categories == REAL_COUNTS.categories


def _card() -> str:
    return (package_files(__package__) / "card_template.md").read_text(encoding="utf-8")


BENCHMARK = Benchmark(
    name=SOCO,
    title="SOCO",
    about="semantic object correspondence: does a vision model find the same part of another object?",
    reader=read_soco,
    find_root=_find_root,
    looked_for=f"{' or '.join(REQUIRED)} folders, or {', '.join(ARCHIVES)}",
    tasks=TASKS,
    default_tasks=("cc", "soc", "cross_cc", "cross_soc"),
    scoring={"alphas": (0.1, 0.05, 0.02), "reductions": ("pair", "keypoint")},
    has_questions=True,
    settle_pairs=draw_missing_pairs,
    counts=soco_counts,
    remarks=soco_remarks,
    splits={
        "soc test": REAL_COUNTS.intra_pair_files,
        "cross_soc test": REAL_COUNTS.cross_pair_files,
        "soc_probe train": REAL_COUNTS.probe_train_pair_files,
        "soc_probe test": REAL_COUNTS.probe_test_pair_files,
    },
    published=paper_scores,
    is_full_record=_is_full_record,
    subsets=tuple(REAL_COUNTS.supercategories),
    card=_card,
    license="CC BY 4.0",
    citation=_CITATION,
    homepage="https://arxiv.org/abs/2605.31597",
    get_data=f"downloaded from the Hub ({HUB_RELEASE}) when first used; `soco build mini` needs no download",
)
