"""Reading ImageNet3D's pickled arrays without running what a file says: a few NumPy constructors, nothing else."""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import SocoError

_MAX_BYTES = 4 * 1024 * 1024
_MEMBER = "annotations.npy"
_ALLOWED = {
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("_codecs", "encode"),
    *(
        (module, name)
        for module in ("numpy.core.multiarray", "numpy._core.multiarray")
        for name in ("_reconstruct", "scalar")
    ),
}


class UnsafeFileError(SocoError, ValueError):
    """A pickle that asks for more than plain data, or is damaged."""


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise UnsafeFileError(f"hostile or foreign pickle: it asks for {module}.{name}, which data has no need of")
        return super().find_class(module.replace("numpy.core", "numpy._core"), name)


def read_pickled_annotations(path: Path) -> list[dict[str, Any]]:
    """The dicts in the array `annotations` of an .npz file.

    Raises:
        UnsafeFileError: too large, damaged, or with anything but plain data in it. Nothing of it was run.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            info = archive.getinfo(_MEMBER)
            if info.file_size > _MAX_BYTES:
                raise UnsafeFileError(f"{_MEMBER} is {info.file_size} bytes, more than {_MAX_BYTES}")
            data = archive.read(info)
        stream = io.BytesIO(data)
        version = np.lib.format.read_magic(stream)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        _, _, dtype = read(stream)
        if dtype != np.dtype(object):
            raise UnsafeFileError(f"{_MEMBER} holds {dtype}, not objects")
        loaded = _Unpickler(stream).load()
    except UnsafeFileError:
        raise
    except Exception as error:  # a damaged pickle raises almost anything
        raise UnsafeFileError(f"cannot be read ({type(error).__name__}: {error})") from None
    items = list(loaded.ravel()) if isinstance(loaded, np.ndarray) else []
    if not items or not all(isinstance(item, dict) for item in items):
        raise UnsafeFileError("holds no list of objects with fields")
    return items
