"""The `datasets` feature types behind `load_dataset("soco", ...)`: images joined and pairs derived only on access.

A joined image is stored as the address "soco://FOLDER!/IMAGE_ID" in the `path` of an ordinary image struct, its bytes
null; in a schema it is a plain `Image`. `StoredImage` decodes addresses itself, without a registered file system, and
embeds the bytes where a dataset is exported (`loading.dataset`), so that what is exported needs nothing of ours. Where
a plain `Image` meets an address (a dataset concatenated by hand, then mapped), `SocoFileSystem` serves it, which fsspec
finds through the entry point of this package.
"""

from __future__ import annotations

import io
import numbers
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pyarrow as pa
from datasets import Features
from datasets.features import Image
from datasets.features.features import _FEATURE_TYPES, register_feature
from fsspec import AbstractFileSystem

from ..data.all_pairs import IMAGE_COLUMNS
from ..data.schema import CONFIGS, TableSpec
from ..data.uris import PREFIX, PROTOCOL, marks_of, pair_of, parse_uri
from ..errors import UsageError

if TYPE_CHECKING:
    import PIL.Image

NOT_WRITTEN_OUT = (
    "The columns of the split 'all' are derived on access; their storage holds numbers of pairs, not values. Select "
    "the rows and columns you need and call soco_datasets.expand_pairs(dataset, embed_images=True): that gives values."
)


@dataclass
class StoredImage(Image):
    """An image that stays in its dataset folder; gives an RGB `PIL.Image`, EXIF orientation not applied.

    Storage is that of `datasets.Image`. It is written into schemas as a plain `Image`, so that files exported from it
    load everywhere; being a class of ours makes other processes that unpickle a dataset import this package.
    """

    # `datasets` leaves out of schemas what equals its default; the mode must be in them
    mode: str | None = field(default="RGB", metadata={"include_in_asdict_even_if_is_default": True})

    def __eq__(self, other: object) -> bool:
        """Equal to the plain `Image` that it becomes in a schema."""
        return isinstance(other, Image) and (self.mode, self.decode) == (other.mode, other.decode)

    def decode_example(self, value: Any, token_per_repo_id: dict[str, Any] | None = None) -> PIL.Image.Image:
        """Decode without EXIF orientation where bytes are given; addresses from their folder, files as `Image` does."""
        if self.decode and isinstance(value, dict):
            if value.get("bytes") is not None:
                from ..data.images import open_rgb

                return _in_mode(open_rgb(value["bytes"], f"The image {value.get('path')!r}"), self.mode)
            if _is_address(value.get("path")):
                return _in_mode(_open_address(value["path"]), self.mode)
        return super().decode_example(value, token_per_repo_id=token_per_repo_id)

    def embed_storage(self, storage: pa.StructArray, *args: Any, **kwargs: Any) -> pa.StructArray:
        """Put the JPEG bytes of addressed images into the rows, whatever kinds of files are asked for."""
        paths, stored = storage.field("path").to_pylist(), storage.field("bytes")
        if not any(_is_address(path) for path in paths):
            return super().embed_storage(storage, *args, **kwargs)
        cells, names = [], []
        for row, path in enumerate(paths):
            addressed = _is_address(path) and not stored[row].is_valid
            cells.append(_read_address(path) if addressed else stored[row].as_py())
            names.append(parse_uri(path)[1].rpartition("/")[2] + ".jpg" if addressed else path)
        arrays = [pa.array(cells, pa.binary()), pa.array(names, pa.string())]
        return pa.StructArray.from_arrays(arrays, ["bytes", "path"], mask=storage.is_null())


@dataclass
class PairField:
    """One field of one pair of the split `all`, stored as the pair's number and derived on access.

    All columns of `all` share one buffer of numbers: 8 bytes a pair. The storage is a list of one number, not a bare
    integer, so that what would see numbers in place of values (sorting, `unique`, casts) fails and does not mislead.

    Attributes:
        root: absolute path of the dataset folder.
        config: pair config.
        min_shared: least number of common keypoints of a pair.
        name: the column's name.
    """

    root: str
    config: str
    min_shared: int
    name: str
    id: str | None = field(default=None, repr=False)
    dtype: ClassVar[str] = "pair"
    pa_type: ClassVar[Any] = pa.list_(pa.int64(), 1)
    _type: str = field(default="PairField", init=False, repr=False)

    def __call__(self) -> pa.DataType:
        return self.pa_type

    def __repr__(self) -> str:
        """For messages of `datasets`, which show the features that do not fit together."""
        return f"PairField({self.name!r}, derived on access; soco_datasets.expand_pairs(dataset) gives values)"

    def encode_example(self, value: Any) -> Any:
        """Values are stored as they are: a number stays one, anything else makes a new column type."""
        return value

    def decode_example(self, value: Any, token_per_repo_id: dict[str, Any] | None = None) -> Any:
        """The field's value for pair number `[k]`, as a list or an array; what is no pair number is a value already.

        A stream that loses or renames columns decodes its rows, encodes them and decodes them again.
        """
        from ..data.all_pairs import all_pairs

        number = _pair_number(value)
        if isinstance(value, dict):
            return StoredImage().decode_example(value, token_per_repo_id)
        if number is None:
            return value
        return all_pairs(self.root, self.config, self.min_shared).value(number, self.name)

    def cast_storage(self, storage: pa.Array) -> pa.Array:
        """Accept pair numbers, nulls, and unchanged images by their address; `map` gives other values a new type."""
        if storage.type == self.pa_type:
            return storage
        if pa.types.is_null(storage.type):
            return storage.cast(self.pa_type)
        if pa.types.is_struct(storage.type) and {field.name for field in storage.type} == {"bytes", "path"}:
            paths = storage.field("path").to_pylist() if storage.field("bytes").null_count == len(storage) else [""]
            numbers = [None if path is None else pair_of(path) for path in paths]
            if None not in numbers:
                return pa.array([[number] for number in numbers], self.pa_type)
        raise TypeError(f"Cannot store {storage.type} in a derived column; `map` gives it a column of its own type.")

    def embed_storage(self, storage: pa.Array, *args: Any, **kwargs: Any) -> pa.Array:
        """Called where a dataset is written or uploaded as it is stored: refuses, since numbers are no values."""
        raise UsageError(NOT_WRITTEN_OUT)


class SocoFileSystem(AbstractFileSystem):
    """Read-only fsspec file system of the images of built folders, at `image_address`.

    Files are the JPEGs of the folder with the EXIF orientation tag set to 1, since the point annotations belong to
    the un-rotated image and many readers would rotate it. Use `open_folder(root).images.jpeg_bytes` for the original.
    """

    protocol = PROTOCOL
    cachable = True

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        return [cls._strip_protocol(p) for p in path] if isinstance(path, list) else path.removeprefix(PREFIX)

    def _read(self, path: str) -> bytes:
        try:
            return _read_address(path)
        except ValueError as error:
            raise FileNotFoundError(str(error)) from error

    def info(self, path: str, **kwargs: Any) -> dict[str, Any]:
        """Name, size in bytes and type, as fsspec wants them."""
        return {"name": path, "size": len(self._read(path)), "type": "file"}

    def ls(self, path: str, detail: bool = True, **kwargs: Any) -> list[Any]:
        """The file itself: a built folder is not meant to be walked."""
        return [self.info(path) if detail else path]

    def _open(self, path: str, mode: str = "rb", **kwargs: Any) -> io.BytesIO:
        if mode != "rb":
            raise PermissionError(f"{PREFIX} is read-only")
        return io.BytesIO(self._read(path))


def is_derived(feature: object) -> bool:
    """Whether a column of this feature holds pair numbers (the split `all`)."""
    return isinstance(feature, PairField)


def _pair_number(value: Any) -> int | None:
    """The k of `[k]`; None for anything else, such as any value that a column of pairs can have."""
    if isinstance(value, list | np.ndarray) and len(value) == 1 and isinstance(value[0], numbers.Integral):
        return int(value[0])
    return None


def _in_mode(image: PIL.Image.Image, mode: str | None) -> PIL.Image.Image:
    return image if mode in (None, image.mode) else image.convert(mode)


def joined_features(config: str, specs: Mapping[str, TableSpec] = CONFIGS) -> Features:
    """Columns of a config as loaded: the stored ones, images as `StoredImage`, joined ones after the first column."""
    stored = specs[config].features
    first, *rest = stored
    features = {first: stored[first]}
    if specs[config].shows_pair:
        features |= {name: StoredImage() for name in IMAGE_COLUMNS}
    return Features(features | {name: StoredImage() if name == "image" else stored[name] for name in rest})


def value_features(features: Features) -> Features:
    """The features of the values that columns of `all` stand for; others as they are."""
    return Features(
        {
            name: joined_features(feature.config)[feature.name] if isinstance(feature, PairField) else feature
            for name, feature in features.items()
        }
    )


def plain_features(features: Features) -> Features:
    """The same features, images as the library's own."""
    return Features(
        {
            name: Image(mode=feature.mode, decode=feature.decode) if isinstance(feature, StoredImage) else feature
            for name, feature in features.items()
        }
    )


def with_bytes(table: pa.Table, images: list[str]) -> pa.Table:
    """The table with the bytes of these image columns embedded."""
    for name in images:
        column = StoredImage().embed_storage(table[name].combine_chunks())
        table = table.set_column(table.column_names.index(name), name, column)
    return table


def _is_address(path: object) -> bool:
    return isinstance(path, str) and path.startswith(PREFIX)


def _open_address(path: str) -> PIL.Image.Image:
    """The image at an address, its markers drawn in; it carries the address."""
    from ..data.folder import open_folder

    root, image_id = parse_uri(path)
    image = open_folder(root).images.open(image_id)
    if tag := marks_of(path):
        from ..data.questions.markers import draw_tagged

        return draw_tagged(image, tag, path)
    return image


def _read_address(path: str) -> bytes:
    """The same as the bytes of a JPEG, which states no orientation."""
    from ..data.folder import open_folder
    from ..data.jpeg import without_orientation

    root, image_id = parse_uri(path)
    images = open_folder(root).images
    if tag := marks_of(path):
        from ..data.questions.markers import encode_tagged

        return encode_tagged(images.open(image_id), tag)
    return without_orientation(images.jpeg_bytes(image_id))


def register_features() -> None:
    """Make `PairField` known to `datasets`, with its public function: caches of `map` hold it by its name."""
    if "PairField" not in _FEATURE_TYPES:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # "experimental": reported on every import otherwise
            register_feature(PairField, "PairField")


def unregister_features() -> None:
    """Undo `register_features`."""
    _FEATURE_TYPES.pop("PairField", None)


register_features()
