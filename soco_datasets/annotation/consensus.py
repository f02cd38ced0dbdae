"""Several people's answers to one: outliers out, median of the rest, visibility by majority. NumPy only.

The outlier rule, `median-distance`: the center is the coordinate-wise median of the visible points; one further from
it than max(floor, 3 x 1.4826 x median distance) is out, where floor = `dispute` x longest image side, as long as more
than half of the points stay. (1.4826 x the median of absolute deviations estimates a standard deviation.)
Before that, points of a left-right pair that someone exchanged are out: each lies where the others see its partner.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

RULE = "median-distance: max(dispute x longest side, 3 x 1.4826 x median distance to the coordinate-wise median)"
MAD_TO_STD = 1.4826
_CUTOFF = 3.0

Points = NDArray[np.float64]


@dataclass(frozen=True)
class Vote:
    """One annotator's answer: state visible, hidden or unsure; x, y in stored pixels where visible."""

    annotator: str
    state: str
    x: float | None = None
    y: float | None = None


@dataclass(frozen=True)
class Consensus:
    """What the votes come to.

    Attributes:
        state: visible, hidden, or unknown (no majority, or nobody sure).
        x: median of the kept points, pixels; None unless visible. Likewise `y`.
        votes: all of them.
        outliers: annotator -> why the point was left out ("distance" or "left-right swap").
        spread: standard deviation of the kept points / longest image side: the root of the mean squared distance to
            their mean; None with fewer than two.
        disputes: why a person should look; empty where nobody needs to.
    """

    state: str
    x: float | None
    y: float | None
    votes: tuple[Vote, ...]
    outliers: Mapping[str, str] = field(default_factory=dict)
    spread: float | None = None
    disputes: tuple[str, ...] = ()


def aggregate_image(
    votes: Mapping[str, Sequence[Vote]], mirrors: Mapping[str, str], longest: float, dispute: float
) -> dict[str, Consensus]:
    """All keypoints of one image.

    Args:
        votes: keypoint -> votes, at most one an annotator.
        mirrors: keypoint -> its left-right partner.
        longest: longest image side in pixels.
        dispute: share of `longest`, see the module.
    """
    swaps = find_swaps(votes, mirrors, dispute * longest)
    return {name: aggregate_keypoint(of, longest, dispute, swaps.get(name, ())) for name, of in votes.items()}


def aggregate_keypoint(votes: Sequence[Vote], longest: float, dispute: float, swapped: Sequence[str] = ()) -> Consensus:
    """One keypoint; `swapped` are annotators whose vote is the partner's."""
    outliers = dict.fromkeys(swapped, "left-right swap")
    sure = [vote for vote in votes if vote.state in ("visible", "hidden")]
    visible = [vote for vote in sure if vote.state == "visible" and vote.annotator not in outliers]
    seen = sum(vote.state == "visible" for vote in sure)
    disputes = []
    if len(sure) < min(2, len(votes)):
        disputes.append("fewer than two people were sure")
    if 2 * seen == len(sure):
        if sure:
            disputes.append(f"visibility: {seen} of {len(sure)} see it")
        return Consensus("unknown", None, None, tuple(votes), outliers, None, tuple(disputes))
    if 2 * seen < len(sure):
        return Consensus("hidden", None, None, tuple(votes), outliers, None, tuple(disputes))
    if not visible:
        disputes.append("every visible point looks like its left-right partner")
        return Consensus("unknown", None, None, tuple(votes), outliers, None, tuple(disputes))
    points = points_of(visible)
    kept = keep_inliers(points, dispute * longest)
    outliers.update({vote.annotator: "distance" for vote, keep in zip(visible, kept, strict=True) if not keep})
    center = np.median(points[kept], axis=0)
    furthest = float(np.hypot(*(points[kept] - center).T).max())
    if furthest > dispute * longest:
        disputes.append(f"positions: up to {100 * furthest / longest:.1f} % of the longest side from the median")
    if len(sure) > 1 and int(kept.sum()) < 2:
        disputes.append("only one point is left")
    x, y = (round(float(value), 3) for value in center)
    return Consensus("visible", x, y, tuple(votes), outliers, spread_of(points[kept], longest), tuple(disputes))


def points_of(votes: Sequence[Vote]) -> Points:
    """(N, 2) pixels of votes that have a position."""
    return np.array([[vote.x, vote.y] for vote in votes], dtype=np.float64).reshape(-1, 2)


def keep_inliers(points: Points, floor: float) -> NDArray[np.bool_]:
    """(N,) which of (N, 2) points the rule keeps; all of them where it would not keep more than half."""
    distance = np.hypot(*(points - np.median(points, axis=0)).T)
    kept = distance <= max(floor, _CUTOFF * MAD_TO_STD * float(np.median(distance)))
    return kept if 2 * int(kept.sum()) > len(points) else np.ones(len(points), dtype=bool)


def spread_of(points: Points, longest: float) -> float | None:
    """Root mean squared distance of (N, 2) points to their mean / `longest`; None for fewer than two points."""
    if len(points) < 2:
        return None
    return float(np.sqrt(((points - points.mean(axis=0)) ** 2).sum(axis=1).mean()) / longest)


def find_swaps(
    votes: Mapping[str, Sequence[Vote]], mirrors: Mapping[str, str], floor: float
) -> dict[str, tuple[str, ...]]:
    """Keypoint -> annotators whose point is where the others see its left-right partner.

    Somebody has exchanged a pair when both points lie nearer to the others' partner than to their own place, and within
    half the distance between the partners (or half of `floor`, if that is more) of it; the partners must be more than
    half of `floor` pixels apart, and the others within half of their distance of each other. Or the others see one of
    the two only, and its place was given to the partner. The others are the annotators without this one.
    """
    found: dict[str, list[str]] = {}
    for name, partner in mirrors.items():
        if name < partner and name in votes and partner in votes:
            sides = ({v.annotator: v for v in votes[name]}, {v.annotator: v for v in votes[partner]})
            for annotator in sides[0].keys() & sides[1].keys():
                if _is_swapped(annotator, sides, floor) or _is_swapped(annotator, (sides[1], sides[0]), floor):
                    found.setdefault(name, []).append(annotator)
                    found.setdefault(partner, []).append(annotator)
    return {name: tuple(sorted(set(people))) for name, people in found.items()}


def _is_swapped(annotator: str, sides: tuple[dict[str, Vote], dict[str, Vote]], floor: float) -> bool:
    own = sides[0][annotator], sides[1][annotator]
    first, second = (_others(side, annotator) for side in sides)
    if first is None:
        return False
    if own[0].state == own[1].state == "visible" and second is not None:
        apart = float(np.hypot(*(first[0] - second[0])))
        mine = points_of(own)
        to_partner = float(np.hypot(*(mine[0] - second[0]))), float(np.hypot(*(mine[1] - first[0])))
        to_own = float(np.hypot(*(mine[0] - first[0]))), float(np.hypot(*(mine[1] - second[0])))
        return (
            apart > 0.5 * floor
            and max(first[1], second[1]) <= 0.5 * apart
            and max(to_partner) < max(0.5 * apart, 0.5 * floor)
            and to_partner[0] < to_own[0]
            and to_partner[1] < to_own[1]
        )
    unseen = [vote.state for name, vote in sides[1].items() if name != annotator]
    if own[0].state == "hidden" and own[1].state == "visible" and unseen and set(unseen) == {"hidden"}:
        return first[1] <= floor and float(np.hypot(*(points_of(own[1:])[0] - first[0]))) < floor
    return False


def _others(side: Mapping[str, Vote], annotator: str) -> tuple[Points, float] | None:
    """Median (2,) of the other annotators' points and the largest distance to it, where a majority of them see it."""
    others = [vote for name, vote in side.items() if name != annotator and vote.state in ("visible", "hidden")]
    visible = points_of([vote for vote in others if vote.state == "visible"])
    if len(others) < 2 or 2 * len(visible) <= len(others):
        return None
    center: Points = np.median(visible, axis=0)
    return center, float(np.hypot(*(visible - center).T).max())
