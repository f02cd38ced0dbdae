"""How sure a score is: a bootstrap over images. NumPy only, reproducible to the last digit.

Pairs share images, so pairs are not independent: an image that is hard to match spoils every pair it is in. What was
sampled is the images; the categories are the benchmark's own and stay. One resample therefore draws images with
replacement within each category: one less than there are, which makes the variance that images bring unbiased (Rao and
Wu 1988, "Resampling inference with complex survey data"), or all of them where there are fewer than four. Image i is
then there m_i times, and the pair (s, t)

    w = m_s * m_t

times, as often as it would be among the drawn images: the node or pigeonhole bootstrap (Snijders and Borgatti 1999,
"Non-parametric standard errors and tests for network statistics"; Owen 2007, "The pigeonhole bootstrap"; Owen and
Eckles 2012, "Bootstrapping data arrays of arbitrary order"). Scores are computed as in `aggregation`, with weights:

    pair      category = sum(w * hits / queries) / sum(w)            over its pairs
    keypoint  category = sum(w * hits) / sum(w * queries)            over its pairs
    image     category = sum(m_t * H_t / Q_t) / sum(m_t)             over its target images, where
              H_t, Q_t = sum(m_s * hits), sum(m_s * queries)         over the pairs of target t

A category without weight in a resample is left out of that resample's mean, as one without a query is left out of the
score. The interval runs between the 2.5 % and 97.5 % points of the resampled scores (percentile method). How good that
is, by simulation with a known truth: of 95 % intervals 97 % cover it with 200 pairs among the 40 images of a category,
as in SOCO (product weights overstate what varies from pair to pair, by up to sqrt(3)), and 93 % where all pairs of 15
images are scored; treating pairs as independent covers 63 % and 51 %. One pair of images says nothing about spread, so
its interval is null, not of no width.

Resampled sums are sums of whole numbers, exact in float64 whatever their order, so the same predictions, seed and
number of resamples give the same bytes on every machine (a fraction is counted in parts of the least common multiple
of the numbers of queries, or in the finest power of two that leaves room for the sum).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ..config import POOLED, alpha_key, check_reductions
from ..errors import UsageError
from ..metrics.pck import hits
from .predictions import read_header, task_rows
from .scores import row_errors
from .validation import codes, first_rows

LEVEL = 0.95
RESAMPLES = 1000
_BLOCK = 2**22  # weights (pairs x resamples) held at a time, 32 MiB
_EXACT_BITS = 52
_FEWEST = 4  # images of a category from which on one less is drawn

ResampledScores = dict[str, NDArray[np.float64]]  # reduction -> (A, C, B), NaN where a category has no weight


@dataclass(frozen=True)
class PairSample:
    """The scored pairs of one task as numbers, sorted by category and target image.

    Attributes:
        strata: (category, number of its images) in the order of the image numbers.
        categories: (C,) names of the categories pairs are averaged in, sorted; only those with a scored pair.
        bounds: (C + 1,) where each category's pairs begin.
        source, target: (P,) image numbers.
        queries: (P,) queries of each pair.
        hits: (A, P) hits of each pair at each threshold.
    """

    strata: tuple[tuple[str, int], ...]
    categories: tuple[str, ...]
    bounds: NDArray[np.int64]
    source: NDArray[np.int64]
    target: NDArray[np.int64]
    queries: NDArray[np.int64]
    hits: NDArray[np.int64]

    @classmethod
    def of(cls, rows: pa.Table) -> PairSample:
        """From the rows of one task of a checked predictions table."""
        pair = codes(rows, ("pair_id",))
        first = rows.take(pa.array(first_rows(pair)))
        number = max(1, len(first))
        hit = hits(row_errors(rows), read_header(rows).protocol.scoring.alphas)
        category_of = {
            image: category
            for side in ("source", "target")
            for image, category in zip(
                first[f"{side}_image_id"].to_pylist(), first[f"{side}_category"].to_pylist(), strict=True
            )
        }
        images = sorted(category_of, key=lambda image: (category_of[image], image))
        ids = pa.array(images, pa.string())
        source, target = (
            pc.index_in(first[f"{side}_image_id"], value_set=ids).to_numpy().astype(np.int64)
            for side in ("source", "target")
        )
        categories, group = np.unique(np.array(first["pair_group"].to_pylist(), dtype=object), return_inverse=True)
        order = np.lexsort((target, group))
        strata: dict[str, int] = {}
        for image in images:
            strata[category_of[image]] = strata.get(category_of[image], 0) + 1
        return cls(
            strata=tuple(strata.items()),
            categories=tuple(categories.tolist()),
            bounds=np.searchsorted(group[order], np.arange(len(categories) + 1)),
            source=source[order],
            target=target[order],
            queries=np.bincount(pair, minlength=number)[: len(first)][order],
            hits=np.stack([np.bincount(pair[row], minlength=number)[: len(first)] for row in hit])[:, order],
        )


def multiplicities(strata: Sequence[tuple[str, int]], resamples: int, seed: int) -> NDArray[np.uint16]:
    """How often each image is in each resample.

    Args:
        strata: (category, number of its images), in the order of the images; images are drawn within a category.
        resamples: B.
        seed: any integer. The draws of a category depend on nothing else but its name and number of images, so that
            tasks and models with the same images share their resamples.

    Returns:
        (I, B) uint16; the columns of each category add up to one less than its number of images, to that number where
        there are fewer than four.
    """
    counts = np.zeros((sum(number for _, number in strata), resamples), dtype=np.uint16)
    start = 0
    for category, number in strata:
        # Of a generator only .random() is used: NumPy keeps its stream, not that of the distributions.
        digest = hashlib.sha256(f"soco-bootstrap-1/{seed}/{category}".encode()).digest()
        generator = np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "big")))
        draws = number - 1 if number >= _FEWEST else number
        drawn = (generator.random((resamples, draws)) * number).astype(np.int64)
        places = drawn * resamples + np.arange(resamples)[:, None]
        stratum = np.bincount(places.ravel(), minlength=number * resamples).reshape(number, resamples)
        counts[start : start + number] = stratum
        start += number
    return counts


def category_scores(sample: PairSample, counts: NDArray[np.uint16], reductions: Sequence[str]) -> ResampledScores:
    """The score of each category in each resample.

    Args:
        sample: of one task.
        counts: (I, B) from `multiplicities`; all ones give the scores themselves.
        reductions: of `config.REDUCTIONS`; those that pool categories are left out, for they have no interval.

    Returns:
        reduction -> (A, C, B) float64, fractions; NaN where a category has no weight.
    """
    names = [name for name in check_reductions(reductions) if name not in POOLED]
    shape = (len(sample.hits), len(sample.categories), counts.shape[1])
    scores = {name: np.empty(shape) for name in names}
    for category in range(len(sample.categories)):
        pairs = slice(int(sample.bounds[category]), int(sample.bounds[category + 1]))
        pooled = _pooled(sample, counts, pairs)
        for name in names:
            found = _by_image(sample, counts, pairs) if name == "image" else pooled[name]
            scores[name][:, category] = found
    return scores


def mean_scores(scores: NDArray[np.float64], categories: Sequence[int]) -> NDArray[np.float64]:
    """(A, B) mean of (A, C, B) over some categories, those without weight left out; NaN where none has any."""
    total, number = np.zeros(scores[:, 0].shape), np.zeros(scores[:, 0].shape)
    for category in categories:  # one after another, so that the order of the sum is fixed
        present = ~np.isnan(scores[:, category])
        total += np.where(present, scores[:, category], 0.0)
        number += present
    return _ratio(total, number)


def interval(resampled: NDArray[np.float64], level: float = LEVEL) -> list[float] | None:
    """[low, high] of (B,) resampled values, NaN left out: order statistics that leave (1 - level) / 2 on each side.

    None where there is no value at all.

    >>> interval(np.arange(1000.0)), interval(np.array([np.nan]))
    ([25.0, 974.0], None)
    """
    values = np.sort(resampled[~np.isnan(resampled)])
    if not len(values):
        return None
    outside = int(len(values) * (1 - level) / 2)
    return [float(values[outside]), float(values[len(values) - 1 - outside])]


def bootstrap_intervals(
    table: pa.Table, *, resamples: int = RESAMPLES, seed: int = 0, level: float = LEVEL
) -> dict[str, Any]:
    """The interval of every headline number of a record.

    Args:
        table: a whole predictions table, see `predictions.check_predictions`.
        resamples: number of resamples, 1 or more.
        seed: any integer.
        level: share of the resamples between the ends.

    Returns:
        `{"level", "resamples", "seed", "tasks": {task: {reduction: {alpha: {"overall": I, "per_supercategory": {name:
        I}}}}}}`, where I = [low, high] in fractions, or None with fewer than two scored pairs of images.

    Raises:
        PredictionsError: the table has no header.
        UsageError: no resamples, or a level that is not between 0 and 1.
    """
    check_resampling(resamples, seed, level)
    header = read_header(table)
    drawn: dict[tuple[tuple[str, int], ...], NDArray[np.uint16]] = {}
    tasks = {}
    for task in header.tasks:
        sample = PairSample.of(task_rows(table, task))
        if sample.strata not in drawn:
            drawn = {sample.strata: multiplicities(sample.strata, resamples, seed)}  # of the last images only
        scores = category_scores(sample, drawn[sample.strata], header.protocol.scoring.reductions)
        parts = supercategory_members(sample.categories, header.supercategories, header.tasks[task].pairs)
        tasks[task] = intervals_of(scores, header.protocol.scoring.alphas, parts, partial(enough_pairs, sample), level)
    return {"level": level, "resamples": resamples, "seed": seed, "tasks": tasks}


def intervals_of(
    scores: ResampledScores,
    alphas: Sequence[float],
    parts: Mapping[str, Sequence[int]],
    enough: Callable[[Sequence[int]], bool],
    level: float = LEVEL,
) -> dict[str, Any]:
    """The intervals of one task, as `bootstrap_intervals` gives them.

    Args:
        scores: of its C categories, see `category_scores`.
        alphas: the A thresholds.
        parts: supercategory -> its categories, see `supercategory_members`.
        enough: whether some categories have two different pairs of images together.
        level: share of the resamples between the ends.
    """

    def ends(of_alpha: NDArray[np.float64], categories: Sequence[int]) -> list[float] | None:
        return interval(mean_scores(of_alpha[None], categories)[0], level) if enough(categories) else None

    return {
        reduction: {
            alpha_key(alpha): {
                "overall": ends(of_alpha, range(len(of_alpha))),
                "per_supercategory": {name: ends(of_alpha, members) for name, members in parts.items()},
            }
            for alpha, of_alpha in zip(alphas, of_reduction, strict=True)
        }
        for reduction, of_reduction in scores.items()
    }


def supercategory_members(
    scored: Sequence[str], supercategories: Mapping[str, str | None], evaluated: Mapping[str, int]
) -> dict[str, list[int]]:
    """Supercategory -> places in `scored` of its categories; every supercategory of an evaluated category is there."""
    place = {name: index for index, name in enumerate(scored)}
    members: dict[str, list[int]] = {}
    for category in sorted(evaluated):
        parent = supercategories.get(category)
        if parent is not None:
            members.setdefault(parent, []).extend([place[category]] if category in place else [])
    return {parent: members[parent] for parent in sorted(members)}


def check_resampling(resamples: int, seed: int, level: float = LEVEL) -> None:
    """Raise `UsageError` unless there are 1 or more resamples, a whole seed and a level between 0 and 1."""
    for name, value in (("resamples", resamples), ("seed", seed)):
        if isinstance(value, bool) or not isinstance(value, int):
            raise UsageError(f"{name} must be a whole number, got {value!r}.")
    if resamples < 1:
        raise UsageError(f"There must be 1 resample or more, got {resamples}.")
    if not 0 < level < 1:
        raise UsageError(f"The level of an interval must be between 0 and 1, got {level!r}.")


def enough_pairs(sample: PairSample, categories: Sequence[int]) -> bool:
    """Whether some categories have two different pairs of images together: one alone cannot show how it varies."""
    seen: set[tuple[int, int]] = set()
    for category in categories:
        pairs = slice(int(sample.bounds[category]), int(sample.bounds[category + 1]))
        for source, target in zip(sample.source[pairs].tolist(), sample.target[pairs].tolist(), strict=True):
            seen.add((min(source, target), max(source, target)))
            if len(seen) > 1:
                return True
    return False


def _pooled(sample: PairSample, counts: NDArray[np.uint16], pairs: slice) -> ResampledScores:
    """(A, B) scores of one category for the reductions that are ratios of weighted sums over pairs."""
    queries, found = sample.queries[pairs], sample.hits[:, pairs]
    scale = _parts(len(queries), counts, queries)
    middle = 2 + len(found)
    sums = np.zeros((middle + len(found), counts.shape[1]))
    step = max(1, _BLOCK // max(1, counts.shape[1]))
    for start in range(0, len(queries), step):
        block = slice(start, start + step)
        asked, hit = queries[None, block], found[:, block]
        values = np.concatenate([np.ones(asked.shape), asked, hit, np.rint(hit / asked * scale)])
        sums += values @ _weights(counts, sample.source[pairs][block], sample.target[pairs][block])
    return {"pair": _ratio(sums[middle:], scale * sums[:1]), "keypoint": _ratio(sums[2:middle], sums[1:2])}


def _by_image(sample: PairSample, counts: NDArray[np.uint16], pairs: slice) -> NDArray[np.float64]:
    """(A, B) scores of one category for the reduction "image"."""
    targets, starts = np.unique(sample.target[pairs], return_index=True)  # pairs are sorted by target
    scale = _parts(len(targets), counts)
    ends = [*starts[1:].tolist(), pairs.stop - pairs.start]
    sums, total = np.zeros((len(sample.hits), counts.shape[1])), np.zeros(counts.shape[1])
    for target, start, end in zip(targets.tolist(), starts.tolist(), ends, strict=True):
        own = slice(pairs.start + start, pairs.start + end)
        sources = counts[sample.source[own]].astype(np.float64)
        queries = sample.queries[own].astype(np.float64) @ sources
        weight = np.where(queries > 0, counts[target].astype(np.float64), 0.0)
        found = sample.hits[:, own].astype(np.float64) @ sources
        sums += np.rint(np.nan_to_num(_ratio(found, queries)) * scale) * weight
        total += weight
    return _ratio(sums, scale * total)


def _weights(counts: NDArray[np.uint16], source: NDArray[np.int64], target: NDArray[np.int64]) -> NDArray[np.float64]:
    weights: NDArray[np.float64] = np.multiply(counts[source], counts[target], dtype=np.float64)
    return weights


def _parts(number: int, counts: NDArray[np.uint16], queries: NDArray[np.int64] | None = None) -> float:
    """In how many parts 1 is divided to count fractions, so that sums over `number` weighted ones stay exact."""
    room = _EXACT_BITS - (number * int(counts.max(initial=1)) ** 2).bit_length()
    common = 2**room if queries is None else math.lcm(*np.unique(queries).tolist())
    return float(common if common.bit_length() <= room else 2**room)


def _ratio(above: NDArray[np.float64], below: NDArray[np.float64]) -> NDArray[np.float64]:
    """above / below, NaN where below is 0."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(below > 0, above / below, np.nan)
