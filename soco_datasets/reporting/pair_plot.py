"""A pair of images with its matches as a matplotlib figure, for notebooks; drawn as everywhere in the toolkit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import UsageError
from ..geometry import Convention
from ..metrics.pck import bbox_normaliser, keypoint_errors
from .drawing import to_figure
from .given_results import drawn_pair
from .match_picture import draw_matches, draw_row
from .sheet import outcome_legend, sheet_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure


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
    """Draw a pair: query points on the source; valid targets, the circle of a hit and predictions on the target.

    A query has one number on both sides, and a dashed line joins a miss to its nearest target. Of a result the marks
    say what each prediction is: hit, near miss, swap, another part, background. Of a row they are hits and misses.

    Args:
        row: one result with predictions (a `Result`, an `Evaluation`, a path of a record), of which one pair is drawn;
            or a row of a pair config as `load_dataset("soco", ...)` gives it, with its images.
        prediction: of a row: (Q, 2) predicted points in pixels of the target image, in the order of its queries, or
            keypoint name -> point for some of them; None draws the annotation alone.
        task, pair, data: of a result: which task, `pair_id` or number of the pair, and its dataset if it is elsewhere.
        alpha: of a row: radius of a hit, as a fraction of the longest side of the target's box. A result has 0.1.
        convention, size: of a row: how PCK compares points, see `metrics.pck.keypoint_errors`.
        width: of the figure, inches.

    Raises:
        UsageError: the row has no images, or the predictions do not fit its queries; or a prediction beside a result.
        MissingExtraError: matplotlib is not installed.
    """
    if not isinstance(row, Mapping):
        if prediction is not None:
            raise UsageError(f"A result has its own predictions; got {prediction!r} too. Did you mean task=...?")
        table, pair_id, folder = drawn_pair(row, task, pair, data)
        return to_figure(draw_matches(table, task, [pair_id], folder.images.decode, 1), width)
    lacking = [name for name in ("source_image", "target_image", "source_points", "target_points") if name not in row]
    if lacking:
        raise UsageError(
            f'The row lacks {", ".join(lacking)}. Give a row of a pair config, such as load_dataset("soco", "soc", '
            'data_dir="mini", split="test")[0].'
        )
    points = _predicted(row, prediction)
    normaliser = bbox_normaliser(row["target_bbox"], row["target_size"])
    errors = _errors(row, points, normaliser, convention, size)
    outcomes = [
        "" if not np.isfinite(point).all() else "hit" if error < alpha else "miss"
        for point, error in zip(points, errors, strict=True)
    ]
    asked = list(zip(row["target_points"], points.tolist(), outcomes, strict=True))
    legend = outcome_legend(alpha, [name for name in ("hit", "miss") if name in outcomes])
    caption = "predictions" if any(outcomes) else "queries and their valid targets"
    return to_figure(sheet_of([draw_row(row, asked, alpha * normaliser)], caption, 1, legend), width)


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
