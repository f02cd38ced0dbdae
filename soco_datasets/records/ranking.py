"""What a leaderboard asks of records: tasks, rules, published scores, and the leaderboard itself.."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..benchmarks.soco.benchmark import BENCHMARK
from ..errors import PredictionsError

OVERALL = "overall"
RECORD_FILE = "record.json"  # the name of a record in a submission
PERCENT = "percent"
RANKED_SUBSETS = (OVERALL, *BENCHMARK.subsets)
_MOST_RESAMPLES = 100_000


@dataclass(frozen=True)
class Headline:
    """The one number of a record that a person asks for first.

    Attributes:
        name: what it is, such as "SOC PCK@0.1".
        value: in `unit`; None where there is nothing to score.
        unit: "percent", "m", "degrees" ...
        higher_is_better: the direction.
    """

    name: str
    value: float | None
    unit: str = PERCENT
    higher_is_better: bool = True

    def __str__(self) -> str:
        if self.value is None:
            return f"{self.name} -"
        return f"{self.name} {self.value:.2f}%" if self.unit == PERCENT else f"{self.name} {self.value:.4g} {self.unit}"


@dataclass(frozen=True)
class RankedTask:
    """One column of a leaderboard.

    Attributes:
        title: in tables.
        metric: which number of `metrics[task]` is ranked; "" where `metrics[task]` is the number itself.
        unit: of the ranked number. For "percent" the record holds a fraction, which is shown times 100.
        higher_is_better: the direction.
    """

    title: str
    metric: str = ""
    unit: str = PERCENT
    higher_is_better: bool = True

    def shown(self, value: float | None) -> float | None:
        """A number of a record as the leaderboard has it: percent with four decimals, other units as they are."""
        return None if value is None else round(100 * value, 4) if self.unit == PERCENT else value

    def is_possible(self, value: object) -> bool:
        """Whether something that is stated can be a number of this task."""
        number = isinstance(value, int | float) and not isinstance(value, bool)
        low, high = (0.0, 100.0) if self.unit == PERCENT else (-1e300, 1e300)
        return number and low <= value <= high  # type: ignore[operator]  # a number; NaN is outside


@dataclass(frozen=True)
class PublishedScore:
    """A model of a paper: (task, "overall" or supercategory) -> value in the task's unit."""

    model: str
    notes: str
    scores: dict[tuple[str, str], float]


@dataclass(frozen=True)
class Rules:
    """What a leaderboard asks of one kind of record. Kinds with more rules derive from it; defaults are SOCO's.

    Attributes:
        tasks: that a submission must have; other tasks are included where a record has them.
    """

    tasks: tuple[str, ...] = ()

    @property
    def measure(self) -> str:
        """What the ranked number is, with its unit."""
        return "scores"

    @property
    def advice(self) -> str:
        """How to make a record that fits."""
        return "Evaluate again on the leaderboard's dataset."

    def violations(self, record: Any) -> list[str]:
        """Why a record does not fit, one sentence per reason; empty where it does."""
        if missing := [task for task in self.tasks if self.score(record, task, OVERALL) is None]:
            return [f"it lacks the task(s) {', '.join(missing)}"]
        return []

    def score(self, record: Any, task: str, subset: str) -> float | None:
        """The ranked number of a task in its unit; None where the record has none."""
        found: float | None = record.score(task, subset)
        return found


@dataclass(frozen=True)
class Leaderboard:
    """A leaderboard as it stands on the Hub.

    Attributes:
        repo: of the dataset, "ORG/NAME".
        revision: commit, 40 hexadecimal digits.
        content_hash: of the data at that commit.
        source: what the data was built from, such as the id of the SOCO release.
        task_ids: of `eval.yaml`.
        rules: of each kind of record, by its name.
        questions: setting -> rows of its questions for vision-language models.
        questions_hash: of all of those, "" where there are none.
    """

    repo: str
    revision: str
    content_hash: str
    source: str
    task_ids: tuple[str, ...]
    rules: Mapping[str, Rules]
    questions: Mapping[str, int] = field(default_factory=dict)
    questions_hash: str = ""

    def rules_for(self, record: Any) -> Rules:
        """The rules for a record or a class of them; the defaults of the kind where the leaderboard states none."""
        found: Rules = self.rules.get(record.kind) or record.rules()
        return found


def read_rules(rules: type[Rules], fields: Any) -> Rules:
    """Rules from JSON fields, those left out at SOCO's value. Raises `ValueError` naming what is wrong."""
    if not isinstance(fields, dict):
        raise ValueError(f"{json.dumps(fields)} are not rules")
    given = {name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}
    known = {field.name: type(field.default) for field in dataclasses.fields(rules)}
    if wrong := [name for name, value in given.items() if type(value) is not known.get(name)]:
        raise ValueError(", ".join(wrong))
    return rules(**given)


def bootstrap_of(stated: Mapping[str, Any]) -> tuple[int, int]:
    """(resamples, seed) that a record states. Raises `PredictionsError` where they cannot be meant."""
    resamples, seed = stated.get("resamples"), stated.get("seed")
    whole = all(isinstance(value, int) and not isinstance(value, bool) for value in (resamples, seed))
    if not whole or not 0 <= resamples <= _MOST_RESAMPLES:  # type: ignore[operator]  # `whole` says it is a number
        raise PredictionsError(f"the record's intervals state {resamples!r} resamples with seed {seed!r}")
    return int(resamples or 0), int(seed or 0)
