"""JSON that comes from outside: size-limited, never with a traceback."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..errors import DataNotFoundError, SocoError
from ..utils.foreign import read_json_text

_MAX_BYTES = 2_000_000_000


class AnnotationFileError(SocoError, ValueError):
    """A file that is not what it should be."""


def read_outside_json(path: Path) -> Any:
    """Parse a file.

    Raises:
        DataNotFoundError: it is not there.
        AnnotationFileError: too large, not UTF-8 or not JSON.
    """
    if not path.is_file():
        raise DataNotFoundError(f"{path} is not there.")
    if path.stat().st_size > _MAX_BYTES:
        raise AnnotationFileError(f"{path} is larger than {_MAX_BYTES // 10**9} GB.")
    try:
        return read_json_text(path.read_bytes())
    except ValueError as error:
        raise AnnotationFileError(f"{path} is not valid JSON ({error}).") from None
