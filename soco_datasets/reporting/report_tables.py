"""The tables of a report: what stands in each, from result records. Percent, 0 to 100."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..benchmarks.tasks import task_title
from ..records.error_analysis import CLASSES, swap_matrix
from ..records.evaluation import EvaluationResult
from ..records.probe import ProbeRecord
from .category_tables import category_table
from .export import Cell, Column, ReportTable
from .paper_match import differences_from_paper, paper_average, paper_percent
from .protocol_tables import category_threshold_table, protocol_table
from .provenance_table import provenance_table
from .score_access import (
    INTERVAL_NOTE,
    average_percent,
    chance_percent,
    headline_metric,
    headline_tasks,
    main_alpha,
    main_reduction,
    model_names,
    names_in,
    percent,
    score_of,
    tasks_of,
)
from .style import OUTCOME_TITLES

_TOP_SWAPS = 150  # confusions listed for a task, shared by the models; at most a third for one

Results = Sequence[EvaluationResult]


def report_tables(results: Results, probes: Mapping[int, ProbeRecord] | None = None) -> list[ReportTable]:
    """Every table that the results have something for, in the order of the report.

    Args:
        results: comparable records.
        probes: number of a result -> its linear probe.
    """
    made = [
        summary_table(results),
        protocol_table(results, probes),
        metrics_table(results),
        supercategory_table(results),
        category_table(results),
        category_threshold_table(results),
        drop_table(results),
        anatomy_table(results),
        swap_table(results),
        azimuth_table(results),
        provenance_table(results),
    ]
    return [table for table in made if table is not None]


def summary_table(results: Results) -> ReportTable:
    """One row per model: each headline task with interval and the paper's number, and their average as in table 2."""
    metric = headline_metric(results)
    tasks = headline_tasks(results)
    columns = [Column("model")]
    for task in tasks:
        title = task_title(task)
        columns += [
            Column(title, "percent", "max"),
            *(Column(f"{title} {end}", "percent", "", end) for end in ("low", "high")),
        ]
        columns += [Column(f"{title} in the paper", "percent")]
    averages = [average_percent(result, **metric) for result in results]
    averaged = any(value is not None for value in averages)
    columns += [Column("average", "percent", "max"), Column("average in the paper", "percent")]
    rows: list[tuple[Cell, ...]] = []
    for name, result, average in zip(model_names(results), results, averages, strict=True):
        row: list[Cell] = [name]
        for task in tasks:
            scored = score_of(result, task, **metric)
            row += [percent(scored.pck), percent(scored.low), percent(scored.high)]
            row.append(paper_percent(result, task, **metric))
        rows.append((*row, average, paper_average(result, **metric)))
    differ = differences_from_paper(results)
    printed = any(paper_percent(result, task, **metric) is not None for result in results for task in tasks)
    caveat = f" The paper's numbers are of another setting: {'; '.join(differ)}." if differ and printed else ""
    note = (
        f"PCK@{metric['alpha']:g} in percent, mean over {metric['reduction']}s; with the 95 % interval "
        f"(low to high) of a bootstrap over images. {INTERVAL_NOTE}"
        f"{' The average is that of CC, SOC and Cross-SOC.' if averaged else ''}{caveat}"
    )
    titles = {"model", *map(task_title, tasks)}
    used = [c for c, column in enumerate(columns) if column.name in titles or any(row[c] is not None for row in rows)]
    return ReportTable(
        "summary", "Summary", note, tuple(columns[c] for c in used), tuple(tuple(row[c] for c in used) for row in rows)
    )


def metrics_table(results: Results) -> ReportTable:
    """Every task, reduction and threshold; one row per model and task, one more for chance and for the paper."""
    protocol = results[0].protocol
    metrics = [(reduction, alpha) for reduction in protocol.scoring.reductions for alpha in protocol.scoring.alphas]
    columns = [Column("task"), Column("model"), *(Column(f"{r} @{a:g}", "percent", "max") for r, a in metrics)]
    rows: list[tuple[Cell, ...]] = []
    references: set[int] = set()
    for task in tasks_of(results):
        for name, result in zip(model_names(results), results, strict=True):
            if task not in result.metrics:
                continue
            scores = [score_of(result, task, reduction=r, alpha=a) for r, a in metrics]
            counts = scores[0]
            rows.append((task_title(task), name, *(percent(s.pck) for s in scores), counts.pairs, counts.keypoints))
            chance = [chance_percent(result, task, reduction=r, alpha=a) for r, a in metrics]
            if any(value is not None for value in chance):
                references.add(len(rows))
                rows.append((task_title(task), f"{name}: random choice", *chance, None, None))
            printed = [paper_percent(result, task, reduction=r, alpha=a) for r, a in metrics]
            if any(value is not None for value in printed):
                references.add(len(rows))
                rows.append((task_title(task), f"{name}: paper", *printed, None, None))
    note = (
        "PCK in percent at each threshold alpha. 'pair' averages over pairs, 'keypoint' over all queries of a "
        "category, 'image' over target images; all then over categories. Counts are pairs with a query, and queries."
    )
    all_columns = (*columns, Column("pairs", "count"), Column("keypoints", "count"))
    return ReportTable("metrics", "All metrics", note, all_columns, tuple(rows), frozenset(references))


def supercategory_table(results: Results) -> ReportTable | None:
    """One row per supercategory and model, one column per task, with the paper's number where there is one."""
    metric = headline_metric(results)
    tasks = headline_tasks(results)
    names = sorted({name for task in tasks for name in names_in(results, task, "per_supercategory")})
    rows = []
    for parent in names:
        for model, result in zip(model_names(results), results, strict=True):
            row: list[Cell] = [parent, model]
            for task in tasks:
                row.append(percent(score_of(result, task, part="per_supercategory", name=parent, **metric).pck))
                row.append(paper_percent(result, task, subset=parent, **metric))
            rows.append(tuple(row))
    if not rows:
        return None
    columns = [Column("supercategory"), Column("model")]
    for task in tasks:
        columns += [Column(task_title(task), "percent", "max"), Column(f"{task_title(task)} in the paper", "percent")]
    used = [c for c in range(len(columns)) if any(row[c] is not None for row in rows)]
    return ReportTable(
        "supercategories",
        "By supercategory",
        f"PCK@{metric['alpha']:g} in percent, mean over the categories of each supercategory.",
        tuple(columns[c] for c in used),
        tuple(tuple(row[c] for c in used) for row in rows),
    )


def drop_table(results: Results) -> ReportTable | None:
    """What the classes of error add to each drop between two tasks; None without an anatomy."""
    reduction = main_reduction(results)
    rows: list[tuple[Cell, ...]] = []
    for name, result in zip(model_names(results), results, strict=True):
        for drop in (result.anatomy or {}).get("drops", []):
            found = drop["reductions"].get(reduction)
            if found is None:
                continue
            same = found["same_queries"]
            parts = found["pieces"] if same is None else same["lost"]
            won, other = (None, None) if same is None else (-same["won"], same["other_queries"])
            step = f"{task_title(drop['from'])} to {task_title(drop['to'])}"
            counted = "growth of each kind" if same is None else "what the hits became"
            numbers = (found["from_pck"], found["to_pck"], found["drop"], *(parts[kind] for kind in CLASSES[1:]))
            rows.append((name, step, *map(percent, (*numbers, won, other)), counted))
    if not rows:
        return None
    columns = (
        Column("model"), Column("step"), Column("from", "percent"), Column("to", "percent"), Column("drop", "percent"),
        *(Column(OUTCOME_TITLES[kind], "percent") for kind in CLASSES[1:]),
        Column("hits won", "percent"), Column("other queries", "percent"), Column("kinds are"),
    )  # fmt: skip
    note = (
        "In points; the kinds, hits won and other queries add up to the drop. Where both tasks ask the same queries, a "
        "kind is the share of queries that were a hit and became that error; else how much its share grew."
    )
    return ReportTable("drops", "Why a task is harder", note, columns, tuple(rows))


def anatomy_shares(results: Results) -> dict[tuple[str, str], dict[str, float]]:
    """(task, model name) -> class -> fraction of the queries, for every task whose errors were analyzed."""
    reduction = main_reduction(results)
    shares: dict[tuple[str, str], dict[str, float]] = {}
    for task in tasks_of(results):
        for name, result in zip(model_names(results), results, strict=True):
            part = (result.anatomy or {}).get("tasks", {}).get(task, {}).get("overall")
            found = (part or {}).get("shares", {}).get(reduction, {})
            if found and all(found.get(kind) is not None for kind in CLASSES):
                shares[task, name] = {kind: found[kind] for kind in CLASSES}
    return shares


def anatomy_table(results: Results) -> ReportTable | None:
    """The share of each class of outcome; None without an anatomy."""
    shares = anatomy_shares(results)
    if not shares:
        return None
    anatomy = next(result.anatomy for result in results if result.anatomy)
    rows = [
        (task_title(task), name, *(percent(found[kind]) for kind in CLASSES)) for (task, name), found in shares.items()
    ]
    columns = (Column("task"), Column("model"), *(Column(OUTCOME_TITLES[kind], "percent") for kind in CLASSES))
    note = (
        f"Percent of the queries, averaged as PCK is. Hit: error below {anatomy['alpha']:g}. Background: no annotated "
        f"point within {anatomy['near']:g}. Else by the nearest annotated point: a valid target (near miss), another "
        "instance of its concept (swap), or another part."
    )
    return ReportTable("anatomy", "Prediction outcomes", note, columns, tuple(rows))


def swaps_of(result: EvaluationResult, task: str) -> dict[str, tuple[list[str], np.ndarray]]:
    """Concept -> (names, (K, K) counts: true instance by nearest instance) of a task, those with most swaps first."""
    stored: Mapping[str, Any] = (result.anatomy or {}).get("tasks", {}).get(task, {}).get("swaps", {})
    matrices = {concept: swap_matrix(rows) for concept, rows in stored.items()}
    order = sorted(matrices, key=lambda concept: (-swapped(matrices[concept][1]), concept))
    return {concept: matrices[concept] for concept in order}


def swapped(counts: np.ndarray) -> int:
    """The predictions of a swap matrix that are swaps."""
    return int(counts.sum() - np.trace(counts))


def swap_blocks(swaps: Mapping[str, tuple[list[str], np.ndarray]]) -> list[tuple[str, list[str], np.ndarray]]:
    """(concept, names, counts) of the instances that are confused with one another, most swaps first.

    A concept that instances of several categories have (the corners of buses, those of ambulances) falls apart into
    blocks between which there is no swap.
    """
    blocks = []
    for concept, (names, counts) in swaps.items():
        linked = (counts + counts.T > 0) | np.eye(len(names), dtype=bool)
        while not np.array_equal(linked, further := linked @ linked):
            linked = further
        for members in {tuple(np.flatnonzero(row).tolist()) for row in linked}:
            block = counts[np.ix_(members, members)]
            if swapped(block):
                blocks.append((concept, [names[i] for i in members], block))
    return sorted(blocks, key=lambda block: (-swapped(block[2]), block[0], block[1]))


def swap_table(results: Results) -> ReportTable | None:
    """The most frequent confusions of instances; None where there is none."""
    rows: list[tuple[Cell, ...]] = []
    most = max(_TOP_SWAPS // max(3, len(results)), 10)
    for task in tasks_of(results):
        for name, result in zip(model_names(results), results, strict=True):
            found = []
            for concept, (names, counts) in swaps_of(result, task).items():
                totals = counts.sum(axis=1)
                for true, taken in zip(*np.nonzero(counts), strict=True):
                    if true != taken:
                        number = int(counts[true, taken])
                        share = 100 * number / int(totals[true])
                        found.append((-number, concept, names[true], names[taken], share))
            for number, concept, asked, nearest, share in sorted(found)[:most]:
                rows.append((task_title(task), name, concept, asked, nearest, -number, share))
    if not rows:
        return None
    columns = (
        Column("task"), Column("model"), Column("concept"), Column("query"), Column("predicted nearest"),
        Column("queries", "count"), Column("of those that land on the concept", "percent"),
    )  # fmt: skip
    note = f"Predictions nearest to another instance of the concept: each model's {most} most frequent in a task."
    return ReportTable("swaps", "Instance confusion", note, columns, tuple(rows))


def azimuth_curves(results: Results, task: str) -> dict[str, list[tuple[float, float, float | None]]]:
    """Model name -> bins (from, to, fraction) of a task, for all models; no bins where a record has no such curve."""
    metric = headline_metric(results)
    curves: dict[str, list[tuple[float, float, float | None]]] = {}
    for name, result in zip(model_names(results), results, strict=True):
        curves[name] = []
        curve = (result.curves or {}).get(task, {}).get("azimuth")
        if curve is None:
            continue
        by_alpha = curve["pck"].get(metric["reduction"]) or curve["pck"]["keypoint"]
        values = by_alpha[str(metric["alpha"])]
        if any(value is not None for value in values):
            curves[name] = list(zip(curve["edges"][:-1], curve["edges"][1:], values, strict=True))
    return curves


def azimuth_table(results: Results) -> ReportTable | None:
    """PCK by the difference of azimuth; None where no pose is known."""
    rows: list[tuple[Cell, ...]] = []
    for task in tasks_of(results):
        for name, bins in azimuth_curves(results, task).items():
            rows += [(task_title(task), name, f"{low:g} to {high:g}", percent(value)) for low, high, value in bins]
    if not rows:
        return None
    columns = (Column("task"), Column("model"), Column("degrees"), Column("PCK", "percent"))
    note = f"PCK@{main_alpha(results):g} in percent by the smaller angle between the azimuths of the two views."
    return ReportTable("azimuth", "Against viewpoint", note, columns, tuple(rows))
