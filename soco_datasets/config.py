"""The options of an evaluation as three frozen values, made once and passed whole.

`ScoringConfig` is what a user chooses and what moves a score, `FeatureConfig` is what the model's extractor reports,
`RunConfig` is where and how the work is done, which moves no number. The first two and the matcher make the `Protocol`
that a record stores.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import UsageError, unknown_name, worded
from .geometry import Convention, centered_offset, check_convention

CENTERED_PADDING = "white, centered"
NORMALIZERS = ("bbox", "image", "mask")
REDUCTIONS = ("pair", "keypoint", "image", "pair_all", "keypoint_all")
POOLED = {"pair_all": "pair", "keypoint_all": "keypoint"}  # over all categories -> the same within a category
CACHES = ("auto", "memory", "disk", "none")
ENGINES = ("local", "ray")
POINTS_PER_BLOCK = 2**16
_STORED = (  # keys of a stored protocol, in their order
    *("convention", "alphas", "normaliser", "reductions", "image_size", "size", "grid", "layer", "norm", "statistics"),
    *("dtype", "padding", "resize", "matcher", "valid_area", "soft_beta", "soft_window"),
)
_OPTIONAL = ("truncated",)  # stored only where it is not the default
_STORED_NAMES = {"normalizer": "normaliser"}  # attribute -> key, where they differ


def alpha_key(alpha: float) -> str:
    """How a threshold is written as a key of the metrics.

    >>> alpha_key(0.1), alpha_key(1)
    ('0.1', '1.0')
    """
    return str(float(alpha))


def _make_path(config: object, name: str) -> None:
    """Make a field of a frozen config that may be a string a `Path`."""
    value = getattr(config, name)
    if value is not None:
        if not isinstance(value, str | os.PathLike):
            raise UsageError(f"{name} must be a path, got {value!r}.")
        object.__setattr__(config, name, Path(value))


@dataclass(frozen=True)
class ScoringConfig:
    """How predictions are made from similarities, and scored.

    Attributes:
        convention: point conversions, see `geometry`.
        alphas: PCK thresholds, fractions of the normalizer; a hit is error < alpha.
        normalizer: what an error is divided by, see `metrics.pck.normalisers`: the target's longest "bbox" side (its
            longest image side where there is no box), its longest "image" side, or the longest side of its "mask".
        reductions: "pair" = mean over pairs within a category; "keypoint" = pooled within a category; "image" = pooled
            within a target image, then the mean over the images of a category; then all are the mean over categories.
            "pair_all" and "keypoint_all" = mean over all pairs, and over all queries, whatever their category.
        valid_area: whether cells that hold only padding are excluded (not from the candidates of geo tasks, which are
            annotated points).
        truncated: whether `reference` truncates points to whole pixels; None = as the benchmark's own protocol does,
            which in a record is "yes".
        soft_beta, soft_window: temperature and window of the soft tasks, see `matchers.soft_argmax.soft_argmax`.

    Raises:
        UsageError: a value that is not one of these.
    """

    convention: Convention = "reference"
    alphas: tuple[float, ...] = (0.1, 0.05, 0.02)
    normalizer: str = "bbox"
    reductions: tuple[str, ...] = ("pair", "keypoint")
    valid_area: bool = False
    soft_beta: float = 0.02
    soft_window: int = 7
    truncated: bool | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "alphas", check_alphas(self.alphas))
        object.__setattr__(self, "reductions", check_reductions(self.reductions))
        check_convention(self.convention)
        check_normalizer(self.normalizer)
        if not isinstance(self.valid_area, bool):
            raise UsageError(f"valid_area must be true or false, got {self.valid_area!r}.")
        if self.truncated is not None and not isinstance(self.truncated, bool):
            raise UsageError(f"truncated must be true or false, got {self.truncated!r}.")
        check_soft(self.soft_beta, self.soft_window)


@dataclass(frozen=True)
class FeatureConfig:
    """How the features were made.

    Attributes:
        image_size: requested side of the network input, pixels.
        size: its effective side, pixels; None when predictions come from no fixed network frame.
        grid: patch cells per side; None likewise.
        layer: block whose output is taken, -1 = the last; None where the model has no blocks.
        norm: whether the output went through the model's final norm; None where the model has none.
        statistics: pixel mean and standard deviation of the input, and their source.
        dtype: arithmetic of the forward pass.
        padding: how an image is made square.
        resize: the filter that resizes it.

    Raises:
        UsageError: a value of another type or range.
    """

    image_size: int = 800
    size: int | None = None
    grid: int | None = None
    layer: int | None = -1
    norm: bool | None = False
    statistics: Mapping[str, Any] | None = None
    dtype: str = "float32"
    padding: str = "white, right and bottom"
    resize: str = "bicubic"

    def __post_init__(self) -> None:
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
        for name in ("dtype", "padding", "resize"):
            _check_text(name, getattr(self, name))

    @classmethod
    def of_model(cls, model: Mapping[str, Any]) -> FeatureConfig:
        """The features of a model, from its extractor's `describe()`."""
        return cls(
            image_size=model["requested_size"],
            size=model["effective_size"],
            grid=model["grid"],
            layer=model["layer"],
            norm=None if model["layer"] is None else model["norm"] == "final",
            statistics=model["statistics"],
            dtype=model["dtype"],
            padding=model.get("padding", cls.padding),
        )


@dataclass(frozen=True)
class Protocol:
    """How features were made, matched and scored: every choice that moves a score, stored whole in the record.

    Attributes:
        scoring: what the user chose.
        features: what the model dictates.
        matcher: how similarities are computed and searched; the matchers of soft and geo tasks start from the same
            similarities.
    """

    scoring: ScoringConfig = field(default_factory=ScoringConfig)
    features: FeatureConfig = field(default_factory=FeatureConfig)
    matcher: str = "cosine argmax"

    def __post_init__(self) -> None:
        _check_text("matcher", self.matcher)

    def to_dict(self) -> dict[str, Any]:
        """The protocol as flat JSON values; `from_dict` restores it."""
        fields = {**dataclasses.asdict(self.scoring), **dataclasses.asdict(self.features), "matcher": self.matcher}
        stored = {_STORED_NAMES.get(name, name): value for name, value in fields.items()}
        flat: dict[str, Any] = json.loads(json.dumps({name: stored[name] for name in _STORED}, allow_nan=False))
        return flat if self.scoring.truncated is not False else {**flat, "truncated": False}

    @property
    def point_convention(self) -> Convention:
        """How annotated points reach the unit frame: the convention, and whether `reference` truncates."""
        is_exact = self.scoring.convention == "reference" and self.scoring.truncated is False
        return "untruncated" if is_exact else self.scoring.convention

    @property
    def is_centered_padding(self) -> bool:
        """Whether images lie in the middle of their padded square."""
        return self.features.padding == CENTERED_PADDING

    def to_square(self, points: NDArray[np.float64], sizes: ArrayLike) -> NDArray[np.float64]:
        """(N, 2) pixel points to the frame of the padded square, for images of (N, 2) `sizes` [width, height]."""
        if not self.is_centered_padding:
            return points
        return points + centered_offset(sizes, self.scoring.convention)

    @classmethod
    def from_dict(cls, fields: Any) -> Protocol:
        """The protocol from its stored form. Raises `UsageError` on a field that is unknown, missing or invalid."""
        if not isinstance(fields, Mapping):
            raise UsageError(f"A protocol must be a mapping, got {type(fields).__name__}.")
        for name in fields:
            if name not in (*_STORED, *_OPTIONAL):
                raise unknown_name("protocol field", name, _STORED)
        missing = [name for name in _STORED if name not in fields]
        if missing:
            raise UsageError(f"The protocol lacks {', '.join(missing)}.")

        def part(kind: Any) -> Any:
            names = [entry.name for entry in dataclasses.fields(kind)]
            keys = {name: _STORED_NAMES.get(name, name) for name in names}
            return kind(**{name: fields[key] for name, key in keys.items() if key in fields})

        return cls(part(ScoringConfig), part(FeatureConfig), fields["matcher"])


@dataclass(frozen=True)
class CachePolicy:
    """Where feature maps are kept.

    Attributes:
        kind: "auto" = GPU memory, else host memory, else a temporary file, else two passes: the first that has room;
            "memory" = in host memory or not at all; "disk" = in `directory`, shared between runs; "none" = two passes.
        memory_budget: bytes that maps may take in memory; None = half of what is free.
        directory: of the shared caches; given with "auto" it means "disk".
        gpu_budget: bytes that maps may take of a GPU's memory; None = 3/4 of what is free, or `memory_budget` if less.

    Raises:
        UsageError: an unknown kind, or a directory with a kind that has none.
    """

    kind: str = "auto"
    memory_budget: int | None = None
    directory: str | os.PathLike[str] | None = None
    gpu_budget: int | None = None

    def __post_init__(self) -> None:
        _make_path(self, "directory")
        if self.kind not in CACHES:
            raise unknown_name("store", self.kind, CACHES)
        if self.kind in ("memory", "none") and self.directory is not None:
            directory, kind = worded("--store-dir", "directory"), worded("--store", "kind")
            raise UsageError(f"{directory} requires {kind} disk or auto, not {self.kind}.")


@dataclass(frozen=True)
class RunConfig:
    """Where and how the work is done; none of it moves a number.

    Attributes:
        cache: where feature maps are kept. Of the split "test" in one process, `memory_budget` is the memory of the
            whole evaluation beside the model, see `correspondence.memory.Needs`; on a cluster it is each worker's.
        workers: decoding threads, on a cluster of each worker; 0 = decode between the forwards, None = one per core,
            from 2 to 16.
        skip_bad: skip the pairs of images that do not decode, and count both, instead of stopping at the first.
        engine: "local" = this process, "ray" = the workers of a cluster.
        address: of the Ray cluster: auto or HOST:PORT; None = one on this machine.
        cluster_workers: workers of the cluster; None = by its GPUs, else its cores.
        block_points: source points of the pairs that are matched at a time when all pairs are evaluated: bounds memory.
        device: of a model that is given by name, folder or function: a torch device, or "auto" = a GPU where there is
            one. None = "auto" for those, and where its parameters are for a `torch.nn.Module`.
        out: folder for the record and the predictions; None writes nothing. Only `soco_datasets.evaluate` reads it.
        overwrite: replace results of another run in `out`; the very same run is replaced without it.

    Raises:
        UsageError: an unknown engine, or options of a cluster without one.
    """

    cache: CachePolicy = CachePolicy()
    workers: int | None = None
    skip_bad: bool = False
    engine: str = "local"
    address: str | None = None
    cluster_workers: int | None = None
    block_points: int = POINTS_PER_BLOCK
    device: str | None = None
    out: str | os.PathLike[str] | None = None
    overwrite: bool = False

    def __post_init__(self) -> None:
        _make_path(self, "out")
        if self.engine not in ENGINES:
            raise unknown_name("engine", self.engine, ENGINES)
        if self.engine != "ray" and (self.address or self.cluster_workers is not None):
            raise UsageError(
                worded(
                    "--address and --ray-workers require --engine ray.",
                    'address and cluster_workers require engine="ray".',
                )
            )


_MOST_ALPHAS = 64


def check_alphas(alphas: Any) -> tuple[float, ...]:
    """The thresholds as floats. Raises `UsageError` unless they are one or more different finite numbers above 0."""
    if isinstance(alphas, str | bytes | bool):
        raise UsageError(f"alphas must be numbers such as 0.1, 0.05, got {alphas!r}.")
    try:
        values = tuple(float(alpha) for alpha in ([alphas] if isinstance(alphas, int | float) else alphas))
    except (TypeError, ValueError, OverflowError):
        raise UsageError(f"alphas must be numbers such as 0.1, 0.05, got {alphas!r}.") from None
    if not values or len(set(values)) != len(values) or not all(math.isfinite(a) and a > 0 for a in values):
        raise UsageError(f"alphas must be one or more different finite numbers above 0, got {list(values[:5])}.")
    if len(values) > _MOST_ALPHAS:
        raise UsageError(f"alphas must be at most {_MOST_ALPHAS} numbers, got {len(values)}.")
    return values


def check_thresholds(alphas: Sequence[float], option: str = "alphas") -> None:
    """Refuse PCK thresholds above 1, where every prediction within a box length is a hit.

    Args:
        alphas: thresholds, fractions of the normalizer.
        option: how the caller names them.

    Raises:
        UsageError: one is above 1; the value that was probably meant is named.
    """
    for alpha in alphas:
        if alpha > 1:
            meant = f" Did you mean {alpha / 100:g}?" if alpha <= 100 else ""
            raise UsageError(f"{option} are fractions of the box: {alpha:g} is above 1.{meant}")


def check_reductions(reductions: Any) -> tuple[str, ...]:
    """The reductions' names. Raises `UsageError` on an unknown, repeated or missing one."""
    if not isinstance(reductions, str | list | tuple) or not all(isinstance(name, str) for name in reductions):
        raise UsageError(f"reductions must be names such as pair, keypoint, got {reductions!r}.")
    names = (reductions,) if isinstance(reductions, str) else tuple(reductions)
    for name in names:
        if name not in REDUCTIONS:
            raise unknown_name("reduction", name, REDUCTIONS)
    if not names or len(set(names)) != len(names):
        raise UsageError(f"Give one or more different reductions of {', '.join(REDUCTIONS)}, got {list(names)}.")
    return names


def check_normalizer(normalizer: Any) -> None:
    """Raise `UsageError` unless `normalizer` is one of `NORMALIZERS`."""
    if normalizer not in NORMALIZERS:
        raise unknown_name("normalizer", normalizer, NORMALIZERS)


def check_soft(beta: float, window: int) -> None:
    """Raise `UsageError` unless beta is a finite number above 0 and window a whole number."""
    if isinstance(beta, bool) or not isinstance(beta, int | float) or not (math.isfinite(beta) and beta > 0):
        raise UsageError(f"The temperature beta of the soft-argmax must be a finite number above 0, got {beta!r}.")
    if not _is_int(window):
        raise UsageError(f"The window of the soft-argmax must be a whole number of cells, got {window!r}.")


def _check_text(name: str, value: object) -> None:
    if not isinstance(value, str):
        raise UsageError(f"{name} must be a string, got {value!r}.")


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _as_json(value: Any, name: str) -> Any:
    try:
        return json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise UsageError(f"{name} must hold only JSON values: {error}.") from None
