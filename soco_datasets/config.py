"""The protocol of an evaluation: every choice that moves a score, in one frozen value saved whole in the result."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .errors import UsageError, unknown_name
from .geometry import Convention, check_convention

NORMALISERS = ("bbox", "image", "mask")
REDUCTIONS = ("pair", "keypoint", "image")


def alpha_key(alpha: float) -> str:
    """How a threshold is written as a key of the metrics.

    >>> alpha_key(0.1), alpha_key(1)
    ('0.1', '1.0')
    """
    return str(float(alpha))


@dataclass(frozen=True)
class Protocol:
    """How features were made, matched and scored.

    Attributes:
        convention: point conversions, see `geometry`.
        alphas: PCK thresholds, fractions of the normaliser; a hit is error < alpha.
        normaliser: what an error is divided by, see `pck.normalisers`: the target's longest "bbox" side (its longest
            image side where there is no box), its longest "image" side, or the longest side of its "mask".
        reductions: "pair" = mean over pairs within a category; "keypoint" = pooled within a category; "image" = pooled
            within a target image, then the mean over the images of a category; then all are the mean over categories.
        image_size: requested side of the network input, pixels.
        size: its effective side, pixels; None when predictions come from no fixed network frame.
        grid: patch cells on a side; None likewise.
        layer: block whose output is taken, -1 = the last; None where the model has no blocks.
        norm: whether the output went through the model's final norm; None where the model has none.
        statistics: pixel mean and standard deviation of the input and where they came from.
        dtype: arithmetic of the forward pass.
        padding: how an image is made square.
        resize: the filter that resizes it.
        matcher: how similar a query and a place in the target are, and how the place is found; soft and geo tasks
            start from the same similarities (see `tasks`).
        valid_area: whether cells that hold nothing but padding are left out (not from the candidates of geo tasks,
            which are annotated points).
        soft_beta, soft_window: of the soft tasks, see `soft.soft_argmax`.
    """

    convention: Convention = "reference"
    alphas: tuple[float, ...] = (0.1, 0.05, 0.02)
    normaliser: str = "bbox"
    reductions: tuple[str, ...] = ("pair", "keypoint")
    image_size: int = 800
    size: int | None = None
    grid: int | None = None
    layer: int | None = -1
    norm: bool | None = False
    statistics: Mapping[str, Any] | None = None
    dtype: str = "float32"
    padding: str = "white, right and bottom"
    resize: str = "bicubic"
    matcher: str = "cosine argmax"
    valid_area: bool = False
    soft_beta: float = 0.02
    soft_window: int = 7

    def __post_init__(self) -> None:
        object.__setattr__(self, "alphas", check_alphas(self.alphas))
        object.__setattr__(self, "reductions", check_reductions(self.reductions))
        check_convention(self.convention)
        check_normaliser(self.normaliser)
        for name, optional in (("image_size", False), ("size", True), ("grid", True)):
            value = getattr(self, name)
            if not (optional and value is None) and (not _is_int(value) or value < 1):
                raise UsageError(f"{name} must be a positive whole number, got {value!r}.")
        if self.layer is not None and not _is_int(self.layer):
            raise UsageError(f"layer must be a whole number or None, got {self.layer!r}.")
        if self.norm is not None and not isinstance(self.norm, bool):
            raise UsageError(f"norm must be true, false or None, got {self.norm!r}.")
        if self.statistics is not None:
            object.__setattr__(self, "statistics", _as_json(self.statistics, "statistics"))
        for name in ("dtype", "padding", "resize", "matcher"):
            if not isinstance(getattr(self, name), str):
                raise UsageError(f"{name} must be a string, got {getattr(self, name)!r}.")
        if not isinstance(self.valid_area, bool):
            raise UsageError(f"valid_area must be true or false, got {self.valid_area!r}.")
        check_soft(self.soft_beta, self.soft_window)

    def to_dict(self) -> dict[str, Any]:
        """The protocol as JSON values; `from_dict` gives it back."""
        fields: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(self), allow_nan=False))
        return fields

    @classmethod
    def from_dict(cls, fields: Any) -> Protocol:
        """The protocol from its stored form. Raises `UsageError` on a field that is unknown, missing or invalid."""
        if not isinstance(fields, Mapping):
            raise UsageError(f"A protocol must be a mapping, got {type(fields).__name__}.")
        known = [field.name for field in dataclasses.fields(cls)]
        for name in fields:
            if name not in known:
                raise unknown_name("protocol field", name, known)
        missing = [name for name in known if name not in fields]
        if missing:
            raise UsageError(f"The protocol lacks {', '.join(missing)}.")
        return cls(**fields)


def check_alphas(alphas: Any) -> tuple[float, ...]:
    """The thresholds as floats. Raises `UsageError` unless there are some, all finite, above 0 and different."""
    if isinstance(alphas, str | bytes | bool):
        raise UsageError(f"alphas must be numbers such as 0.1, 0.05, got {alphas!r}.")
    try:
        values = tuple(float(alpha) for alpha in ([alphas] if isinstance(alphas, int | float) else alphas))
    except (TypeError, ValueError):
        raise UsageError(f"alphas must be numbers such as 0.1, 0.05, got {alphas!r}.") from None
    if not values or len(set(values)) != len(values) or not all(math.isfinite(a) and a > 0 for a in values):
        raise UsageError(f"alphas must be one or more different finite numbers above 0, got {list(values)}.")
    return values


def check_reductions(reductions: Any) -> tuple[str, ...]:
    """The reductions' names. Raises `UsageError` on an unknown, repeated or missing one."""
    names = (reductions,) if isinstance(reductions, str) else tuple(reductions)
    for name in names:
        if name not in REDUCTIONS:
            raise unknown_name("reduction", name, REDUCTIONS)
    if not names or len(set(names)) != len(names):
        raise UsageError(f"Give one or more different reductions of {', '.join(REDUCTIONS)}, got {list(names)}.")
    return names


def check_normaliser(normaliser: Any) -> None:
    """Raise `UsageError` unless `normaliser` is one of `NORMALISERS`."""
    if normaliser not in NORMALISERS:
        raise unknown_name("normaliser", normaliser, NORMALISERS)


def check_soft(beta: float, window: int) -> None:
    """Raise `UsageError` unless beta is a finite number above 0 and window a whole number."""
    if isinstance(beta, bool) or not isinstance(beta, int | float) or not (math.isfinite(beta) and beta > 0):
        raise UsageError(f"The temperature beta of the soft-argmax must be a finite number above 0, got {beta!r}.")
    if not _is_int(window):
        raise UsageError(f"The window of the soft-argmax must be a whole number of cells, got {window!r}.")


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _as_json(value: Any, name: str) -> Any:
    try:
        return json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise UsageError(f"{name} must hold only JSON values: {error}.") from None
