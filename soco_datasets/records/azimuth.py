"""PCK against how far apart the two views are: the azimuth curve (paper, figure r1). NumPy only.

The difference of two views is the smaller angle between the azimuths of source and target, 0..180 degrees.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray

from ..config import alpha_key
from ..errors import UsageError
from ..metrics.pck import hits

AZIMUTH_BINS: tuple[float, ...] = (0.0, 30.0, 60.0, 90.0, 120.0, 150.0, 180.0)


def azimuth_difference(source: ArrayLike, target: ArrayLike) -> NDArray[np.float64]:
    """(N,) the smaller angle between two azimuths in degrees, 0..180; NaN where either is NaN (unknown).

    >>> azimuth_difference([10, 350, 90], [350, 170, np.nan]).tolist()
    [20.0, 180.0, nan]
    """
    apart = np.abs(np.asarray(source, dtype=np.float64) - np.asarray(target, dtype=np.float64)) % 360.0
    return np.minimum(apart, 360.0 - apart)


def azimuth_curve(
    errors: ArrayLike,
    difference: ArrayLike,
    alphas: Sequence[float],
    bins: Sequence[float] = AZIMUTH_BINS,
    pair: ArrayLike | None = None,
) -> dict[str, Any]:
    """PCK in bins of the azimuth difference, over the queries of all categories together.

    Args:
        errors: (N,) float32 from `pck.keypoint_errors`; NaN is left out.
        difference: (N,) degrees from `azimuth_difference`; NaN = unknown.
        alphas: thresholds.
        bins: (B + 1,) rising edges in degrees. A bin holds its lower edge, the last one both.
        pair: (N,) int, the pair of each query; adds the mean over pairs.

    Returns:
        JSON values: "edges": B + 1 degrees; "keypoints": B counts of queries; "unknown": queries in no bin;
        "pck": {"keypoint": {alpha: B fractions}}, None where a bin is empty. With `pair` also "pairs": B counts and
        "pck"["pair"]: the mean over the pairs of a bin of their fraction of hits.

    Raises:
        UsageError: edges that do not rise, shapes that differ.
    """
    edges = _edges(bins)
    values, apart = np.asarray(errors, dtype=np.float32), np.asarray(difference, dtype=np.float64)
    if values.ndim != 1 or apart.shape != values.shape:
        raise UsageError(f"There must be one azimuth difference per error, got {apart.shape} for {values.shape}.")
    number = len(edges) - 1
    place = _bins_of(apart, edges)
    known = ~np.isnan(values) & (place >= 0)
    scored, place = values[known], place[known]
    by_alpha = {alpha_key(alpha): hit for alpha, hit in zip(alphas, hits(scored, alphas), strict=True)}
    count = np.bincount(place, minlength=number)
    curve: dict[str, Any] = {
        "edges": edges.tolist(),
        "keypoints": count.tolist(),
        "unknown": int((~np.isnan(values)).sum() - known.sum()),
        "pck": {"keypoint": {key: _mean(place[hit], None, count) for key, hit in by_alpha.items()}},
    }
    if pair is not None:
        _, first, unit = np.unique(np.asarray(pair)[known], return_index=True, return_inverse=True)
        bin_of = place[first]
        queries = np.bincount(unit, minlength=len(first))
        pairs = np.bincount(bin_of, minlength=number)
        curve["pairs"] = pairs.tolist()
        curve["pck"]["pair"] = {
            key: _mean(bin_of, np.bincount(unit[hit], minlength=len(first)) / queries, pairs)
            for key, hit in by_alpha.items()
        }
    return curve


class CurveSums:
    """`azimuth_curve` with its means over pairs, from pairs that come some at a time.

    The same but for the last digits of the means over pairs, which here depend on the order in which pairs come.

    Args:
        alphas: thresholds.
        bins: see `azimuth_curve`.
    """

    def __init__(self, alphas: Sequence[float], bins: Sequence[float] = AZIMUTH_BINS) -> None:
        self._edges, self._alphas = _edges(bins), alphas
        number = len(self._edges) - 1
        self._queries, self._pairs = np.zeros(number, dtype=np.int64), np.zeros(number, dtype=np.int64)
        self._hits = np.zeros((len(alphas), number), dtype=np.int64)
        self._fractions = np.zeros((len(alphas), number))
        self._unknown = 0

    def add(self, queries: NDArray[np.int64], found: NDArray[np.int64], apart: NDArray[np.float64]) -> None:
        """Add P pairs that have queries.

        Args:
            queries: (P,) of each.
            found: (A, P) hits among them.
            apart: (P,) degrees from `azimuth_difference`.
        """
        place = _bins_of(apart, self._edges)
        known = place >= 0
        self._unknown += int(queries[~known].sum())
        place, queries, found = place[known], queries[known], found[:, known]
        number = len(self._queries)
        self._pairs += np.bincount(place, minlength=number)
        self._queries += np.bincount(place, weights=queries, minlength=number).astype(np.int64)
        for index, hit in enumerate(found):
            self._hits[index] += np.bincount(place, weights=hit, minlength=number).astype(np.int64)
            self._fractions[index] += np.bincount(place, weights=hit / queries, minlength=number)

    def curve(self) -> dict[str, Any] | None:
        """As `azimuth_curve`; None where no pair has two known poses."""
        if not self._pairs.any():
            return None
        keys = [alpha_key(alpha) for alpha in self._alphas]
        means = {"keypoint": (self._hits, self._queries), "pair": (self._fractions, self._pairs)}
        return {
            "edges": self._edges.tolist(),
            "keypoints": self._queries.tolist(),
            "unknown": self._unknown,
            "pairs": self._pairs.tolist(),
            "pck": {
                name: {key: _ratios(row, count) for key, row in zip(keys, sums, strict=True)}
                for name, (sums, count) in means.items()
            },
        }


def azimuths_of(rows: pa.Table, images: Mapping[str, Mapping[str, Any]]) -> NDArray[np.float64]:
    """(N,) azimuth difference of each row of a predictions table, NaN where a pose is unknown.

    Args:
        rows: of a predictions table.
        images: `predictions.read_images` of the table.
    """
    sides = []
    for name in ("source_image_id", "target_image_id"):
        coded = rows[name].combine_chunks().dictionary_encode()
        degrees = [images.get(image_id, {}).get("azimuth") for image_id in coded.dictionary.to_pylist()]
        known = np.array([np.nan if value is None else value for value in degrees], dtype=np.float64)
        sides.append(known[coded.indices.to_numpy(zero_copy_only=False)])
    return azimuth_difference(*sides)


def _mean(place: NDArray[np.int64], values: NDArray[np.float64] | None, count: NDArray[np.int64]) -> list[float | None]:
    """(B,) sum of the values (1 each for None) in each bin over its count, None where there is none."""
    if values is not None:  # the same whatever the order of the rows
        order = np.lexsort((values, place))
        place, values = place[order], values[order]
    return _ratios(np.bincount(place, weights=values, minlength=len(count)), count)


def _ratios(sums: NDArray[Any], count: NDArray[np.int64]) -> list[float | None]:
    return [None if not n else float(total / n) for total, n in zip(sums.tolist(), count.tolist(), strict=True)]


def _edges(bins: Sequence[float]) -> NDArray[np.float64]:
    edges = np.asarray(bins, dtype=np.float64)
    if edges.ndim != 1 or len(edges) < 2 or not (np.diff(edges) > 0).all():
        raise UsageError(f"The bins of an azimuth curve must be two or more rising edges in degrees, got {list(bins)}.")
    return edges


def _bins_of(apart: NDArray[np.float64], edges: NDArray[np.float64]) -> NDArray[np.int64]:
    """(N,) bin of each difference in degrees, -1 for none."""
    number = len(edges) - 1
    place = np.searchsorted(edges, apart, side="right") - 1
    place[apart == edges[-1]] = number - 1
    place[np.isnan(apart) | (place >= number)] = -1
    return place
