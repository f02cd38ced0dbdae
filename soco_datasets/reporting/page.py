"""The report as one HTML page that needs nothing else: no network, no font, one small script that it can do without.

Every name, number and sentence is escaped by the template engine, and the page forbids itself requests and any script
but its own, which it names by its hash.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

from .. import __version__
from ..benchmarks.tasks import task_title
from ..errors import missing_extra
from ..records.error_analysis import ALPHA
from ..records.evaluation import EvaluationResult
from ..utils.text import clean
from .comparison import compare_results, look_of
from .export import TABLE_FORMATS, ReportTable, format_cell
from .gallery import GALLERY_KINDS, Picture
from .paper_match import comparability_line
from .report_charts import FIGURE_FORMATS, Chart, ReportCharts
from .report_tables import report_tables
from .score_access import INTERVAL_NOTE, main_alpha, main_reduction, model_names, tasks_of, what_differs
from .style import OUTCOME_TITLES

_MIME = {"csv": "text/csv", "md": "text/markdown", "tex": "application/x-tex"}
_SECTIONS = {
    "summary": "Summary", "errors": "Error analysis", "thresholds": "Alpha", "protocols": "Protocols",
    "supercategories": "Supercategories", "categories": "Categories", "swaps": "Swaps", "viewpoint": "Viewpoint",
    "matches": "Matches", "keypoints": "Data", "attributes": "Pair attributes",
    "numbers": "All numbers", "terms": "Terms",
}  # fmt: skip
Kinds = Mapping[str, Sequence[Picture]]


@dataclass(frozen=True)
class PageParts:
    """What a page shows beside the results.

    Attributes:
        galleries: task -> kind (see `gallery.GALLERY_KINDS`) -> drawn pairs.
        photos: key -> (data URI, size) of the photographs the galleries use.
        gallery_notes: why there are no pictures of some model.
        probe_notes: why the linear probe of some model is not shown.
        tables: `report_tables(results)`, where it was made already.
        charts: of the results, where they were made already.
        command: that made the page.
        figures: folder beside the page with every chart as a file; "" for none.
    """

    galleries: Mapping[str, Kinds] = field(default_factory=dict)
    photos: Mapping[str, tuple[str, tuple[int, int]]] = field(default_factory=dict)
    gallery_notes: Sequence[str] = ()
    probe_notes: Sequence[str] = ()
    tables: Sequence[ReportTable] | None = None
    charts: ReportCharts | None = None
    command: str = ""
    figures: str = ""


def render_page(results: Sequence[EvaluationResult], parts: PageParts | None = None) -> str:
    """The whole page.

    Args:
        results: comparable records, one or more, in the order in which they are shown (see `score_access.ranking`).
        parts: pictures, tables and notes.

    Raises:
        MissingExtraError: jinja2 or matplotlib is not installed.
    """
    parts = parts or PageParts()
    found = {table.key: table for table in (report_tables(results) if parts.tables is None else parts.tables)}
    made = parts.charts or ReportCharts.of(results)
    names = model_names(results)
    comparison = compare_results(results)
    cells = [cell for row in comparison.rows for cell in row.cells]
    shown = {
        **{
            key: bool(made.sections[key])
            for key in ("errors", "thresholds", "supercategories", "categories", "keypoints")
        },
        "protocols": "protocols" in found or bool(parts.probe_notes),
        "swaps": bool(made.swaps),
        "attributes": "attributes" in found,
        "viewpoint": bool(made.sections["azimuth"]),
        "matches": bool(parts.galleries or parts.gallery_notes),
    }
    heading = f"{', '.join(names) if len(names) < 4 else f'{len(names)} models'} on {clean(results[0].dataset['id'])}"
    return page_template("report.html.j2").render(
        title=f"SOCO: {heading}",
        heading=heading,
        facts=_facts(results),
        command=parts.command,
        warnings=_warnings(results),
        sections=[(key, title) for key, title in _SECTIONS.items() if shown.get(key, True)],
        css=page_style(),
        script=_markup(page_script()),
        policy=_markup(page_policy()),
        alpha=f"{main_alpha(results):g}",
        reduction=main_reduction(results),
        normalizer=results[0].protocol.scoring.normalizer,
        comparison=comparison,
        any_interval=any(cell.low is not None for cell in cells),
        any_hidden=any(cell.percent is not None and cell.low is None for cell in cells),
        any_paper=any(cell.paper is not None for cell in cells),
        any_findings=any(row.findings for row in comparison.rows),
        interval_note=INTERVAL_NOTE,
        tables={key: found.get(key) for key in _TABLES},
        downloads={key: _downloads(table) for key, table in found.items()},
        cell_text=format_cell,
        charts={key: [_drawn(chart, parts.figures) for chart in charts] for key, charts in made.sections.items()},
        category_task=task_title(made.main_task),
        swap_task=task_title(made.main_task),
        swap_groups=[(name, [_drawn(chart, parts.figures) for chart in charts]) for name, charts in made.swaps],
        **_matches(parts.galleries, names),
        gallery_notes=parts.gallery_notes,
        probe_notes=parts.probe_notes,
        photos=parts.photos,
        version=__version__,
    )  # fmt: skip


def _matches(galleries: Mapping[str, Kinds], names: Sequence[str]) -> dict[str, Any]:
    """What the section of matches needs; pairs are numbered through the page."""
    pictures = [picture for kinds in galleries.values() for drawn in kinds.values() for picture in drawn]
    number = {id(picture): place for place, picture in enumerate(pictures, start=1)}
    keypoints = sorted({query.keypoint for picture in pictures for query in picture.queries})
    return {
        "galleries": [
            (task_title(task), [(kind, [(number[id(p)], p) for p in drawn]) for kind, drawn in kinds.items()])
            for task, kinds in galleries.items()
        ],
        "names": names,
        "looks": [look_of(index) for index in range(len(names))],
        "categories": sorted({picture.category for picture in pictures}),
        "keypoints": {name: place for place, name in enumerate(keypoints)},
        "gallery_alpha": f"{ALPHA:g}",
        "outcome_titles": OUTCOME_TITLES,
        "kinds": GALLERY_KINDS,
    }


def _warnings(results: Sequence[EvaluationResult]) -> list[str]:
    """What a reader must know before any number."""
    texts = [comparability_line(results)]
    differ = what_differs(results)
    if differ:
        texts.append(f"The runs differ in {'; '.join(differ)}. Read them as an ablation, not as a ranking of models.")
    return [text for text in texts if text]


_TABLES = (
    "summary", "protocols", "metrics", "supercategories", "categories", "category_thresholds", "drops", "anatomy",
    "swaps", "azimuth", "provenance",
    "attributes", "keypoints",
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
        autoescape=True, undefined=jinja2.StrictUndefined, finalize=_finalize, trim_blocks=True, lstrip_blocks=True,
        loader=jinja2.FunctionLoader(_read),
    )  # fmt: skip
    environment.filters["breakable"] = _breakable
    return environment.get_template(name)


def page_script() -> str:
    """The only script of a report: it sorts tables, filters pairs and opens folded parts for printing."""
    return _read("report.js")


def page_policy() -> str:
    """The content security policy of a report: no request, and no script but `page_script`, named by its hash."""
    digest = base64.b64encode(hashlib.sha256(page_script().encode()).digest()).decode()
    return (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


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


def _breakable(text: str) -> Any:
    """A name that may be broken after its punctuation, and in a very long word, as markup."""
    from markupsafe import Markup, escape

    return Markup("<wbr>").join(escape(part) for part in re.findall(r"[^_/-]{1,20}[_/-]*|[_/-]+", clean(text)))


def _drawn(chart: Chart, figures: str) -> dict[str, Any]:
    files = [(form, f"{figures}/{chart.key}.{form}") for form in FIGURE_FORMATS] if figures else []
    return {"svg": _markup(chart.svg), "caption": chart.caption, "files": files, "wide": chart.wide}


def _downloads(table: ReportTable) -> dict[str, str]:
    return {
        suffix: f"data:{_MIME[suffix]};charset=utf-8;base64,{base64.b64encode(text_of(table).encode()).decode()}"
        for suffix, text_of in TABLE_FORMATS.items()
    }


def _facts(results: Sequence[EvaluationResult]) -> list[tuple[str, str]]:
    first = results[0]
    protocol, dataset = first.protocol, first.dataset
    tasks = ", ".join(task_title(task) for task in tasks_of(results))
    revision = f" at {str(dataset['revision'])[:12]}" if dataset.get("revision") else ""
    sizes = sorted({result.protocol.features.image_size for result in results})
    return [
        ("date", max(result.created for result in results)[:10]),
        ("models", f"{len(results)}"),
        ("dataset", f"{dataset['id']}{revision}{', all pairs' if first.split == 'all' else ''}"),
        ("content", str(dataset["content_hash"])[:12]),
        ("images", f"{max(result.counts.get('images', 0) for result in results):,}"),
        ("pairs", f"{max(result.counts.get('pairs', 0) for result in results):,}"),
        ("queries", f"{max(result.counts.get('keypoints', 0) for result in results):,}"),
        ("convention", protocol.scoring.convention),
        ("image size", " and ".join(f"{size} px" for size in sizes)),
        ("tasks", tasks),
    ]
