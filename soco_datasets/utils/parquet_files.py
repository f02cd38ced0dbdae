"""Parquet files of others, read within bounds: only the columns that are asked for, and not more than a file can hold.

A small file can unpack to anything: runs of equal values and dictionaries are stored once and read many times. So rows
and uncompressed sizes are looked at before anything is read, texts stay dictionaries until their lengths are known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ..errors import PredictionsError

_LEAST = 1_500_000_000  # bytes that a file of any size may unpack to
_LARGE = 100_000_000  # bytes of a file that may unpack to more
_TIMES = 30  # as many times its size may a larger one
_ROW = 300  # bytes that a row takes at least
_LONGEST = 1_000_000  # bytes of one text


class BoundsError(ValueError):
    """A file that unpacks to more than it may. The message says to what."""


def most_unpacked(size: int, least: int = _LEAST) -> int:
    """Bytes that a file of `size` bytes may unpack to, at least `least`."""
    return max(least, _TIMES * size) if size > _LARGE else least


def holds_json(path: Path) -> bool:
    """Whether a file begins as an object of JSON does. Raises nothing for a file that cannot be read."""
    try:
        with open(path, "rb") as file:
            return file.read(64).lstrip().startswith(b"{")
    except OSError:
        return False


def check_parquet(path: Path, least: int = _LEAST) -> None:
    """Check what the footer of a Parquet file states of its rows and sizes, before it is read as a whole.

    Args:
        path: the file.
        least: bytes that a file of any size may unpack to.

    Raises:
        BoundsError: more rows or bytes than a file of its size may hold.
        pyarrow.ArrowException, OSError: not a whole Parquet file.
    """
    with pq.ParquetFile(path.absolute()) as file:
        _check_footer(file.metadata, most_unpacked(path.stat().st_size, least))


def read_bounded(path: Path, columns: Iterable[str] | None = None) -> pa.Table:
    """A Parquet file with the columns that it has of `columns`, in its own order; page checksums are verified.

    Args:
        path: the file.
        columns: names of the columns to read; None = all.

    Raises:
        BoundsError: too many rows, too many bytes once it is unpacked, or a text that is too long.
        pyarrow.ArrowException, OSError: not a whole Parquet file.
    """
    try:
        return _read(path, columns)
    except (BoundsError, pa.ArrowException, OSError):
        raise
    except Exception as error:  # a damaged footer makes pyarrow raise what it likes, such as UnicodeDecodeError
        raise pa.ArrowInvalid(f"damaged: {error}") from error


def read_checked(
    path: Path, columns: Iterable[str], check: Callable[[pa.Table], pa.Table], made_by: tuple[str, str]
) -> pa.Table:
    """The data of a record from a file that may be a stranger's.

    Args:
        path: an existing file.
        columns: names of the columns to read.
        check: gives the checked table, or raises `PredictionsError`.
        made_by: the command that writes such files, and in a word how to make it again.

    Raises:
        PredictionsError: naming the file; out of bounds, not a whole Parquet file, or what `check` finds.
    """
    if holds_json(path):
        stem = path.name.removesuffix(".json")
        raise PredictionsError(
            f"{path}: a JSON file such as a result record, not the data behind it; give the Parquet file, such as "
            f"{path.with_name(f'{stem}.predictions.parquet')}."
        )
    try:
        table = read_bounded(path, columns)
    except BoundsError as error:
        raise PredictionsError(f"{path}: {error}. It was not written by `{made_by[0]}`.") from None
    except (pa.ArrowException, OSError) as error:
        raise PredictionsError(
            f"{path}: not a whole Parquet file ({str(error).splitlines()[0]}). Copy it again, or {made_by[1]} again."
        ) from error
    try:
        return check(table)
    except PredictionsError as error:
        raise PredictionsError(f"{path}: {error}") from error


def _read(path: Path, columns: Iterable[str] | None) -> pa.Table:
    size = path.stat().st_size
    most = most_unpacked(size)
    with pq.ParquetFile(path.absolute()) as file:
        metadata = file.metadata
        wanted = None if columns is None else set(columns)
        leaves = [metadata.schema.column(index).path for index in range(metadata.num_columns)]
        texts = [
            leaf
            for index, leaf in enumerate(leaves)
            if metadata.schema.column(index).physical_type == "BYTE_ARRAY"
            and (wanted is None or leaf.partition(".")[0] in wanted)
        ]
        names = [name for name in file.schema_arrow.names if wanted is None or name in wanted]
        _check_footer(metadata, most)
    with pq.ParquetFile(path.absolute(), page_checksum_verification=True, read_dictionary=texts) as file:
        parts, total = [], 0
        for group in range(file.num_row_groups):
            part = file.read_row_group(group, columns=names)
            total += part.nbytes + sum(_text_bytes(column) for column in part.columns)
            _check(total, most, f"more than {most:,} bytes once it is unpacked")
            parts.append(pa.table([_plain(column) for column in part.columns], names=part.column_names))
        whole = pa.concat_tables(parts) if parts else file.read(columns=names)
        whole = pa.table([_plain(column) for column in whole.columns], names=whole.column_names)
        return whole.replace_schema_metadata(file.schema_arrow.metadata)


def _check_footer(metadata: pq.FileMetaData, most: int) -> None:
    # not of each column: pyarrow aborts the process where the footer of one is damaged
    unpacked = sum(metadata.row_group(group).total_byte_size for group in range(metadata.num_row_groups))
    _check(metadata.num_rows * _ROW, most, f"{metadata.num_rows:,} rows")
    _check(unpacked, most, f"{unpacked:,} bytes once it is unpacked")


def _check(number: int, most: int, shown: str) -> None:
    if number > most:
        raise BoundsError(f"it has {shown}, more than a file of its size may hold")


def _text_bytes(column: pa.ChunkedArray) -> int:
    """Bytes that a column of dictionary texts, or of lists of them, takes as plain texts."""
    total = 0
    for chunk in column.chunks:
        values = chunk
        while isinstance(values, pa.ListArray | pa.LargeListArray | pa.FixedSizeListArray):
            values = values.flatten()
        if not pa.types.is_dictionary(values.type) or not len(values.dictionary):
            continue
        lengths = pc.binary_length(values.dictionary).fill_null(0).to_numpy(zero_copy_only=False)
        if lengths.max() > _LONGEST:
            raise BoundsError(f"it has a text of {int(lengths.max()):,} bytes")
        used = values.indices.drop_null().to_numpy(zero_copy_only=False)
        total += int(lengths.astype(np.int64)[used].sum())
    return total


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column of dictionary texts, or of lists of them, as one of plain texts."""
    plain = _plain_type(column.type)
    return column if plain.equals(column.type) else column.cast(plain)


def _plain_type(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_dictionary(kind):
        return kind.value_type
    if pa.types.is_list(kind):
        return pa.list_(kind.value_field.with_type(_plain_type(kind.value_type)))
    if pa.types.is_large_list(kind):
        return pa.large_list(kind.value_field.with_type(_plain_type(kind.value_type)))
    return kind
