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
from ..config import FeatureConfig, Protocol, RunConfig
from ..data.folder import DatasetFolder
from ..errors import PredictionsError, UsageError
from ..features.backbones import preflight
from ..features.expression import parse_expression
from ..features.extractor import DenseFeatureExtractor
from ..features.stated_model import model_differences, stated_extractor
from ..records.header import Header
from ..records.predictions import query_rows, read_header
from ..records.scores import row_errors
from ..records.validation import codes, first_rows, points_array, predictions_sha256, sizes_array, whole_array
from ..utils.details import bytes_text
from .evaluate import by_benchmark
from .grid_positions import TOLERANCE, positions_on_grid, with_predictions
from .local_engine import LocalEngine
from .matchers.among_candidates import AmongCandidates
from .matchers.margins import CandidateMargin, CellMargin
from .matchers.matcher import matcher_class
from .plan import MatchResult, Plan, grid_of, predicted_points
from .released_pairs import make_plan
from .rerun_verdict import Rerun, Tolerance, tolerance_for

_SHOWN = 3
_LARGEST_GRID, _LARGEST_SIZE, _LARGEST_DOWNLOAD = 1024, 8192, 64_000_000_000  # what a stranger's record may ask for


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
    nothing = Rerun(seed, len(drawn), total, 0, 0, 0, 0, 0, 0, 0, 0.0, limits)
    if differences := model_differences(header.model, described) + _other_frame(header, described):
        return replace(nothing, model=tuple(differences))
    tasks, tables = _drawn_tables(header, folder, drawn)
    plan = _with_margins(make_plan(tasks, tables, folder, header.protocol))
    announce(_estimate(extractor, folder, plan, len(drawn)))
    start = time.perf_counter()
    found = _match_and_compare(extractor, folder, plan, table, tables, limits)
    return replace(nothing, images=len(plan.images), seconds=time.perf_counter() - start, **found)


def check_rerunnable(header: Header, folder: DatasetFolder) -> None:
    """Raise `PredictionsError` for a result that cannot be run again on this data."""
    features = header.protocol.features
    if features.grid is None:
        raise PredictionsError("these predictions state no patch grid: no model of this toolkit gives them again")
    if features.grid > _LARGEST_GRID or max(features.image_size, features.size or 0) > _LARGEST_SIZE:
        raise PredictionsError(
            f"these predictions state {features.grid} cells a side of {features.image_size} px; more than "
            f"{_LARGEST_GRID:,} cells or {_LARGEST_SIZE:,} px are not run again"
        )
    if header.dataset["content_hash"] != folder.content_hash:
        raise PredictionsError(
            f"these predictions were made on dataset {header.dataset['id']} with content hash "
            f"{header.dataset['content_hash']}, not on {folder.path} ({folder.content_hash})"
        )


def _other_frame(header: Header, described: Mapping[str, Any]) -> list[str]:
    """What of the network's input and map is not as the protocol states it: a record may leave it out of its model."""
    ours, stated = FeatureConfig.of_model(described), header.protocol.features
    return [
        f"the {name.replace('_', ' ')} is {own!r}, the protocol states {theirs!r}"
        for name in ("image_size", "size", "grid", "padding", "resize")
        if (own := getattr(ours, name)) != (theirs := getattr(stated, name))
    ]


def open_stated(
    header: Header, model: str | Path | None = None, *, head: str | Path | None = None, device: str = "cpu"
) -> DenseFeatureExtractor:
    """The model that a result states, or the given one, loaded with the stated options.

    Arguments and errors as `features.stated_model.stated_extractor`, and as loading a model.
    """
    spec = stated_extractor(header.model, model, head=head, device=device)
    for part in parse_expression(spec.model) if model is None else ():
        found = preflight(str(part.model), revision=part.options.get("revision", spec.options.get("revision")))
        if (found.download or 0) > _LARGEST_DOWNLOAD:
            raise PredictionsError(
                f"{found.label} has {bytes_text(found.download or 0)} to download, more than is taken unasked "
                f"({bytes_text(_LARGEST_DOWNLOAD)}): give it with --model"
            )
    return spec.load()


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


def _match_and_compare(
    extractor: DenseFeatureExtractor,
    folder: DatasetFolder,
    plan: Plan,
    table: pa.Table,
    tables: Mapping[str, pa.Table],
    limits: Tolerance,
) -> dict[str, Any]:
    """What `Rerun` says of the predictions of the drawn pairs, whose plan this is."""
    protocol, counts = read_header(table).protocol, {"decodes": 0, "forwards": 0}
    with LocalEngine(extractor, folder, protocol, RunConfig(), counts) as engine:
        engine.sample(plan)
        found = engine.match(plan)
        own, margins = _own_rows(plan, found, protocol, tables)
        rows = _rows_of(table, own)
        behind = _behind(engine, plan, rows, own, protocol)
    matches = plan.query_match[whole_array(own["query"]).to_numpy()]
    return _compare(rows, own, _Nearness(margins, behind, matches), protocol, limits)


def _own_rows(
    plan: Plan, found: MatchResult, protocol: Protocol, tables: Mapping[str, pa.Table]
) -> tuple[pa.Table, NDArray[np.float32]]:
    """The rows of the drawn pairs with their own predictions and similarities, and (N,) the margin of each.

    The column `query` is the place of each among the plan's queries.
    """
    answers = predicted_points(plan, found, protocol)
    choice = np.zeros(len(plan.query_match), dtype=np.int64)
    choice[plan.candidate_query] = np.arange(len(plan.candidate_query))
    parts, margins = [], []
    for name, pairs in tables.items():
        rows, (points, similarity), queries = query_rows(name, pairs), answers[name], plan.task_slices[name]
        matcher = matcher_class(plan.task_matchers[name])
        which = (choice if matcher.needs_candidates else plan.query_match)[queries]
        margins.append(found.similarity[CandidateMargin.name if matcher.needs_candidates else CellMargin.name][which])
        kept = rows.select(["task", "pair_id", "keypoint", "target_size"])
        columns = {
            "prediction": pa.FixedSizeListArray.from_arrays(pa.array(points.reshape(-1)), 2),
            "similarity": pa.array(similarity),
            "soft": pa.array(np.full(len(rows), matcher.is_subcell)),
            "query": pa.array(np.arange(queries.start, queries.stop)),
        }
        for column, values in columns.items():
            kept = kept.append_column(column, values)
        parts.append(kept)
    return pa.concat_tables(parts), np.concatenate(margins)


def _behind(engine: LocalEngine, plan: Plan, rows: pa.Table, own: pa.Table, protocol: Protocol) -> NDArray[np.float64]:
    """(N,) how much less similar the stated cell is than the one found now; of soft rows it means nothing."""
    grid = grid_of(protocol)
    cells = positions_on_grid(points_array(rows["prediction"]), sizes_array(own["target_size"]), protocol)
    columns, lines = np.clip(np.rint(cells), 0, grid - 1).astype(np.int64).T
    query = whole_array(own["query"]).to_numpy()
    order = np.argsort(plan.query_match[query], kind="stable")
    stated = replace(
        plan,
        candidate_query=query[order],
        candidates=(lines * grid + columns)[order][:, None],
        task_matchers={"": AmongCandidates.name},
    )
    similarity = np.empty(len(own))
    similarity[order] = engine.match(stated).similarity[AmongCandidates.name]
    found: NDArray[np.float64] = whole_array(own["similarity"]).to_numpy() - similarity
    return found


def _rows_of(table: pa.Table, own: pa.Table) -> pa.Table:
    """The rows of a predictions table in the order of others. Raises `PredictionsError` where one is absent."""
    keys = [
        pc.binary_join_element_wise(part["task"], part["pair_id"], part["keypoint"], "\x1f") for part in (own, table)
    ]
    place = pc.index_in(whole_array(keys[0]), value_set=whole_array(keys[1]))
    if place.null_count:
        raise PredictionsError(f"{place.null_count} queries of the drawn pairs are not in these predictions")
    return table.take(place)


@dataclass(frozen=True)
class _Nearness:
    """(N,) by how much the best cell is ahead of the second best, and of the stated one, and the match of each row."""

    margin: NDArray[np.float32]
    behind: NDArray[np.float64]
    match: NDArray[np.int64]


def _compare(rows: pa.Table, own: pa.Table, near: _Nearness, protocol: Protocol, limits: Tolerance) -> dict[str, Any]:
    sizes = sizes_array(own["target_size"])
    stated, found = (positions_on_grid(points_array(part["prediction"]), sizes, protocol) for part in (rows, own))
    apart = np.abs(stated - found).max(axis=1, initial=0)
    soft = whole_array(own["soft"]).to_numpy(zero_copy_only=False)
    decided = near.margin >= limits.margin
    off = np.abs(stated - np.rint(stated)).max(axis=1, initial=0) > TOLERANCE
    elsewhere = (apart > TOLERANCE) & (off | decided | (near.behind >= limits.margin))
    moved = np.where(soft, decided & (apart > limits.soft), elsewhere)
    given = whole_array(rows["similarity"]).to_numpy(zero_copy_only=False).astype(np.float64)
    again = whole_array(own["similarity"]).to_numpy().astype(np.float64)
    differ = np.abs(given - again)
    changed = differ > limits.similarity  # not of NaN
    wrong = np.flatnonzero(moved | changed)
    ties = np.flatnonzero(~soft & ~moved & (apart > TOLERANCE))
    ties = ties[np.unique(near.match[ties], return_index=True)[1]]  # one of the tasks that share a query
    names = [
        ", ".join(row.values()) for row in own.select(["task", "pair_id", "keypoint"]).take(wrong[:_SHOWN]).to_pylist()
    ]
    return {
        "compared": len(own),
        "decided": int(decided.sum()),
        "moved": int(moved.sum()),
        "changed": int(changed.sum()),
        "wrong": len(wrong),
        **_ties(rows.take(pa.array(ties)), own.take(pa.array(ties))),
        "unstated": int(np.isnan(given).sum()),
        "largest": float(np.nanmax(differ)) if np.isfinite(differ).any() else 0.0,
        "examples": tuple(
            f"{name}: {apart[row]:.3g} cells apart, similarity {given[row]:.4f}, rerun {again[row]:.4f}"
            for name, row in zip(names, wrong, strict=False)
        ),
    }


def _ties(rows: pa.Table, own: pa.Table) -> dict[str, int]:
    """Of rows that are elsewhere within the margin: how many differ in their error, and how many state the smaller."""
    if not len(rows):
        return {"ties": 0, "nearer": 0}
    stated, found = row_errors(rows), row_errors(with_predictions(rows, points_array(own["prediction"])))
    return {"ties": int((stated != found).sum()), "nearer": int((stated < found).sum())}


def _arithmetic(stated: Mapping[str, Any], own: Mapping[str, Any]) -> tuple[str, str, str, str]:
    return str(stated.get("dtype")), str(own["dtype"]), str(stated.get("device", "cpu")), str(own["device"])
