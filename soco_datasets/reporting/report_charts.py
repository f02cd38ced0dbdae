"""The charts of a report, section by section: inline SVG for the page, SVG and PDF files beside it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..benchmarks.soco.categories import supercategory_of
from ..benchmarks.tasks import task_title
from ..records.evaluation import EvaluationResult
from . import plots
from .plots_errors import draw_swap_matrix
from .report_tables import (
    anatomy_shares,
    azimuth_curves,
    swap_blocks,
    swapped,
    swaps_of,
)
from .score_access import (
    DROP,
    headline_metric,
    headline_tasks,
    model_names,
    names_in,
    score_of,
    tasks_of,
)
from .style import WIDTH, short
from .svg import inline_svg, picture

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LONG_LIST = 45  # categories in one chart
_MATRICES = 6  # swap matrices of all models together, at least two each
_FEWEST_SWAPS = 3  # a matrix shows, but for the first


FIGURE_FORMATS = ("svg", "pdf")


@dataclass(frozen=True)
class Chart:
    """One chart.

    Attributes:
        key: stem of its files, letters, digits and underscores.
        svg: markup.
        caption: text.
        figure: what was drawn.
    """

    key: str
    svg: str
    caption: str
    figure: Figure

    @property
    def wide(self) -> bool:
        """Whether it takes two columns."""
        return float(self.figure.get_size_inches()[0]) > WIDTH + 1


@dataclass(frozen=True)
class ReportCharts:
    """Every chart of a page: those of its sections, the swap matrices by model, and which task is shown in detail."""

    sections: Mapping[str, Sequence[Chart]]
    swaps: Sequence[tuple[str, Sequence[Chart]]]
    main_task: str

    @classmethod
    def of(
        cls, results: Sequence[EvaluationResult], keypoints: Mapping[str, tuple[int, int]] | None = None
    ) -> ReportCharts:
        """Draw them. Arguments as of `ChartMaker`."""
        maker = ChartMaker(results, keypoints)
        return cls(maker.sections(), maker.swap_groups(), maker.main_task())

    def all(self) -> list[Chart]:
        """In the order of the page."""
        return [chart for charts in (*self.sections.values(), *(found for _, found in self.swaps)) for chart in charts]


def figure_files(charts: Iterable[Chart], folder: str) -> dict[str, bytes]:
    """Every chart as `FOLDER<key>.svg` and `.pdf`, 3.3 or 6.9 in wide: text in the SVG, TrueType in the PDF."""
    files = {}
    for chart in charts:
        chart.figure.set_layout_engine("none")  # it was laid out when it was drawn for the page
        for form in FIGURE_FORMATS:
            files[f"{folder}{chart.key}.{form}"] = picture(chart.figure, form)
    return files


class ChartMaker:
    """Makes the charts of one page, each with ids of its own.

    Args:
        results: comparable records.
        keypoints: category -> (shared, own) keypoints, see `plots_data.keypoint_counts`; empty where unknown.
    """

    def __init__(
        self, results: Sequence[EvaluationResult], keypoints: Mapping[str, tuple[int, int]] | None = None
    ) -> None:
        self.results = results
        self.names = model_names(results)
        self.keypoints = keypoints or {}
        self._keys: set[str] = set()

    def sections(self) -> dict[str, list[Chart]]:
        """Section -> its charts; a section without any has an empty list."""
        tasks = headline_tasks(self.results)
        return {
            "errors": [*self._drops(), *self._anatomy()],
            "thresholds": [*self._thresholds(tasks)],
            "supercategories": [*self._supercategories(tasks)],
            "categories": [*self._categories()],
            "azimuth": [*self._azimuth(tasks)],
            "keypoints": [*self._keypoints()],
        }

    def main_task(self) -> str:
        """The task that is shown in detail: SOC where it was run."""
        found = tasks_of(self.results)
        return "soc" if "soc" in found else found[0]

    def swap_groups(self) -> list[tuple[str, list[Chart]]]:
        """(model, matrices of its most swapped concepts), models without a swap left out."""
        each = max(2, _MATRICES // len(self.results))
        groups: list[tuple[str, list[Chart]]] = []
        for name, result in zip(self.names, self.results, strict=True):
            charts = []
            blocks = swap_blocks(swaps_of(result, self.main_task()))[:each]
            for place, (concept, points, counts) in enumerate(blocks):
                if place and swapped(counts) < _FEWEST_SWAPS:
                    break
                totals = counts.sum(axis=1, keepdims=True)
                shares = np.where(totals > 0, counts / np.maximum(totals, 1), np.nan)
                figure = draw_swap_matrix(points, shares, heading=_of_what(concept, points))
                caption = f"{swapped(counts)} of {int(counts.sum())} predictions on {short(concept)} are swaps."
                key = f"swaps_{len(groups) + 1}_{place + 1}"
                charts.append(self._chart(key, figure, f"Swap matrix of {concept}", caption))
            if charts:
                groups.append((name, charts))
        return groups

    def _chart(self, key: str, figure: Figure, description: str, caption: str = "") -> Chart:
        key = re.sub(r"[^a-z0-9]+", "_", key.lower()).strip("_")
        while key in self._keys:
            key += "_"
        self._keys.add(key)
        return Chart(key, inline_svg(figure, f"c{len(self._keys)}", description), caption, figure)

    def _keypoints(self) -> Iterator[Chart]:
        if self.keypoints:
            text = "Keypoints of each category, shared with other categories and own"
            yield self._chart("keypoints", plots.plot_keypoints(self.keypoints), text)

    def _drops(self) -> Iterator[Chart]:
        if len([task for task in DROP if any(task in result.metrics for result in self.results)]) > 1:
            yield self._chart("drops", plots.plot_drops(self.results), "PCK from CC over SOC to Cross-SOC")

    def _anatomy(self) -> Iterator[Chart]:
        shares = anatomy_shares(self.results)
        for task in [task for task in tasks_of(self.results) if len(self.results) > 1 and task in DROP]:
            rows = {name: shares[key] for key in shares for name in [key[1]] if key[0] == task}
            if rows:
                figure = plots.plot_anatomy(rows, heading=f"{task_title(task)}: prediction outcomes")
                yield self._chart(f"outcomes_{task}", figure, f"Outcomes of {task_title(task)}, stacked to 100 percent")
        if len(self.results) == 1 and shares:
            rows = {task_title(task): found for (task, _), found in shares.items()}
            yield self._chart("outcomes", plots.plot_anatomy(rows), "Outcomes of each task, stacked to 100 percent")

    def _thresholds(self, tasks: Sequence[str]) -> Iterator[Chart]:
        if len(self.results[0].protocol.scoring.alphas) > 1:
            for task in tasks:
                figure = plots.plot_thresholds(self.results, task)
                yield self._chart(f"thresholds_{task}", figure, f"{task_title(task)} PCK against alpha")

    def _supercategories(self, tasks: Sequence[str]) -> Iterator[Chart]:
        for task in tasks:
            if names_in(self.results, task, "per_supercategory"):
                figure = plots.plot_supercategories(self.results, task)
                text = f"{task_title(task)} PCK of each supercategory"
                yield self._chart(f"supercategories_{task}", figure, text)

    def _categories(self) -> Iterator[Chart]:
        task = self.main_task()
        names = names_in(self.results, task, "per_category")
        highest = max((self._best_percent(task, name) for name in names), default=0.0)
        groups: dict[str, list[str]] = {}
        for name in names:
            groups.setdefault((supercategory_of(name) or "other") if len(names) > 12 else "", []).append(name)
        for parent, members in _in_two_columns(groups):
            for start in range(0, len(members), _LONG_LIST):
                heading = parent.replace("_", "-") or f"{task_title(task)} by category"
                chosen = members[start : start + _LONG_LIST]
                figure = plots.plot_categories(self.results, task, categories=chosen, heading=heading, top=highest)
                key = f"categories_{task}_{parent}{start // _LONG_LIST + 1 if start else ''}"
                yield self._chart(key, figure, f"{task_title(task)} PCK of each category: {heading}")

    def _best_percent(self, task: str, category: str) -> float:
        """The score of the best model in a category that some model has a score in."""
        metric = headline_metric(self.results)
        found = [score_of(r, task, part="per_category", name=category, **metric).pck for r in self.results]
        return 100 * max((pck for pck in found if pck is not None), default=0.0)

    def _azimuth(self, tasks: Sequence[str]) -> Iterator[Chart]:
        for task in tasks:
            curves = azimuth_curves(self.results, task)
            if any(curves.values()):
                heading = f"{task_title(task)} against the difference of azimuth"
                yield self._chart(f"azimuth_{task}", plots.plot_azimuth(curves, heading=heading), heading)


def _of_what(concept: str, points: Sequence[str]) -> str:
    """The concept, and the words that all its instances have beside it: "carriage_corner (ambulance)"."""
    shared = set.intersection(*(set(name.split("_")) for name in points)) - set(concept.split("_"))
    words = [word for word in points[0].split("_") if word in shared]
    return f"{concept} ({' '.join(words)})" if words else concept


def _in_two_columns(groups: dict[str, list[str]]) -> list[tuple[str, list[str]]]:
    """The groups in an order that fills two columns of a page to about the same height."""
    columns: tuple[list[tuple[str, list[str]]], list[tuple[str, list[str]]]] = ([], [])
    for group in sorted(groups.items(), key=lambda item: (-len(item[1]), item[0])):
        min(columns, key=lambda column: sum(len(members) for _, members in column)).append(group)
    return [*columns[0], *columns[1]]
