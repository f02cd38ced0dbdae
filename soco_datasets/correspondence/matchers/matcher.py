"""What a matcher is, and the registry: every class of this folder, or of a file that was imported, by its name."""

from __future__ import annotations

import importlib
import pkgutil
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

from ...config import ScoringConfig
from ...errors import UsageError, unknown_name
from ..similarity import best_cells

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class TargetScores:
    """The similarities of Q queries with the cells of the target that each is matched in.

    Attributes:
        values: (Q, h, w) float32.
        valid: (h, w) bool; cells where it is false must not be predicted. None = all are valid.
    """

    values: torch.Tensor
    valid: torch.Tensor | None = None

    @cached_property
    def best(self) -> tuple[torch.Tensor, torch.Tensor]:
        """((Q,) raster index of the best valid cell, (Q,) its similarity); computed once for all matchers."""
        return best_cells(self.values, self.valid)

    def positions(self, cells: torch.Tensor) -> torch.Tensor:
        """(N, 2) int64 [column, row] of (N,) raster indices."""
        import torch

        width = self.values.shape[2]
        return torch.stack([cells % width, cells // width], dim=-1)


@dataclass(frozen=True)
class CandidateQueries:
    """Queries that choose among candidate cells.

    Attributes:
        query: (G,) int64, which of the Q queries each is; one may occur several times, with other candidates.
        cells: (G, K) int64 raster indices, ascending, -1 in front where there are fewer than K; at least one each.
    """

    query: torch.Tensor
    cells: torch.Tensor


class Matcher(ABC):
    """Finds the position of each query in its target. A subclass with a `name` is registered when it is defined.

    Attributes:
        name: the name by which a `Task` asks for it.
        needs_candidates: whether queries choose among candidate points of the dataset; else all cells are searched.
        is_subcell: whether positions are float32 and may be between cells; else they are int64 cells.
        gives_best: whether its similarity is that of the best valid cell of the map, wherever its positions are.

    Args:
        scoring: options of the evaluation.
    """

    name: ClassVar[str]
    needs_candidates: ClassVar[bool] = False
    is_subcell: ClassVar[bool] = False
    gives_best: ClassVar[bool] = False

    def __init_subclass__(cls) -> None:
        if "name" in vars(cls):
            known = _MATCHERS.setdefault(cls.name, cls)
            if (known.__module__, known.__qualname__) != (cls.__module__, cls.__qualname__):
                raise UsageError(f"Two matchers are named {cls.name!r}: {known.__module__} and {cls.__module__}.")

    def __init__(self, scoring: ScoringConfig) -> None:
        self.scoring = scoring

    @abstractmethod
    def match(self, scores: TargetScores, candidates: CandidateQueries | None) -> tuple[torch.Tensor, torch.Tensor]:
        """Where the queries are found.

        Args:
            scores: of Q queries.
            candidates: of G queries, for a matcher that needs them; else None.

        Returns:
            ((N, 2) [column, row], (N,) float32 similarity there), N = G with candidates, else Q.
        """

    def reach(self) -> int | None:
        """How far from the best cell the positions may be, in cells on each axis: 0 = that cell, or a candidate.

        None = anywhere on the map; so it is for a matcher of subcell positions that does not say more. What is checked
        of predictions of others follows from this, see `consistency`.
        """
        return None if self.is_subcell else 0

    def values_per_query(self, cells: int) -> int:
        """Numbers of 4 bytes that `match` takes per query on maps of so many cells, beside the similarities."""
        return 0


_MATCHERS: dict[str, type[Matcher]] = {}


def matcher_class(name: str) -> type[Matcher]:
    """The matcher of this name. Raises `UsageError` for an unknown one (the closest are named)."""
    if name not in _MATCHERS:
        folder = importlib.import_module(__package__)
        for module in pkgutil.iter_modules(folder.__path__, f"{__package__}."):
            importlib.import_module(module.name)
    if name not in _MATCHERS:
        raise unknown_name("matcher", name, _MATCHERS)
    return _MATCHERS[name]
