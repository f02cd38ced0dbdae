"""Charts of what a data set holds: the keypoints of each category (the paper's figure 3)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ..benchmarks.soco.categories import SUPERCATEGORIES
from ..data.folder import DatasetFolder
from ..data.taxonomy import KeypointEntry
from ..errors import UsageError
from ..utils.colors import MUTED, PAPER, SERIES
from .export import Column, ReportTable
from .style import WIDE, WIDTH, heading_of, labels, names_on, new_figure, short

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHARED_COLOR, OWN_COLOR = SERIES[0], SERIES[1]
_NARROW = 24  # categories in a chart of one column
_Counts = dict[str, tuple[int, int]]


def keypoint_counts(data: DatasetFolder | Iterable[KeypointEntry]) -> _Counts:
    """Category -> (keypoints that other categories have too, keypoints of its own), in the order of the figure.

    Categories stand by supercategory, those with most keypoints first.

    Args:
        data: a built folder of any benchmark, or the entries of a taxonomy. Where the taxonomy does not say whether a
            keypoint is shared, one whose name another category has too is.
    """
    entries = list(data.taxonomy if isinstance(data, DatasetFolder) else data)
    owners = Counter(name for _, name in {(entry.category, entry.keypoint) for entry in entries})
    parents: dict[str, str] = {}
    found: dict[str, list[int]] = {}
    for entry in entries:
        parents.setdefault(entry.category, entry.supercategory or "")
        shared = owners[entry.keypoint] > 1 if entry.shared is None else entry.shared
        found.setdefault(entry.category, [0, 0])[0 if shared else 1] += 1
    order = {name: place for place, name in enumerate(SUPERCATEGORIES)}

    def place(category: str) -> tuple[Any, ...]:
        parent = parents[category]
        return order.get(parent, len(order)), parent, -sum(found[category]), category

    return {category: (found[category][0], found[category][1]) for category in sorted(found, key=place)}


def keypoint_table(counts: Mapping[str, tuple[int, int]]) -> ReportTable | None:
    """The same as a table; None without keypoints."""
    if not counts:
        return None
    columns = (Column("category"), Column("keypoints", "count"), Column("shared", "count"), Column("own", "count"))
    rows = tuple((name, shared + own, shared, own) for name, (shared, own) in counts.items())
    note = "Keypoint names of each category: shared with another category of the data set, or its own."
    return ReportTable("keypoints", "Keypoints per category", note, columns, rows)


def plot_keypoints(data: DatasetFolder | Iterable[KeypointEntry] | Mapping[str, tuple[int, int]]) -> Figure:
    """The keypoints of each category, shared against own, as the paper's figure 3 shows them for SOCO.

    Args:
        data: a built folder of any benchmark, the entries of a taxonomy, or what `keypoint_counts` gives.

    Returns:
        A figure of one column (3.3 in), with more than 24 categories of two (6.9 in).

    Raises:
        UsageError: no keypoints.
        MissingExtraError: matplotlib is not installed.
    """
    counts = dict(data) if isinstance(data, Mapping) else keypoint_counts(data)
    if not counts:
        raise UsageError("The data set has no keypoints to draw.")
    many = len(counts) > _NARROW
    figure, ax = new_figure(2.0, WIDE if many else WIDTH)
    places = range(len(counts))
    shared, own = ([pair[which] for pair in counts.values()] for which in (0, 1))
    ax.bar(places, shared, width=0.78, color=SHARED_COLOR, zorder=2)
    ax.bar(
        places,
        own,
        width=0.78,
        bottom=shared,
        facecolor=OWN_COLOR,
        hatch="////",
        edgecolor=PAPER,
        linewidth=0,
        zorder=2,
    )
    if not many:
        for at, (one, other) in enumerate(counts.values()):
            ax.text(at, one + other + 0.4, str(one + other), ha="center", va="bottom", fontsize=6, color=MUTED)
    size = 6.5 if not many else 5.5 if len(counts) < 70 else 4.5
    names_on(ax, "x", places, [short(name, 22) for name in counts], rotation=90, fontsize=size)
    ax.set_xlim(-0.6, len(counts) - 0.4)
    ax.margins(y=0.08)
    ax.grid(axis="x", visible=False)
    labels(ax, "", "keypoints")
    heading_of(
        figure, "Keypoints per category", ["shared with other categories", "own"], [SHARED_COLOR, OWN_COLOR], "ss"
    )
    return figure
