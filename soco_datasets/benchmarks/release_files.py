"""The files of a benchmark's release as a flat set of names, wherever they are stored: a folder, archives, a snapshot.

Names are "Images/<category>/<file>" and so on, with "/" and in Unicode NFC (archives made on macOS hold NFD).
"""

from __future__ import annotations

import errno
import functools
import os
import platform
import unicodedata
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..data.diagnostics import BuildReport
from ..data.json_values import is_text
from ..data.release_types import MAX_FILE_BYTES
from ..errors import DataNotFoundError, SocoError

_OPEN_ARCHIVES = 8
_READ = 2**16  # bytes that are asked for at once, more than most files have


@dataclass(frozen=True)
class Below:
    """The place of files that lie in a folder under their own names: one object for all of them."""

    root: str


Place = Path | Below | tuple[zipfile.ZipFile | Path, zipfile.ZipInfo]


@dataclass
class ReleaseFiles:
    """The files of a release. Pickled, it is the paths: another process reads the same files.

    Attributes:
        kind: "folder", "zips", "hub" or "mini".
        id: what the user named, for messages and the manifest.
        revision: commit of a Hub release, else None.
        names: every file, sorted, NFC.
    """

    kind: str
    id: str
    revision: str | None = None
    _places: dict[str, Place] = field(default_factory=dict, repr=False)
    _sorted: tuple[str, ...] | None = field(default=None, repr=False)  # the names, once they were asked for

    @property
    def names(self) -> tuple[str, ...]:
        if self._sorted is None:
            self._sorted = tuple(sorted(self._places))
        return self._sorted

    def __contains__(self, name: str) -> bool:
        return name in self._places

    def read(self, name: str) -> bytes:
        """The bytes of one file.

        Raises:
            OSError, zipfile.BadZipFile: the file or archive member is damaged, unreadable or larger than an image.
        """
        place = self._places[name]
        if not isinstance(place, tuple):
            return _read_file(f"{place.root}{os.sep}{name}" if isinstance(place, Below) else place)
        archive, member = place
        opened = _archive(archive) if isinstance(archive, Path) else archive
        _check_size(member.file_size)  # no more than that is unpacked
        return opened.read(member)

    def part(self, names: Iterable[str]) -> ReleaseFiles:
        """Only these files."""
        return replace(self, _places={name: self._places[name] for name in names}, _sorted=None)

    def check_reachable(self) -> None:
        """Raise `DataNotFoundError` where none of the files can be seen from this machine."""
        if self._places and not any(os.path.exists(_path_of(*item)) for item in self._places.items()):
            path = min(str(_path_of(*item)) for item in self._places.items())
            raise DataNotFoundError(
                f"{platform.node()} cannot see the release {self.id}, such as {path}. Every machine of a cluster "
                "must have it at the same path: on a shared file system, or as a copy."
            )

    def __getstate__(self) -> dict[str, Any]:
        places = {
            name: (_path_of(name, place), place[1]) if isinstance(place, tuple) else place
            for name, place in self._places.items()
        }
        return {**self.__dict__, "_places": places, "_sorted": None}

    def add(self, name: str, place: Place, findings: BuildReport) -> None:
        """Take in one file under its NFC name; a second one of this name, or a name that is no text, is an error."""
        given, name = name, unicodedata.normalize("NFC", name)
        if given != name and isinstance(place, Below):
            place = Path(place.root, given)
        if not is_text(name):
            shown = name.encode("utf-8", "backslashreplace").decode()
            findings.error(shown, "", "name_not_utf8", "the file's name is not UTF-8", "rename it")
            return
        if name in self._places:
            message = "two files of the release have this name"
            findings.error(name, "", "doubled_file", message, "remove one of them")
            return
        self._places[name], self._sorted = place, None


def _check_size(size: int) -> None:
    if size > MAX_FILE_BYTES:
        raise OSError(errno.EFBIG, f"{size:,} bytes, more than {MAX_FILE_BYTES:,}")


def _path_of(name: str, place: Place) -> str | Path:
    """The file, or the archive that it is in."""
    if isinstance(place, Below):
        return os.path.join(place.root, name)
    archive = place[0] if isinstance(place, tuple) else place
    return archive if isinstance(archive, Path) else Path(archive.filename or "").absolute()


def _read_file(path: str | Path) -> bytes:
    """The bytes of a file, by fewer calls of the system than a file object takes."""
    number = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
    try:
        pieces, size = list[bytes](), 0
        while piece := os.read(number, _READ):
            pieces.append(piece)
            size += len(piece)
            _check_size(size)
        return b"".join(pieces)
    finally:
        os.close(number)


@functools.lru_cache(maxsize=_OPEN_ARCHIVES)
def _archive(path: Path) -> zipfile.ZipFile:
    """An archive, open as long as this process runs: its list of files takes a while to read."""
    return zipfile.ZipFile(path)


def read_error(error: Exception) -> str:
    """One line on why a file of the release could not be read."""
    if isinstance(error, SocoError):
        return str(error)
    return f"{type(error).__name__}: {error}"
