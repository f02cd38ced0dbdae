"""Rows of Parquet files, local or on the Hub, and members of WebDataset tars, read where they are."""

from __future__ import annotations

import contextlib
import os
import tarfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...data.release_types import MAX_FILE_BYTES
from ...errors import DatasetFolderError
from ...utils.parquet_files import check_parquet

if TYPE_CHECKING:
    import pyarrow as pa

_LEAST = 500_000_000  # bytes that a small file may unpack to: a cell is copied a few times


@contextlib.contextmanager
def _reading(where: str) -> Iterator[None]:
    """Errors of damaged pages as a `DatasetFolderError` that names the file and row."""
    try:
        yield
    except Exception as error:  # Arrow raises almost anything
        raise DatasetFolderError(f"{where} cannot be read ({error}). Copy the file again.") from error


class ParquetRows:
    """Rows of several Parquet files as one table; a row group is read when one of its rows is asked for.

    Attributes:
        names: of the columns.
    """

    def __init__(self, files: Sequence[str | Path], open_file: Any = None) -> None:
        """Read the footers.

        Args:
            files: paths, in order.
            open_file: path -> file object; None = local paths.
        """
        import pyarrow.parquet as pq

        self._files, self._groups, self._starts = [], [], [0]
        self._first_rows: list[int] = []
        self._labels = [str(path) for path in files]
        for path in files:
            try:
                if open_file is None:
                    check_parquet(Path(path), _LEAST)
                file = pq.ParquetFile(path if open_file is None else open_file(str(path)))
            except Exception as error:  # damaged footers raise almost anything
                raise DatasetFolderError(f"{path} is not a whole Parquet file ({error}). Copy it again.") from error
            self._first_rows.append(self._starts[-1])
            for group in range(file.num_row_groups):
                self._groups.append((file, group))
                self._starts.append(self._starts[-1] + file.metadata.row_group(group).num_rows)
            self._files.append(file)
        self.names: tuple[str, ...] = tuple(self._files[0].schema_arrow.names) if self._files else ()
        self._lock, self._held = threading.Lock(), (-1, None)

    def __len__(self) -> int:
        return self._starts[-1]

    def require(self, *columns: str) -> None:
        """Raise `DatasetFolderError` where a file lacks one of some columns."""
        for label, file in zip(self._labels, self._files, strict=True):
            lacks = [name for name in columns if name not in file.schema_arrow.names]
            if lacks:
                has = ", ".join(file.schema_arrow.names)
                raise DatasetFolderError(f"{label} has no column {', '.join(map(repr, lacks))}; it has {has}.")

    def where(self, row: int) -> str:
        """File and row in it, for messages."""
        import bisect

        file = bisect.bisect_right(self._first_rows, row) - 1
        return f"{self._labels[file]} row {row - self._first_rows[file]}"

    def column(self, name: str) -> list[Any]:
        """A whole column as Python values."""
        self.require(name)
        values: list[Any] = []
        for label, file in zip(self._labels, self._files, strict=True):
            with _reading(label):
                values += file.read(columns=[name])[name].to_pylist()
        return values

    def value(self, row: int, name: str) -> Any:
        """One cell as a Python value."""
        import bisect

        group = bisect.bisect_right(self._starts, row) - 1
        with self._lock:
            if self._held[0] != group:
                file, number = self._groups[group]
                with _reading(self.where(row)):
                    self._held = (group, file.read_row_group(number))
            table: pa.Table = self._held[1]
        with _reading(self.where(row)):
            return table[name][row - self._starts[group]].as_py()

    def image_bytes(self, row: int, name: str = "image") -> bytes:
        """The encoded image of a cell, in the form the Hub stores images: {bytes, path}, or bytes."""
        value = self.value(row, name)
        data = value.get("bytes") if isinstance(value, dict) else value
        if not isinstance(data, bytes):
            raise DatasetFolderError(f"{self.where(row)} has no bytes in its column {name!r}.")
        return data


class TarMembers:
    """Members of WebDataset tars, read by their place in the file.

    Attributes:
        samples: (key, extension -> place) of each sample, in order of the tars and their members.
    """

    def __init__(self, tars: Sequence[Path]) -> None:
        self.samples: list[tuple[str, dict[str, tuple[Path, int, int]]]] = []
        for path in tars:
            by_key: dict[str, dict[str, tuple[Path, int, int]]] = {}
            try:
                with tarfile.open(path, "r:") as archive:
                    for member in archive:
                        if member.isfile():
                            key, _, extension = member.name.partition(".")
                            by_key.setdefault(key, {})[extension.lower()] = (path, member.offset_data, member.size)
            except (tarfile.TarError, OSError) as error:
                raise DatasetFolderError(f"{path} is not a whole tar ({error}). Copy it again.") from error
            self.samples += [(f"{path.name}/{key}", parts) for key, parts in by_key.items()]

    @staticmethod
    def read(place: tuple[Path, int, int]) -> bytes:
        """The bytes of a member."""
        path, offset, size = place
        if size > MAX_FILE_BYTES:
            raise DatasetFolderError(
                f"{path} has a member of {size:,} bytes at {offset}, more than {MAX_FILE_BYTES:,}."
            )
        handle = os.open(path, os.O_RDONLY)
        try:
            data = os.pread(handle, size, offset)
        finally:
            os.close(handle)
        if len(data) != size:
            raise DatasetFolderError(f"{path} ends before its member at {offset}. Copy it again.")
        return data
