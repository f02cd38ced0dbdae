"""Maps that several evaluations of one run need, kept by file content from the first of them to the last.

Benchmarks share pictures (SPair-71k and other sets of COCO or VOC pictures), and one benchmark may hold a picture under
two ids. Who reads maps says beforehand which pictures it will ask for; a map is kept only while somebody is still
waiting for it, and only within a memory budget. Beyond the budget a picture is forwarded again: nothing else changes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

from .memory import available_memory

if TYPE_CHECKING:
    import torch

Content = tuple[str, bytes]  # (how the picture enters the network, sha256 of its file)
_SHARE = 4  # a quarter of the available memory, where no budget is given


class SharedMaps:
    """Normalized maps by content, for one model and several evaluations.

    Args:
        budget: bytes of all maps together; None = a quarter of the available memory.

    Attributes:
        nbytes: bytes of the maps that are kept now.
    """

    def __init__(self, budget: int | None = None) -> None:
        self._budget = available_memory() // _SHARE if budget is None else budget
        self._waiting: Counter[Content] = Counter()
        self._maps: dict[Content, torch.Tensor] = {}
        self.nbytes = 0

    def expect(self, contents: Iterable[Content]) -> None:
        """Announce the pictures of one evaluation; a picture counts once, however often it is named."""
        self._waiting.update(set(contents))

    def finish(self, contents: Iterable[Content]) -> None:
        """The evaluation that announced these pictures is over: maps that nobody waits for are dropped."""
        for content in set(contents):
            self._waiting[content] -= 1
            if self._waiting[content] <= 0:
                del self._waiting[content]
                dropped = self._maps.pop(content, None)
                self.nbytes -= 0 if dropped is None else dropped.nbytes

    def get(self, content: Content) -> torch.Tensor | None:
        """The (C, h, w) map in the memory of the CPU; None where it is not kept."""
        return self._maps.get(content)

    def put(self, content: Content, feature_map: torch.Tensor) -> None:
        """Keep a copy where another evaluation waits for it and the budget has room."""
        if self._waiting[content] < 2 or content in self._maps:  # the evaluation at work is one of those
            return
        if self.nbytes + feature_map.nbytes <= self._budget:
            self._maps[content] = feature_map.detach().to("cpu", copy=True)
            self.nbytes += self._maps[content].nbytes
