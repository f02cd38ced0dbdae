"""Features of views that are drawn while a head trains: decoded and forwarded batch by batch, never stored."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

from ..features.loader import decoding_threads
from ..features.requests import FeatureRequest, merge_requests
from .base import TaskRun

if TYPE_CHECKING:
    import torch

    from ..features.extractor import DenseFeatureExtractor

T = TypeVar("T")


class OnlineFeatures:
    """Forwards of drawn views.

    Args:
        extractor: the model.
        request: layers, and a transform whose zero padding applies; views come already at its size.
        run: counts decodes and forwards.
    """

    def __init__(self, extractor: DenseFeatureExtractor, request: FeatureRequest, run: TaskRun) -> None:
        plans, _ = merge_requests([request], extractor.backbone)
        self._extractor, self._plan, self._run = extractor, plans[0], run
        self._threads = decoding_threads(run.workers)

    def batch(self, rows: Sequence[int], view: Callable[[int], tuple[Any, T]]) -> tuple[torch.Tensor, list[T]]:
        """Features of some views.

        Args:
            rows: of the batch.
            view: row -> ((H, W, 3) pixels, what belongs to them); a function of the row alone.

        Returns:
            (B, layers, C, rows, columns), and what belongs to each.
        """
        import torch

        if self._threads:
            with ThreadPoolExecutor(self._threads) as pool:
                views = list(pool.map(view, rows))
        else:
            views = [view(row) for row in rows]
        # The precision of a head's training is no matter of the frozen model.
        with torch.autocast(torch.device(self._extractor.backbone.device).type, enabled=False):
            found = self._extractor.extract_plan([pixels for pixels, _ in views], self._plan)
        self._run.counts["decodes"] += len(rows)
        self._run.counts["forwards"] += len(rows)
        maps = [one.maps for one in found if one.maps is not None]
        return torch.stack(maps).clone(), [other for _, other in views]
