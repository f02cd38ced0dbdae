"""Learning-rate schedules: pure functions of the step, so that a resumed run needs only its position."""

from __future__ import annotations

import math


def quarter_cosine(step: int, total: int, warmup: float) -> float:
    """Factor of the rate of the DPT probes: linear from 0.01 to 1, then a quarter of a cosine down to 0.01.

    Args:
        step: 0 to total.
        total: steps in all.
        warmup: steps of warm-up, may be a fraction or 0.

    >>> [round(quarter_cosine(step, 100, 15), 3) for step in (0, 1, 15, 100)]
    [0.01, 0.076, 1.0, 0.01]
    """
    if warmup > 0 and step <= warmup:
        return 0.99 * step / warmup + 0.01
    return 0.99 * math.cos(math.pi / 2 * (step - warmup) / (total - warmup)) + 0.01


def half_cosine(step: int, total: int, first: float, last: float) -> float:
    """Rate of the pose heads: half a cosine per step from `first` to `last`, which step `total` would have.

    >>> half_cosine(0, 9, 0.01, 1e-5), round(half_cosine(1, 9, 0.01, 1e-5), 8)
    (0.01, 0.00969876)
    """
    return last + (first - last) * (1 + math.cos(math.pi * step / total)) / 2


def step_decay(epoch: int, drops: tuple[int, ...], factor: float = 0.1) -> float:
    """Factor of the rate in an epoch (counted from 0): times `factor` from each epoch in `drops` on.

    >>> [step_decay(epoch, (20,)) for epoch in (0, 19, 20)]
    [1.0, 1.0, 0.1]
    """
    return float(factor ** sum(epoch >= drop for drop in drops))


def warmup_steps(step: int, total: int, warmup: int = 5000, start: float = 1e-3) -> float:
    """Factor of the rate of the cuboid head: linear warm-up from `start`, times 0.1 at 60 % and at 80 %.

    >>> [round(warmup_steps(step, 10_000, 100), 4) for step in (0, 50, 100, 6000, 8000)]
    [0.001, 0.5005, 1.0, 0.1, 0.01]
    """
    rising = min(1.0, start + (1 - start) * step / warmup) if warmup else 1.0
    return rising * step_decay(step, (math.ceil(0.6 * total), math.ceil(0.8 * total)))


def warmup_cosine(step: int, total: int, warmup: int) -> float:
    """Factor of the rate of the detector: linear warm-up from 1 / warmup, then half a cosine down to 0.

    >>> [round(warmup_cosine(step, 1100, 100), 4) for step in (0, 99, 100, 600, 1100)]
    [0.01, 1.0, 1.0, 0.5, 0.0]
    """
    if step < warmup:
        return (step + 1) / warmup
    return (1 + math.cos(math.pi * (step - warmup) / max(1, total - warmup))) / 2
