"""The images of a built folder, found by id. Nothing is read before it is asked for."""

from __future__ import annotations

import io
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from PIL import Image, JpegImagePlugin

from ..errors import ChangedDataError, DatasetFolderError, UsageError
from .manifest import ShardEntry
from .release_types import MAX_PIXELS
from .remote_folder import HubImages, Snapshot
from .shards import image_digest
from .uris import image_address

_KEPT_ROW_GROUPS = 4
_ORIENTED = ("exif", "xmp", "XML:com.adobe.xmp")  # entries of PIL's `info` that may state an orientation


class ImageStore:
    """Images of a built folder by `image_id`, in dataset order. Safe to share between threads, forks and pickles.

    Args:
        root: the folder.
        ids: the `image_id` of every row of the `images` config.
        shards: its files.
        snapshot: where images come from whose shards are not here.
        reopen: how another process gets these images; can be pickled.
    """

    def __init__(
        self,
        root: Path,
        ids: Sequence[str],
        shards: Sequence[ShardEntry],
        snapshot: Snapshot | None,
        reopen: Callable[[], ImageStore],
    ) -> None:
        self._root = root
        self._reopen = reopen
        self._rows = {image_id: row for row, image_id in enumerate(ids)}
        self._parts = [_part(shard, root, snapshot) for shard in shards]
        self._starts = np.cumsum([0, *(shard.rows for shard in shards)])
        self._shards = list(shards)

    def __reduce__(self) -> tuple[Callable[[], ImageStore], tuple[()]]:
        return self._reopen, ()

    def __repr__(self) -> str:
        return f"<ImageStore: {len(self):,} images>"

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __contains__(self, image_id: object) -> bool:
        return image_id in self._rows

    def row(self, image_id: str) -> int:
        """Row of an image in the `images` config; raises `UsageError` for an unknown id."""
        try:
            return self._rows[image_id]
        except KeyError:
            raise UsageError(f"No image {image_id!r} in {self._root} ({len(self):,} images).") from None

    def jpeg_bytes(self, image_id: str) -> bytes:
        """The file of an image exactly as the release has it; raises `UsageError` for an unknown id."""
        data: bytes = self._buffer(image_id).to_pybytes()
        return data

    def open(self, image_id: str, tag: str = "") -> Image.Image:
        """The image as RGB, its pixels decoded when they are first used, EXIF orientation NOT applied.

        Args:
            image_id: which image.
            tag: put after the address that the image carries as its `filename`.

        Raises:
            UsageError: unknown id.
            DatasetFolderError: the stored bytes are not an image; for damage behind the header, on first use.
        """
        address = image_address(self._root.as_posix(), image_id) + tag
        return open_rgb(self._buffer(image_id), f"{self._root}: image {image_id!r}", address)

    def decode(self, image_id: str) -> Image.Image:
        """The same, decoded: the frame that annotations use. Raises as `open` does, all at once."""
        return self.open(image_id).copy()

    def _buffer(self, image_id: str) -> pa.Buffer:
        row = self.row(image_id)
        part = int(np.searchsorted(self._starts, row, side="right")) - 1
        data = self._parts[part].read(row - int(self._starts[part]))
        if data is None:
            raise DatasetFolderError(f"{self._root}: image {image_id!r} has no bytes. Build the folder again.")
        digests = self._shards[part].image_digests
        if digests and image_digest(data) != digests[row - int(self._starts[part])]:
            file = self._shards[part].path.relative_to(self._root).as_posix()
            raise ChangedDataError(
                f"{self._root}: image {image_id!r} in {file} is not the one that was built: its sha256 is another. "
                "Copy the folder again or build it again."
            )
        return data


class StoredJpeg(JpegImagePlugin.JpegImageFile):
    """A JPEG as RGB, whatever its own mode, that decodes on first use from memory it does not own.

    As long as nobody draws on it, `datasets` stores it again (a `map` that looks at it) by its address, or by its
    original bytes where it has none: `filename` and `format` are what `datasets` looks at. A changed image is stored
    without loss.
    """

    def __init__(self, data: bytes | pa.Buffer, name: str, address: str = "") -> None:
        self._data = data
        self._name = name
        self._address = address
        super().__init__(pa.BufferReader(data))
        self._stored_size, self._stored_mode = self.size, self.mode
        self._mode = "RGB"  # what it will be once decoded

    @property
    def filename(self) -> str:
        """The address, "" once the image was changed."""
        return self._address if self._address and self._is_unchanged() else ""

    @filename.setter
    def filename(self, value: str) -> None:
        """Pillow sets it when it opens the image; the address stays."""

    @property
    def format(self) -> str | None:  # type: ignore[override]  # an attribute in Pillow
        """JPEG, None once the image was changed."""
        return "JPEG" if self._is_unchanged() else None

    def load(self) -> Any:
        """Decode the pixels, once, to RGB."""
        if not self.tile:
            return super().load()
        self._mode = self._stored_mode
        try:
            super().load()
        except (OSError, SyntaxError, ValueError) as error:
            raise _undecodable(self._name, error) from error
        if self._stored_mode != "RGB":
            self.im = self.im.convert("RGB", Image.Dither.NONE)
            self._mode = "RGB"
        return super().load()

    def save(self, fp: Any, format: str | None = None, **params: Any) -> None:
        """As Pillow does; but an unchanged image goes into an open file as the JPEG that it is."""
        if format == "JPEG" and not params and hasattr(fp, "write") and self._is_unchanged():
            fp.write(self._data)
        else:
            super().save(fp, format, **params)

    def __reduce__(self) -> tuple[Any, ...]:
        """Other processes get the pixels."""
        return Image.frombytes, (self.mode, self.size, self.tobytes())

    def _is_unchanged(self) -> bool:
        if (self.mode, self.size) != ("RGB", self._stored_size):
            return False
        if self.tile:  # not decoded yet
            return True
        original = JpegImagePlugin.JpegImageFile(pa.BufferReader(self._data)).convert("RGB")
        return bool(original.tobytes() == self.tobytes())


def open_rgb(data: bytes | pa.Buffer, name: str, address: str = "") -> Image.Image:
    """The bytes of an image file as RGB, whatever its mode. A JPEG is decoded on first use, other formats at once.

    The EXIF orientation is not applied, and the image does not carry it on, so that nobody else applies it either
    (pipelines of `transformers` would). `name` opens error messages; `address` is where `StoredImage` finds the image.
    """
    image: Image.Image
    try:
        try:
            image = StoredJpeg(data, name, address)
        except SyntaxError:  # not a JPEG, whatever its file name says
            opened = Image.open(io.BytesIO(data))
            _check_pixels(name, opened)
            image = opened.convert("RGB")  # Pillow reads WebP beyond its end, Arrow would not
    except DatasetFolderError:
        raise
    except Exception as error:  # damaged images raise almost anything
        raise _undecodable(name, error) from error
    _check_pixels(name, image)
    for key in _ORIENTED:
        image.info.pop(key, None)
    return image


def _check_pixels(name: str, image: Image.Image) -> None:
    if image.width * image.height > MAX_PIXELS:
        raise DatasetFolderError(f"{name} is {image.width} x {image.height} pixels, more than {MAX_PIXELS:,}.")


def _undecodable(name: str, error: Exception) -> DatasetFolderError:
    return DatasetFolderError(f"{name} does not decode ({error}). Copy the folder again or build it again.")


class _Part(Protocol):
    """The images of one shard."""

    def read(self, row: int) -> pa.Buffer | None: ...


def _part(shard: ShardEntry, root: Path, snapshot: Snapshot | None) -> _Part:
    if snapshot is not None and not shard.path.is_file():
        return HubImages(snapshot, root, shard)
    return _ParquetPart(shard) if shard.path.suffix == ".parquet" else _ArrowPart(shard)


class _ArrowPart:
    """Memory-mapped Arrow stream: opening it touches the batch headers only."""

    def __init__(self, shard: ShardEntry) -> None:
        try:
            source = pa.memory_map(str(shard.path))
            batches = list(pa.ipc.open_stream(source))
        except (pa.ArrowException, OSError) as error:
            raise DatasetFolderError(f"{shard.path} cannot be read ({error}). Build the folder again.") from error
        self._bytes = [batch["image"].field("bytes") for batch in batches]
        self._starts = np.cumsum([0, *(batch.num_rows for batch in batches)])

    def read(self, row: int) -> pa.Buffer | None:
        batch = int(np.searchsorted(self._starts, row, side="right")) - 1
        return self._bytes[batch][row - int(self._starts[batch])].as_buffer()


class _ParquetPart:
    """Parquet file read by row group; the last few row groups stay in memory."""

    def __init__(self, shard: ShardEntry) -> None:
        import pyarrow.parquet as pq

        self._file = pq.ParquetFile(shard.path, memory_map=True)
        metadata = self._file.metadata
        self._starts = np.cumsum([0, *(metadata.row_group(i).num_rows for i in range(metadata.num_row_groups))])
        self._kept: OrderedDict[int, pa.ChunkedArray] = OrderedDict()
        self._lock = threading.Lock()  # a ParquetFile has one reading position

    def read(self, row: int) -> pa.Buffer | None:
        group = int(np.searchsorted(self._starts, row, side="right")) - 1
        with self._lock:
            if group not in self._kept:
                self._kept[group] = self._file.read_row_group(group, columns=["image.bytes"])["image"]
                if len(self._kept) > _KEPT_ROW_GROUPS:
                    self._kept.popitem(last=False)
            self._kept.move_to_end(group)
            column = self._kept[group]
        return column[row - int(self._starts[group])]["bytes"].as_buffer()
