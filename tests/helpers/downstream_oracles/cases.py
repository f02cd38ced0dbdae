"""Cases of the downstream oracles, and the comparison of what is computed with what they expect."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

COMMITTED = Path(__file__).resolve().parents[2] / "data" / "downstream" / "oracles"
FOLDER = Path(os.environ.get("SOCO_ORACLES") or COMMITTED)


@dataclass(frozen=True)
class Case:
    """One case: inputs by name, expected values by name, what its note says, its tolerance."""

    inputs: Mapping[str, NDArray[Any]]
    expected: Mapping[str, Any]
    note: str
    tolerance: float

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self.inputs[name]

    def __contains__(self, name: str) -> bool:
        return name in self.inputs


@dataclass(frozen=True)
class Solver:
    """What computes expected values: chosen by the folder, the inputs it needs and the values it gives.

    Attributes:
        folder: of the cases, as `pose`.
        inputs: names that must all be there.
        gives: whether it computes an expected value of this name.
        compute: case -> values by the names that the case expects.
    """

    folder: str
    inputs: frozenset[str]
    gives: Callable[[str], bool]
    compute: Callable[[Case], dict[str, Any]]

    def fits(self, folder: str, case: Case) -> bool:
        return folder == self.folder and self.inputs <= set(case.inputs) and any(map(self.gives, case.expected))


def case_names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder).with_suffix("")) for path in folder.glob("*/*.json"))


def load_case(folder: Path, name: str) -> Case:
    content = json.loads((folder / f"{name}.json").read_text())
    arrays = folder / f"{name}.npz"
    inputs: dict[str, NDArray[Any]] = {}
    if arrays.exists():
        with np.load(arrays) as file:
            inputs = {key: file[key] for key in file.files}
    return Case(inputs, content["expected"], content.get("note", ""), float(content.get("tolerance", 1e-6)))


def differences(actual: Any, expected: Any, tolerance: float, where: str) -> tuple[int, list[str]]:
    """(values compared, what differs) of nested values; names in `expected` that `actual` lacks are not compared."""
    if isinstance(expected, Mapping):
        if not isinstance(actual, Mapping):
            return 1, [f"{where}: {actual!r} instead of {expected!r}"]
        parts = [differences(actual[k], v, tolerance, f"{where}.{k}") for k, v in expected.items() if k in actual]
        return sum(part[0] for part in parts), [line for part in parts for line in part[1]]
    if isinstance(expected, list) and any(one is None or isinstance(one, (Mapping, list)) for one in expected):
        if len(actual) != len(expected):
            return 1, [f"{where}: {len(actual)} values instead of {len(expected)}"]
        pairs = zip(actual, expected, strict=True)
        parts = [differences(a, e, tolerance, f"{where}[{i}]") for i, (a, e) in enumerate(pairs)]
        return sum(part[0] for part in parts), [line for part in parts for line in part[1]]
    if expected is None or isinstance(expected, str):
        return 1, [] if actual == expected else [f"{where}: {actual!r} instead of {expected!r}"]
    if actual is None:
        return 1, [f"{where}: None instead of {expected!r}"]
    wanted, found = np.asarray(expected, dtype=np.float64), np.asarray(actual, dtype=np.float64)
    if wanted.size == found.size == 0:  # an empty list has lost its other axes
        return 1, []
    if wanted.shape != found.shape:
        return 1, [f"{where}: shape {found.shape} instead of {wanted.shape}"]
    off = ~(np.abs(found - wanted) <= tolerance * np.maximum(1, np.abs(wanted)))
    off &= ~(np.isnan(found) & np.isnan(wanted))
    if off.any():
        worst = np.abs(found - wanted)[off].max()
        return 1, [
            f"{where}: {int(off.sum())} of {off.size} values differ, by up to {worst:.3g} (tolerance {tolerance})"
        ]
    return 1, []
