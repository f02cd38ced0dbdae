"""Caches on machines that several people use: made for their owner alone, and not read where others could write.

What is cached is taken for what this user built: nobody else may put it there. A folder that somebody chooses to share
is trusted with SOCO_TRUST_CACHE=1, and a dataset folder that is named (`--data DIR`) is no cache.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from ..errors import SocoError

TRUST = "SOCO_TRUST_CACHE"
_ROOT = 0
_REACHED = stat.S_IXGRP | stat.S_IXOTH


def check_private(folder: Path) -> Path:
    """The folder, which need not be there, if only this user and root can have written into it and its parent.

    A parent may be one where others may write and not remove (`/tmp`). Of a symbolic link its owner counts too.

    Raises:
        SocoError: another user owns or can write one of the two. Not where SOCO_TRUST_CACHE is 1, nor on Windows.
    """
    if hasattr(os, "geteuid") and os.environ.get(TRUST, "") not in ("1", "true", "yes"):
        closed = folder.parent.exists() and not folder.parent.stat().st_mode & _REACHED
        for place in (folder, folder.parent):
            if problem := _problem(place, is_parent=place != folder, closed=closed):
                raise SocoError(
                    f"The cache {folder} is not used: {place} {problem}, so what is in it may not be yours. Give it to "
                    "yourself alone (chown, chmod go-w), or name another folder (SOCO_CACHE, --store-dir), or set "
                    f"{TRUST}=1 where you trust everybody who can write it."
                )
    return folder


def make_private(folder: Path) -> Path:
    """The folder, made with mode 0700 where it is missing, whatever the umask. Raises `OSError`."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def _problem(place: Path, *, is_parent: bool, closed: bool) -> str | None:
    trusted = (os.geteuid(), _ROOT)
    try:
        link, found = place.lstat(), place.stat()
    except OSError:  # missing or unreadable: the code that uses it raises the error
        return None
    if found.st_uid not in trusted or link.st_uid not in trusted:
        return f"belongs to another user ({found.st_uid if found.st_uid not in trusted else link.st_uid})"
    if closed or (is_parent and found.st_mode & stat.S_ISVTX):  # nobody else gets there, or may remove anything
        return None
    own_group = found.st_gid == found.st_uid  # a group of its own for each user, as most systems make them
    others = stat.S_IWOTH if own_group else stat.S_IWOTH | stat.S_IWGRP
    return "can be written by others" if found.st_mode & others else None
