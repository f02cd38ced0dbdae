"""The `IterableDataset` that streaming gives: exports carry the bytes of images, as those of `loading.dataset` do."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from typing import Any

from datasets import IterableDataset

from .feature_types import StoredImage, plain_features, with_bytes

_TRANSFORMS = (
    *("add_column", "cast", "cast_column", "filter", "map", "remove_columns", "rename_column"),
    *("rename_columns", "repeat", "reshard", "select_columns", "shard", "shuffle", "skip", "take", "with_format"),
)
_EXPORTS = (
    *(
        "batch",
        "to_csv",
        "to_dict",
        "to_json",
        "to_list",
        "to_pandas",
        "to_parquet",
        "to_polars",
        "to_sql",
        "push_to_hub",
    ),
)


class SocoStream(IterableDataset):
    """A `datasets.IterableDataset` whose images are stored by address."""


def adopt_stream(stream: Any) -> Any:
    """Give a stream with images by address the class `SocoStream`; anything else is given back as it is."""
    if isinstance(stream, IterableDataset) and _images(stream):
        stream.__class__ = SocoStream
    return stream


def _images(stream: IterableDataset) -> list[str]:
    return [name for name, feature in (stream.features or {}).items() if isinstance(feature, StoredImage)]


def _plain(stream: IterableDataset) -> IterableDataset:
    same = copy.copy(stream)
    same.__class__ = IterableDataset
    return same


def _embedded(stream: IterableDataset) -> IterableDataset:
    """The stream as a plain one, its images embedded as they come."""
    images, features = _images(stream), stream.features
    if not images or features is None:
        return _plain(stream)
    tables = _plain(stream).with_format("arrow")
    options = {"fn_kwargs": {"images": images}, "features": plain_features(features)}
    embedded: IterableDataset = tables.map(with_bytes, batched=True, batch_size=100, **options)
    return embedded.with_format(None)


def _transform(name: str) -> Callable[..., Any]:
    original = getattr(IterableDataset, name)

    @functools.wraps(original)
    def method(self: SocoStream, *args: Any, **kwargs: Any) -> Any:
        return adopt_stream(original(_plain(self), *args, **kwargs))

    return method


def _export(name: str) -> Callable[..., Any]:
    original = getattr(IterableDataset, name)

    @functools.wraps(original)
    def method(self: SocoStream, *args: Any, **kwargs: Any) -> Any:
        return original(_embedded(self), *args, **kwargs)

    return method


for _names, _made in ((_TRANSFORMS, _transform), (_EXPORTS, _export)):
    for _name in _names:
        if hasattr(IterableDataset, _name):  # some came with later versions
            setattr(SocoStream, _name, _made(_name))
