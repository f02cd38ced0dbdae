"""Small helpers for files: hashes, sizes, refusals of the system explained, atomic writes.

An atomic write leaves a file, several files that belong together, or a folder whole, or what was there before. All is
written under a temporary name beside its place, `.NAME.MACHINE-PID-RANDOM.part`, and then moved. Names are unique for
each call, so that threads, processes, containers and machines that share a disk never meet. What a killed process
leaves is removed by the next write to the same place: if the name says that it was on this machine and in this process
namespace and the process is gone, or if nothing in it has changed for a week.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import hashlib
import logging
import os
import platform
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

from ..errors import SocoError, UsageError
from .details import bytes_text
from .paths import local_path

_T = TypeVar("_T")
_log = logging.getLogger(__name__)

_ABANDONED = 7 * 24 * 3600  # seconds after which what another machine has left is taken for abandoned
_LONGEST_LOCK = 30  # seconds that a lock of another process is waited for
_OWNER = re.compile(r"\.([0-9a-f]{12})-(\d+)-[0-9a-f]{16}\.part$")
_LONGEST = 160  # bytes of a name that a temporary name repeats; file systems allow 255

_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "KI": 2**10, "MI": 2**20, "GI": 2**30, "TI": 2**40}
_REASONS = {
    errno.ENOSPC: "the disk is full; free some space or choose another place",
    errno.EDQUOT: "the disk quota is used up; free some space or choose another place",
    errno.EFBIG: "the file is larger than the system allows here (`ulimit -f`, or FAT); choose another place",
    errno.EACCES: "permission denied; choose a folder you can write to",
    errno.EPERM: "permission denied; choose a folder you can write to",
    errno.EROFS: "the file system is read-only; choose another place",
    errno.ENOTDIR: "a part of the path is a file, not a folder",
    errno.EEXIST: "a part of the path is a file, not a folder",
    errno.EISDIR: "it is a folder, not a file",
    errno.ENOENT: "no folder can be made there",
    errno.ENAMETOOLONG: "the name is too long; choose a shorter one",
    errno.ELOOP: "a symbolic link in the path leads to itself",
}
_OF_FILES = ("json", "jsonl", "parquet", "csv", "tsv", "html", "pdf", "png", "jpg", "jpeg", "svg", "zip", "safetensors")
_NOT_READING = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS})  # errors that only writing can have


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


def write_error(path: Path, error: OSError) -> SocoError:
    """The error for a refusal met while writing `path`, whatever its number."""
    reason = _REASONS.get(error.errno or 0) or error.strerror or str(error)
    if _OWNER.search(path.name):  # one of several files, written by a function that is atomic itself
        path = path.with_name(_OWNER.sub("", path.name)[1:])
    return SocoError(f"Cannot write {path}: {reason}. No partial files were left.")


@contextlib.contextmanager
def explain_write_errors(path: Path) -> Iterator[None]:
    """Turn refusals while writing `path`, or anything in or above it, into one clear `SocoError`.

    An error that names another file, such as one that is read in the body, is raised as it is.
    """
    try:
        yield
    except OSError as error:
        if isinstance(error, SocoError) or not _is_about(error, path):
            raise
        raise write_error(path, error) from error


def _is_about(error: OSError, path: Path) -> bool:
    if isinstance(error.filename, str | bytes):
        named = Path(os.fsdecode(error.filename)).absolute()
        target = path.absolute()
        ours = named == target or named in target.parents or target in named.parents
        return ours or any(_is_temporary_name(part.name, target.name) for part in (named, *named.parents))
    if error.errno in _NOT_READING:
        return True
    return str(path) in str(error) or f".{_stem(path.name)}." in str(error)  # Arrow names the file in the text only


def _is_temporary_name(name: str, target: str) -> bool:
    """Whether `name` is that of a temporary file or folder beside a file or folder called `target`."""
    return name.startswith(f".{_stem(target)}.") and name.endswith(".part")


def _stem(name: str) -> str:
    """What a temporary name repeats of a name: all of it, unless the two would not fit into one."""
    data = os.fsencode(name)
    return name if len(data) <= _LONGEST else hashlib.sha256(data).hexdigest()


def writable_folder(path: str | os.PathLike[str]) -> Path:
    """The folder `path`, in which files can be written, checked before work is done; makes nothing.

    Raises:
        UsageError: not a path, or a new folder with the name of a file (.json, .parquet, ...).
        SocoError: no folder can be made there, or nothing can be written into it.
    """
    folder = local_path(path)
    if folder.suffix.lower()[1:] in _OF_FILES and not folder.is_dir():
        raise UsageError(
            f"{path} would be made as a folder, and its name ends like that of a file. Give the name of a folder, such "
            f"as {folder.with_suffix('').name}."
        )
    _check_place(folder, folder.absolute())
    return folder


def writable_file(path: str | os.PathLike[str]) -> Path:
    """The file `path`, which can be written, checked before work is done; makes nothing.

    Raises:
        UsageError: not a path, or a folder.
        SocoError: the file cannot be written.
    """
    file = local_path(path)
    _check_no_folder(file)
    _check_place(file, file.absolute().parent)
    return file


def _check_no_folder(file: Path) -> None:
    with explain_write_errors(file):
        if file.is_dir():
            raise UsageError(f"Cannot write {file}: it is a folder. Give the name of a file.")


def _check_place(named: Path, folder: Path) -> None:
    """Raise `SocoError`, naming `named`, where no file can be written into `folder`."""
    try:
        place = next(one for one in (folder, *folder.parents) if os.path.lexists(one))
        place.stat()  # a link that leads nowhere, or to itself, is there and no place
        if not place.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, "not a folder", str(place))
        if not os.access(place, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, "not writable", str(place))
    except OSError as error:
        raise write_error(named, error) from error


@contextlib.contextmanager
def atomic_files(*paths: Path) -> Iterator[tuple[Path, ...]]:
    """Temporary paths (absolute) beside `paths`; all are moved into place once the body has written all of them.

    For files that are one thing, such as a record and its predictions: an error or a kill while they are written leaves
    every file of before. Missing parent folders are made.

    Raises:
        SocoError: a file cannot be written. An error of something that is read in the body is raised as it is.
    """
    places = tuple(local_path(path) for path in paths)
    with contextlib.ExitStack() as stack:
        for place in reversed(places):  # the first one is named where several would fit
            stack.enter_context(explain_write_errors(place))
        temporaries = []
        for place in places:
            _check_no_folder(place)
            place.parent.mkdir(parents=True, exist_ok=True)
            _remove_stale(place)
            temporaries.append(_temporary(place))
            stack.callback(temporaries[-1].unlink, missing_ok=True)
        yield tuple(temporaries)
        for temporary, place in zip(temporaries, places, strict=True):
            os.replace(temporary, place)
            if place.suffix != ".part":  # a file of several that are moved together is named by its own name
                _log.info("wrote %s (%s)", place, bytes_text(place.stat().st_size))


@contextlib.contextmanager
def locked_folder(path: Path) -> Iterator[None]:
    """Keep other processes that ask for the same from a folder, which is made where it is missing.

    For the moment between a look at what is there and a move over it. The lock leaves no file and ends with its
    process. A file system without locks, or a process that holds one for half a minute, does not stop the work.
    """
    folder = local_path(path)
    with explain_write_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError, ImportError):  # no fcntl on Windows
            import fcntl

            place = os.open(folder, os.O_RDONLY)
            stack.callback(os.close, place)
            end = time.monotonic() + _LONGEST_LOCK
            while True:
                try:
                    fcntl.flock(place, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    if time.monotonic() > end:
                        break
                    time.sleep(0.05)
                else:
                    break
        yield


@contextlib.contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """A temporary path (absolute) beside `path`, moved over it on success and removed on any failure.

    As `atomic_files` for one file.
    """
    with atomic_files(path) as (temporary,):
        yield temporary


def atomic_write(path: Path, content: str | bytes) -> None:
    """Write a whole file, or leave what was there."""
    with atomic_file(path) as temporary:
        temporary.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)


@contextlib.contextmanager
def atomic_folder(path: Path, overwrite: bool = False) -> Iterator[Path]:
    """A temporary folder beside `path` that becomes `path` on success and vanishes on any failure or interrupt.

    Raises:
        UsageError: `path` exists, or has been made meanwhile, is not an empty folder, and `overwrite` is false.
        SocoError: `path` cannot be written.
    """
    out = local_path(path)
    with explain_write_errors(out):
        _check_free(out, overwrite)
        out.parent.mkdir(parents=True, exist_ok=True)
        _remove_stale(out, replaced=False)
        temporary = _temporary(out)
        try:  # from here on, so that an interrupt right after mkdir leaves nothing
            temporary.mkdir()
            yield temporary
            _check_free(out, overwrite)
            _move_folder(temporary, out, overwrite)
            _remove_stale(out)  # only now: until then replaced folders may be all there is
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def _check_free(out: Path, overwrite: bool) -> None:
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out} is a file; give a folder.")
    if out.is_dir() and any(out.iterdir()) and not overwrite:
        raise UsageError(f"{out} is not empty. Give another folder, or --overwrite to replace it.")


def _move_folder(temporary: Path, out: Path, overwrite: bool) -> None:
    """Move a finished folder into place; one that is there goes aside first, and comes back where the move fails."""
    if not overwrite:
        try:
            os.replace(temporary, out)  # over nothing or an empty folder: another one that came meanwhile stays
        except OSError:
            _check_free(out, overwrite)
            raise
        return
    aside = _temporary(out, "replaced.")
    with contextlib.suppress(FileNotFoundError):
        os.replace(out, aside)
    try:
        os.replace(temporary, out)
    except OSError:
        if aside.exists() and not out.exists():
            os.replace(aside, out)
        raise
    shutil.rmtree(aside, ignore_errors=True)


@functools.cache
def _machine() -> str:
    """12 hex digits for this machine since it started and for the namespace of its process numbers."""
    facts = [platform.node()]
    for read in (lambda: Path("/proc/sys/kernel/random/boot_id").read_text(), lambda: os.readlink("/proc/self/ns/pid")):
        with contextlib.suppress(OSError):
            facts.append(read())
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:12]


def _temporary(place: Path, what: str = "") -> Path:
    unique = f"{_machine()}-{os.getpid()}-{secrets.token_hex(8)}"
    return place.absolute().with_name(f".{_stem(place.name)}.{what}{unique}.part")


def _remove_stale(place: Path, replaced: bool = True) -> None:
    """Remove what killed processes left beside `place`; with `replaced` false, not the folders that they had moved."""
    with contextlib.suppress(OSError), os.scandir(place.absolute().parent) as entries:
        for entry in entries:
            if not _is_temporary_name(entry.name, place.name) or not _OWNER.search(entry.name):
                continue
            if not replaced and entry.name.startswith(f".{_stem(place.name)}.replaced."):
                continue
            if _is_stale(Path(entry.path)):
                if entry.is_dir(follow_symlinks=False):
                    shutil.rmtree(entry.path, ignore_errors=True)
                else:
                    with contextlib.suppress(OSError):
                        os.unlink(entry.path)


def _is_stale(path: Path) -> bool:
    owner = _OWNER.search(path.name)
    assert owner is not None  # the caller has looked
    if owner[1] == _machine():
        return not _process_is_alive(int(owner[2]))
    try:
        newest = max(one.lstat().st_mtime for one in (path, *path.rglob("*")))
    except OSError:  # it changes at this moment
        return False
    return time.time() - newest > _ABANDONED


def _process_is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
