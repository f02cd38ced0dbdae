"""JSON that comes from outside: size-limited, never with a traceback."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..errors import DataNotFoundError, SocoError

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
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise AnnotationFileError(f"{path} is not valid JSON ({error}).") from None
