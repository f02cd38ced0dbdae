"""The record of one downstream task: a number with the count behind it, and everything that decided it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import Field
from typing_extensions import TypedDict

from ..records.base import Record
from ..records.fields import OPEN, Nested, Shape
from ..records.ranking import Headline


class Measured(TypedDict):
    """One number: its value (None where there is nothing to score), what it rests on, its unit."""

    __pydantic_config__ = OPEN  # type: ignore[misc]
    value: float | None
    count: Annotated[int, Field(ge=0)]
    unit: str


class DownstreamResult(Record):
    """One task of one model on one data set under one protocol.

    Attributes:
        task: name of the task.
        protocol: {"name", "choices", "default": whether it is the task's default}.
        subset: {"images", "seed"} where only a part was used; None = all.
        headline_metric: which of `metrics` is the task's number.
        metrics: name -> {"value", "count", "unit"}, in the unit it says.
        reason: why there is no number; "" where there is one.
        left_out: why -> how many samples.
        training: losses per epoch, last and best, hash of the head; None without training.
        details: per class, per angle bin ...
        remarks: to be said with the number.
        foreign: whether predictions of somebody else were scored.
        seed: of everything that was drawn.

    The other attributes are those of `base.Record`.
    """

    kind: ClassVar[str] = "downstream"
    noun: ClassVar[str] = "downstream record"
    data: ClassVar[str] = ""
    restore: ClassVar[str] = "run the task again"

    task: str
    protocol: Nested
    subset: Nested | None = None
    headline_metric: str
    metrics: Annotated[dict[str, Any], Shape(dict[str, Measured])]
    reason: str = ""
    left_out: Annotated[dict[str, int], Shape(dict[str, int])]
    training: Nested | None = None
    details: Nested
    remarks: list[str]
    foreign: bool = False
    seed: int

    @property
    def value(self) -> float | None:
        """The task's number in its unit, None where there is none."""
        found = self.metrics.get(self.headline_metric)
        return None if found is None else found["value"]

    @property
    def headline(self) -> Headline:
        found = self.metrics.get(self.headline_metric, {"unit": ""})
        unit = "" if found["unit"] == "percent" else found["unit"]
        return Headline(f"{self.task} {self.headline_metric}{self.marks()}", self.value, unit or "%")

    def marks(self) -> str:
        """What sets the number apart from the default one: protocol, subset, synthetic data, foreign predictions."""
        marks = [] if self.protocol["default"] else [self.protocol["name"]]
        marks += ["synthetic data"] if self.dataset.get("synthetic") else []
        marks += [f"subset {self.subset['images']}, seed {self.subset['seed']}"] if self.subset else []
        marks += ["foreign predictions"] if self.foreign else []
        return f" ({'; '.join(marks)})" if marks else ""

    def flat(self, short: bool = False) -> dict[str, float]:
        """Names -> numbers: of the headline, or of every metric, as `task.metric`."""
        names = [self.headline_metric] if short else list(self.metrics)
        values = {f"{self.task}.{name}": self.metrics[name]["value"] for name in names if name in self.metrics}
        return {name: value for name, value in values.items() if value is not None}


def identity_of(fields: Mapping[str, Any]) -> dict[str, Any]:
    """What must be the same for a finished record, or a begun training, to stand for a run.

    That is the model and how it is used (statistics, norm ...; not the device), data, protocol, subset and seed.
    """
    return {
        "task": fields["task"],
        "model": {name: value for name, value in fields["model"].items() if name != "device"},
        "data": fields["dataset"]["content_hash"],
        "protocol": fields["protocol"],
        "subset": fields["subset"],
        "seed": fields["seed"],
    }
