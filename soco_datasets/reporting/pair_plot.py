"""A pair of images with its matches as a matplotlib figure, for notebooks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import UsageError
from ..geometry import Convention
from ..metrics.pck import bbox_normaliser, keypoint_errors
from ..utils.colors import INK, PAPER
from .given_results import drawn_pair
from .style import MISS_COLOR, OUTCOME_COLORS, OUTCOME_MARKERS, OUTCOME_SHAPES, new_figure, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SPOT: dict[str, Any] = {
    "linestyle": "",
    "markeredgecolor": PAPER,
    "markeredgewidth": 1.2,
    "markersize": 8,
    "zorder": 5,
}
_QUERY: dict[str, Any] = {**_SPOT, "color": PAPER, "markeredgecolor": INK}


def plot_pair(
    row: Any,
    prediction: ArrayLike | Mapping[str, Sequence[float]] | None = None,
    *,
    task: str = "soc",
    pair: str | int = 0,
    data: Any = None,
    alpha: float = 0.1,
    convention: Convention = "reference",
    size: int | None = None,
    width: float = 9.0,
) -> Figure:
    """Draw a pair: query points on the source; valid targets, the alpha circle and predictions on the target.

    A query has one number on both sides. A hit is a green disc, a miss an orange cross joined to its nearest target, in
    the shapes and colors of the report.

    Args:
        row: a row of a pair config as `load_dataset("soco", ...)` gives it, with its images; or one result with
            predictions (a `Result`, an `Evaluation`, the path of a record), of which one pair is drawn.
        prediction: (Q, 2) predicted points in pixels of the target image, in the order of the row's queries, or
            keypoint name -> point for some of them; None draws the annotation alone.
        task, pair, data: of a result: which task, `pair_id` or number of the pair, and its dataset if it is elsewhere.
        alpha: radius of a hit, as a fraction of the longest side of the target's box.
        convention, size: how PCK compares points, see `metrics.pck.keypoint_errors`.
        width: of the figure, inches.

    Raises:
        UsageError: the row has no images, or the predictions do not fit its queries.
        MissingExtraError: matplotlib is not installed.
    """
    if not isinstance(row, Mapping):
        row, prediction, record = drawn_pair(row, task, pair, data)
        scoring = record.protocol.scoring
        convention, size = scoring.convention, record.protocol.features.size
    lacking = [name for name in ("source_image", "target_image", "source_points", "target_points") if name not in row]
    if lacking:
        raise UsageError(
            f'The row lacks {", ".join(lacking)}. Give a row of a pair config, such as load_dataset("soco", "soc", '
            'data_dir="mini", split="test")[0].'
        )
    points = _predicted(row, prediction)
    normaliser = bbox_normaliser(row["target_bbox"], row["target_size"])
    errors = _errors(row, points, normaliser, convention, size)
    images = [np.asarray(row[f"{side}_image"].convert("RGB")) for side in ("source", "target")]
    aspects = [image.shape[1] / image.shape[0] for image in images]
    height = width / sum(aspects) + 0.35
    figure, axes = new_figure(height, width, columns=2, width_ratios=aspects)
    for ax, image, side in zip(axes, images, ("source", "target"), strict=True):
        _photograph(ax, image, short(row.get(f"{side}_image_id", side), 40))
    for number, (x, y) in enumerate(row["source_points"], start=1):
        axes[0].plot(x, y, "o", **_QUERY)
        _number(axes[0], x, y, number)
    for number, (targets, point, error) in enumerate(zip(row["target_points"], points, errors, strict=True), start=1):
        _draw_query(axes[1], number, targets, point, bool(error < alpha), alpha * normaliser)
    hits = int((errors < alpha).sum())
    asked = int(np.isfinite(points).all(axis=1).sum())
    if asked:
        axes[1].set_title(f"{hits} of {asked} within alpha {alpha:g}", loc="right", fontsize=9, color=INK)
    return figure


def _predicted(row: Mapping[str, Any], prediction: ArrayLike | Mapping[str, Sequence[float]] | None) -> NDArray[Any]:
    """(Q, 2) float64, NaN where there is no prediction."""
    number = len(row["source_points"])
    points = np.full((number, 2), np.nan)
    if prediction is None:
        return points
    if isinstance(prediction, Mapping):
        names = list(row["keypoints"])
        for name, point in prediction.items():
            if name not in names:
                raise UsageError(f"The pair has no query {name!r}; its queries are {', '.join(names)}.")
            points[names.index(name)] = point
        return points
    given = np.asarray(prediction, dtype=np.float64)
    if given.shape != (number, 2):
        raise UsageError(f"prediction must have shape ({number}, 2), a point per query of the pair; got {given.shape}.")
    return given


def _errors(
    row: Mapping[str, Any], points: NDArray[Any], normaliser: float, convention: Convention, size: int | None
) -> NDArray[np.float32]:
    """(Q,) PCK errors, infinite where there is no prediction."""
    errors = np.full(len(points), np.inf, dtype=np.float32)
    known = np.flatnonzero(np.isfinite(points).all(axis=1))
    targets = [row["target_points"][i] for i in known]
    if len(known):
        errors[known] = keypoint_errors(
            points[known],
            np.concatenate([np.reshape(t, (-1, 2)) for t in targets]),
            np.cumsum([0, *(len(t) for t in targets)]),
            max(row["target_size"]),
            normaliser,
            convention=convention,
            size=size,
        )
    return errors


def _photograph(ax: Axes, image: NDArray[Any], name: str) -> None:
    ax.imshow(image, interpolation="antialiased")
    ax.set_axis_off()
    ax.set_title(name, loc="left", fontsize=9, color=INK, parse_math=False)
    ax.autoscale(False)


def _draw_query(
    ax: Axes, number: int, targets: Sequence[Sequence[float]], point: NDArray[Any], hit: bool, radius: float
) -> None:
    from matplotlib.patches import Circle

    for x, y in targets:
        ax.add_patch(Circle((x, y), radius, fill=False, edgecolor=INK, linewidth=2.4, alpha=0.5, zorder=3))
        ax.add_patch(Circle((x, y), radius, fill=False, edgecolor=PAPER, linewidth=1.2, zorder=4))
        ax.plot(x, y, "+", color=INK, markersize=8, markeredgewidth=3, alpha=0.6, zorder=4)
        ax.plot(x, y, "+", color=PAPER, markersize=7, markeredgewidth=1.6, zorder=4)
    if not np.isfinite(point).all():
        for x, y in targets:
            _number(ax, x, y, number)
        return
    if hit:
        ax.plot(*point, OUTCOME_MARKERS[OUTCOME_SHAPES["hit"]], color=OUTCOME_COLORS["hit"], **_SPOT)
    else:
        nearest = min(targets, key=lambda t: (t[0] - point[0]) ** 2 + (t[1] - point[1]) ** 2)
        ax.plot([nearest[0], point[0]], [nearest[1], point[1]], "--", color=MISS_COLOR, linewidth=1.4, zorder=4)
        ax.plot(*point, OUTCOME_MARKERS["cross"], color=MISS_COLOR, **{**_SPOT, "markersize": 9})
    _number(ax, float(point[0]), float(point[1]), number)


def _number(ax: Axes, x: float, y: float, number: int) -> None:
    from matplotlib.patheffects import withStroke

    ax.annotate(
        str(number), (x, y), xytext=(5, 4), textcoords="offset points", fontsize=8, color=INK, zorder=6,
        path_effects=[withStroke(linewidth=2.5, foreground=PAPER)],
    )  # fmt: skip
