"""The report as one HTML page that needs nothing else: no network, no script, no font.

Every name, number and sentence is escaped by the template engine, and the page forbids itself scripts and requests.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

from .. import __version__
from ..errors import missing_extra
from ..records.error_analysis import ALPHA, CLASSES
from ..records.evaluation import EvaluationResult
from ..utils.text import clean
from .export import TABLE_FORMATS, ReportTable, format_cell
from .gallery import GALLERY_KINDS, Picture
from .paper_match import differences_from_paper, paper_percent
from .report_charts import ChartMaker
from .report_tables import anatomy_shares, headline_tasks, report_tables
from .score_access import (
    main_alpha,
    main_reduction,
    model_names,
    score_of,
    task_title,
    tasks_of,
)
from .style import OUTCOME_TITLES, SERIES

_MIME = {"csv": "text/csv", "md": "text/markdown", "tex": "application/x-tex"}
_SECTIONS = {
    "summary": "Summary", "errors": "Error analysis", "thresholds": "Alpha", "protocols": "Protocols",
    "supercategories": "Supercategories", "categories": "Categories", "swaps": "Swaps", "viewpoint": "Viewpoint",
    "matches": "Matches", "numbers": "All numbers", "terms": "Terms",
}  # fmt: skip


@dataclass(frozen=True)
class Gallery:
    """The drawn pairs of one model and task.

    Attributes:
        model: number of the result.
        task: its name.
        kinds: kind (see `gallery.GALLERY_KINDS`) -> pictures.
    """

    model: int
    task: str
    kinds: Mapping[str, Sequence[Picture]]


def render_page(
    results: Sequence[EvaluationResult],
    *,
    galleries: Sequence[Gallery] = (),
    photos: Mapping[str, tuple[str, tuple[int, int]]] | None = None,
    gallery_notes: Sequence[str] = (),
    probe_notes: Sequence[str] = (),
    tables: Sequence[ReportTable] | None = None,
) -> str:
    """The whole page.

    Args:
        results: comparable records, one or more.
        galleries: pairs to draw.
        photos: key -> (data URI, size) of the photographs the galleries use.
        gallery_notes: why there are no pictures of some model.
        probe_notes: why the linear probe of some model is not shown.
        tables: `report_tables(results)`, where it was made already.

    Raises:
        MissingExtraError: jinja2 or matplotlib is not installed.
    """
    found = {table.key: table for table in (report_tables(results) if tables is None else tables)}
    maker = ChartMaker(results)
    charts, swap_groups = maker.sections(), maker.swap_groups()
    names = model_names(results)
    differ = differences_from_paper(results)
    models = [_model(index, name, result) for index, (name, result) in enumerate(zip(names, results, strict=True))]
    shown = {
        **{key: bool(charts[key]) for key in ("errors", "thresholds", "supercategories", "categories")},
        "protocols": "protocols" in found or bool(probe_notes),
        "swaps": bool(swap_groups),
        "viewpoint": bool(charts["azimuth"]),
        "matches": bool(galleries or gallery_notes),
    }
    return page_template("report.html.j2").render(
        heading=", ".join(names) if len(names) < 4 else f"{len(names)} models",
        facts=_facts(results),
        sections=[(key, title) for key, title in _SECTIONS.items() if shown.get(key, True)],
        css=page_style(),
        alpha=f"{main_alpha(results):g}",
        reduction=main_reduction(results),
        normaliser=results[0].protocol.scoring.normalizer,
        models=models,
        any_interval=any(tile["low"] is not None for model in models for tile in model["tiles"]),
        any_paper=any(tile["paper"] is not None for model in models for tile in model["tiles"]),
        differ=differ,
        tables={key: found.get(key) for key in _TABLES},
        downloads={key: _downloads(table) for key, table in found.items()},
        cell_text=format_cell,
        charts={key: [_drawn(chart) for chart in made] for key, made in charts.items()},
        category_task=task_title(maker.main_task()),
        swap_task=task_title(maker.main_task()),
        swap_groups=[(name, [_drawn(chart) for chart in made]) for name, made in swap_groups],
        galleries=[
            {"series": _series(g.model), "name": names[g.model], "task": task_title(g.task), "kinds": g.kinds}
            for g in galleries
        ],
        gallery_notes=gallery_notes,
        probe_notes=probe_notes,
        gallery_alpha=f"{ALPHA:g}",
        other_outcomes=[(kind, OUTCOME_TITLES[kind]) for kind in CLASSES if kind not in ("hit", "swap")],
        kinds=GALLERY_KINDS,
        photos=photos or {},
        version=__version__,
    )


_TABLES = (
    "summary", "protocols", "metrics", "supercategories", "categories", "category_thresholds", "drops", "anatomy",
    "swaps", "azimuth", "provenance",
)  # fmt: skip


def page_template(name: str) -> Any:
    """A template of this package, compiled. Whatever text it is given is escaped and of one line.

    Raises:
        MissingExtraError: jinja2 is not installed.
    """
    try:
        import jinja2
    except ImportError:
        raise missing_extra("A report", "report", "jinja2") from None
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, finalize=_finalize, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(_read(name))


def page_style() -> Any:
    """The style sheet of every page, as markup."""
    return _markup(_read("report.css"))


def _finalize(value: Any) -> Any:
    """Text on its way into the page: one printable line. Markup made here passes."""
    return value if not isinstance(value, str) or hasattr(value, "__html__") else clean(value)


def _read(name: str) -> str:
    return resources.files(__package__).joinpath("templates", name).read_text(encoding="utf-8")


def _markup(text: str) -> Any:
    from markupsafe import Markup

    return Markup(text)  # our own style sheet and charts only, never anything from a record


def _drawn(chart: Any) -> dict[str, Any]:
    return {"svg": _markup(chart.svg), "caption": chart.caption}


def _downloads(table: ReportTable) -> dict[str, str]:
    return {
        suffix: f"data:{_MIME[suffix]};charset=utf-8;base64,{base64.b64encode(text_of(table).encode()).decode()}"
        for suffix, text_of in TABLE_FORMATS.items()
    }


def _series(index: int) -> int:
    return index % len(SERIES) + 1


def _facts(results: Sequence[EvaluationResult]) -> list[tuple[str, str]]:
    first = results[0]
    protocol, dataset = first.protocol, first.dataset
    tasks = ", ".join(task_title(task) for task in tasks_of(results))
    revision = f" at {str(dataset['revision'])[:12]}" if dataset.get("revision") else ""
    return [
        ("dataset", f"{dataset['id']}{revision}{', all pairs' if first.split == 'all' else ''}"),
        ("content", str(dataset["content_hash"])[:12]),
        ("images", f"{max(result.counts.get('images', 0) for result in results):,}"),
        ("pairs", f"{max(result.counts.get('pairs', 0) for result in results):,}"),
        ("queries", f"{max(result.counts.get('keypoints', 0) for result in results):,}"),
        ("convention", protocol.scoring.convention),
        ("image size", f"{protocol.features.image_size} px"),
        ("tasks", tasks),
    ]


def _model(index: int, name: str, result: EvaluationResult) -> dict[str, Any]:
    metric: dict[str, Any] = {"alpha": main_alpha([result]), "reduction": main_reduction([result])}
    tiles = []
    for task in headline_tasks([result]):
        scored = score_of(result, task, **metric)
        tiles.append(
            {
                "title": task_title(task),
                "percent": None if scored.pck is None else 100 * scored.pck,
                "low": None if scored.low is None else 100 * scored.low,
                "high": None if scored.high is None else 100 * scored.high,
                "paper": paper_percent(result, task, **metric),
            }
        )
    return {"name": name, "series": _series(index), "tiles": tiles, "told": _told(result)}


def _told(result: EvaluationResult) -> list[str]:
    """What the numbers say, in a few sentences."""
    reduction = main_reduction([result])
    sentences = []
    for drop in (result.anatomy or {}).get("drops", []):
        found = drop["reductions"].get(reduction)
        if (drop["from"], drop["to"]) != ("cc", "soc") or not found or found["same_queries"] is None:
            continue
        lost = found["same_queries"]["lost"]
        total = sum(lost.values())
        if total > 0 and found["drop"] > 0:
            sentences.append(
                f"Requiring the exact keypoint instead of any instance lowers PCK by {100 * found['drop']:.1f} points "
                f"(CC to SOC); {100 * lost['swap'] / total:.0f} % of the lost hits are swaps."
            )
    for (task, _), shares in anatomy_shares([result]).items():
        missed = 1 - shares["hit"]
        if task == "soc" and missed > 0:
            kind = max(CLASSES[1:], key=lambda kind: shares[kind])
            sentences.append(
                f"The most common SOC error is {OUTCOME_TITLES[kind]}: {100 * shares[kind] / missed:.0f} % of misses."
            )
    return sentences
