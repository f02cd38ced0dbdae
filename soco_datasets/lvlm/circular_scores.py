"""Answers -> scores. A pure function: the same rows and answers give the same report, byte for byte.

average   the share of rows answered right
circular  the share of questions right in all their four orderings (CircularEval, MMBench)

Every share comes with the number of questions and of rows per question behind it. An answer that cannot be read is
wrong, and counted. Intervals are percentiles of a bootstrap over questions within each category: questions are what was
sampled, their orderings are one draw. At 0 % and 100 % they are Wilson's. A gap between two settings is taken over the
questions that both have, resampled together, so that what makes a question hard in both does not widen it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data.questions.generation import LETTERS, SETTINGS, questions_hash
from ..errors import PredictionsError, unknown_name
from ..records.intervals import (
    LEVEL,
    RESAMPLES,
    check_resampling,
    interval,
    multiplicities,
)
from .answers import PARSERS, STATUSES, status_of
from .share_interval import wilson_interval

SCORES_VERSION = 2
ORDERINGS = len(LETTERS)
MEASURES = ("average", "circular")
_SHOWN = 5

AnswerRow = Mapping[str, Any]
Key = tuple[str, str]  # setting, index
Parser = Callable[[object], str | None]


@dataclass(frozen=True)
class Answer:
    """The answer of a model to one row.

    Attributes:
        text: its words, None where there are none.
        outcome: how asking ended, where that says more ("refused", "no_context").
        key: hash of all that the model saw, None where that is not known.
    """

    text: str | None
    outcome: str = "answered"
    key: str | None = None


@dataclass(frozen=True)
class _Group:
    """One question of a setting: its rows by ordering."""

    category: str
    supercategory: str | None
    key: str  # the same in every setting
    right: int  # of its four orderings

    @property
    def circular(self) -> int:
        return int(self.right == ORDERINGS)


def score_answers(
    rows: Iterable[AnswerRow],
    answers: Mapping[Key, Answer],
    *,
    judged: Mapping[Key, str] | None = None,
    partial: bool = False,
    resamples: int = RESAMPLES,
    seed: int = 0,
    level: float = LEVEL,
) -> dict[str, Any]:
    """The report of a model.

    Args:
        rows: of the config `lvlm`, of one or more settings.
        answers: (setting, index) -> the answer to that row.
        judged: letters that a judge model read from answers; a third parser, "judge", then takes them where `strict`
            reads none.
        partial: leave out questions without an answer to all four orderings, and say how many, instead of refusing.
        resamples, seed, level: of the bootstrap.

    Returns:
        JSON values only. `parsers[name].settings[setting]` has `overall`, `per_category`, `per_supercategory`,
        `statuses`, `parse_failures` and `letters`; `parsers[name].gaps["vis_desc-vis"]` the differences. Shares are
        fractions, None with a count of 0 where there is nothing to score.

    Raises:
        PredictionsError: a question without its four orderings, an ordering without an answer, an answer to a row that
            there is not.
        UsageError: options of the bootstrap out of range, or a setting that there is not.
    """
    check_resampling(resamples, seed, level)
    grouped = group_rows(rows)
    left_out = _check_answers(grouped, answers, partial)
    resampling = _Resampling(resamples, seed, level)
    kept = {s: {g: part for g, part in groups.items() if (s, g) not in left_out} for s, groups in grouped.items()}
    parsers: dict[str, Callable[[Key], str | None]] = {
        name: _reader(parser, answers) for name, parser in PARSERS.items()
    }
    if judged is not None:
        strict = parsers["strict"]
        parsers["judge"] = lambda key: strict(key) or judged.get(key)
    return {
        "soco_lvlm_scores": SCORES_VERSION,
        "questions_hash": questions_hash(
            row for groups in grouped.values() for part in groups.values() for row in part
        ),
        "orderings": ORDERINGS,
        "left_out": {s: sum(setting == s for setting, _ in left_out) for s in grouped} if partial else None,
        "bootstrap": {"over": "questions within categories", "resamples": resamples, "seed": seed, "level": level},
        "parsers": {name: _report(kept, answers, read, resampling) for name, read in parsers.items()},
    }


def group_rows(rows: Iterable[AnswerRow]) -> dict[str, dict[str, list[AnswerRow]]]:
    """setting -> g_index -> its four rows by ordering; settings in the order of `SETTINGS`.

    Raises:
        PredictionsError: naming every question that has not each ordering once, or rows of two questions.
        UsageError: a setting that there is not.
    """
    found: dict[str, dict[str, list[AnswerRow]]] = {}
    for row in rows:
        if row["setting"] not in SETTINGS:
            raise unknown_name("setting", row["setting"], SETTINGS)
        found.setdefault(row["setting"], {}).setdefault(row["g_index"], []).append(row)
    wrong: list[str] = []
    for setting, groups in found.items():
        for g_index, part in groups.items():
            part.sort(key=lambda row: int(row["ordering"]))
            if problem := _group_problem(part):
                wrong.append(f"{setting}: g_index {g_index}: {problem}")
        indices = Counter(row["index"] for part in groups.values() for row in part)
        wrong += [f"{setting}: index {index} comes {n} times" for index, n in indices.items() if n > 1]
    if wrong:
        raise PredictionsError(
            f"{len(wrong)} question(s) cannot be scored, {first_items(wrong)}. "
            f"CircularEval needs every question in its {ORDERINGS} orderings; get the questions again."
        )
    return {setting: found[setting] for setting in SETTINGS if setting in found}


def _group_problem(part: Sequence[AnswerRow]) -> str:
    """What keeps a question from being scored, "" for nothing."""
    orderings = [int(row["ordering"]) for row in part]
    if orderings != list(range(ORDERINGS)):
        missing = sorted(set(range(ORDERINGS)) - set(orderings))
        return f"ordering {missing[0]} is missing" if missing else f"{len(part)} rows instead of {ORDERINGS}"
    if len({(row["category"], row["question_id"]) for row in part}) > 1:
        return "its rows are of two questions"
    outside = [row["answer"] for row in part if row["answer"] not in tuple(LETTERS)]
    if outside:
        return f"its answer {outside[0]!r} is none of A to D"
    if len({row["answer"] for row in part}) != ORDERINGS:
        return "two orderings have the same answer"
    return ""


def _check_answers(
    grouped: Mapping[str, Mapping[str, Sequence[AnswerRow]]], answers: Mapping[Key, Answer], partial: bool
) -> set[Key]:
    """(setting, g_index) of the questions that are left out; raises `PredictionsError` as `score_answers` says."""
    known = {(setting, row["index"]) for setting, groups in grouped.items() for part in groups.values() for row in part}
    check_known(answers, known)
    missing = {
        (setting, g_index): [row["index"] for row in part if (setting, row["index"]) not in answers]
        for setting, groups in grouped.items()
        for g_index, part in groups.items()
    }
    missing = {key: indices for key, indices in missing.items() if indices}
    if missing and not partial:
        named = [f"{s} g_index {g} (index {', '.join(indices)})" for (s, g), indices in missing.items()]
        raise PredictionsError(
            f"{len(missing)} question(s) lack the answer to an ordering, {first_items(named)}. "
            "Run the model again to ask what is missing, or score the answered questions alone with --partial."
        )
    return set(missing)


def check_known(answers: Iterable[Key], known: Container[Key]) -> None:
    """Raise `PredictionsError` where an answer is to a row that there is not."""
    unknown = [f"{setting} index {index}" for setting, index in answers if (setting, index) not in known]
    if unknown:
        raise PredictionsError(
            f"{len(unknown)} answer(s) are to rows that the questions do not have, {first_items(unknown)}. "
            "They are of other questions: give the data they were asked from."
        )


def _reader(parser: Parser, answers: Mapping[Key, Answer]) -> Callable[[Key], str | None]:
    return lambda key: parser(answers[key].text) if answers[key].outcome == "answered" else None


def _status(answer: Answer, letter: str | None) -> str:
    if letter is None and answer.outcome in STATUSES and answer.outcome != "read":
        return answer.outcome
    return status_of(answer.text, letter)


@dataclass(frozen=True)
class _Resampling:
    resamples: int
    seed: int
    level: float

    def sums(self, categories: Sequence[str], values: NDArray[np.int64]) -> NDArray[np.float64]:
        """(M, B) resampled means of (M, N) values of N questions, sorted by category: categories keep their share."""
        names, starts, counts = np.unique(np.array(categories, dtype=object), return_index=True, return_counts=True)
        strata = [(str(name), int(count)) for name, count in zip(names, counts, strict=True)]
        weights = multiplicities(strata, self.resamples, self.seed).astype(np.float64)
        means = np.zeros((len(values), self.resamples))
        for start, count in zip(starts.tolist(), counts.tolist(), strict=True):  # sums of whole numbers are exact
            own = slice(start, start + count)
            means += values[:, own].astype(np.float64) @ weights[own] / weights[own].sum(axis=0) * count
        return means / len(categories)

    def interval(self, resampled: NDArray[np.float64], categories: Sequence[str]) -> list[float] | None:
        """None where no category has two questions: one alone says nothing about spread."""
        return interval(resampled, self.level) if len(categories) > len(set(categories)) else None


def question_scores(
    rows: Iterable[AnswerRow], answers: Mapping[Key, Answer], parser: str
) -> dict[str, dict[tuple[str, str], int]]:
    """setting -> (category, question) -> how many of its four orderings are right, of the questions answered in all.

    Args:
        rows, answers: as of `score_answers`.
        parser: of `answers.PARSERS`.
    """
    grouped = group_rows(rows)
    left_out = _check_answers(grouped, answers, partial=True)
    read = _reader(PARSERS[parser], answers)
    found: dict[str, dict[tuple[str, str], int]] = {}
    for setting, groups in grouped.items():
        keys = _question_keys(groups)
        found[setting] = {
            (str(part[0]["category"]), keys[g_index]): sum(read((setting, r["index"])) == r["answer"] for r in part)
            for g_index, part in groups.items()
            if (setting, g_index) not in left_out
        }
    return found


def resampled_differences(
    first: Mapping[tuple[str, str], int], second: Mapping[tuple[str, str], int], resamples: int, seed: int, level: float
) -> dict[str, Any]:
    """What the second has over the first, over the questions both have; see `_gap`.

    Args:
        first, second: (category, question) -> right orderings.
        resamples, seed, level: of the bootstrap.
    """
    sides = [
        [_Group(category, None, key, right) for (category, key), right in sorted(side.items())]
        for side in (first, second)
    ]
    return _gap(sides[0], sides[1], _Resampling(resamples, seed, level))


def _report(
    grouped: Mapping[str, Mapping[str, Sequence[AnswerRow]]],
    answers: Mapping[Key, Answer],
    read: Callable[[Key], str | None],
    resampling: _Resampling,
) -> dict[str, Any]:
    """What one parser gives."""
    settings: dict[str, Any] = {}
    scored: dict[str, list[_Group]] = {}
    for setting, groups in grouped.items():
        letters = {row["index"]: read((setting, row["index"])) for part in groups.values() for row in part}
        keys = _question_keys(groups)
        scored[setting] = sorted(
            (
                _Group(
                    str(part[0]["category"]),
                    part[0]["supercategory"],
                    keys[g_index],
                    sum(letters[row["index"]] == row["answer"] for row in part),
                )
                for g_index, part in groups.items()
            ),
            key=lambda group: (group.category, group.key),
        )
        statuses = Counter(_status(answers[setting, index], letter) for index, letter in letters.items())
        settings[setting] = {
            **_breakdown(scored[setting], resampling),
            "statuses": {status: statuses[status] for status in STATUSES},
            "parse_failures": _share(len(letters) - statuses["read"], len(letters)),
            "letters": _letters(letters.values()),
        }
    gaps = {
        f"{second}-{first}": _gap(scored[first], scored[second], resampling)
        for first, second in combinations(settings, 2)
    }
    return {"settings": settings, "gaps": gaps}


def _breakdown(groups: Sequence[_Group], resampling: _Resampling) -> dict[str, Any]:
    parents = sorted({group.supercategory for group in groups if group.supercategory is not None})
    return {
        "overall": _summary(groups, resampling),
        "per_supercategory": {
            name: _summary([g for g in groups if g.supercategory == name], resampling) for name in parents
        },
        "per_category": {
            name: _summary([g for g in groups if g.category == name], resampling)
            for name in sorted({group.category for group in groups})
        },
    }


def _values(groups: Sequence[_Group]) -> NDArray[np.int64]:
    """(2, N): right orderings and whether all are, of each question."""
    return np.array([[g.right for g in groups], [g.circular for g in groups]], dtype=np.int64).reshape(2, len(groups))


def _summary(groups: Sequence[_Group], resampling: _Resampling) -> dict[str, Any]:
    """The shares of some questions, sorted by category."""
    number = len(groups)
    values = _values(groups)
    found: dict[str, Any] = {"groups": number, "rows": number * ORDERINGS, "rows_per_group": ORDERINGS}
    categories = [g.category for g in groups]
    resampled = resampling.sums(categories, values) if number > 1 else np.zeros((2, 0))
    for measure, value, parts, again in zip(MEASURES, values, (ORDERINGS, 1), resampled, strict=True):
        found[measure] = _share(int(value.sum()), number * parts)
        found[f"{measure}_interval"] = resampling.interval(again / parts, categories)
        resamples_say_nothing = found[measure] in (0.0, 1.0) or found[f"{measure}_interval"] is None
        if number > 1 and resamples_say_nothing:  # all equal, or one question of each category
            found[f"{measure}_interval"] = wilson_interval(found[measure], number, resampling.level)
    return found


def _gap(first: Sequence[_Group], second: Sequence[_Group], resampling: _Resampling) -> dict[str, Any]:
    """What the second setting has over the first, over the questions both have."""
    others = {(group.category, group.key): group for group in second}
    pairs = [(group, others[group.category, group.key]) for group in first if (group.category, group.key) in others]
    number = len(pairs)
    found: dict[str, Any] = {"groups": number}
    difference = _values([b for _, b in pairs]) - _values([a for a, _ in pairs])
    categories = [a.category for a, _ in pairs]
    resampled = resampling.sums(categories, difference) if number > 1 else np.zeros((2, 0))
    for measure, value, parts, again in zip(MEASURES, difference, (ORDERINGS, 1), resampled, strict=True):
        found[measure] = _share(int(value.sum()), number * parts)
        found[f"{measure}_interval"] = resampling.interval(again / parts, categories)
    return found


def _question_keys(groups: Mapping[str, Sequence[AnswerRow]]) -> dict[str, str]:
    """g_index -> what names the question in every setting: its id, the g_index where ids name no single question."""
    ids = {g_index: part[0]["question_id"] for g_index, part in groups.items()}
    if None in ids.values() or len(set(ids.values())) < len(ids):
        return {g_index: g_index for g_index in ids}
    return {g_index: str(question_id) for g_index, question_id in ids.items()}


def _letters(letters: Iterable[str | None]) -> dict[str, Any]:
    """How often each letter was chosen (position bias): a right answerer gives each in a quarter of the rows."""
    counts = Counter(letters)
    read = sum(counts[letter] for letter in LETTERS)
    shares = {letter: _share(counts[letter], read) for letter in LETTERS}
    far = (
        None if not read else sum(abs(counts[letter] * ORDERINGS - read) for letter in LETTERS) / (2 * ORDERINGS * read)
    )
    return {
        "counts": {**{letter: counts[letter] for letter in LETTERS}, "none": counts[None]},
        "shares": shares,
        "distance_from_uniform": far,  # total variation: 0 = no bias, 0.75 = always the same letter
    }


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def first_items(items: Sequence[str]) -> str:
    """The first few of a list, for an error: "such as a; b and 3 more"."""
    shown = "; ".join(items[:_SHOWN])
    return f"such as {shown}" + (f" and {len(items) - _SHOWN} more" if len(items) > _SHOWN else "")
