"""Point tracking, TAP-Vid: Average Jaccard, share of points within a distance, occlusion accuracy.

Points are [x, y] in pixels of a 256 x 256 raster. Numbers are shares of one video; means are taken over videos.
Source: TAP-Vid (Doersch et al. 2022).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import UsageError, unknown_name

RASTER = 256  # pixels a side
DISTANCES = (1, 2, 4, 8, 16)  # pixels, strict
QueryMode = Literal["first", "strided"]


class Tracks(NamedTuple):
    """The tracks of one video that have a query, and their queries.

    Attributes:
        kept: (M,) int64, rows of the given tracks.
        queries: (M, 3) float32 [frame, y, x], pixels of the raster.
        points: (M, T, 2) float32 [x, y], pixels of the raster.
        occluded: (M, T) bool.
    """

    kept: NDArray[np.int64]
    queries: NDArray[np.float32]
    points: NDArray[np.float32]
    occluded: NDArray[np.bool_]


def first_queries(points: ArrayLike, occluded: ArrayLike, raster: int = RASTER) -> Tracks:
    """Query each track at its first visible frame; tracks that are never visible are dropped.

    Args:
        points: (N, T, 2) float [x, y] as shares of width and height.
        occluded: (N, T) bool.
        raster: pixels a side.

    Raises:
        UsageError: shapes that do not fit.

    >>> tracks = first_queries([[[0.5, 0.5], [0.5, 0.25]], [[0, 0], [0, 0]]], [[True, False], [True, True]])
    >>> tracks.kept.tolist(), tracks.queries.tolist()
    ([0], [[1.0, 64.0, 128.0]])
    """
    shares, hidden = np.asarray(points, dtype=np.float32), np.asarray(occluded, dtype=bool)
    if shares.ndim != 3 or shares.shape[2] != 2 or hidden.shape != shares.shape[:2]:
        raise UsageError(f"Points {shares.shape} and occlusion {hidden.shape} must be (N, T, 2) and (N, T).")
    kept = np.flatnonzero((~hidden).any(axis=1))
    pixels, hidden = shares[kept] * np.float32(raster), hidden[kept]
    frames = (~hidden).argmax(axis=1) if len(kept) else np.empty(0, dtype=np.int64)
    x, y = pixels[np.arange(len(kept)), frames].T
    return Tracks(kept, np.stack([frames.astype(np.float32), y, x], axis=1), pixels, hidden)


def video_scores(
    tracks: Tracks,
    predicted: ArrayLike,
    predicted_occluded: ArrayLike | None = None,
    *,
    mode: QueryMode = "first",
    distances: Sequence[int] = DISTANCES,
) -> dict[str, Any]:
    """Scores of one video's predicted tracks.

    Args:
        tracks: true tracks and their queries.
        predicted: (M, T, 2) float [x, y], pixels of the raster.
        predicted_occluded: (M, T) bool; None = always visible.
        mode: "first" counts the frames after the query, "strided" all frames but the query's.
        distances: pixels; a point is within a distance strictly below it.

    Returns:
        Shares "occlusion_accuracy", "within_<d>" and "jaccard_<d>" for each distance, their means "delta_avg" and
        "average_jaccard"; counts "frames" (evaluated) and "visible". A share of nothing is None: without a visible
        point there is no within_<d> and no delta_avg, without visible points and false positives no jaccard_<d>.

    Raises:
        UsageError: shapes that do not fit, a prediction that is not finite on an evaluated frame, an unknown mode.
    """
    if mode not in ("first", "strided"):
        raise unknown_name("query mode", mode, ("first", "strided"))
    found = np.asarray(predicted, dtype=np.float64)
    shape = tracks.occluded.shape
    hidden = np.zeros(shape, bool) if predicted_occluded is None else np.asarray(predicted_occluded, dtype=bool)
    if found.shape != (*shape, 2) or hidden.shape != shape:
        raise UsageError(
            f"Predictions {found.shape}, {hidden.shape} do not fit {shape[0]} tracks of {shape[1]} frames."
        )
    query_frames = tracks.queries[:, :1].astype(np.int64)
    frames = np.arange(shape[1])[None, :]
    evaluated = frames > query_frames if mode == "first" else frames != query_frames
    if not np.isfinite(found[evaluated]).all():
        raise UsageError("Predicted points must be finite on every evaluated frame.")
    visible = evaluated & ~tracks.occluded
    guessed = evaluated & ~hidden
    squared = ((found - tracks.points) ** 2).sum(axis=2)
    squared = np.where(evaluated, squared, np.inf)
    scores: dict[str, Any] = {"frames": int(evaluated.sum()), "visible": int(visible.sum())}
    scores["occlusion_accuracy"] = _share((evaluated & (hidden == tracks.occluded)).sum(), evaluated.sum())
    for distance in distances:
        near = squared < distance**2
        hits = (visible & near & guessed).sum()
        false_positives = (guessed & ~(visible & near)).sum()
        scores[f"within_{distance}"] = _share((visible & near).sum(), visible.sum())
        scores[f"jaccard_{distance}"] = _share(hits, visible.sum() + false_positives)
    scores["delta_avg"] = _mean([scores[f"within_{distance}"] for distance in distances])
    scores["average_jaccard"] = _mean([scores[f"jaccard_{distance}"] for distance in distances])
    return scores


def mean_over_videos(videos: Sequence[Mapping[str, Any]], names: Sequence[str] | None = None) -> dict[str, Any]:
    """{name: {"value": mean over the videos that have it, None without, "videos": how many}} of `video_scores`.

    >>> mean_over_videos([{"delta_avg": 0.5}, {"delta_avg": None}], ["delta_avg"])
    {'delta_avg': {'value': 0.5, 'videos': 1}}
    """
    wanted = names if names is not None else ("average_jaccard", "delta_avg", "occlusion_accuracy")
    held = {name: [video[name] for video in videos if video[name] is not None] for name in wanted}
    return {name: {"value": _mean(values), "videos": len(values)} for name, values in held.items()}


def _share(part: Any, whole: Any) -> float | None:
    return float(part / whole) if whole else None


def _mean(values: Sequence[float | None]) -> float | None:
    numbers = [value for value in values if value is not None]
    return float(np.mean(numbers)) if numbers and len(numbers) == len(values) else None
