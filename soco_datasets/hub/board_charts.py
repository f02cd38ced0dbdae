"""Charts of leaderboard entries beside the drop: score against size, by supercategory, against a downstream task."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..benchmarks.soco.benchmark import BENCHMARK
from ..errors import UsageError
from ..records.ranking import OVERALL, PERCENT
from ..records.registry import ranked_tasks
from ..reporting.style import WIDE, heading_of, labels, names_on, new_figure, note, series_color, series_marker
from ..utils.colors import INK, LINE, MUTED
from ..utils.text import clean
from .drop_chart import NARROW, fitted_range
from .leaderboard import Entry

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_HEIGHT = 3.9  # inches
_LABEL_ROOM = 0.05  # of the scale, between names
_MARKERS = "osD^v"
_ROW = 0.24  # inches of a model among supercategories
_LETTER = 0.05  # inches of a letter of a name


@dataclass(frozen=True)
class Spot:
    """One model of a scatter plot."""

    name: str
    x: float
    y: float


def plot_entry_sizes(
    entries: Sequence[Entry],
    task: str,
    supercategory: str = OVERALL,
    named: Collection[str] = (),
    width: float = WIDE,
) -> Figure:
    """Score against the number of parameters, one point per model of known size.

    Args:
        entries: of the leaderboard.
        task, supercategory: which score.
        named: names of models whose points are labeled; the others are gray.
        width: of the figure, inches.

    Raises:
        UsageError: no model with that score and a known size.
        MissingExtraError: matplotlib is not installed.
    """
    key = (task, supercategory)
    spots = [
        Spot(clean(entry.model), float(entry.details.parameters), entry.scores[key])
        for entry in entries
        if entry.details.parameters and key in entry.scores
    ]
    if not spots:
        raise UsageError("No model here has that score and a known number of parameters.")
    ranked = ranked_tasks()[task]
    unit = "%" if ranked.unit == PERCENT else ranked.unit
    return _scatter(
        spots, named, ("parameters of the image encoder, millions", f"{ranked.title}, {unit}"),
        f"{ranked.title} against model size ({supercategory})", width, log=True,
    )  # fmt: skip


def plot_spots(
    spots: Sequence[Spot], named: Collection[str], axes: tuple[str, str], heading: str, width: float = WIDE
) -> Figure:
    """Two numbers of each model against each other; arguments as `plot_entry_sizes`, `axes` names x and y."""
    if not spots:
        raise UsageError("No model here has both numbers.")
    return _scatter(spots, named, axes, heading, width, log=False)


def _scatter(
    spots: Sequence[Spot], named: Collection[str], axes: tuple[str, str], heading: str, width: float, *, log: bool
) -> Figure:
    figure, ax = new_figure(_HEIGHT, width)
    low, high = fitted_range([spot.y for spot in spots])
    shown = [spot for spot in spots if spot.name in named]
    rest = [spot for spot in spots if spot.name not in named]
    ax.plot([s.x for s in rest], [s.y for s in rest], "o", color=LINE, markeredgecolor=MUTED, markersize=5, zorder=3)
    if log:
        ax.set_xscale("log")
    apart = 0.06 if width > NARROW else 0.15  # a name from its point
    wide = max(spot.x for spot in spots) - min(spot.x for spot in spots)
    heights = _label_heights(shown, _LABEL_ROOM * (high - low), width, log)
    for number, (spot, height) in enumerate(zip(shown, heights, strict=True)):
        color, marker = series_color(number), series_marker(number)
        ax.plot(spot.x, spot.y, marker, color=color, markersize=6.5, zorder=4)
        beside = spot.x * (1 + apart) if log else spot.x + 0.2 * apart * wide
        style = {"xytext": (beside, height), "textcoords": "data", "va": "center", "color": color, "zorder": 5}
        note(ax, spot.x, spot.y, spot.name, **style)
    if log:
        _size_ticks(ax, [spot.x for spot in spots])
    else:
        names = 0.2 if width > NARROW else 0.45  # room for them
        left, right = min(s.x for s in spots), max(s.x for s in spots)
        ax.set_xlim(left - 0.05 * (right - left) - 1e-9, right + names * (right - left) + 1e-9)
    ax.set_ylim(low, high)
    labels(ax, *axes)
    heading_of(figure, heading)
    return figure


def _label_heights(spots: Sequence[Spot], room: float, width: float, log: bool) -> list[float]:
    """Where the name beside each point stands: as near to its height as it covers no other name or named point.

    Args:
        spots: the named points.
        room: between names that are above one another.
        width: of the figure, inches.
        log: whether x is logarithmic.
    """
    places = [math.log10(spot.x) if log else spot.x for spot in spots]
    of_inch = (max(places, default=0.0) - min(places, default=0.0) or 1.0) / (0.65 * width)
    ends = [place + (_LETTER * len(spot.name) + 0.15) * of_inch for place, spot in zip(places, spots, strict=True)]
    heights = [spot.y for spot in spots]
    done: list[int] = []
    for number in sorted(range(len(spots)), key=lambda one: -spots[one].y):
        beside = [heights[o] for o in done if places[o] < ends[number] and places[number] < ends[o]]
        beside += [spot.y for spot, place in zip(spots, places, strict=True) if places[number] < place < ends[number]]
        steps = (sign * step * room / 4 for step in range(16 * len(spots) + 1) for sign in (1, -1))
        free = (spots[number].y + step for step in steps)
        heights[number] = next(height for height in free if all(abs(height - other) >= 0.99 * room for other in beside))
        done.append(number)
    return heights


def _size_ticks(ax: object, sizes: Sequence[float]) -> None:
    """Round numbers on a logarithmic axis of millions."""
    from matplotlib.axes import Axes
    from matplotlib.ticker import NullLocator

    assert isinstance(ax, Axes)
    low, high = 0.8 * min(sizes), 1.9 * max(sizes)
    ticks = [t for t in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 50_000) if low <= t <= high]
    ax.set_xlim(low, high)
    ax.xaxis.set_minor_locator(NullLocator())
    names_on(ax, "x", ticks, [f"{tick:,}" for tick in ticks])


def plot_entry_supercategories(entries: Sequence[Entry], task: str, width: float = WIDE) -> Figure:
    """One row per model, a mark for each supercategory and a gray bar from the worst to the best.

    Args:
        entries: of the leaderboard.
        task: whose scores.
        width: of the figure, inches.

    Raises:
        UsageError: none of them has a score by supercategory.
        MissingExtraError: matplotlib is not installed.
    """
    able = [e for e in entries if any((task, name) in e.scores for name in BENCHMARK.subsets)]
    if not able:
        raise UsageError(f"No model here has {task} by supercategory.")
    able.sort(key=lambda entry: entry.scores.get((task, OVERALL), -math.inf))
    figure, ax = new_figure(0.9 + _ROW * len(able), width)
    values = []
    for row, entry in enumerate(able):
        found = [entry.scores[task, name] for name in BENCHMARK.subsets if (task, name) in entry.scores]
        values += found
        ax.plot([min(found), max(found)], [row, row], "-", color=LINE, linewidth=4, zorder=2)
        if (task, OVERALL) in entry.scores:
            values.append(entry.scores[task, OVERALL])
            ax.plot(values[-1], row, "|", color=INK, markersize=11, markeredgewidth=2, zorder=3)
    for number, name in enumerate(BENCHMARK.subsets):
        places = [(e.scores[task, name], row) for row, e in enumerate(able) if (task, name) in e.scores]
        x, y = zip(*places, strict=True) if places else ((), ())
        ax.plot(x, y, _MARKERS[number % len(_MARKERS)], color=series_color(number), markersize=5.5, zorder=4)
    names_on(ax, "y", range(len(able)), [entry.model for entry in able])
    ax.set_xlim(*fitted_range(values))
    ax.set_ylim(-0.6, len(able) - 0.4)
    labels(ax, f"{ranked_tasks()[task].title}, % (bar: overall)")
    names = [name.replace("_", " ") for name in BENCHMARK.subsets]
    colors = [series_color(number) for number in range(len(names))]
    heading_of(figure, f"{ranked_tasks()[task].title} by supercategory", names, colors, _MARKERS[: len(names)])
    return figure
