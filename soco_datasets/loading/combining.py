"""Datasets that `datasets` makes of several (concatenated, interleaved, split by node) keep the class of their parts.

These functions make a plain `Dataset` of whatever they are given, which would export what is stored. `datasets` has no
hook for them, so they are wrapped here, once, when the first dataset of ours is made or unpickled. A call without such
a dataset goes to the original as it is; nothing else changes.
"""

from __future__ import annotations

import functools
import importlib
import sys
from collections.abc import Callable, Sequence
from typing import Any

from datasets import Dataset, IterableDataset

from ..errors import UsageError
from .feature_types import NOT_WRITTEN_OUT, is_derived

_WRAPPED = "_soco_wrapped"
COMBINING = {  # module -> functions, and the modules that import them by name
    "datasets.arrow_dataset": ("_concatenate_map_style_datasets",),
    "datasets.iterable_dataset": (
        *("_concatenate_iterable_datasets", "_interleave_iterable_datasets", "_split_by_node_iterable_dataset"),
    ),
}
_COPIES = ("datasets.combine", "datasets.distributed", "datasets.builder")


def keep_class(ours: tuple[type, ...], adopt: Callable[[Any, dict[str, Any]], Any]) -> None:
    """Make what is combined from datasets of ours one of ours.

    Args:
        ours: the classes of datasets and streams.
        adopt: called with a result and the features of all parts by name; gives the result with the right class.
    """
    for module_name, functions in COMBINING.items():
        module = importlib.import_module(module_name)
        for name in functions:
            original = getattr(module, name, None)
            if original is None or hasattr(original, _WRAPPED):  # another version of `datasets`, or done already
                continue
            wrapped = _wrap(original, ours, adopt)
            for place in (module, *(sys.modules[copy] for copy in _COPIES if copy in sys.modules)):
                if getattr(place, name, None) is original:
                    setattr(place, name, wrapped)


def _wrap(
    original: Callable[..., Any], ours: tuple[type, ...], adopt: Callable[[Any, dict[str, Any]], Any]
) -> Callable[..., Any]:
    @functools.wraps(original)
    def combined(given: Any, *args: Any, **kwargs: Any) -> Any:
        parts = [given] if isinstance(given, Dataset | IterableDataset) else list(given)
        if not any(isinstance(part, ours) for part in parts):
            return original(given, *args, **kwargs)
        features = _all_features(parts)
        return adopt(original(given, *args, **kwargs), features)

    setattr(combined, _WRAPPED, True)
    return combined


def _all_features(parts: Sequence[Dataset | IterableDataset]) -> dict[str, Any]:
    """The features of all parts by name.

    Raises:
        UsageError: a column is derived in one part and something else in another, or derived from other pairs.
    """
    found: dict[str, Any] = {}
    for part in parts:
        for name, feature in (part.features or {}).items():
            known = found.setdefault(name, feature)
            if known != feature and (is_derived(known) or is_derived(feature)):
                raise UsageError(f"The datasets store the column {name!r} in different ways. {NOT_WRITTEN_OUT}")
    return found
