"""The drop from CC over SOC to Cross-SOC of leaderboard entries, as a matplotlib figure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..errors import UsageError
from ..records.ranking import OVERALL
from ..reporting.score_access import DROP as DROP_TASKS
from ..reporting.score_access import task_title
from ..reporting.style import (
    heading_of,
    labels,
    names_on,
    new_figure,
    note,
    series_colour,
    top_of_scale,
)
from .leaderboard import Entry

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_WIDTH, _HEIGHT = 8.0, 4.4  # inches
_LABEL_ROOM = 0.045  # of the scale, between the names at the ends of two lines


def plot_entry_drops(entries: Sequence[Entry], supercategory: str = OVERALL) -> Figure:
    """A line a model through its scores in the three tasks, its name at the end.

    Args:
        entries: of the leaderboard.
        supercategory: or "overall".

    Raises:
        UsageError: none of them has scores in two of the tasks.
        MissingExtraError: matplotlib is not installed.
    """
    keys = [(task, supercategory) for task in DROP_TASKS]
    able = [entry for entry in entries if sum(key in entry.scores for key in keys) > 1]
    if not able:
        raise UsageError(f"A drop needs two of the tasks {', '.join(DROP_TASKS)}; no model here has them.")
    figure, ax = new_figure(_HEIGHT, _WIDTH)
    lines = [[entry.scores.get(key, math.nan) for key in keys] for entry in able]
    top = top_of_scale(max(value for line in lines for value in line if math.isfinite(value)))
    ends = []
    for index, (entry, line) in enumerate(zip(able, lines, strict=True)):
        places = [place for place, value in enumerate(line) if math.isfinite(value)]
        values = [line[place] for place in places]
        ax.plot(places, values, "o-", color=series_colour(index), linewidth=2, markersize=5.5, zorder=3)
        ends.append((values[-1], places[-1], entry.model, series_colour(index)))
    ends.sort(reverse=True)
    heights = spread([end[0] for end in ends], _LABEL_ROOM * top)
    for (value, place, model, colour), height in zip(ends, heights, strict=True):
        beside = {"xytext": (place + 0.05, height), "textcoords": "data", "va": "center", "color": colour}
        note(ax, place, value, model, **beside)
    names_on(ax, "x", range(len(keys)), [task_title(task) for task in DROP_TASKS])
    ax.set_xlim(-0.15, len(keys) - 0.35)
    ax.set_ylim(min(0.0, heights[-1] - _LABEL_ROOM * top), max(top, heights[0]) + 0.04 * top)
    labels(ax, "", "PCK@0.1, %")
    heading_of(figure, f"The drop from task to task ({supercategory})")
    return figure


def spread(values: Sequence[float], gap: float) -> list[float]:
    """Heights that are at least `gap` apart and as near to the values as can be; highest first, as the values are.

    >>> spread([60.0, 59.0, 20.0], 5.0)
    [62.0, 57.0, 20.0]
    """
    pools: list[tuple[float, int]] = []  # (mean, number) of neighbours that lie exactly `gap` apart; they move together
    for place, value in enumerate(values):
        mean, number = value + gap * place, 1
        while pools and pools[-1][0] < mean:
            other, count = pools.pop()
            mean, number = (other * count + mean * number) / (count + number), count + number
        pools.append((mean, number))
    level = [mean for mean, number in pools for _ in range(number)]
    return [mean - gap * place for place, mean in enumerate(level)]
