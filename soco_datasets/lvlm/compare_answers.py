"""Two vision-language models on the same questions: is the difference real?

    difference = score of B - score of A, over the questions that both answered in all orderings

Both are scored on the same resamples of the questions (within categories), so that easy and hard questions cancel out.
The exact test counts the questions that only one of them gets right: without a difference each side is equally likely
(McNemar's test for circular; the sign test over questions for average).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from ..errors import UsageError
from ..records.intervals import LEVEL, RESAMPLES, check_resampling
from .answer_table import answers_of, questions_of, read_answers_header, read_answers_table
from .answers import PARSERS
from .circular_scores import MEASURES, ORDERINGS, question_scores, resampled_differences

_SUFFIX = ".answers.parquet"


def is_answers(path: Path) -> bool:
    """Whether a file is an answers table, or a record with one beside it."""
    return path.name.endswith(_SUFFIX) or path.with_name(f"{path.stem}{_SUFFIX}").is_file()


def read_answers_side(path: Path) -> pa.Table:
    """The answers of a record, or of an answers table itself. Raises `PredictionsError` where there are none."""
    return read_answers_table(path if path.name.endswith(_SUFFIX) else path.with_name(f"{path.stem}{_SUFFIX}"))


def compare_answers(
    a: pa.Table, b: pa.Table, *, resamples: int = RESAMPLES, seed: int = 0, level: float = LEVEL
) -> dict[str, Any]:
    """The difference B - A of circular and average accuracy, per parser and setting.

    Args:
        a, b: answers tables of the same questions.
        resamples, seed, level: of the bootstrap.

    Returns:
        JSON values: `{"a", "b": names of the models, "dataset", "level", "resamples", "seed", "settings": {setting:
        {parser: {measure: {"a", "b", "difference": fractions, "interval": [low, high] or None, "sign": 1, -1 or 0 (None
        without an interval), "only_a", "only_b": questions that only this side gets right (circular) or of which it has
        more orderings right (average), "p": of the exact test, two-sided, "questions"}}}}}`.

    Raises:
        UsageError: other questions, no setting in common, no question that both answered, or options out of range.
    """
    check_resampling(resamples, seed, level)
    headers = read_answers_header(a), read_answers_header(b)
    hashes = [header.dataset.get("questions") for header in headers]
    if hashes[0] != hashes[1]:
        raise UsageError(
            f"A and B answered other questions (hash {str(hashes[0])[:12]} and {str(hashes[1])[:12]}). Ask both models "
            "the questions of one dataset."
        )
    scores = {
        parser: [question_scores(questions_of(side), answers_of(side), parser) for side in (a, b)] for parser in PARSERS
    }
    shared = [setting for setting in headers[0].settings if setting in headers[1].settings]
    if not shared:
        raise UsageError(
            f"A and B have no setting in common ({', '.join(headers[0].settings)}; {', '.join(headers[1].settings)})."
        )
    settings: dict[str, Any] = {}
    for setting in shared:
        for parser, (first, second) in scores.items():
            both = sorted(first[setting].keys() & second[setting].keys())
            if not both:
                raise UsageError(f"A and B have no question of the setting {setting} that both answered.")
            sides = [{key: side[setting][key] for key in both} for side in (first, second)]
            differences = resampled_differences(sides[0], sides[1], resamples, seed, level)
            settings.setdefault(setting, {})[parser] = {
                measure: _difference(sides[0], sides[1], measure, differences) for measure in MEASURES
            }
    return {
        "a": headers[0].model.get("name"),
        "b": headers[1].model.get("name"),
        "dataset": headers[0].dataset,
        "level": level,
        "resamples": resamples,
        "seed": seed,
        "settings": settings,
    }


def _difference(
    first: Mapping[tuple[str, str], int], second: Mapping[tuple[str, str], int], measure: str, gap: Mapping[str, Any]
) -> dict[str, Any]:
    """One measure; `first` and `second` have the same questions."""

    def value(right: int) -> int:
        return int(right == ORDERINGS) if measure == "circular" else right

    values = [[value(side[key]) for key in first] for side in (first, second)]
    parts = 1 if measure == "circular" else ORDERINGS
    only_a = sum(x > y for x, y in zip(*values, strict=True))
    only_b = sum(y > x for x, y in zip(*values, strict=True))
    interval = gap[f"{measure}_interval"]
    return {
        "a": sum(values[0]) / (len(first) * parts),
        "b": sum(values[1]) / (len(first) * parts),
        "difference": gap[measure],
        "interval": interval,
        "sign": None if interval is None else (interval[0] > 0) - (interval[1] < 0),
        "only_a": only_a,
        "only_b": only_b,
        "p": exact_p(only_a, only_b),
        "questions": len(first),
    }


def exact_p(only_a: int, only_b: int) -> float:
    """Two-sided exact binomial p that `only_a` and `only_b` differ so much or more when both are equally likely.

    >>> exact_p(0, 0), exact_p(1, 9), exact_p(5, 5)
    (1.0, 0.021484375, 1.0)
    """
    number = only_a + only_b
    tail = sum(math.comb(number, k) for k in range(min(only_a, only_b) + 1))
    return min(1.0, 2 * tail / 2**number)
