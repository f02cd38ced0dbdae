"""One look for every picture: colors and shapes that color-blind readers can tell apart; figures without global state.

The report, its figures, `soco view`, `soco demo` and the leaderboard draw models and outcomes as this module says. Each
color has a dark-mode partner in the report's style sheet under the same name (`css_names`), so a chart drawn once is
legible on both. Matplotlib is imported only when a figure is made.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..errors import missing_extra
from ..utils.colors import INK, LINE, MUTED, PAPER, SERIES
from ..utils.text import clean

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MARKERS = ("o", "s", "D", "^", "v", "P")  # after the last color the colors begin again with the next shape
HATCHES = ("", "//////", "xxxxxx", "......", "++++++", "\\\\\\\\\\\\")

# The outcome of a prediction, best to worst; Okabe and Ito's colors.
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

# The shape of each. A miss of unknown kind is a cross in MISS_COLOR.
OUTCOME_SHAPES = {"hit": "disc", "near_miss": "ring", "swap": "diamond", "other_part": "square", "background": "cross"}
OUTCOME_MARKERS = {"disc": "o", "ring": "o", "diamond": "D", "square": "s", "cross": "X"}  # matplotlib's
MISS_COLOR = "#d55e00"

WIDTH = 3.3  # inches: a column of a paper; drawn at this width a chart stays legible on a phone
WIDE = 6.9  # inches: both columns
_FONT = 7.0  # points
_DPI = 200  # of pixels, where nothing else is asked for
_HEADING, _LEGEND_ROW = 0.2, 0.125  # inches
_LONGEST = 30  # characters of a name in a chart; tables have it whole
_LINE_OF_NAME = 26  # characters of a line of a name at an axis
_FONTS = ("Arial", "Helvetica", "Liberation Sans", "Nimbus Sans", "Arimo", "DejaVu Sans")  # the first there is


def css_names() -> dict[str, str]:
    """Color -> the name of the style sheet's variable for it."""
    names = {INK: "ink", MUTED: "muted", LINE: "line", PAPER: "paper"}
    names.update({color: f"s{index}" for index, color in enumerate(SERIES, start=1)})
    names.update({color: name.replace("_", "-") for name, color in OUTCOME_COLORS.items()})
    return names


def series_color(index: int) -> str:
    """The color of the model with this number; the list begins again after the last, with another shape."""
    return SERIES[index % len(SERIES)]


def series_marker(index: int) -> str:
    """The marker of the model with this number: with `series_color` no two of the first 48 models look alike."""
    return MARKERS[index // len(SERIES) % len(MARKERS)]


def series_bar(index: int) -> dict[str, Any]:
    """How the bars of the model with this number are filled: plain, then hatched."""
    hatch = HATCHES[index // len(SERIES) % len(HATCHES)] or None
    return {"facecolor": series_color(index), "hatch": hatch, "edgecolor": PAPER, "linewidth": 0}


def short(text: object, longest: int = _LONGEST) -> str:
    """A cleaned name, cut at its end where it is too long.

    >>> short("station wagon"), short("vehicle_wheel_front_left", 13)
    ('station wagon', 'vehicle_whee…')
    """
    whole = clean(text)
    return whole if len(whole) <= longest else whole[: longest - 1] + "…"


def wrapped(text: object, width: int = _LINE_OF_NAME, lines: int = 3) -> str:
    """A cleaned name in lines, broken after "_", "-", "/", "." or a space where it can be; cut after the last line.

    >>> wrapped("facebook/dinov2-with-registers-base", 20)
    'facebook/dinov2-\\nwith-registers-base'
    """
    rest, made = clean(text), list[str]()
    while len(rest) > width and len(made) < lines - 1:
        place = max(rest.rfind(mark, 0, width) for mark in "_-/. ") + 1
        place = place if place > width // 3 else width
        made.append(rest[:place].rstrip())
        rest = rest[place:]
    return "\n".join([*made, short(rest, width)])


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
            self.savefig(buffer, format="png")
            return buffer.getvalue()

        def savefig(self, *args: Any, **kwargs: Any) -> None:
            import matplotlib

            kwargs.setdefault("dpi", _DPI)
            with matplotlib.rc_context(print_settings()):
                super().savefig(*args, **kwargs)

    return NotebookFigure


@functools.cache
def print_settings() -> Any:
    """Settings of matplotlib that every file is written with: embedded TrueType fonts, a sans-serif like Helvetica."""
    from matplotlib import font_manager

    installed = {font.name for font in font_manager.fontManager.ttflist}
    fonts = [name for name in _FONTS if name in installed]
    return {
        "font.family": ["sans-serif"], "font.sans-serif": fonts, "pdf.fonttype": 42, "ps.fonttype": 42,
        "svg.fonttype": "none", "hatch.linewidth": 0.6, "hatch.color": PAPER,
    }  # fmt: skip


def new_figure(height: float, width: float = WIDTH, rows: int = 1, columns: int = 1, **grid: Any) -> tuple[Figure, Any]:
    """A figure of `width` x `height` inches and its axes (an array where there are several).

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    figure = _figure_class()(figsize=(width, height), layout="constrained", facecolor=PAPER)
    figure.get_layout_engine().set(w_pad=0.02, h_pad=0.02)  # type: ignore[union-attr, call-arg]  # it is constrained
    axes = figure.subplots(rows, columns, **grid)
    for ax in figure.axes:
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
    ax.tick_params(colors=MUTED, labelcolor=INK, labelsize=_FONT, length=0, pad=3)
    ax.grid(color=LINE, linewidth=0.5)
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))


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
    width = text.pop("width", _LINE_OF_NAME)
    place(list(positions), [wrapped(name, width) for name in names], parse_math=False, linespacing=0.95, **text)


def note(ax: Axes, x: Any, y: Any, text: object, **kwargs: Any) -> None:
    """Text at a point of the data; `xytext` and `textcoords` move it, as in `Axes.annotate`."""
    style: dict[str, Any] = {"fontsize": _FONT - 0.5, "color": INK, "parse_math": False, **kwargs}
    ax.annotate(short(text), (x, y), **style)


def heading_of(
    figure: Figure,
    text: str,
    names: Sequence[object] = (),
    colors: Sequence[str] = (),
    markers: Sequence[str] = (),
) -> None:
    """A heading at the left edge above the axes and, below it, a legend: colored marks with names.

    Any name will do, `_x` and `$x$` too. Colors and marks are those of the models where none are given. The figure
    grows by the room for both, so that they never squeeze the axes.
    """
    from matplotlib.lines import Line2D

    shown = [short(name, 60) for name in names]
    width, height = figure.get_size_inches()
    columns = _legend_columns(shown, float(width))
    lines = wrapped(text, int(13.5 * width), 2).split("\n")
    heading = _HEADING * len(lines)
    room = heading + _LEGEND_ROW * -(-len(shown) // columns) + 0.04
    height += room
    figure.set_size_inches(width, height)
    figure.get_layout_engine().set(rect=(0, 0, 1, 1 - room / height))  # type: ignore[union-attr, call-arg]  # ours is constrained
    style: dict[str, Any] = {"fontsize": _FONT + 1, "color": INK, "fontweight": "bold", "parse_math": False}
    figure.text(0.012, 1 - 0.04 / height, "\n".join(lines), va="top", linespacing=1.1, **style)
    if not shown:
        return
    colors = list(colors) or [series_color(index) for index in range(len(shown))]
    markers = list(markers) or [series_marker(index) for index in range(len(shown))]
    marks = [
        Line2D([], [], linestyle="", marker=marker, markersize=4.5, color=color)
        for color, marker in zip(colors, markers, strict=False)
    ]
    box = figure.legend(
        marks, [str(number) for number in range(len(shown))], ncols=columns, loc="upper left",
        bbox_to_anchor=(0, 1 - (heading - 0.02) / height), frameon=False, fontsize=_FONT, labelcolor=INK,
        borderpad=0.2, borderaxespad=0, handletextpad=0.1, columnspacing=0.9, handlelength=1.4, labelspacing=0.3,
    )  # fmt: skip
    box.set_in_layout(False)
    for mark, name in zip(box.get_texts(), shown, strict=True):
        mark.set_parse_math(False)
        mark.set_text(name)


def _legend_columns(names: Sequence[str], width: float) -> int:
    """How many columns of names fit into so many inches; the first columns have one more where they are not even."""
    points = 72 * width - 6
    for columns in range(min(6, len(names)), 1, -1):
        rows, longer = divmod(len(names), columns)
        letters, start = 0, 0
        for column in range(columns):
            end = start + rows + (column < longer)
            letters, start = letters + max(map(len, names[start:end])), end
        if 0.53 * _FONT * letters + 20 * columns <= points:
            return columns
    return 1


def whisker(ax: Axes, low: float, high: float, place: float, size: float = 1.6) -> None:
    """An interval on a horizontal bar: a thin line with caps, light around it so that it shows on any color."""
    for color, wide in ((PAPER, 2.2), (INK, 0.8)):
        ax.plot(
            [low, high], [place, place], "|-", color=color, linewidth=wide, markersize=2 * size + wide,
            markeredgewidth=wide, zorder=3, solid_capstyle="butt",
        )  # fmt: skip
