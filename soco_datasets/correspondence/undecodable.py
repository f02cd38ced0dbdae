"""Skipping images that do not decode: they are found before planning, logged, and their pairs left out."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pyarrow.compute as pc

from ..data.folder import DatasetFolder
from ..errors import ChangedDataError, DatasetFolderError
from ..features.loader import decoding_threads
from ..utils.progress import progress

_IMAGE_COLUMNS = ("source_image_id", "target_image_id")
_log = logging.getLogger(__name__)


def without_bad_images(
    folder: DatasetFolder, pairs: Mapping[str, pa.Table], workers: int | None = None
) -> tuple[dict[str, pa.Table], dict[str, int]]:
    """The pairs without those whose source or target image does not decode. Each such image is logged.

    Args:
        folder: a built dataset folder.
        pairs: task -> its pairs. Every image in them is decoded once, in addition to the decode of the evaluation.
        workers: decoding threads, see `features.loader.FeatureLoader`.

    Returns:
        The tables, and {"bad_images": how many images, "skipped_pairs": rows left out of all the tables}.
    """
    used = {
        name for table in pairs.values() for column in _IMAGE_COLUMNS for name in table[column].unique().to_pylist()
    }
    bad = bad_images(folder, sorted(used & set(folder.images)), workers)  # the plan rejects an unknown image
    kept = {task: _without(table, bad) for task, table in pairs.items()} if bad else dict(pairs)
    skipped = sum(pairs[task].num_rows - table.num_rows for task, table in kept.items())
    return kept, {"bad_images": len(bad), "skipped_pairs": skipped}


def bad_images(folder: DatasetFolder, names: Sequence[str], workers: int | None = None) -> list[str]:
    """Those of some images that do not decode, each logged; all are decoded.

    Args:
        folder: a built dataset folder.
        names: ids of its images.
        workers: decoding threads, see `features.loader.FeatureLoader`.
    """

    def reason(name: str) -> str | None:
        try:
            folder.images.decode(name)
        except ChangedDataError:  # not what was built: nothing is evaluated on it
            raise
        except DatasetFolderError as error:
            return str(error)
        return None

    with ThreadPoolExecutor(max_workers=max(1, decoding_threads(workers))) as pool:
        reasons = list(progress(pool.map(reason, names), "Checking images", total=len(names), unit="image"))
    for why in filter(None, reasons):
        _log.warning("left out: %s", why)
    return [name for name, why in zip(names, reasons, strict=True) if why is not None]


def _without(table: pa.Table, bad: list[str]) -> pa.Table:
    source, target = (pc.is_in(table[column], value_set=pa.array(bad, pa.string())) for column in _IMAGE_COLUMNS)
    return table.filter(pc.invert(pc.or_(source, target)))
