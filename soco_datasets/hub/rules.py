"""A leaderboard as it stands on the Hub, and what it asks of each kind of record. `board` reads it, `kind` heeds it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol


class Rules(Protocol):
    """What a leaderboard asks of one kind of record: a frozen dataclass whose defaults are SOCO's rules."""

    @property
    def tasks(self) -> tuple[str, ...]:
        """That a submission must have; other tasks go in where a record has them."""

    @property
    def measure(self) -> str:
        """What the ranked number is, with its unit."""

    @property
    def advice(self) -> str:
        """How to make a record that fits."""

    def violations(self, record: Any) -> list[str]:
        """Why a record does not fit, one sentence a reason."""

    def percent(self, record: Any, task: str, subset: str) -> float | None:
        """The ranked number, 0 to 100 with four decimals; None where the record has none."""


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


def read_rules(rules: type[Any], fields: Any) -> Rules:
    """Rules from JSON fields, those left out at SOCO's value. Raises `ValueError` naming what is wrong."""
    if not isinstance(fields, dict):
        raise ValueError(f"{json.dumps(fields)} are no rules")
    given = {name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}
    known = {field.name: type(field.default) for field in dataclasses.fields(rules)}
    if wrong := [name for name, value in given.items() if type(value) is not known.get(name)]:
        raise ValueError(", ".join(wrong))
    made: Rules = rules(**given)
    return made
