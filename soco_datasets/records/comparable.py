"""Which results may stand in one table: same data, same pairs, same way of scoring."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import UsageError
from .evaluation import EvaluationResult

# What may differ between results that are compared: made by the model's own input pipeline, not chosen by the protocol.
_MODEL_FIELDS = ("size", "grid", "layer", "norm", "statistics", "dtype", "matcher", "padding", "resize")


def incomparable(first: EvaluationResult, other: EvaluationResult, *, sizes: bool = False) -> str:
    """Why two results may not stand in one table, in words; "" where they may.

    Same dataset content, same split, same way of scoring and same requested size are needed. What a model's input
    pipeline decides (effective size, grid, layer, statistics, dtype ...) may differ.

    Args:
        first, other: the results.
        sizes: whether the requested size may differ too, as in a study of resolutions, which must say so.
    """
    lists = [result.dataset.get("pair_lists", {}) for result in (first, other)]
    for name in sorted(lists[0].keys() & lists[1].keys()):
        if lists[0][name] != lists[1][name]:
            return (
                f"their pair lists {name} differ ({lists[0][name][:12]} and {lists[1][name][:12]}), as those of two "
                "copies of a benchmark do"
            )
    if first.dataset["content_hash"] != other.dataset["content_hash"]:
        return f"they were evaluated on different data ({_dataset(first)} and {_dataset(other)})"
    if first.split != other.split:
        return f"one is of the split {first.split}, the other of {other.split}"
    ours, theirs = first.protocol.to_dict(), other.protocol.to_dict()
    differ = [
        f"{key} {ours[key]} and {theirs[key]}"
        for key in ours
        if key not in (*_MODEL_FIELDS, *(("image_size",) if sizes else ())) and ours[key] != theirs[key]
    ]
    return f"their protocols differ ({'; '.join(differ)})" if differ else ""


def check_comparable(results: Sequence[EvaluationResult], *, sizes: bool = False) -> None:
    """Check that any number of results may stand in one table; `sizes` as of `incomparable`.

    Raises:
        UsageError: naming the first two results that differ, and in what.
    """
    for other in results[1:]:
        first = results[0]
        if why := incomparable(first, other, sizes=sizes):
            raise UsageError(
                f"{first.model['name']} and {other.model['name']} cannot be compared: {why}. Evaluate both alike."
            )


def _dataset(result: EvaluationResult) -> str:
    return f"{result.dataset['id']}, content hash {str(result.dataset['content_hash'])[:12]}"
