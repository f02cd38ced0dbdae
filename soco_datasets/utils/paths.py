"""Paths as people give them: "~" is the home folder, every other character is part of a name.

Libraries below read more into a path: Arrow takes "run:1" for a URI, fsspec takes "*" for a pattern. Every path that a
command or a public function is given goes through `local_path` once; the files that are written or read by other
libraries are handed to them absolute (`atomic_file` does), which no library takes for anything else.
"""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import UsageError


def local_path(path: str | os.PathLike[str]) -> Path:
    """The path meant by `path`: a leading "~" or "~user" is expanded, anything else is taken as it is.

    Raises:
        UsageError: the path is empty, holds a null character, or names the home of an unknown user.

    >>> local_path("run:1/*.json").as_posix()
    'run:1/*.json'
    """
    text = os.fspath(path)
    if not text or "\0" in text:
        raise UsageError(f"{text!r} is not a path. Give the name of a file or folder.")
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise UsageError(
            f"There is no home folder for {text!r}. Write './{text}' for a file or folder of that name."
        ) from None


def real_path(path: Path) -> Path:
    """An absolute path without links. A link that leads to itself stays, where `Path.resolve` raises `RuntimeError`."""
    return Path(os.path.realpath(path))
