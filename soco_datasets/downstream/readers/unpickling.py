"""Pickles of NumPy arrays and plain values, and nothing else: a foreign object is refused before it can run."""

from __future__ import annotations

import io
import pickle
import pickletools
from collections.abc import Collection
from pathlib import Path
from typing import IO, Any

from ...errors import DatasetFolderError
from ...utils.compressed import check_zip

_ALLOWED = {
    *(("numpy", name) for name in ("ndarray", "dtype", "bool_")),
    *((module, name) for module in ("numpy.core.multiarray", "numpy._core.multiarray") for name in ("_reconstruct",)),
    *((module, "scalar") for module in ("numpy.core.multiarray", "numpy._core.multiarray")),
    *((module, "_frombuffer") for module in ("numpy.core.numeric", "numpy._core.numeric")),
    ("_codecs", "encode"),
}

_MOST_STEPS = 5_000_000  # an array takes some twenty


class _ForeignObjectError(pickle.UnpicklingError):
    """Something else than arrays and plain values."""


class _ArrayUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise _ForeignObjectError(f"it holds {module}.{name}")
        return super().find_class(module, name)


def load_arrays(source: Path | bytes | IO[bytes], name: str = "") -> Any:
    """What a pickle of arrays, strings, numbers, lists and dicts holds.

    Args:
        source: file, its bytes, or an open file.
        name: what messages call it.

    Raises:
        DatasetFolderError: not a whole pickle, or one with anything else; that is not run.
    """
    label = name or str(source if isinstance(source, Path) else "the pickle")
    try:
        if isinstance(source, Path):
            with open(source, "rb") as file:
                return _load(file)
        return _load(io.BytesIO(source if isinstance(source, bytes) else source.read()))
    except pickle.UnpicklingError as error:
        if not isinstance(error, _ForeignObjectError):
            raise DatasetFolderError(f"{label} is not a whole pickle ({error}). Copy it again.") from error
        raise DatasetFolderError(
            f"{label} is refused: {error}. Only NumPy arrays and plain values are read from a pickle, and nothing in "
            "it was run. Get the file from its authors."
        ) from error
    except Exception as error:  # a damaged pickle raises almost anything
        raise DatasetFolderError(f"{label} is not a whole pickle ({error}). Copy it again.") from error


def _load(file: IO[bytes]) -> Any:
    for number, _ in enumerate(pickletools.genops(file)):  # a byte may make an object of 64
        if number > _MOST_STEPS:
            raise pickle.UnpicklingError(f"more than {_MOST_STEPS:,} steps to make what it holds")
    file.seek(0)
    return _ArrayUnpickler(file, encoding="latin1").load()


def load_named_arrays(source: Path | bytes, name: str = "", keys: Collection[str] = ()) -> dict[str, Any]:
    """What a pickle of a dict holds, see `load_arrays`.

    Args:
        source, name: as there.
        keys: what the dict must have.

    Raises:
        DatasetFolderError: as there, and no dict of texts to values, or one without a key.
    """
    content, label = load_arrays(source, name), name or str(source if isinstance(source, Path) else "the pickle")
    if not isinstance(content, dict):
        raise DatasetFolderError(f"{label} holds {type(content).__name__}, expected a dict.")
    if other := [key for key in content if not isinstance(key, str)]:
        raise DatasetFolderError(f"{label} has the key {other[0]!r}, expected texts. Copy it again.")
    if missing := sorted(set(keys) - set(content)):
        raise DatasetFolderError(f"{label} lacks {', '.join(missing)}.")
    return content


def load_object_array(path: Path, key: str) -> Any:
    """The object array `key` of an .npz file, read by the restricted unpickler; other arrays as NumPy reads them.

    Raises:
        DatasetFolderError: not such a file, no such key, a foreign object.
    """
    import zipfile

    import numpy as np

    try:
        check_zip(path)
        with zipfile.ZipFile(path) as archive, archive.open(f"{key}.npy") as file:
            version = np.lib.format.read_magic(file)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, _, dtype = read(file)
            if not dtype.hasobject:
                return np.frombuffer(file.read(), dtype=dtype).reshape(shape)
            return load_arrays(file, str(path))
    except DatasetFolderError:
        raise
    except Exception as error:  # damaged archives raise almost anything
        raise DatasetFolderError(f"{path}: no array {key!r} can be read ({error}).") from error
