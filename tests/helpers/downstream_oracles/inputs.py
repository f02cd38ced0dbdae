"""Inputs and choices of an oracle case."""

from __future__ import annotations

import re

import torch

from helpers.downstream_oracles.cases import Case


def number(case: Case, name: str, pattern: str, default: float) -> float:
    """A choice of a case: an expected value or input of that name, else what the note says, else a default."""
    if isinstance(case.expected.get(name), (int, float)):
        return float(case.expected[name])
    if name in case and case[name].ndim == 0:
        return float(case[name])
    found = re.search(pattern, case.note)
    return float(found[1]) if found else default


def tensors(case: Case) -> dict[str, torch.Tensor]:
    """Numbers as float64, in which the oracles were worked out."""
    return {name: torch.as_tensor(value).double() for name, value in case.inputs.items() if value.dtype.kind == "f"}


def maps_of(case: Case) -> list[torch.Tensor]:
    names = sorted((name for name in case.inputs if re.fullmatch(r"map_\d+", name)), key=lambda one: int(one[4:]))
    return [torch.as_tensor(case[name]).double() for name in names]


def weights_of(case: Case) -> dict[str, torch.Tensor]:
    return {name: value for name, value in tensors(case).items() if name.endswith((".weight", ".bias"))}
