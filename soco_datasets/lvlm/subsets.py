"""Parts of the questions: some categories, a balanced draw of each category, the first few."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

from ..errors import UsageError, unknown_name
from .prompted import PromptedQuestions


@dataclass(frozen=True)
class SubsetOptions:
    """Which questions of a setting are taken; the defaults take all.

    Attributes:
        categories: only these; () = all.
        per_category: so many of each category, drawn; a category with fewer gives all it has. None = all.
        seed: of the draw, which depends on the questions alone: every setting gets the same ones.
        limit: only the first so many of what is left; None = all.

    Raises:
        UsageError: a number below 1.
    """

    categories: tuple[str, ...] = ()
    per_category: int | None = None
    seed: int = 0
    limit: int | None = None

    def __post_init__(self) -> None:
        if self.per_category is not None and self.per_category < 1:
            raise UsageError(f"--per-category is at least 1; got {self.per_category}.")

    @classmethod
    def from_texts(
        cls, category: str | None, per_category: int | None, seed: int | None, limit: int | None
    ) -> SubsetOptions:
        """From the options of the command line; `category` has names separated by commas."""
        names = tuple(name.strip() for name in (category or "").split(",") if name.strip())
        return cls(names, per_category, seed or 0, limit)


def question_subset(asked: PromptedQuestions, options: SubsetOptions) -> PromptedQuestions:
    """The part of the questions, each with its four orderings, in their order.

    Raises:
        UsageError: a category without questions, or a limit below 1.
    """
    groups = {row["g_index"]: row for row in asked.rows}
    known = sorted({str(row["category"]) for row in asked.rows})
    for name in options.categories:
        if name not in known:
            raise unknown_name("category of the questions", name, known)
    chosen = [g for g, row in groups.items() if not options.categories or row["category"] in options.categories]
    if options.per_category is not None:
        by_category: dict[str, list[str]] = {}
        for g_index in chosen:
            by_category.setdefault(groups[g_index]["category"], []).append(g_index)
        drawn: set[str] = set()
        for category, own in by_category.items():
            own.sort(key=lambda g: _rank(options.seed, category, groups[g]["question_id"] or g))
            drawn.update(own[: options.per_category])
        chosen = [g_index for g_index in chosen if g_index in drawn]
    part = asked if len(chosen) == len(groups) else asked.only(chosen)
    return part.first(options.limit)


def _rank(*key: int | str) -> bytes:
    return hashlib.sha256(json.dumps(["soco-lvlm-subset-1", *key]).encode()).digest()
