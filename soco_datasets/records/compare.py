"""Is the difference between two results real: a paired bootstrap over the images they share. NumPy only.

Both results answer the same queries, so both are scored on the same resamples of the images (see `bootstrap`), and what
is common to them, hard and easy images, cancels in the difference:

    difference = score of B - score of A,     its interval = 2.5 % to 97.5 % of the differences of the resamples

A difference whose interval leaves out 0 has a sign. Of a hundred categories without any difference about five will have
one by chance: look at the overall sign first.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ..config import alpha_key
from ..errors import PredictionsError, UsageError
from ..utils.paths import local_path
from .comparable import check_comparable
from .evaluation import EvaluationResult, scored_record
from .header import Header
from .intervals import (
    LEVEL,
    RESAMPLES,
    PairSample,
    category_scores,
    check_resampling,
    enough_pairs,
    interval,
    mean_scores,
    multiplicities,
    supercategory_members,
)
from .predictions import read_header, read_predictions, task_rows

# What may differ between two runs of one model, and how it is written.
_SETTINGS = {"image_size": "{} px", "layer": "layer {}", "norm": "final norm: {}", "dtype": "{}"}


def compare_predictions(
    a: pa.Table, b: pa.Table, *, resamples: int = RESAMPLES, seed: int = 0, level: float = LEVEL
) -> dict[str, Any]:
    """The difference B - A of every score of two results, with its interval.

    Args:
        a, b: predictions tables of the same data and way of scoring; the image size may differ.
        resamples: of the images, 1 or more.
        seed: any integer; the same for both.
        level: share of the resampled differences between the ends of an interval.

    Returns:
        JSON values: `{"a": name of the model, "b": name, "differ": setting -> [of A, of B],
        "dataset": ..., "level", "resamples", "seed", "only_in_a":
        tasks, "only_in_b": tasks, "tasks": {task: {reduction: {alpha: {"overall": D, "per_supercategory": {name: D},
        "per_category": {name: D}}}}}}`, of the tasks that both have, in the order of A.

        Names of one model at two sizes or layers say which: "dinov2_b14 (layer 9)".

        D = `{"a", "b", "difference": fractions, None with nothing to score; "interval": [low, high], None with fewer
        than two pairs of images; "sign": 1 or -1 where the interval leaves out 0, else 0, None without an interval;
        "pairs": number of scored pairs}`.

    Raises:
        PredictionsError: a table is incomplete or malformed.
        UsageError: other data, protocol or queries (both sides are named), no task in common, no resamples.
    """
    check_resampling(resamples, seed, level)
    records = scored_record(a), scored_record(b)
    check_comparable(records, sizes=True)
    headers = read_header(a), read_header(b)
    shared = [task for task in headers[0].tasks if task in headers[1].tasks]
    if not shared:
        raise UsageError(
            f"{_side(headers[0])} and {_side(headers[1])} have no task in common: {', '.join(headers[0].tasks)} and "
            f"{', '.join(headers[1].tasks)}. Evaluate both on the same tasks."
        )
    _check_queries(headers[0], headers[1], shared)
    tasks = {}
    for task in shared:
        metrics = records[0].metrics[task], records[1].metrics[task]
        samples = PairSample.of(task_rows(a, task)), PairSample.of(task_rows(b, task))
        tasks[task] = _compare_task(samples, metrics, headers[0], task, (resamples, seed, level))
    labels, differ = _labels(headers)
    return {
        "a": labels[0],
        "b": labels[1],
        "differ": differ,
        "dataset": headers[0].dataset,
        "level": level,
        "resamples": resamples,
        "seed": seed,
        "only_in_a": [task for task in headers[0].tasks if task not in shared],
        "only_in_b": [task for task in headers[1].tasks if task not in shared],
        "tasks": tasks,
    }


def read_side(path: str | Path) -> pa.Table:
    """The predictions of one side: a predictions file, or a record with its predictions beside it.

    Raises:
        PredictionsError: no such file, not a record or predictions, no predictions beside the record, or those of
            another evaluation. The file is named.
    """
    path = local_path(path)
    if path.suffix != ".json":
        return read_predictions(path)
    record = EvaluationResult.read(path)
    if record.split == "all":
        raise PredictionsError(
            f"{path}: a comparison needs the predictions, and an evaluation of all pairs keeps none. Compare results "
            "of the released pairs: soco evaluate without --split all."
        )
    beside = path.with_name(f"{path.stem}.predictions.parquet")
    if not beside.is_file():
        raise PredictionsError(
            f"{path}: a comparison needs the predictions too, and {beside.name} is not beside it. Put it there, or "
            "give the predictions file itself."
        )
    table = read_predictions(beside)
    header = read_header(table)
    for name in ("model", "dataset", "protocol", "created"):
        if getattr(header, name) != getattr(record, name):
            raise PredictionsError(
                f"{beside} is of another evaluation than {path.name}: their {name} differs. Give two files that "
                "`soco evaluate` wrote together, or make the record again with `soco score`."
            )
    return table


def _compare_task(
    samples: tuple[PairSample, PairSample],
    metrics: tuple[dict[str, Any], dict[str, Any]],
    header: Header,
    task: str,
    draw: tuple[int, int, float],
) -> dict[str, Any]:
    """`{reduction: {alpha: breakdown}}` of one task. `draw` is (resamples, seed, level)."""
    resamples, seed, level = draw
    sample = samples[0]
    counts = multiplicities(sample.strata, resamples, seed)
    scores = [category_scores(side, counts, header.protocol.scoring.reductions) for side in samples]
    parents = supercategory_members(sample.categories, header.supercategories, header.tasks[task].pairs)
    found: dict[str, Any] = {}
    for reduction in header.protocol.scoring.reductions:
        apart = scores[1][reduction] - scores[0][reduction]  # NaN in the same places: the weights are the same
        found[reduction] = {
            key: _breakdown(
                sample, apart[index], metrics[0][reduction][key], metrics[1][reduction][key], parents, level
            )
            for index, key in enumerate(map(alpha_key, header.protocol.scoring.alphas))
        }
    return found


def _breakdown(
    sample: PairSample,
    apart: NDArray[np.float64],
    a: dict[str, Any],
    b: dict[str, Any],
    parents: dict[str, list[int]],
    level: float,
) -> dict[str, Any]:
    """The differences of one reduction and threshold at every level, from the (C, B) ones of the categories."""
    place = {name: index for index, name in enumerate(sample.categories)}

    def part(ours: dict[str, Any], theirs: dict[str, Any], members: Sequence[int]) -> dict[str, Any]:
        ends = interval(mean_scores(apart[None], members)[0], level) if enough_pairs(sample, members) else None
        return _difference(ours, theirs, ends)

    return {
        "overall": part(a["overall"], b["overall"], range(len(place))),
        "per_supercategory": {
            name: part(a["per_supercategory"][name], b["per_supercategory"][name], members)
            for name, members in parents.items()
        },
        "per_category": {
            name: part(ours, b["per_category"][name], [place[name]] if name in place else [])
            for name, ours in a["per_category"].items()
        },
    }


def _difference(a: dict[str, Any], b: dict[str, Any], ends: list[float] | None) -> dict[str, Any]:
    sign = None if ends is None else int(ends[0] > 0) - int(ends[1] < 0)
    return {
        "a": a["pck"],
        "b": b["pck"],
        "difference": None if a["pck"] is None or b["pck"] is None else b["pck"] - a["pck"],
        "interval": ends,
        "sign": sign,
        "pairs": a["pairs"],
    }


def _labels(headers: tuple[Header, Header]) -> tuple[list[str], dict[str, list[Any]]]:
    """(names of both sides, told apart by the settings that differ where the model is one; those settings)."""
    features = [header.protocol.features for header in headers]
    differ = {name: values for name in _SETTINGS if (values := [getattr(f, name) for f in features])[0] != values[1]}
    names = [str(header.model["name"]) for header in headers]
    if names[0] != names[1] or not differ:
        return names, differ
    words = [", ".join(_word(name, values[side]) for name, values in differ.items()) for side in (0, 1)]
    return [f"{name} ({word})" for name, word in zip(names, words, strict=True)], differ


def _word(setting: str, value: Any) -> str:
    return "last layer" if (setting, value) == ("layer", -1) else _SETTINGS[setting].format(value)


def _check_queries(a: Header, b: Header, tasks: Sequence[str]) -> None:
    for task in tasks:
        if a.tasks[task] != b.tasks[task]:
            numbers = [sum(header.tasks[task].keypoints.values()) for header in (a, b)]
            raise UsageError(
                f"{_side(a)} and {_side(b)} cannot be compared: in task {task} they answer different queries "
                f"({numbers[0]} and {numbers[1]}). Evaluate both on the same pairs."
            )
    if a.supercategories != b.supercategories:
        raise UsageError(f"{_side(a)} and {_side(b)} cannot be compared: their supercategories differ.")


def _side(header: Header) -> str:
    return f"{header.model['name']} ({header.created})"
