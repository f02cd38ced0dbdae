"""What an evaluation takes of memory beside its feature maps, as far as shapes can tell, and what a budget leaves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..config import Protocol
from ..errors import UsageError, worded
from ..features.extractor import DenseFeatureExtractor
from ..features.loader import decoding_threads
from .matchers.matcher import matcher_class
from .plan import Plan
from .target_matcher import QUERY_BLOCK

_PER_QUERY = 8  # numbers of 8 bytes held per query, match, candidate query and row of the predictions
_WORKING = 1.5  # the predictions table while it is made, checked and scored, against the finished one


@dataclass(frozen=True)
class Needs:
    """Bytes of host memory that an evaluation takes in turn, the model and one forward of it not counted.

    Attributes:
        matching: with the feature maps: images decoded ahead, descriptors, scores, the plan.
        scoring: when the maps are gone: the predictions table and its record.
    """

    matching: int
    scoring: int

    def room_for_maps(self, budget: int) -> int:
        """Bytes that a budget leaves for feature maps.

        Raises:
            UsageError: the budget is less than the evaluation takes without any; the least one is named.
        """
        least = max(self.matching, self.scoring)
        if budget < least:
            raise UsageError(
                f"This evaluation takes about {_mebibytes(least)} beside the model, more than the memory budget of "
                f"{_mebibytes(budget)}: {_mebibytes(self.matching)} to decode and match images, then "
                f"{_mebibytes(self.scoring)} for the predictions. "
                + worded(
                    "Raise --memory-budget, or lower --workers, --batch-size or --image-size, or take fewer --tasks.",
                    "Raise memory_budget, or lower workers, batch_size or image_size, or take fewer tasks.",
                )
            )
        return budget - self.matching


def memory_needs(
    extractor: DenseFeatureExtractor, plan: Plan, pairs: Mapping[str, pa.Table], protocol: Protocol, workers: int | None
) -> Needs:
    """The needs of one evaluation.

    Args:
        extractor, plan, protocol: of the evaluation.
        pairs: task -> its pairs.
        workers: decoding threads, see `features.loader.FeatureLoader`.
    """
    rows = {name: int(pc.sum(pc.list_value_length(table["keypoints"])).as_py() or 0) for name, table in pairs.items()}
    held = sum(part.nbytes for part in vars(plan).values() if isinstance(part, np.ndarray))
    held += 8 * _PER_QUERY * (len(plan.match_point) + len(plan.candidate_query))
    table = sum(_predictions_bytes(pairs[name], number) for name, number in rows.items())
    scoring = held + 8 * _PER_QUERY * sum(rows.values()) + int(_WORKING * table)
    matching = held + _decoding_bytes(extractor, plan, decoding_threads(workers))
    if extractor.backbone.device == "cpu":
        matching += _matching_bytes(extractor, plan, protocol)
    return Needs(matching, scoring)


def _decoding_bytes(extractor: DenseFeatureExtractor, plan: Plan, workers: int) -> int:
    """Images decoded ahead, the largest one being decoded by every thread, and a batch of maps."""
    batch = extractor.forward_size if extractor.backbone.device == "cpu" else extractor.batch_size
    waiting = (max(2 * batch, 2 * workers) if workers else 0) + batch + 1
    side, size = int(plan.square_sides.max(initial=0)), extractor.size
    decoding = 4 * (3 * side**2 + size * side + size**2)  # PIL: 4 bytes a pixel; image, copy, square, between, resized
    maps = (
        (4 if extractor.is_overlapping else 3) * batch * extractor.channels * extractor.grid**2 * 4
    )  # as it comes, together, normalized
    return 3 * waiting * size**2 + max(1, workers) * decoding + maps


def _matching_bytes(extractor: DenseFeatureExtractor, plan: Plan, protocol: Protocol) -> int:
    """The descriptors, and the scores of one block of queries."""
    asked = min(QUERY_BLOCK, int(np.bincount(plan.match_target, minlength=1).max()))
    cells = extractor.grid**2
    matchers = [matcher_class(name)(protocol.scoring) for name in plan.matchers]
    most = max((matcher.values_per_query(cells) for matcher in matchers), default=0)
    scores = cells * (2 if protocol.scoring.valid_area else 1) + most + extractor.channels
    return 4 * (len(plan.points) * extractor.channels + asked * scores)


def _predictions_bytes(pairs: pa.Table, rows: int) -> int:
    """Bytes of the predictions of one task: its lists, and the values of a pair repeated in each row."""
    lists = [field.name for field in pairs.schema if pa.types.is_list(field.type)]
    once = pairs.drop_columns(lists)
    return pairs.select(lists).nbytes + once.nbytes * rows // max(1, len(pairs))


def _mebibytes(count: int) -> str:
    return f"{-(-count // 2**20):,} MiB"
