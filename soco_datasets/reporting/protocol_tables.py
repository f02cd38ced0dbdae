"""The paper's tables r2 (protocols) and r6 (categories at every threshold) for any models. Percent, 0 to 100."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..benchmarks.tasks import task_title
from ..config import alpha_key
from ..records.evaluation import EvaluationResult
from ..records.probe import ProbeRecord
from .export import Cell, Column, ReportTable
from .paper_match import differences_from_paper, paper_percent, paper_probe_percent
from .score_access import (
    HEADLINE,
    chance_percent,
    main_alpha,
    main_reduction,
    model_names,
    names_in,
    percent,
    score_of,
    tasks_of,
)

# How the paper's table r2 reduces each; the probe pools the keypoints of all categories, as the reference does.
_TASKS = (("soc", "pair"), ("soc_soft", "pair"), ("soc_geo", "keypoint"), ("soc_geo_multi", "keypoint"))
_VARIANTS = {"reference": "SOC linear", "heldout": "SOC linear (held out)"}

Results = Sequence[EvaluationResult]


def protocol_table(results: Results, probes: Mapping[int, ProbeRecord] | None = None) -> ReportTable | None:
    """One row per model: SOC as it is, with soft-argmax, after a linear probe, among candidates; None with SOC alone.

    Args:
        results: comparable records.
        probes: number of a result -> its linear probe.
    """
    alpha = main_alpha(results)
    columns: list[tuple[Column, list[Cell]]] = []
    reductions: dict[str, str] = {}
    for task, wanted in _TASKS:
        if task not in tasks_of(results):
            continue
        reduction = wanted if wanted in results[0].protocol.scoring.reductions else main_reduction(results)
        reductions[task_title(task)] = reduction
        metric: dict[str, Any] = {"reduction": reduction, "alpha": alpha}
        title = task_title(task)
        scored: list[Cell] = [percent(score_of(result, task, **metric).pck) for result in results]
        columns.append((Column(title, "percent", "max"), scored))
        chance: list[Cell] = [chance_percent(result, task, **metric) for result in results]
        columns.append((Column(f"{title}: random", "percent"), chance))
        printed: list[Cell] = [paper_percent(result, task, **metric) for result in results]
        columns.append((Column(f"{title} in the paper", "percent"), printed))
        if task == "soc_soft" or (task == "soc" and "soc_soft" not in tasks_of(results)):
            columns += _probe_columns(results, probes or {}, alpha)
    if not probes and set(reductions) <= {task_title("soc")}:
        return None
    used = [(column, cells) for column, cells in columns if any(cell is not None for cell in cells)]
    rows = [(name, *cells) for name, *cells in zip(model_names(results), *(c for _, c in used), strict=True)]
    how = ", ".join(f"{title} by {reduction}" for title, reduction in reductions.items())
    note = f"PCK@{alpha:g} in percent; {how}."
    if probes:
        note += (
            " Linear: after training one linear layer, on the test pairs of soc_probe, all keypoints pooled; the epoch "
            "is selected on those very pairs as in the paper, or on held-out training images (held out)."
        )
    differ = differences_from_paper(results)
    if differ and any(column.name.endswith("in the paper") for column, _ in used):
        note += f" The paper's numbers are of another setting: {'; '.join(differ)}."
    return ReportTable(
        "protocols", "SOC by protocol", note, (Column("model"), *(column for column, _ in used)), tuple(rows)
    )


def _probe_columns(
    results: Results, probes: Mapping[int, ProbeRecord], alpha: float
) -> list[tuple[Column, list[Cell]]]:
    """SOC on the test pairs of the probes before and after training, and what the paper prints."""
    found = [probes.get(index) for index in range(len(results))]
    places: dict[str, tuple[str, ...]] = {"SOC linear (untrained)": ("before", "test")}
    places |= {title: ("variants", name, "metrics", "test") for name, title in _VARIANTS.items()}
    columns: list[tuple[Column, list[Cell]]] = [
        (Column(title, "percent", "max"), [None if probe is None else _pooled(probe, place, alpha) for probe in found])
        for title, place in places.items()
    ]
    printed: list[Cell] = [paper_probe_percent(result, alpha) for result in results]
    return [*columns, (Column("SOC linear in the paper", "percent"), printed)]


def _pooled(probe: ProbeRecord, place: Sequence[str], alpha: float) -> float | None:
    value: Any = {"before": probe.before, "variants": probe.variants}
    for key in (*place, "soc_probe", "pooled", alpha_key(alpha), "pck"):
        value = value.get(key) if isinstance(value, Mapping) else None
    return percent(value)


def category_threshold_table(results: Results) -> ReportTable | None:
    """One row per category and model, one column per task and threshold; None with one threshold."""
    tasks = [task for task in HEADLINE if task in tasks_of(results)]
    alphas, reduction = results[0].protocol.scoring.alphas, main_reduction(results)
    names = sorted({name for task in tasks for name in names_in(results, task, "per_category")})
    if len(alphas) < 2 or not names:
        return None
    metrics = [(task, alpha) for alpha in alphas for task in tasks]
    rows = []
    for category in names:
        for model, result in zip(model_names(results), results, strict=True):
            scores = [
                score_of(result, task, reduction=reduction, alpha=alpha, part="per_category", name=category)
                for task, alpha in metrics
            ]
            rows.append((category, model, *(percent(score.pck) for score in scores)))
    columns = (
        Column("category"),
        Column("model"),
        *(Column(f"{task_title(t)} @{a:g}", "percent", "max") for t, a in metrics),
    )
    note = f"PCK in percent at each threshold, mean over the {reduction}s of each category."
    return ReportTable("category_thresholds", "By category and threshold", note, columns, tuple(rows))
