"""A sample of a result made again: the images of some pairs are forwarded, and every prediction of these is compared.

The pairs are drawn from a seed that the verifier chooses after the result was handed in, and from the hash of the
predictions: the author of made-up ones could not know which pairs had to be right. A share f of made-up pairs stays
unseen with probability (1 - f)^N.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ..benchmarks.base import Task, benchmark_of
from ..benchmarks.task_pairs import task_pairs
from ..config import Protocol, RunConfig
from ..data.folder import DatasetFolder
from ..errors import PredictionsError, UsageError
from ..features.extractor import DenseFeatureExtractor
from ..features.stated_model import model_differences, stated_extractor
from ..records.header import Header
from ..records.predictions import query_rows, read_header
from ..records.validation import codes, first_rows, points_array, predictions_sha256, sizes_array, whole_array
from .evaluate import by_benchmark
from .grid_positions import TOLERANCE, positions_on_grid
from .local_engine import LocalEngine
from .matchers.margins import CandidateMargin, CellMargin
from .matchers.matcher import matcher_class
from .plan import Plan, predicted_points
from .released_pairs import make_plan

MISSED_SHARES = (0.01, 0.05, 0.10)
_SHOWN = 3


@dataclass(frozen=True)
class Tolerance:
    """What a rerun may differ in.

    Attributes:
        margin: a cell must be found again where it was ahead of the second best by this much.
        similarity: by which similarities may differ.
        soft: by which positions between cells may differ, in cells, where the margin decides.
        strays: fraction of the compared predictions that may differ by more.
        why: for whom these are, in words.
    """

    margin: float
    similarity: float
    soft: float
    strays: float
    why: str


def tolerance_for(stated_dtype: str, own_dtype: str, stated_device: str, own_device: str) -> Tolerance:
    """The tolerance for a result of one dtype and device that is made again with another.

    Measured on a CPU: float32 again in float32 differs by 6e-8, bfloat16 from float32 by 3e-3 at most. Those that a GPU
    takes part in are not measured.

    >>> tolerance_for("float32", "float32", "cpu", "cpu")
    Tolerance(margin=0.0001, similarity=0.001, soft=0.05, strays=0.0, why='float32 on cpu')
    """
    dtypes = sorted({stated_dtype, own_dtype}, reverse=True)
    devices = sorted({stated_device.partition(":")[0], own_device.partition(":")[0]})
    why = f"{' and '.join(dtypes)} on {' and '.join(devices)}"
    if "bfloat16" in dtypes:
        return Tolerance(1e-2, 2e-2, 1.0, 0.01, why)
    if {"float16", "tf32"} & set(dtypes):
        return Tolerance(2e-3, 5e-3, 0.5, 0.01, why)
    if devices != ["cpu"]:
        return Tolerance(1e-3, 1e-3, 0.25, 0.001, why)
    return Tolerance(1e-4, 1e-3, 0.05, 0.0, why)


@dataclass(frozen=True)
class Rerun:
    """What a rerun found.

    Attributes:
        seed: that the pairs were drawn with, beside the hash of the predictions.
        pairs, total: how many were drawn, and of how many.
        images: how many were forwarded.
        compared: predictions that were compared.
        decided: those of them whose margin decides, so that their positions had to be equal.
        moved: of the decided, those that are elsewhere.
        changed: those whose similarity differs by more than the tolerance.
        unstated: those that state no similarity.
        largest: the largest difference of two similarities.
        tolerance: what was allowed.
        model: what of the model is not as stated; nothing was forwarded then.
        examples: the first predictions that differ.
        seconds: that the forwards and matches took.
    """

    seed: str
    pairs: int
    total: int
    images: int
    compared: int
    decided: int
    moved: int
    changed: int
    unstated: int
    largest: float
    tolerance: Tolerance
    model: tuple[str, ...] = ()
    examples: tuple[str, ...] = ()
    seconds: float = 0.0

    @property
    def agrees(self) -> bool:
        """Whether the model gives these predictions, within the tolerance."""
        wrong = max(self.moved, self.changed)
        return not self.model and self.compared > 0 and wrong <= self.tolerance.strays * self.compared

    def missed(self, share: float) -> float:
        """The probability that none of the drawn pairs is made up, when this share of all pairs is."""
        return 0.0 if self.pairs >= self.total else (1 - share) ** self.pairs

    @property
    def findings(self) -> tuple[str, ...]:
        """What differs, one sentence each; empty where the rerun agrees."""
        if self.agrees:
            return ()
        if self.model:
            return tuple(f"another model: {text}" for text in self.model)
        found = [
            f"rerun: {number:,} of {of:,} {what}"
            for number, of, what in (
                (self.moved, self.decided, "predictions are not where the model puts them"),
                (self.changed, self.compared, "similarities are not the model's"),
            )
            if number
        ]
        return tuple(found) or ("rerun: nothing could be compared",)

    def report(self) -> list[str]:
        """What was done and what it proves, in lines."""
        limits = self.tolerance
        lines = [
            f"rerun of {self.pairs:,} of {self.total:,} pairs ({self.images:,} images, seed {self.seed}): "
            f"{self.compared:,} predictions compared, largest difference of similarities {self.largest:.2g}",
            f"{self.decided:,} positions had to be equal (second best cell at least {limits.margin:g} behind), "
            f"{self.compared - self.decided:,} were within that margin; similarities may differ by "
            f"{limits.similarity:g}, positions between cells by {limits.soft:g} cells ({limits.why}); "
            f"{100 * limits.strays:g} % of predictions may differ by more",
        ]
        if self.unstated:
            lines.append(f"{self.unstated:,} predictions state no similarity, so theirs were not compared")
        lines += [f"differs: {example}" for example in self.examples]
        if self.agrees and self.pairs < self.total:
            chances = ", ".join(f"{100 * self.missed(f):.2g} % where {100 * f:g} %" for f in MISSED_SHARES)
            lines.append(f"chance that made-up pairs were missed: {chances} of all pairs are made up")
        return lines


def sample_pairs(table: pa.Table, pairs: int | None, seed: str) -> list[str]:
    """Ids of pairs of a predictions table, spread over the categories in proportion, each pair with the same chance.

    Args:
        table: a checked predictions table.
        pairs: how many; None, or more than there are = all.
        seed: any text. The draw also depends on the hash of the predictions.
    """
    pair = codes(table, ("pair_id",))
    first = pa.array(first_rows(pair))
    ids, groups = table["pair_id"].take(first).to_pylist(), table["pair_group"].take(first).to_pylist()
    if pairs is not None and pairs < 1:
        raise UsageError(f"A rerun needs at least one pair, got {pairs}.")
    if pairs is None or pairs >= len(ids):
        return ids
    digest = hashlib.sha256(f"{seed}:{predictions_sha256(table)}".encode()).digest()
    generator = np.random.default_rng(np.frombuffer(digest, "<u4"))
    order = generator.permutation(len(ids)).tolist()
    place = {name: number for number, name in enumerate(generator.permutation(sorted(set(groups))).tolist())}
    order.sort(key=lambda index: place[groups[index]])  # stable: shuffled within a category
    steps = (np.arange(pairs) + generator.random()) * (len(ids) / pairs)
    return [ids[order[int(step)]] for step in steps]


def rerun_result(
    table: pa.Table,
    pairs: int | None = None,
    seed: str | None = None,
    *,
    folder: DatasetFolder,
    extractor: DenseFeatureExtractor | None = None,
    announce: Callable[[str], None] = lambda text: None,
) -> Rerun:
    """Forward the images of some pairs of a result again and compare what comes out.

    Args:
        table: a checked predictions table.
        pairs: how many to draw; None = all.
        seed: what they are drawn with; None = from the operating system. Choose it after the result was handed in.
        folder: the dataset that the result is of.
        extractor: the model; None = `open_stated` of the table on the CPU.
        announce: called with a line that says how long it will take, before it starts.

    Raises:
        PredictionsError: the result states no grid, is of other data, or has pairs that the dataset lacks.
        UsageError: a model that has to be given (see `stated_model.stated_extractor`), or fewer than one pair.
        BackboneError, DatasetFolderError: the model or the data cannot be read.
    """
    header, seed = read_header(table), seed or os.urandom(16).hex()
    check_rerunnable(header, folder)
    extractor = open_stated(header) if extractor is None else extractor
    extractor = cast(DenseFeatureExtractor, by_benchmark(extractor, folder, header.protocol.scoring)[0])
    described = extractor.describe()
    drawn = sample_pairs(table, pairs, seed)
    limits = tolerance_for(*_arithmetic(header.model, described))
    total = int(codes(table, ("pair_id",)).max(initial=-1)) + 1
    nothing = Rerun(seed, len(drawn), total, 0, 0, 0, 0, 0, 0, 0.0, limits)
    if differences := model_differences(header.model, described):
        return replace(nothing, model=tuple(differences))
    tasks, tables = _drawn_tables(header, folder, drawn)
    plan = _with_margins(make_plan(tasks, tables, folder, header.protocol))
    announce(_estimate(extractor, folder, plan, len(drawn)))
    start = time.perf_counter()
    own, margins = _match(extractor, folder, plan, header.protocol, tables)
    found = _compare(_rows_of(table, own), own, margins, header.protocol, limits)
    return replace(nothing, images=len(plan.images), seconds=time.perf_counter() - start, **found)


def check_rerunnable(header: Header, folder: DatasetFolder) -> None:
    """Raise `PredictionsError` for a result that cannot be run again on this data."""
    if header.protocol.features.grid is None:
        raise PredictionsError("these predictions state no patch grid: no model of this toolkit gives them again")
    if header.dataset["content_hash"] != folder.content_hash:
        raise PredictionsError(
            f"these predictions were made on dataset {header.dataset['id']} with content hash "
            f"{header.dataset['content_hash']}, not on {folder.path} ({folder.content_hash})"
        )


def open_stated(
    header: Header, model: str | Path | None = None, *, head: str | Path | None = None, device: str = "cpu"
) -> DenseFeatureExtractor:
    """The model that a result states, or the given one, loaded with the stated options.

    Arguments and errors as `features.stated_model.stated_extractor`, and as loading a model.
    """
    return stated_extractor(header.model, model, head=head, device=device).load()


def _drawn_tables(
    header: Header, folder: DatasetFolder, drawn: Sequence[str]
) -> tuple[list[Task], dict[str, pa.Table]]:
    known = {task.name: task for task in benchmark_of(folder).tasks}
    if unknown := [name for name in header.tasks if name not in known]:
        raise PredictionsError(f"the dataset has no task {', '.join(unknown)}, so it cannot be run again")
    wanted, split = pa.array(drawn, pa.string()), str(header.dataset.get("split", "test"))
    tasks, tables = [], {}
    for name in header.tasks:
        pairs = task_pairs(folder, known[name], split)
        pairs = pairs.filter(pc.is_in(pairs["pair_id"], value_set=wanted))
        if len(pairs):
            tasks.append(known[name])
            tables[name] = pairs
    if not tables:
        raise PredictionsError("the dataset has none of the drawn pairs of these predictions")
    return tasks, tables


def _with_margins(plan: Plan) -> Plan:
    """The plan with the margins of its cells and choices as two more tasks without queries."""
    margins = {"": CellMargin.name, " ": CandidateMargin.name}
    if not any(matcher_class(name).needs_candidates for name in plan.task_matchers.values()):
        del margins[" "]
    return replace(plan, task_matchers={**plan.task_matchers, **margins})


def _estimate(extractor: DenseFeatureExtractor, folder: DatasetFolder, plan: Plan, pairs: int) -> str:
    """How long it will take, from the second forward of the first image: the first one also warms up."""
    name = list(folder.images)[int(plan.images[0])]
    seconds = 0.0
    for _ in range(2):
        start = time.perf_counter()
        extractor.check_finite(extractor.extract([folder.images.decode(name)], [name]), [name])
        seconds = time.perf_counter() - start
    whole = seconds * len(plan.images)
    shown = f"{whole / 60:.1f} min" if whole >= 120 else f"{whole:.0f} s" if whole >= 1 else "less than 1 s"
    return (
        f"{pairs:,} pairs, {len(plan.images):,} images at {seconds:.2g} s each on {extractor.backbone.device}: "
        f"about {shown}"
    )


def _match(
    extractor: DenseFeatureExtractor,
    folder: DatasetFolder,
    plan: Plan,
    protocol: Protocol,
    tables: Mapping[str, pa.Table],
) -> tuple[pa.Table, NDArray[np.float32]]:
    """The rows of the drawn pairs with their own predictions and similarities, and (N,) the margin of each."""
    counts = {"decodes": 0, "forwards": 0}
    with LocalEngine(extractor, folder, protocol, RunConfig(), counts) as engine:
        engine.sample(plan)
        found = engine.match(plan)
    answers = predicted_points(plan, found, protocol)
    choice = np.zeros(len(plan.query_match), dtype=np.int64)
    choice[plan.candidate_query] = np.arange(len(plan.candidate_query))
    parts, margins = [], []
    for name, pairs in tables.items():
        rows, (points, similarity) = query_rows(name, pairs), answers[name]
        chooses = matcher_class(plan.task_matchers[name]).needs_candidates
        which = (choice if chooses else plan.query_match)[plan.task_slices[name]]
        margins.append(found.similarity[CandidateMargin.name if chooses else CellMargin.name][which])
        flat = pa.FixedSizeListArray.from_arrays(pa.array(points.reshape(-1)), 2)
        kept = rows.select(["task", "pair_id", "keypoint", "target_size"])
        kept = kept.append_column("prediction", flat)
        soft = pa.array(np.full(len(rows), matcher_class(plan.task_matchers[name]).is_subcell))
        parts.append(kept.append_column("similarity", pa.array(similarity)).append_column("soft", soft))
    return pa.concat_tables(parts), np.concatenate(margins)


def _rows_of(table: pa.Table, own: pa.Table) -> pa.Table:
    """The rows of a predictions table in the order of others. Raises `PredictionsError` where one is absent."""
    keys = [
        pc.binary_join_element_wise(part["task"], part["pair_id"], part["keypoint"], "\x1f") for part in (own, table)
    ]
    place = pc.index_in(whole_array(keys[0]), value_set=whole_array(keys[1]))
    if place.null_count:
        raise PredictionsError(f"{place.null_count} queries of the drawn pairs are not in these predictions")
    return table.take(place)


def _compare(
    rows: pa.Table, own: pa.Table, margins: NDArray[np.float32], protocol: Protocol, limits: Tolerance
) -> dict[str, Any]:
    sizes = sizes_array(own["target_size"])
    stated, found = (positions_on_grid(points_array(part["prediction"]), sizes, protocol) for part in (rows, own))
    apart = np.abs(stated - found).max(axis=1, initial=0)
    soft = whole_array(own["soft"]).to_numpy(zero_copy_only=False)
    decided = margins >= limits.margin
    moved = decided & (apart > np.where(soft, limits.soft, TOLERANCE))
    given = whole_array(rows["similarity"]).to_numpy(zero_copy_only=False).astype(np.float64)
    again = whole_array(own["similarity"]).to_numpy().astype(np.float64)
    differ = np.abs(given - again)
    changed = differ > limits.similarity  # not of NaN
    wrong = np.flatnonzero(moved | changed)
    names = [
        ", ".join(row.values()) for row in own.select(["task", "pair_id", "keypoint"]).take(wrong[:_SHOWN]).to_pylist()
    ]
    return {
        "compared": len(own),
        "decided": int(decided.sum()),
        "moved": int(moved.sum()),
        "changed": int(changed.sum()),
        "unstated": int(np.isnan(given).sum()),
        "largest": float(np.nanmax(differ)) if np.isfinite(differ).any() else 0.0,
        "examples": tuple(
            f"{name}: {apart[row]:.3g} cells apart, similarity {given[row]:.4f}, rerun {again[row]:.4f}"
            for name, row in zip(names, wrong, strict=False)
        ),
    }


def _arithmetic(stated: Mapping[str, Any], own: Mapping[str, Any]) -> tuple[str, str, str, str]:
    return str(stated.get("dtype")), str(own["dtype"]), str(stated.get("device", "cpu")), str(own["device"])
