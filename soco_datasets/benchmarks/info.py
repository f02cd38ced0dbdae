"""`soco info`: what a built folder holds, and where that differs from what the real SOCO has."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import pyarrow.compute as pc

from ..data.diagnostics import SEVERITIES, Diagnostic
from ..data.folder import DatasetFolder
from ..data.pairs import PairIndex
from ..data.schema import CONFIGS
from .soco.categories import CATEGORIES, REAL_COUNTS

_ABOUT = 0.05  # how far from a number the paper rounds


@dataclass(frozen=True)
class CountCheck:
    """One count beside what the real release has. `tolerance` is relative; 0 means exactly."""

    name: str
    here: int
    real: int | None
    tolerance: float = 0.0

    @property
    def agrees(self) -> bool:
        return self.real is None or abs(self.here - self.real) <= self.tolerance * self.real


def folder_counts(folder: DatasetFolder, all_pairs: bool = True) -> list[CountCheck]:
    """The counts of a built folder, each beside the paper's where it states one.

    Args:
        folder: a built dataset folder.
        all_pairs: also count every pair there is (the `all` splits), a second or two for the real release.
    """
    images = folder.table("images", "test", columns=["category", "supercategory"])
    keypoints = folder.table("keypoints", "test", columns=["category", "keypoints"])
    visible = [set(names) for names in keypoints["keypoints"].to_pylist()]
    categories = Counter(images["category"].to_pylist())
    supercategory = dict(zip(images["category"].to_pylist(), images["supercategory"].to_pylist(), strict=True))
    supercategories = Counter(supercategory[category] for category in categories)
    real = REAL_COUNTS
    checks = [
        CountCheck("images", images.num_rows, real.images),
        CountCheck("categories", len(categories), real.categories),
        CountCheck("fewest images of a category", min(categories.values()), real.images_per_category),
        CountCheck("most images of a category", max(categories.values()), real.images_per_category),
        CountCheck("visible keypoints", sum(map(len, visible)), real.about_keypoints, _ABOUT),
    ]
    for name, number in real.supercategories.items():
        checks.append(CountCheck(f"categories of {name}", supercategories.get(name, 0), number))
    if unknown := supercategories.get(None, 0):
        checks.append(CountCheck("categories of no known supercategory", unknown, 0))
    for config, split, number in (
        ("soc", "test", real.intra_pair_files),
        ("cross_soc", "test", real.cross_pair_files),
        ("soc_probe", "train", real.probe_train_pair_files),
        ("soc_probe", "test", real.probe_test_pair_files),
    ):
        stored = config in folder.configs and split in folder.splits(config)
        here = folder.table(config, split, columns=["pair_id"]).num_rows if stored else 0
        checks.append(CountCheck(f"fixed pairs in {config} ({split})", here, number))
    if all_pairs:
        for cross, name, pairs, matches in (
            (False, "SOC", real.about_soc_pairs, real.about_soc_correspondences),
            (True, "Cross-SOC", real.about_cross_soc_pairs, None),
        ):
            order = keypoints["category"].to_pylist()
            index = PairIndex(order, visible, cross=cross, min_shared=real.min_shared)
            checks.append(CountCheck(f"{name} pairs there are", len(index), pairs, _ABOUT))
            checks.append(CountCheck(f"{name} correspondences there are", index.correspondences(), matches, _ABOUT))
    return checks


def queries(folder: DatasetFolder) -> dict[str, int]:
    """Number of query points of each stored pair config and split, "config/split" -> count."""
    return {
        f"{name}/{split}": pc.sum(
            pc.list_value_length(folder.table(name, split, columns=["keypoints"])["keypoints"])
        ).as_py()
        or 0
        for name in folder.configs
        if CONFIGS[name].is_pairs
        for split in folder.splits(name)
    }


def unknown_categories(folder: DatasetFolder) -> list[str]:
    """Categories of the folder that are none of the 100."""
    present = set(folder.table("images", "test", columns=["category"])["category"].to_pylist())
    return sorted(present - set(CATEGORIES))


def describe_findings(folder: DatasetFolder) -> str:
    """What the build found in the release, one line each, as far as the manifest lists them."""
    found = folder.manifest["findings"]
    lines = [str(Diagnostic(**item)) for item in found["listed"]]
    left = sum(sum(rules.values()) for rules in found["counts"].values()) - len(lines)
    if left > 0:
        lines.append(f"and {left:,} more, which the manifest only counts")
    return "\n".join(lines) or "Nothing: every file of the release agreed with every other."


def describe_folder(folder: DatasetFolder, all_pairs: bool = True) -> str:
    """The counts as text for the terminal."""
    manifest: dict[str, Any] = folder.manifest
    source = manifest["source"]
    lines = [
        f"{folder.path}",
        f"  source        {source['id']} ({source['kind']}{', ' + source['revision'] if source['revision'] else ''})",
        f"  built by      soco-datasets {manifest['toolkit_version']}",
        f"  content hash  {manifest['content_hash']}",
        f"  fixed pairs   within: {manifest['pairs']['intra']}; across: {manifest['pairs']['cross']}",
        "",
    ]
    if "keypoints" not in folder.configs:  # imported questions: nothing that SOCO's counts are of
        rows = {"pictures": manifest["counts"]["images"], **manifest["counts"]["rows"]["lvlm"]}
        return "\n".join([*lines, *(f"  {name:44}{count:>12,}" for name, count in rows.items())])
    lines.append(f"  {'count':44}{'here':>12}{'SOCO':>12}")
    differing = 0
    for check in folder_counts(folder, all_pairs):
        about = "~" if check.tolerance else ""
        real = "-" if check.real is None else f"{about}{check.real:,}"
        mark = "" if check.agrees else "   differs"
        differing += not check.agrees
        lines.append(f"  {check.name:44}{check.here:>12,}{real:>12}{mark}")
    lines.append("")
    for name, count in queries(folder).items():
        lines.append(f"  queries in {name:33}{count:>12,}")
    found = manifest["findings"]["counts"]
    for severity in SEVERITIES:
        for rule, count in found[severity].items():
            what = {"error": "passed over", "repair": "repaired", "note": "noted"}[severity]
            lines.append(f"  {what}: {rule:34}{count:>12,}")
    lines.append("")
    if unknown := unknown_categories(folder):
        shown = ", ".join(unknown[:8]) + (f" and {len(unknown) - 8} more" if len(unknown) > 8 else "")
        lines.append(f"  Not among the 100 SOCO categories: {shown}")
    verdict = (
        "All counts agree with the real SOCO."
        if not differing
        else (f"{differing} count(s) differ from the real SOCO: scores on this data are not SOCO scores.")
    )
    lines.append(f"  {verdict}")
    return "\n".join(lines)
