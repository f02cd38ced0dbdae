"""Small helpers for files: atomic writes, hashes, sizes, progress on stderr."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from ..errors import SocoError, UsageError

_T = TypeVar("_T")

_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "KI": 2**10, "MI": 2**20, "GI": 2**30, "TI": 2**40}


def parse_size(text: str | int) -> int:
    """Bytes from "500MB", "2GiB" or a number.

    >>> parse_size("500MB"), parse_size("1GiB"), parse_size(7)
    (500000000, 1073741824, 7)
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]I?)?B?\s*", str(text).upper())
    size = int(float(match[1]) * _UNITS[match[2] or ""]) if match else 0
    if size < 1:
        raise UsageError(f"{text!r} is not a size. Give a positive number of bytes, such as 500MB or 2GiB.")
    return size


def sha256_file(path: Path) -> str:
    """Hex sha256 of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def progress(items: Iterable[_T], what: str, total: int | None = None, unit: str = "it") -> Iterator[_T]:
    """Iterate with a progress bar on stderr; silent when stderr is no terminal and `SOCO_PROGRESS` is not set.

    Within a `progress_bar` it has none of its own.
    """
    from tqdm import tqdm

    hidden = _hidden() or _bars > 0
    yield from tqdm(items, desc=what, total=total, unit=unit, file=sys.stderr, disable=hidden, dynamic_ncols=True)


@contextlib.contextmanager
def progress_bar(what: str, total: int, unit: str = "it") -> Iterator[Callable[[int], object]]:
    """A progress bar that is moved by calling what this gives with a number of items; hidden as one of `progress`."""
    global _bars
    from tqdm import tqdm

    with tqdm(
        desc=what, total=total, unit=unit, file=sys.stderr, disable=_hidden() or _bars > 0, dynamic_ncols=True
    ) as bar:
        _bars += 1
        try:
            yield bar.update
        finally:
            _bars -= 1


_bars = 0  # that are open and moved by hand


def _hidden() -> bool:
    return not (sys.stderr.isatty() or os.environ.get("SOCO_PROGRESS"))


@contextlib.contextmanager
def explain_write_errors(path: Path) -> Iterator[None]:
    """Turn the operating system's refusals while writing `path` into one clear `SocoError`."""
    try:
        yield
    except OSError as error:
        if isinstance(error, SocoError):
            raise
        reasons = {
            errno.ENOSPC: "the disk is full; free some space or choose another place",
            errno.EDQUOT: "the disk quota is used up; free some space or choose another place",
            errno.EACCES: "permission denied; choose a folder you can write to",
            errno.EPERM: "permission denied; choose a folder you can write to",
            errno.EROFS: "the file system is read-only; choose another place",
            errno.ENOTDIR: "a part of the path is a file, not a folder",
            errno.EEXIST: "a part of the path is a file, not a folder",
            errno.ENAMETOOLONG: "the name is too long; choose a shorter one",
        }
        reason = reasons.get(error.errno or 0)
        if error.errno == errno.ENOENT and error.filename and Path(error.filename) in (path, *path.parents):
            reason = "no folder can be made there"  # /proc, or removed meanwhile; a file that is read is another matter
        if reason is None:
            raise
        raise SocoError(f"Cannot write {path}: {reason}. No partial files were left.") from error


def check_writable(folder: Path) -> None:
    """Raise `SocoError` where files could not be written into `folder`, before work is done for them; makes nothing."""
    with explain_write_errors(folder):
        place = next(one for one in (folder.absolute(), *folder.absolute().parents) if one.exists())
        if not place.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, "not a folder", str(place))
        if not os.access(place, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, "not writable", str(place))


@contextlib.contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`, moved over it on success and removed on any failure.

    Missing parent folders are made.
    """
    with explain_write_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            yield temporary
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


def atomic_write(path: Path, content: str | bytes) -> None:
    """Write a whole file, or leave what was there."""
    with atomic_file(path) as temporary:
        temporary.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)


def _process_is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _remove_stale(out: Path, what: str) -> None:
    """Remove what builds that were killed outright left beside `out`: unfinished folders, or those just replaced."""
    for leftover in out.parent.glob(f".{out.name}.{what}-*"):
        pid = leftover.name.rpartition("-")[2]
        if pid.isdigit() and int(pid) != os.getpid() and not _process_is_alive(int(pid)):
            shutil.rmtree(leftover, ignore_errors=True)


@contextlib.contextmanager
def atomic_folder(out: Path, overwrite: bool = False) -> Iterator[Path]:
    """A temporary folder beside `out` that becomes `out` on success and vanishes on any failure or interrupt.

    Raises:
        UsageError: `out` exists, is not an empty folder, and `overwrite` is false.
        SocoError: `out` cannot be written.
    """
    with explain_write_errors(out):
        if out.exists() and not out.is_dir():
            raise UsageError(f"{out} is a file; give a folder.")
        if out.is_dir() and any(out.iterdir()) and not overwrite:
            raise UsageError(f"{out} is not empty. Give another folder, or --overwrite to replace it.")
        out.parent.mkdir(parents=True, exist_ok=True)
        _remove_stale(out, "building")
        temporary = out.parent / f".{out.name}.building-{os.getpid()}"
        shutil.rmtree(temporary, ignore_errors=True)
        try:  # from here on, so that an interrupt right after mkdir leaves nothing
            temporary.mkdir()
            yield temporary
            replaced = out.parent / f".{out.name}.replaced-{os.getpid()}"
            if out.exists():
                os.replace(out, replaced)
            os.replace(temporary, out)
            shutil.rmtree(replaced, ignore_errors=True)
            _remove_stale(out, "replaced")  # only now: until then they may be all there is
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
