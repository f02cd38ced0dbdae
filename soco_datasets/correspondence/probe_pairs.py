"""The pairs of a probe: those that train it, those that select its epoch, those that test it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ..benchmarks.base import SOCO, benchmark_of
from ..benchmarks.tasks import Task
from ..data.folder import DatasetFolder
from ..errors import DatasetFolderError, UsageError, unknown_name
from ..features.linear_probe import ProbePair, probe_pair
from ..geometry import Convention, keypoints_to_unit
from ..records.predictions import query_rows
from ..records.probe import OLD_VARIANT_NAMES
from ..records.validation import points_array, sizes_array

SOC, CC = Task("soc_probe", "soc_probe", "SOC, probe pairs"), Task("cc_probe", "cc_probe", "CC, probe pairs")
PROBE_TASKS = (SOC, CC)
VARIANTS = {
    "reference": "reference (selected on test)",
    "heldout": "heldout (selected on held-out train images)",
}
OVERLAPS = ("refuse", "drop", "keep")
_OWN_CONFIG, _OWN_SPLITS = "soc", {"train": "trn", "test": "test"}  # of benchmarks other than SOCO
_FEWEST = 4  # images of a category from which some are held out: two make a pair, and two must stay


@dataclass(frozen=True)
class ProbeSplit:
    """Some probe pairs, as SOC and as CC queries.

    Attributes:
        soc, cc: columns of `data.schema.PAIRS`; row i of both is the same pair.
    """

    soc: pa.Table
    cc: pa.Table

    def __len__(self) -> int:
        return int(self.soc.num_rows)

    @property
    def tables(self) -> dict[str, pa.Table]:
        """Task name -> its pairs."""
        return {SOC.name: self.soc, CC.name: self.cc}

    @property
    def queries(self) -> int:
        """Number of SOC queries."""
        return int(pc.sum(pc.list_value_length(self.soc["keypoints"])).as_py() or 0)

    @property
    def without_query(self) -> int:
        """Number of pairs that have no SOC query."""
        return int(np.sum(_counts(self.soc) == 0))

    def image_ids(self) -> set[str]:
        """Images that a pair shows."""
        return set(self.soc["source_image_id"].to_pylist()) | set(self.soc["target_image_id"].to_pylist())

    def pair_keys(self) -> list[frozenset[str]]:
        """The two images of each pair, whatever its direction."""
        sides = self.soc["source_image_id"].to_pylist(), self.soc["target_image_id"].to_pylist()
        return [frozenset(sides) for sides in zip(*sides, strict=True)]

    def where(self, keep: NDArray[np.bool_]) -> ProbeSplit:
        """The pairs for which `keep` (N,) is true, in their order."""
        mask = pa.array(keep)
        return ProbeSplit(self.soc.filter(mask), self.cc.filter(mask))


def read_split(folder: DatasetFolder, split: str) -> ProbeSplit:
    """The split `train` or `test` of the probe pairs: SOCO's own, of another benchmark the lists trn and test.

    Other benchmarks have no concepts for it, so that their CC is SOC.

    Raises:
        DatasetFolderError: the folder has no such pairs, or only a part of them.
        UsageError: a benchmark whose images lie in the middle of their square.
    """
    if folder.benchmark != SOCO:
        return _own_split(folder, split)
    if SOC.config not in folder.configs or split not in folder.splits(SOC.config):
        raise DatasetFolderError(
            f"{folder.path} has no {split} pairs for a probe (config {SOC.config}): its release has no PairAnnotations/"
            f"trainsplits/{split}. Configs here: {', '.join(folder.configs)}."
        )
    if CC.config not in folder.configs:
        raise DatasetFolderError(
            f"{folder.path} has the pairs {SOC.config} but not {CC.config}: it was built by an older version. Build it "
            "again with: soco build SOURCE --out DIR"
        )
    found = ProbeSplit(folder.table(SOC.config, split), folder.table(CC.config, split))
    if not found.soc["pair_id"].equals(found.cc["pair_id"]):
        raise DatasetFolderError(
            f"{folder.path}: {SOC.config} and {CC.config} do not list the same {split} pairs. Build it again with: "
            "soco build SOURCE --out DIR"
        )
    if not found.queries:
        raise DatasetFolderError(
            f"{folder.path}: none of the {len(found)} {split} pairs of {SOC.config} has a semantic match, so there is "
            f"nothing to {'train a probe on' if split == 'train' else 'test a probe with'}."
        )
    return found


def _own_split(folder: DatasetFolder, split: str) -> ProbeSplit:
    benchmark, name = benchmark_of(folder), _OWN_SPLITS[split]
    if benchmark.point_rule.centered:
        raise UsageError(
            f"No linear probe on {benchmark.title}: it is evaluated with images in the middle of their square, and a "
            "probe is trained with images at the top left."
        )
    if _OWN_CONFIG not in folder.configs or name not in folder.splits(_OWN_CONFIG):
        raise DatasetFolderError(
            f"{folder.path} has no pairs {_OWN_CONFIG}/{name} for a probe. Configs here: {', '.join(folder.configs)}."
        )
    found = folder.table(_OWN_CONFIG, name)
    if not ProbeSplit(found, found).queries:
        raise DatasetFolderError(f"{folder.path}: the pairs {_OWN_CONFIG}/{name} have no query.")
    return ProbeSplit(found, found)


def without_overlap(train: ProbeSplit, test: ProbeSplit, overlap: str) -> ProbeSplit:
    """The train pairs, with those that are test pairs too (in either direction) treated as told.

    Args:
        train, test: the splits as the dataset has them.
        overlap: "refuse", "drop" = leave them out of training, "keep" = train on them.

    Raises:
        UsageError: an unknown `overlap`, overlapping pairs under "refuse", nothing left under "drop".
    """
    if overlap not in OVERLAPS:
        raise unknown_name("treatment of overlapping pairs", overlap, OVERLAPS)
    known = set(test.pair_keys())
    shared = np.array([key in known for key in train.pair_keys()], dtype=bool)
    if overlap == "keep" or not shared.any():
        return train
    if overlap == "refuse":
        raise UsageError(
            f"{int(shared.sum())} of the {len(train)} train pairs are test pairs too (direction ignored): a probe that "
            "is trained on them is not tested. Leave them out of training with --overlap drop, or, to repeat what "
            "others did, train on them with --overlap keep."
        )
    left = train.where(~shared)
    if not left.queries:
        raise UsageError("Every train pair is a test pair too: without them nothing is left to train on.")
    return left


@dataclass(frozen=True)
class HeldOut:
    """The train split, cut by images for a selection on images that are not trained on.

    Attributes:
        train: pairs of images that stay.
        selection: pairs of images that were held out.
        left_out: number of pairs that show one image of each, used for neither.
        images: ids of the images held out.
    """

    train: ProbeSplit
    selection: ProbeSplit
    left_out: int
    images: tuple[str, ...]


def hold_out(train: ProbeSplit, fraction: float, seed: int) -> HeldOut:
    """Hold a part of the images of each category out of the train split.

    Of a category with n images, max(2, round(fraction * n)) are held out; none of a category with fewer than four. The
    choice is by SHA-256 of seed and image id: deterministic for a given seed, independent of machine and pair order.

    Raises:
        UsageError: a fraction outside 0..0.5, or so few images that nothing is left to train on or to select by.
    """
    if not 0 < fraction <= 0.5:
        raise UsageError(f"The part of the train images to hold out must be above 0 and at most 0.5, got {fraction}.")
    held: set[str] = set()
    for names in _by_category(train).values():
        number = max(2, round(fraction * len(names)))
        if len(names) >= _FEWEST:
            held.update(sorted(names, key=lambda name: _rank(name, seed))[:number])
    outside = [
        np.array([name in held for name in train.soc[column].to_pylist()], dtype=bool)
        for column in ("source_image_id", "target_image_id")
    ]
    found = HeldOut(
        train=train.where(~outside[0] & ~outside[1]),
        selection=train.where(outside[0] & outside[1]),
        left_out=int((outside[0] != outside[1]).sum()),
        images=tuple(sorted(held)),
    )
    for part, purpose in ((found.train, "train on"), (found.selection, "select by")):
        if not part.queries:
            raise UsageError(
                f"With {len(held)} of {len(train.image_ids())} train images held out (--holdout {fraction:g}), no pair "
                f"with a semantic match is left to {purpose}. Try another --holdout or --holdout-seed, or train the "
                "reference variant alone with --variants reference."
            )
    return found


@dataclass(frozen=True)
class ProbeData:
    """All pairs of a probe, read and cut before any model is loaded.

    Attributes:
        folder: where they come from.
        train, test: the splits as the dataset has them.
        variants: names of `VARIANTS`, in their order.
        held_out: the cut of `train`; None without the variant "heldout".
        fraction, seed: of `hold_out`.
    """

    folder: DatasetFolder
    train: ProbeSplit
    test: ProbeSplit
    variants: tuple[str, ...]
    held_out: HeldOut | None
    fraction: float
    seed: int

    def image_ids(self) -> list[str]:
        """Every image that a pair shows, in the order of the dataset."""
        return sorted(self.train.image_ids() | self.test.image_ids(), key=self.folder.images.row)


def read_probe_data(
    folder: DatasetFolder,
    variants: Sequence[str] = tuple(VARIANTS),
    fraction: float = 0.25,
    seed: int = 0,
    overlap: str | None = None,
) -> ProbeData:
    """The pairs of a probe.

    Args:
        folder: a built dataset folder.
        variants: which of `VARIANTS` to train; "honest" is the old name of "heldout".
        fraction: part of the train images of each category that the variant "heldout" holds out.
        seed: which images those are.
        overlap: what happens to train pairs that are test pairs too, see `without_overlap`; None = "keep" for SOCO,
            whose released lists are taken as they are, else "refuse".

    Raises:
        DatasetFolderError: no probe pairs, see `read_split`.
        UsageError: an unknown variant or none; pairs that overlap; a hold-out that leaves nothing, see `hold_out`.
    """
    variants = [OLD_VARIANT_NAMES.get(name, name) for name in variants]
    for name in variants:
        if name not in VARIANTS:
            raise unknown_name("variant of the probe", name, VARIANTS)
    if not variants:
        raise UsageError(f"No variant of the probe given. Known: {', '.join(VARIANTS)}.")
    test = read_split(folder, "test")
    overlap = overlap or ("keep" if folder.benchmark == SOCO else "refuse")
    train = without_overlap(read_split(folder, "train"), test, overlap)
    held_out = hold_out(train, fraction, seed) if "heldout" in variants else None
    return ProbeData(
        folder, train, test, tuple(name for name in VARIANTS if name in variants), held_out, fraction, seed
    )


def _by_category(split: ProbeSplit) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for side in ("source", "target"):
        columns = (split.soc[f"{side}_category"].to_pylist(), split.soc[f"{side}_image_id"].to_pylist())
        for category, image in zip(*columns, strict=True):
            found.setdefault(category, set()).add(image)
    return found


def _rank(image_id: str, seed: int) -> str:
    return hashlib.sha256(f"soco-probe-1/{seed}/{image_id}".encode()).hexdigest()


def training_pairs(
    split: ProbeSplit, positions: Mapping[str, int], *, grid: int, size: int, convention: Convention
) -> list[ProbePair]:
    """The SOC pairs of a split as numbers, pairs without a query included.

    Args:
        split: the pairs.
        positions: image id -> its position in the store.
        grid: cells on a side of the maps.
        size: network size in pixels.
        convention: see `geometry`.
    """
    rows = query_rows(SOC.name, split.soc)
    source_sides, target_sides = (
        np.repeat(sizes_array(split.soc[column]).max(axis=1, initial=0), _counts(split.soc))
        for column in ("source_size", "target_size")
    )
    source = keypoints_to_unit(points_array(rows["source_point"]), source_sides, size, convention)
    target = keypoints_to_unit(points_array(rows["target_points"]), target_sides, size, convention)
    ends = np.concatenate([[0], np.cumsum(_counts(split.soc))])
    names = zip(split.soc["source_image_id"].to_pylist(), split.soc["target_image_id"].to_pylist(), strict=True)
    return [
        probe_pair(positions[one], positions[other], source[start:end], target[start:end], grid, convention)
        for (one, other), start, end in zip(names, ends[:-1], ends[1:], strict=True)
    ]


def _counts(pairs: pa.Table) -> NDArray[np.int64]:
    return pc.list_value_length(pairs["keypoints"]).to_numpy().astype(np.int64)
