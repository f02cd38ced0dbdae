"""Candidates from a plain folder of photographs: one folder a category, or all of one category."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ..errors import UsageError
from ..utils.paths import real_path
from .candidate import Candidate
from .photo_files import ENDINGS


def read_folder(folder: Path, category: str | None = None) -> Iterator[Candidate]:
    """All pictures below a folder, in order of their names.

    Args:
        folder: with pictures, or with one folder of pictures a category.
        category: of all pictures; None = the name of the folder each picture is in.

    Raises:
        UsageError: pictures at the top and no category.
    """
    root = real_path(folder)
    for path in sorted(folder.rglob("*")):
        if path.name.startswith(".") or not path.name.lower().endswith(ENDINGS):
            continue
        parts = path.relative_to(folder).parts
        if category is None and len(parts) == 1:
            raise UsageError(
                f"{path} is in no folder of a category; give --category NAME for all pictures of {folder}."
            )
        name, own = "/".join(parts), category or parts[0]
        if not real_path(path).is_relative_to(root):
            yield Candidate(own, name, path, error="is a link out of the folder")
            continue
        yield Candidate(own, name, path, origin=name)
