"""The readers by the name that `--data NAME=DIR` gives them."""

from __future__ import annotations

import re
from pathlib import Path

from ...errors import UsageError, unknown_name
from ...utils.paths import local_path
from .ade20k_reader import Ade20kReader
from .base import DataOptions, DataReader
from .davis_reader import DavisReader
from .hub_rows import ParquetReader
from .imagenet3d_reader import ImageNet3dReader
from .imagenet_reader import ImageNetReader
from .navi_reader import NaviReader
from .nyu_reader import NyuReader
from .omni3d_reader import Omni3dReader

READERS: dict[str, type[DataReader]] = {
    one.kind: one
    for one in (ImageNetReader, Ade20kReader, NyuReader, NaviReader, DavisReader, ImageNet3dReader, Omni3dReader)
}


def open_data(kind: str, place: str | Path, options: DataOptions | None = None) -> DataReader:
    """A data set by its kind.

    Args:
        kind: one of `READERS`.
        place: folder or file; for data sets with copies in Parquet also a Hub id, "ORG/NAME" or "ORG/NAME@REVISION".
        options: see `DataOptions`.

    Raises:
        UsageError: an unknown kind, no such place.
        SocoError: no known layout.
    """
    if kind not in READERS:
        raise unknown_name("data set", kind, READERS)
    reader, path = READERS[kind], local_path(place)
    is_hub_id = re.fullmatch(r"[\w-][\w.-]*/[\w.-]+(@[\w./-]+)?", str(place)) and not path.exists()
    if not is_hub_id or path.parent.is_dir():
        return reader(path, options)
    if not issubclass(reader, ParquetReader):
        raise UsageError(
            f"{place} does not exist here, and {reader.title} has no Hub id: {reader.not_on_hub} "
            f"and give --data {kind}=DIR."
        )
    return reader.from_hub(str(place), options)
