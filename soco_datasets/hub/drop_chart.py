"""The drop from CC over SOC to Cross-SOC of leaderboard entries, as a matplotlib figure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..benchmarks.tasks import task_title
from ..errors import UsageError
from ..records.ranking import OVERALL
from ..reporting.score_access import DROP as DROP_TASKS
from ..reporting.style import (
    WIDE,
    heading_of,
    labels,
    names_on,
    new_figure,
    note,
    series_color,
    series_marker,
)
from .leaderboard import Entry

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_HEIGHT = 3.9  # inches
NARROW = 4.0  # inches; up to this a chart is for a phone, where names take a larger share
_LABEL_ROOM = 0.045  # of the scale, between the names at the ends of two lines


def plot_entry_drops(entries: Sequence[Entry], supercategory: str = OVERALL, width: float = WIDE) -> Figure:
    """A line a model through its scores in the three tasks, its name at the end.

    Args:
        entries: of the leaderboard.
        supercategory: or "overall".
        width: of the figure, inches.

    Raises:
        UsageError: none of them has scores in two of the tasks.
        MissingExtraError: matplotlib is not installed.
    """
    keys = [(task, supercategory) for task in DROP_TASKS]
    able = [entry for entry in entries if sum(key in entry.scores for key in keys) > 1]
    if not able:
        raise UsageError(f"A drop needs two of the tasks {', '.join(DROP_TASKS)}; no model here has them.")
    figure, ax = new_figure(_HEIGHT, width)
    lines = [[entry.scores.get(key, math.nan) for key in keys] for entry in able]
    low, high = fitted_range([value for line in lines for value in line if math.isfinite(value)])
    room = _LABEL_ROOM * (high - low)
    ends = []
    for index, (entry, line) in enumerate(zip(able, lines, strict=True)):
        places = [place for place, value in enumerate(line) if math.isfinite(value)]
        values = [line[place] for place in places]
        style = {"color": series_color(index), "marker": series_marker(index)}
        ax.plot(places, values, "-", linewidth=1.8, markersize=5, zorder=3, **style)
        ends.append((values[-1], places[-1], entry.model, series_color(index)))
    ends.sort(reverse=True)
    heights = spread([end[0] for end in ends], room)
    for (value, place, model, color), height in zip(ends, heights, strict=True):
        beside = {"xytext": (place + 0.07, height), "textcoords": "data", "va": "center", "color": color}
        ax.plot([place + 0.02, place + 0.06], [value, height], "-", color=color, linewidth=0.7, zorder=2)
        note(ax, place, value, model, **beside)
    names_on(ax, "x", range(len(keys)), [task_title(task) for task in DROP_TASKS])
    ax.set_xlim(-0.1, len(keys) - (0.45 if width > NARROW else 0.0))
    ax.set_ylim(min(low, heights[-1] - room), max(high, heights[0] + room))
    labels(ax, "", "PCK@0.1, %")
    heading_of(figure, f"Score drop across tasks ({supercategory})")
    return figure


def fitted_range(values: Sequence[float], lowest: float = 0.0) -> tuple[float, float]:
    """Ends of an axis that fit the data, with a little room at both, and not below `lowest` where the data is not.

    >>> fitted_range([20.0, 60.0]), fitted_range([1.0, 1.0])
    ((17.6, 62.4), (0.0, 2.0))
    """
    low, high = min(values), max(values)
    room = max(0.06 * (high - low), 1.0)
    return (max(low - room, lowest) if low >= lowest else low - room), high + room


def spread(values: Sequence[float], gap: float) -> list[float]:
    """Heights that are at least `gap` apart and as near to the values as can be; highest first, as the values are.

    >>> spread([60.0, 59.0, 20.0], 5.0)
    [62.0, 57.0, 20.0]
    """
    pools: list[tuple[float, int]] = []  # (mean, number) of neighbors that lie exactly `gap` apart; they move together
    for place, value in enumerate(values):
        mean, number = value + gap * place, 1
        while pools and pools[-1][0] < mean:
            other, count = pools.pop()
            mean, number = (other * count + mean * number) / (count + number), count + number
        pools.append((mean, number))
    level = [mean for mean, number in pools for _ in range(number)]
    return [mean - gap * place for place, mean in enumerate(level)]
