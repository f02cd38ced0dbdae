"""Scores that papers print, one row per number: what a benchmark ships beside its data. No torch."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources


@dataclass(frozen=True)
class PaperScore:
    """One printed number.

    Attributes:
        table: of the paper, such as "2" or "r5".
        label: the row's name as printed.
        model: its name in `features.model_list.BACKBONES`, "" for methods that are no listed model.
        task: name of a task, or "mean" for an average over tasks.
        subset: "overall" or a supercategory.
        protocol: "nearest" (hard nearest neighbor), "soft" (window soft-argmax), "linear" (linear probe) or "geo"
            (candidates of the same concept); "" where the paper does not say.
        reduction: "pair", "keypoint", "pair_all" or "keypoint_all", "" where unknown.
        alpha: the PCK threshold, None where the paper does not say.
        percent: the number, 0 to 100.
        normalizer: what errors are divided by: "bbox" or "image".
        source: who states it; "" = the SOCO paper.
    """

    table: str
    label: str
    model: str
    task: str
    subset: str
    protocol: str
    reduction: str
    alpha: float | None
    percent: float
    normalizer: str = "bbox"
    source: str = ""


@lru_cache
def read_scores(package: str, file: str) -> tuple[PaperScore, ...]:
    """The rows of a CSV file inside a package, in order; columns are the fields of `PaperScore`."""
    text = resources.files(package).joinpath(file).read_text(encoding="utf-8")
    return tuple(_score(row) for row in csv.DictReader(text.splitlines()))


def _score(row: Mapping[str, str]) -> PaperScore:
    numbers = {"alpha": float(row["alpha"]) if row["alpha"] else None, "percent": float(row["percent"])}
    texts = {name: text for name, text in row.items() if name not in numbers}
    return PaperScore(**texts, **numbers)  # type: ignore[arg-type]  # the columns are the fields
