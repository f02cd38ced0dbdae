"""Does a model give the features it should, where it should? The same checks for the tests and for users.

`soco models --check` and `check_model` load a model and check it; `check_backbone` takes a loaded one. What is checked:
`model_checks.py`; how cells are found: `locality.py`; what to do when a check fails: docs/howto/backbones.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ...errors import BackboneError, UsageError
from ...geometry import effective_size
from ..backbones import load_backbone, own_statistics
from ..families.base import DTYPES, Backbone
from ..model_list import BackboneSpec, listed
from ..plugin import is_plugin
from ..preprocess import Statistics
from . import checks as model_checks
from .checks import (
    Check,
    Reload,
    Size,
    Subject,
    default_sizes,
    guarded,
    resolution,
)
from .expected import agrees_with_recipe, known_statistics

__all__ = ["Check", "SelfCheckReport", "check_backbone", "check_model", "default_sizes"]

_SETTINGS = (
    *("layer", "num_layers", "norm", "dtype", "device", "patch_size", "size_multiple", "fixed_size"),
    *("square_only", "num_prefix_tokens", "channels"),
)


@dataclass(frozen=True)
class SelfCheckReport:
    """All findings about one model.

    Attributes:
        model: its name.
        family: its model type.
        settings: layer, norm, dtype, device, size rule, channels and statistics it was checked with.
        checks: the findings, in order.
    """

    model: str
    family: str
    settings: Mapping[str, Any]
    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """Whether nothing failed."""
        return not any(check.status == "fail" for check in self.checks)

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON values."""
        return {**asdict(self), "passed": self.passed}


def check_model(
    model: str | Path | Callable[..., Any],
    *,
    image_size: int | None = None,
    revision: str | None = None,
    **options: Any,
) -> SelfCheckReport:
    """Load a model and check it.

    Args:
        model: as for `load_backbone`.
        image_size: check at this network size too (snapped to what the model takes).
        revision: as for `load_backbone`.
        options: others of `load_backbone`: layer, norm, statistics, device, dtype.

    Raises:
        SocoError: whatever `load_backbone` raises; a model that loads but is wrong gives a report that says so.
    """

    def reload(**changes: Any) -> Backbone:
        return load_backbone(model, revision=revision, **{**options, **changes})

    backbone = reload()
    sizes = default_sizes(backbone)
    if image_size is not None:
        step = math.lcm(backbone.size_multiple, resolution(backbone))
        side = backbone.fixed_size or effective_size(image_size, step)
        sizes = tuple(dict.fromkeys([*sizes, (side, side)]))
    own, entry = None, None
    if isinstance(model, Path) or (isinstance(model, str) and not is_plugin(model)):
        own = _readable_statistics(model, revision)
        entry = listed(model) if isinstance(model, str) else None
    return check_backbone(backbone, sizes=sizes, reload=reload, own=own, entry=entry)


def check_backbone(
    backbone: Backbone,
    *,
    sizes: Sequence[Size] | None = None,
    reload: Reload | None = None,
    own: Statistics | None = None,
    entry: BackboneSpec | None = None,
) -> SelfCheckReport:
    """Check a loaded model.

    Args:
        backbone: the model.
        sizes: (rows, columns) of pixels to check at, the smallest first; by default `default_sizes`.
        reload: gives the same model with other options (layer, norm, dtype); without it those checks are skipped.
        own: the statistics its checkpoint asks for; without them that check is skipped.
        entry: what the list says about it; without it that check is skipped.
    """
    import torch

    sizes = default_sizes(backbone) if sizes is None else tuple(sizes)
    if not sizes:
        raise UsageError("`sizes` is empty; give at least one (rows, columns) of pixels.")
    with torch.inference_mode():
        checks = tuple(_checks(Subject(backbone, sizes, reload, own, entry)))
    return SelfCheckReport(backbone.name, backbone.family, _settings(backbone), checks)


def _checks(subject: Subject) -> Iterator[Check]:
    yield model_checks.agrees_with_list(subject)
    yield agrees_with_recipe(subject.backbone, subject.entry)
    yield known_statistics(subject.backbone)
    shape = guarded("map shape", partial(model_checks.map_shape, subject))
    yield shape
    if shape.status == "fail":
        yield Check("everything else", "skipped", "the maps are not what they should be")
        return
    for check in ("locality", "determinism", "batches", "statistics", "layers", "norm"):
        yield guarded(check, partial(getattr(model_checks, check), subject))
    for dtype in DTYPES:
        if dtype != subject.backbone.dtype:
            yield guarded(f"drift {dtype}", partial(model_checks.drift, subject, dtype))


def _settings(backbone: Backbone) -> dict[str, Any]:
    return {**{name: getattr(backbone, name) for name in _SETTINGS}, "statistics": asdict(backbone.statistics)}


def _readable_statistics(model: str | Path, revision: str | None) -> Statistics | None:
    """The checkpoint's own statistics; None where its files do not say them."""
    try:
        return own_statistics(model, revision=revision)
    except BackboneError:
        return None
