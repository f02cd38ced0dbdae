"""A release as a flat set of named files, wherever it is stored: extracted tree, zips, a Hub repository, "mini".

Names are "Images/<category>/<file>", "PairAnnotations/..." and so on, with "/" and
in Unicode NFC (archives made on macOS hold NFD). Nothing is ever extracted to disk; archive members that point outside,
are links, encrypted or doubled are refused by name.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import stat
import zipfile
from collections.abc import Callable, Iterator, Sequence
from operator import not_
from pathlib import Path, PurePosixPath

from ...data.diagnostics import BuildReport
from ...errors import DataNotFoundError, ReleaseError, SocoError, UsageError
from ...utils.paths import local_path, real_path
from ..release_files import Below, ReleaseFiles

HUB_RELEASE = "GenIntelLab/SOCO"
FOLDERS = ("Images", "KeypointAnnotations", "PairAnnotations", "Metadata")
ARCHIVES = ("Images.zip", "KeypointAnnotations.zip", "PairAnnotations.zip")
REQUIRED = ("Images", "PairAnnotations")
_JUNK = re.compile(r"(^|/)(__MACOSX/|\.DS_Store$|Thumbs\.db$|desktop\.ini$|\._)")
_MAX_MEMBER = 256 * 2**20  # no image or annotation is larger; a bigger member is an archive bomb


@contextlib.contextmanager
def open_release(
    source: str, findings: BuildReport, revision: str | None = None, required: Sequence[str] = REQUIRED
) -> Iterator[ReleaseFiles]:
    """Open SOURCE ("mini", a folder, or a Hub dataset id) and give its files; archives are closed at the end.

    `required` are the parts of `FOLDERS` that must be there.

    Raises:
        DataNotFoundError: SOURCE is neither a release folder nor a Hub repository that can be reached.
        ReleaseError: an archive is no zip file or is truncated.
    """
    with contextlib.ExitStack() as stack:
        if source == "mini":
            from ...synthetic import MINI_ARCHIVE

            root = MINI_ARCHIVE
            files = ReleaseFiles("mini", "mini")
            archive = stack.enter_context(_open_zip(MINI_ARCHIVE))
            for member in archive.infolist():
                files.add(member.filename, (archive, member), findings)
        elif (local := _local_release(source)) is not None:
            if revision is not None:
                raise UsageError(f"revision={revision!r} is of a Hub release, but {source} is a folder. Leave it out.")
            root = local
            files = ReleaseFiles("folder", root.name)
        else:
            root, commit = _download(source, revision)
            files = ReleaseFiles("hub", source, commit)
        archives = [root / name for name in ARCHIVES if (root / name).is_file()]
        if archives and files.kind == "folder":
            files.kind = "zips"
        for path in archives:
            _add_archive(files, stack.enter_context(_open_zip(path)), path, findings)
        packed = {path.stem for path in archives}
        for folder in FOLDERS:
            if folder not in packed and (root / folder).is_dir():
                _add_tree(files, root, folder, findings)
        _check_complete(files, root, required, findings)
        yield files


def _local_release(source: str) -> Path | None:
    """The folder of a release that SOURCE names, None where there is nothing of that name."""
    path = local_path(source)
    try:
        return _release_root(path) if path.exists() else None
    except OSError as error:
        if isinstance(error, SocoError):
            raise
        raise ReleaseError(
            f"{path} cannot be read: {error.strerror}. Make it readable, or give another one."
        ) from error


def release_root(path: Path) -> Path | None:
    """The folder that holds a part of a release: `path` itself or its only such sub-folder; None where there is none.

    Raises:
        OSError: `path` cannot be listed.
    """

    def holds_release(folder: Path) -> bool:
        return any((folder / name).exists() for name in (*REQUIRED, *ARCHIVES))

    if holds_release(path):
        return path
    inner = [folder for folder in sorted(path.iterdir()) if folder.is_dir() and holds_release(folder)]
    return inner[0] if len(inner) == 1 else None


def _release_root(path: Path) -> Path:
    """`release_root`, with an error where it finds none."""
    if path.is_file():
        raise DataNotFoundError(
            f"{path} is a file. SOURCE is a folder with {', '.join(ARCHIVES)}, the extracted tree, or a Hub dataset id."
        )
    root = release_root(path)
    if root is not None:
        return root
    if (path / "manifest.json").is_file():
        raise DataNotFoundError(f"{path} is a built dataset folder already; use it with --data {path}.")
    raise DataNotFoundError(
        f"{path} holds no SOCO release: expected {' and '.join(REQUIRED)} folders or {', '.join(ARCHIVES)}."
    )


def _download(repo_id: str, revision: str | None) -> tuple[Path, str | None]:
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", repo_id):
        raise DataNotFoundError(
            f"{repo_id!r} is neither an existing folder nor a Hub dataset id (ORG/NAME). "
            f'Give a release folder, "mini", or a Hub id such as {HUB_RELEASE}.'
        )
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import RemoteEntryNotFoundError

    from ...utils.hub_errors import explained
    from ...utils.hub_reach import check_reachable

    try:
        with explained("get the release", repo_id):
            with contextlib.suppress(RemoteEntryNotFoundError):  # a tree instead of archives
                check_reachable(repo_id, ARCHIVES[0], revision, "dataset")
            patterns = [*ARCHIVES, "Metadata/*"]
            path = snapshot_download(repo_id, repo_type="dataset", revision=revision, allow_patterns=patterns)
    except SocoError as error:
        other = "Or download it yourself and give the folder: soco build FOLDER --out DIR."
        raise DataNotFoundError(f"{error} {other}") from error
    except Exception as error:
        # the Hub client has no common root for "not found", "gated", "offline" and network errors
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise DataNotFoundError(
            f"Cannot get the release {repo_id} from the Hub ({type(error).__name__}: {reason}). Check the name, the "
            f"network and `hf auth login`; or download it yourself and give the folder: soco build FOLDER --out DIR."
        ) from error
    return Path(path), Path(path).name  # the snapshot folder is named after the commit


def _open_zip(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except PermissionError as error:
        raise ReleaseError(f"{path} cannot be read: {error.strerror}. Make it readable.") from error
    except Exception as error:
        # a damaged directory of members raises zipfile, struct, value and OS errors, depending on where it is damaged
        raise ReleaseError(
            f"{path}: not a complete zip archive ({error}). It may be truncated: download it again and compare sizes."
        ) from error


def _add_archive(files: ReleaseFiles, archive: zipfile.ZipFile, path: Path, findings: BuildReport) -> None:
    for member in archive.infolist():
        name = member.filename.replace("\\", "/")
        if member.is_dir():
            continue
        where = f"{path.name}!{name}"
        parts = PurePosixPath(name).parts
        if name.startswith("/") or ".." in parts or re.match(r"^[A-Za-z]:", name):
            findings.error(where, "", "member_outside", "the archive member points outside the archive", "rebuild it")
        elif stat.S_ISLNK(member.external_attr >> 16):
            findings.error(where, "", "member_link", "the archive member is a link", "store the file itself")
        elif member.flag_bits & 1:
            findings.error(where, "", "member_encrypted", "the archive member is encrypted", "store it in the clear")
        elif member.file_size > _MAX_MEMBER:
            message = f"the archive member unpacks to {member.file_size:,} bytes, more than {_MAX_MEMBER:,}"
            findings.error(where, "", "member_huge", message, "no file of a release is that large")
        elif _JUNK.search(name):
            continue  # left by file managers; never part of a release
        elif path.stem in parts[:-1]:
            files.add("/".join(parts[parts.index(path.stem) :]), (archive, member), findings)
        else:
            files.add("/".join((path.stem, *parts)), (archive, member), findings)


def _add_tree(files: ReleaseFiles, root: Path, folder: str, findings: BuildReport) -> None:
    inside, below = _own_folders(root), Below(str(root))
    waiting = [folder]
    while waiting:
        directory = waiting.pop()
        try:
            with os.scandir(root / directory) as found:
                entries = list(found)
        except OSError as error:
            findings.error(directory, "", "unreadable", f"cannot be listed: {error.strerror}", "make it readable")
            continue
        is_folder = [_holds(entry.is_dir) for entry in entries]
        entries = [*itertools.compress(entries, is_folder), *itertools.compress(entries, map(not_, is_folder))]
        folders, those = [], sum(is_folder)
        for number, entry in enumerate(entries):
            relative = f"{directory}/{entry.name}"
            is_link, leads_to_folder = entry.is_symlink(), number < those
            if leads_to_folder and not is_link:
                folders.append(relative)
            if _JUNK.search(relative):
                continue
            target = real_path(Path(entry.path)) if is_link else None
            if target is not None and not any(target.is_relative_to(own) for own in inside):
                message = f"a link that leads outside the release ({target})"
                findings.error(relative, "", "member_outside", message, "put what it leads to in its place")
            elif leads_to_folder:
                if is_link:
                    message = "a link to a folder, which is not followed"
                    findings.error(relative, "", "member_link", message, "put the folder itself in its place")
            elif not _holds(entry.is_file):
                message = "no regular file (a broken link, a pipe or a device)"
                findings.error(relative, "", "no_file", message, "put the file itself in its place, or remove it")
            else:
                files.add(relative, below, findings)
        waiting += reversed(folders)


def _holds(test: Callable[[], bool]) -> bool:
    """Whether an entry is of a kind; an entry that cannot be looked at, such as a link to itself, is of none."""
    try:
        return test()
    except OSError:
        return False


def _own_folders(root: Path) -> list[Path]:
    """Where links of a release may lead: into it, and for a snapshot in the Hub's cache to the files beside it."""
    real = real_path(root)
    blobs = real.parent.parent / "blobs"
    return [real, real_path(blobs)] if real.parent.name == "snapshots" and blobs.is_dir() else [real]


def _check_complete(files: ReleaseFiles, root: Path, required: Sequence[str], findings: BuildReport) -> None:
    missing = [folder for folder in required if not any(name.startswith(f"{folder}/") for name in files._places)]
    if missing:
        findings.check(str(root), strict=False)  # what was refused may be all there was
        drawn = " Or give --draw-pairs, to have pairs drawn from KeypointAnnotations."
        raise ReleaseError(
            f"{root}: the release has no {' and no '.join(missing)}, neither as a folder nor as a zip with files. "
            "Get the missing part of the release." + (drawn if missing == ["PairAnnotations"] else "")
        )
