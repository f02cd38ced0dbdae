"""inspect-ai's view of the score: is the letter right, and is it right in all orderings of its question.

`soco lvlm score` gives the score to publish (both parsers, categories, intervals); these two numbers agree with it.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from inspect_ai.scorer import (
    CORRECT,
    INCORRECT,
    Metric,
    SampleScore,
    Score,
    Scorer,
    Target,
    accuracy,
    metric,
    scorer,
    value_to_float,
)
from inspect_ai.solver import TaskState

from ..errors import unknown_name
from .answers import PARSERS

ORDERINGS = 4


@metric
def circular_accuracy() -> Metric:
    """The part of questions that are right in all their four orderings; one with an ordering missing is not right."""
    to_float = value_to_float()

    def compute(scores: list[SampleScore]) -> float:
        groups: dict[Any, list[bool]] = defaultdict(list)
        for item in scores:
            groups[(item.sample_metadata or {}).get("g_index")].append(to_float(item.score.value) == 1)
        if not groups:
            return float("nan")
        return sum(len(rights) == ORDERINGS and all(rights) for rights in groups.values()) / len(groups)

    return compute


@scorer(metrics=[accuracy(), circular_accuracy()])
def letter(parser: str = "strict") -> Scorer:
    """Whether the letter read from the answer is the right one.

    Args:
        parser: "strict" or "paper", see `answers`.

    Raises:
        UsageError: an unknown parser.
    """
    if parser not in PARSERS:
        raise unknown_name("parser", parser, PARSERS)
    read = PARSERS[parser]

    async def score(state: TaskState, target: Target) -> Score:
        found = read(state.output.completion)
        return Score(
            value=CORRECT if found == target.text else INCORRECT,
            answer=found or "",
            explanation=state.output.completion,
        )

    return score
