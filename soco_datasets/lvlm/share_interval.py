"""An interval of a share of questions that has a width at 0 % and 100 % too."""

from __future__ import annotations

import math
from statistics import NormalDist

from ..records.intervals import LEVEL


def wilson_interval(share: float, number: int, level: float = LEVEL) -> list[float]:
    """The Wilson score interval of a share, which has a width at 0 and 1, where resampling gives none.

    Args:
        share: of questions, 0 to 1.
        number: of independent questions, 1 or more.
        level: its coverage.

    Returns:
        [low, high], fractions. Wilson, J. Am. Stat. Assoc. 22 (1927) 209.

    >>> [round(end, 4) for end in wilson_interval(0.0, 10)], [round(end, 4) for end in wilson_interval(1.0, 240)]
    ([0.0, 0.2775], [0.9842, 1.0])
    """
    squared = NormalDist().inv_cdf(0.5 + level / 2) ** 2
    middle = (share + squared / (2 * number)) / (1 + squared / number)
    half = (
        math.sqrt(squared)
        * math.sqrt(share * (1 - share) / number + squared / (4 * number**2))
        / (1 + squared / number)
    )
    return [0.0 if share == 0 else max(0.0, middle - half), 1.0 if share == 1 else min(1.0, middle + half)]
