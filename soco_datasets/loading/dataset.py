"""The `Dataset` that loading gives: columns derived on access, and what they stand for wherever they leave the package.

`datasets` exports what is stored: numbers of pairs for the split `all`, addresses for joined images. A machine without
this package can read neither. So exports are written out first, and what cannot work on numbers (sorting, casts) stops
with one message. Transforms run on a plain `Dataset` and give this class again, where columns still need it;
`combining` does the same for the functions of `datasets` that make one dataset of several.
"""

from __future__ import annotations

import copy
import functools
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import pyarrow as pa
from datasets import Dataset, DatasetDict, Features, IterableDataset
from datasets.features import Image
from datasets.splits import NamedSplit

from ..data.all_pairs import all_pairs
from ..errors import UsageError
from .combining import keep_class
from .feature_types import (
    NOT_WRITTEN_OUT,
    PairField,
    StoredImage,
    is_derived,
    plain_features,
    value_features,
    with_bytes,
)
from .stream import SocoStream, adopt_stream

_T = TypeVar("_T")

PUSHED_ALL = "all_pairs"
_ALL = "all"
_RESERVED = "on the Hub, `datasets` takes 'all' for the union of all splits and loads no split of that name"
MOST_ROWS = 10_000  # of `all`, or with images into memory, that are written out without being asked for
_TRANSFORMS = (
    *("add_column", "align_labels_with_mapping", "cast", "cast_column", "class_encode_column", "filter", "flatten"),
    *("flatten_indices", "map", "remove_columns", "rename_column", "rename_columns", "repeat", "select"),
    *("select_columns", "shard", "shuffle", "skip", "sort", "take", "train_test_split", "with_format"),
    "with_transform",
)
_INTO_MEMORY = ("to_csv", "to_dict", "to_json", "to_list", "to_pandas", "to_polars", "to_sql")
_EXPORTS = (  # `batch` gives lists of what is stored, which nothing of ours could tell from lists of values
    *_INTO_MEMORY,
    *("batch", "to_parquet", "save_to_disk", "push_to_hub", "_push_parquet_shards_to_hub"),
)
_NEED_VALUES = ("add_item", "align_labels_with_mapping", "class_encode_column", "sort", "unique")  # of their columns
_STORED_FORMATS = ("pl", "polars")  # formats that would show what is stored


class SocoDataset(Dataset):
    """A `datasets.Dataset` of pairs, questions or images of a built folder."""

    _embeds = True  # images into tables of the format "arrow"

    def __getitem__(self, key: Any) -> Any:
        return self._values(super().__getitem__(key))

    def __iter__(self) -> Iterator[Any]:
        return map(self._values, super().__iter__())

    def iter(self, batch_size: int, drop_last_batch: bool = False) -> Iterator[Any]:
        """As of `datasets.Dataset`."""
        return map(self._values, super().iter(batch_size, drop_last_batch))

    def set_format(self, type: str | None = None, *args: Any, **kwargs: Any) -> None:
        """As of `datasets.Dataset`; Polars would show the numbers of pairs of `all`, so it is refused there."""
        if type in _STORED_FORMATS and self._derived():
            raise UsageError(NOT_WRITTEN_OUT)
        super().set_format(type, *args, **kwargs)

    def to_iterable_dataset(self, num_shards: int | None = 1) -> Any:
        """As of `datasets.Dataset`; the stream has values, none of its columns is derived."""
        stream = super().to_iterable_dataset(num_shards)
        for shard in stream._ex_iterable.kwargs["shards"]:
            shard._embeds = False  # a stream reads a thousand rows ahead, and opens an image when it comes to it
        stream.info.features = value_features(self.features)
        return adopt_stream(stream)

    def _derived(self) -> dict[str, PairField]:
        return {name: feature for name, feature in self._info.features.items() if is_derived(feature)}

    def _values(self, found: _T) -> _T:
        """A table of the format "arrow" with values and image bytes; anything else has them already."""
        if not isinstance(found, pa.Table):
            return found
        table, features = _with_values(found, self._derived()), value_features(self._info.features)
        if not self._embeds:
            return table
        images = [name for name in table.column_names if isinstance(features.get(name), StoredImage)]
        return with_bytes(table, images)


class SocoDatasetDict(DatasetDict):
    """All splits of a config."""

    def push_to_hub(self, *args: Any, **kwargs: Any) -> Any:
        """As of `datasets.DatasetDict`, every split written out first; "all" is pushed as "all_pairs"."""
        written = self._written_out("push_to_hub")
        return DatasetDict({str(split.split or name): split for name, split in written.items()}).push_to_hub(
            *args, **kwargs
        )

    def save_to_disk(self, *args: Any, **kwargs: Any) -> None:
        """As of `datasets.DatasetDict`, every split written out first."""
        self._written_out("save_to_disk").save_to_disk(*args, **kwargs)

    def _written_out(self, what: str) -> DatasetDict:
        return DatasetDict({name: write_out(dataset, what, f"split {name!r}: ") for name, dataset in self.items()})


def expand_pairs(dataset: Dataset, *, embed_images: bool = False) -> Dataset:
    """Write out the pairs of a dataset of the split `all`, so that it can be sorted and exported whatever its length.

    Every column then holds its values, as those of `test` do. Columns that were added are kept. Select what you need
    first: a pair takes a few kB, and a few hundred with its images.

    Args:
        dataset: any split of any config; nothing is done to columns that hold values already.
        embed_images: also put the JPEG bytes of joined images into the rows, so that the result is a plain dataset
            that needs neither this package nor the folder. Bytes are repeated for every row that shows the image.
    """
    format_type, given = dataset.format["type"], dataset.features
    expanded, features = plain(dataset).with_format("arrow"), value_features(given)
    if derived := {name: feature for name, feature in given.items() if is_derived(feature)}:
        expanded = expanded.map(
            _with_values, batched=True, features=features, fn_kwargs={"derived": derived}, desc="Writing out pairs"
        )
    if embed_images and (images := _addressed(expanded, features)):
        expanded = expanded.map(
            with_bytes,
            batched=True,
            batch_size=100,
            features=features,
            fn_kwargs={"images": images},
            desc="Embedding images",
        )
    return adopt(expanded.with_format(format_type), features)


def plain(dataset: Dataset) -> Dataset:
    """The same rows as a `datasets.Dataset` as it comes: what is stored is what it shows."""
    same = copy.copy(dataset)
    same.__class__ = Dataset
    return same


def write_out(dataset: Dataset, what: str, where: str = "") -> Dataset:
    """A plain dataset with values and image bytes, for an export that needs nothing of ours to be read.

    Raises:
        UsageError: it has more than `MOST_ROWS` rows that would have to be written out, or held in memory with images.
    """
    features = dataset.features
    derived = any(map(is_derived, features.values()))
    if len(dataset) > MOST_ROWS and (derived or (what in _INTO_MEMORY and _addressed(dataset, features))):
        raise UsageError(
            f"{where}{what} would write out {len(dataset):,} rows, more than {MOST_ROWS:,}. Select the rows and "
            "columns you need and call soco_datasets.expand_pairs(dataset, embed_images=True): that is exported whole."
        )
    written = plain(expand_pairs(dataset, embed_images=True))
    written._info = written._info.copy()
    written._info.features = plain_features(written.features)
    if "push" in what and str(written.split) == _ALL:
        warnings.warn(f"The split 'all' is pushed as {PUSHED_ALL!r}: {_RESERVED}.", UserWarning, stacklevel=3)
        written._split = NamedSplit(PUSHED_ALL)
    return written


def adopt(result: _T, features: Mapping[str, Any]) -> _T:
    """Give the result of a transform the class of its origin, where its columns need that.

    Args:
        result: a `Dataset` or stream, changed in place, a `DatasetDict` of some, or anything else, which is given back.
        features: of the origin. An image column that went through a cache file has become a plain `Image`.
    """
    if isinstance(result, DatasetDict):
        result.update({name: adopt(dataset, features) for name, dataset in result.items()})
        result.__class__ = SocoDatasetDict
    elif isinstance(result, Dataset | IterableDataset):
        columns = result._info.features or {}
        for name, feature in columns.items():
            before = features.get(name)
            if type(feature) is Image and isinstance(before, StoredImage) and before.mode == feature.mode:
                columns[name] = StoredImage(mode=feature.mode, decode=feature.decode)
        if isinstance(result, IterableDataset):
            return adopt_stream(result)
        if any(isinstance(feature, StoredImage | PairField) for feature in columns.values()):
            result.__class__ = SocoDataset
    return result


def _with_values(table: pa.Table, derived: Mapping[str, PairField]) -> pa.Table:
    for position, name in enumerate(table.column_names):
        if name in derived:
            field = derived[name]
            pairs = all_pairs(field.root, field.config, field.min_shared)
            numbers = [None if cell is None else cell[0] for cell in table[name].to_pylist()]
            values = [None if k is None else pairs.stored_value(k, field.name) for k in numbers]
            stored = value_features(Features({name: field})).arrow_schema.field(name).type
            table = table.set_column(position, name, pa.array(values, type=stored))
    return table


def _addressed(dataset: Dataset, features: Features) -> list[str]:
    """Image columns of which some rows have no bytes."""
    images = [name for name, feature in features.items() if isinstance(feature, StoredImage)]
    derived = [name for name, feature in dataset.features.items() if is_derived(feature)]
    return [
        name
        for name in images
        if name not in derived
        and any(chunk.field("bytes").null_count > chunk.null_count for chunk in dataset.data.column(name).chunks)
    ]


def _transform(name: str) -> Callable[..., Any]:
    original = getattr(Dataset, name)

    @functools.wraps(original)
    def method(self: SocoDataset, *args: Any, **kwargs: Any) -> Any:
        _check_values(self, name, args, kwargs)
        return adopt(original(plain(self), *args, **kwargs), self.features)

    return method


def _export(name: str) -> Callable[..., Any]:
    original = getattr(Dataset, name)

    @functools.wraps(original)
    def method(self: SocoDataset, *args: Any, **kwargs: Any) -> Any:
        if name == "push_to_hub" and str(kwargs.get("split")) == _ALL:
            raise UsageError(f"split='all' cannot be pushed: {_RESERVED}. Give another name, such as {PUSHED_ALL!r}.")
        return original(write_out(self, name), *args, **kwargs)

    return method


def _check_values(dataset: SocoDataset, name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    """Raise `UsageError` where a method would work on numbers of pairs."""
    derived = dataset._derived()
    given = [*args, *kwargs.values()]
    first = given[0] if given else None
    refused = False
    if name in _NEED_VALUES:
        listed = [[one] if isinstance(one, str) else one for one in given if isinstance(one, str | list | tuple)]
        refused = name == "add_item" or not derived.keys().isdisjoint(one for some in listed for one in some)
    elif name == "cast":
        refused = any(first is None or first.get(column) != field for column, field in derived.items())
    elif name == "cast_column":
        refused = first in derived
    elif name == "with_format":
        refused = first in _STORED_FORMATS
    elif name in ("map", "filter"):
        refused = dataset.format["type"] in ("arrow", *_STORED_FORMATS)  # their function would get what is stored
    if derived and refused:
        raise UsageError(f"{name}: {NOT_WRITTEN_OUT}")


def _needing_values(name: str) -> Callable[..., Any]:
    original = getattr(Dataset, name)

    @functools.wraps(original)
    def method(self: SocoDataset, *args: Any, **kwargs: Any) -> Any:
        _check_values(self, name, args, kwargs)
        return original(self, *args, **kwargs)

    return method


def _dict_transform(name: str) -> Callable[..., Any]:
    original = getattr(DatasetDict, name)

    @functools.wraps(original)
    def method(self: SocoDatasetDict, *args: Any, **kwargs: Any) -> Any:
        result = original(self, *args, **kwargs)
        if type(result) is DatasetDict:
            result.__class__ = SocoDatasetDict
        return result

    return method


for _names, _made in ((_TRANSFORMS, _transform), (_EXPORTS, _export), (("add_item", "unique"), _needing_values)):
    for _name in _names:
        if hasattr(Dataset, _name):  # some came with later versions
            setattr(SocoDataset, _name, _made(_name))
for _name in _TRANSFORMS:
    if hasattr(DatasetDict, _name):
        setattr(SocoDatasetDict, _name, _dict_transform(_name))
keep_class((SocoDataset, SocoStream), adopt)
