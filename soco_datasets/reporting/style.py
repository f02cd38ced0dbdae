"""One look for every picture: colours that colour-blind readers can tell apart, and figures without global state.

Each colour here has a dark-mode partner in the report's style sheet under the same name (`css_name`), so a chart drawn
once is legible on both. Matplotlib is imported only when a figure is made.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..errors import missing_extra
from ..utils.text import clean

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, MUTED, LINE, PAPER = "#1f2430", "#5d6675", "#d5dae2", "#ffffff"
SERIES = ("#0072b2", "#d55e00", "#008f6b", "#a64d8f", "#8a6d00", "#4f5bd5", "#3a3f4a", "#b03a48")  # one a model

# The outcome of a prediction, best to worst; Okabe and Ito's colours.
OUTCOME_COLORS = {
    "hit": "#009e73",
    "near_miss": "#56b4e9",
    "swap": "#e69f00",
    "other_part": "#cc79a7",
    "background": "#8a909b",
}
OUTCOME_TITLES = {
    "hit": "hit",
    "near_miss": "near miss",
    "swap": "swap",
    "other_part": "other part",
    "background": "background",
}

WIDTH = 4.6  # inches; drawn at this width a chart stays legible on a phone
_FONT = 8.5  # points
_HEADING, _LEGEND_ROW = 0.27, 0.2  # inches
_LONGEST = 30  # characters of a name in a chart; tables have it whole


def css_names() -> dict[str, str]:
    """Colour -> the name of the style sheet's variable for it."""
    names = {INK: "ink", MUTED: "muted", LINE: "line", PAPER: "paper"}
    names.update({colour: f"s{index}" for index, colour in enumerate(SERIES, start=1)})
    names.update({colour: name.replace("_", "-") for name, colour in OUTCOME_COLORS.items()})
    return names


def series_colour(index: int) -> str:
    """The colour of the model with this number; the list begins anew after the last."""
    return SERIES[index % len(SERIES)]


def short(text: object, longest: int = _LONGEST) -> str:
    """A cleaned name, cut in the middle where it is too long for a chart: names differ at their ends.

    >>> short("station wagon"), short("vehicle_wheel_front_left", 13)
    ('station wagon', 'vehicl…t_left')
    """
    whole = clean(text)
    if len(whole) <= longest:
        return whole
    return whole[: longest // 2] + "…" + whole[len(whole) - (longest - 1) // 2 :]


@functools.cache
def _figure_class() -> type[Figure]:
    """A figure that shows itself in a notebook although pyplot never hears of it.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise missing_extra("Drawing a chart", "report", "matplotlib") from None

    class NotebookFigure(Figure):
        def _repr_png_(self) -> bytes:
            import io

            buffer = io.BytesIO()
            self.savefig(buffer, format="png", dpi=144)
            return buffer.getvalue()

    return NotebookFigure


def new_figure(height: float, width: float = WIDTH, rows: int = 1, columns: int = 1, **grid: Any) -> tuple[Figure, Any]:
    """A figure of `width` x `height` inches and its axes (an array where there are several).

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    figure = _figure_class()(figsize=(width, height), layout="constrained", facecolor=PAPER)
    axes = figure.subplots(rows, columns, **grid)
    for ax in axes.flat if rows * columns > 1 else [axes]:
        _plain(ax)
    return figure, axes


def _plain(ax: Axes) -> None:
    """Thin lines, no box, a grid behind the data."""
    from matplotlib.ticker import MaxNLocator

    ax.set_facecolor("none")
    ax.set_axisbelow(True)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        ax.spines[side].set_color(LINE)
    ax.tick_params(colors=MUTED, labelcolor=INK, labelsize=_FONT, length=0, pad=4)
    ax.grid(color=LINE, linewidth=0.6)
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))


def top_of_scale(highest: float) -> float:
    """Where an axis of percents that begins at 0 ends: low scores are not squeezed, charts are still comparable.

    >>> top_of_scale(3.1), top_of_scale(62), top_of_scale(95), top_of_scale(float("nan"))
    (10, 80, 100, 10)
    """
    return next((top for top in (10, 20, 40, 60, 80) if not highest * 1.1 > top), 100)


def without_common_words(names: Sequence[str]) -> list[str]:
    """Names of words joined with "_", without the words that all of them have; as they are where too little is left.

    >>> without_common_words(["vehicle_wheel_front_left_center", "vehicle_wheel_rear_left_center"])
    ['front', 'rear']
    >>> without_common_words(["mirror", "mirror_left"])
    ['mirror', 'mirror_left']
    """
    words = [name.split("_") for name in names]
    common = set.intersection(*map(set, words)) if words else set()
    cut = [" ".join(word for word in name if word not in common) for name in words]
    return cut if all(cut) and len(set(cut)) == len(names) > 1 else list(names)


def labels(ax: Axes, x: str = "", y: str = "") -> None:
    """What the axes mean."""
    ax.set_xlabel(x, color=MUTED, fontsize=_FONT, parse_math=False)
    ax.set_ylabel(y, color=MUTED, fontsize=_FONT, parse_math=False)


def names_on(ax: Axes, axis: str, positions: Sequence[float], names: Sequence[object], **text: Any) -> None:
    """Names at the ticks of the "x" or "y" axis; nothing in a name is read as mathematics."""
    place = ax.set_xticks if axis == "x" else ax.set_yticks
    place(list(positions), [short(name) for name in names], parse_math=False, **text)


def note(ax: Axes, x: Any, y: Any, text: object, **kwargs: Any) -> None:
    """Text at a point of the data; `xytext` and `textcoords` move it, as in `Axes.annotate`."""
    style: dict[str, Any] = {"fontsize": _FONT - 1, "color": INK, "parse_math": False, **kwargs}
    ax.annotate(short(text), (x, y), **style)


def heading_of(figure: Figure, text: str, names: Sequence[object] = (), colours: Sequence[str] = ()) -> None:
    """A heading at the left edge above the axes and, below it, a legend: coloured discs with names.

    Any name will do, `_x` and `$x$` too. Colours are those of the models where none are given. Room for both is kept
    free at the top, so that they never squeeze the axes.
    """
    from matplotlib.lines import Line2D

    shown = [short(name, 22) for name in names]
    columns = 5 if len("".join(shown)) < 45 else 3 if len("".join(shown)) < 14 * len(shown) else 2
    rows = -(-len(shown) // columns)
    height = figure.get_size_inches()[1]
    room = (_HEADING + _LEGEND_ROW * rows) / height
    figure.get_layout_engine().set(rect=(0, 0, 1, 1 - room))  # type: ignore[union-attr, call-arg]  # ours is constrained
    style: dict[str, Any] = {"fontsize": _FONT + 1, "color": INK, "fontweight": "bold", "parse_math": False}
    figure.text(0.012, 1 - 0.05 / height, short(text, 64), va="top", **style)
    if not shown:
        return
    colours = list(colours) or [series_colour(index) for index in range(len(shown))]
    marks = [Line2D([], [], linestyle="", marker="o", markersize=6, color=colour) for colour in colours]
    box = figure.legend(
        marks, [str(number) for number in range(len(shown))], ncols=columns, loc="upper left",
        bbox_to_anchor=(0, 1 - (_HEADING - 0.04) / height), frameon=False, fontsize=_FONT, labelcolor=INK,
        borderpad=0.2, borderaxespad=0, handletextpad=0.1, columnspacing=0.9, handlelength=1.4,
    )  # fmt: skip
    box.set_in_layout(False)
    for mark, name in zip(box.get_texts(), shown, strict=True):
        mark.set_parse_math(False)
        mark.set_text(name)
