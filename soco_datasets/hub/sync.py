"""Bringing a repository to the state of a set of files: only what differs is sent, and one commit makes it visible.

Large files are sent first, outside any commit, in groups; the Hub keeps them by their hash, so an upload that was cut
off resumes where it stopped. The commit comes last and holds everything, card and manifest included, so a repository
never shows half of a publication.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import DatasetFolderError
from ..utils.files import sha256_file
from ..utils.hub_errors import HubError, RepoType, explained
from ..utils.progress import progress
from ..utils.terminal import print_note
from .client import retrying

if TYPE_CHECKING:
    from huggingface_hub import CommitOperationAdd, HfApi

_GROUP_BYTES = 2 * 10**9  # sent between two looks at the progress
_GROUP_FILES = 50
_ASKED_AT_ONCE = 100
_RACES = 3  # commits of others that may come in between


@dataclass(frozen=True)
class Content:
    """A file to publish: a path or bytes, and the sha256 that a path must have (None = whatever it has)."""

    data: Path | bytes
    sha256: str | None = None

    @property
    def size(self) -> int:
        return len(self.data) if isinstance(self.data, bytes) else self.data.stat().st_size

    def digest(self) -> str:
        """The sha256 that is known, or that of the bytes."""
        if self.sha256 is not None:
            return self.sha256
        return sha256_file(self.data) if isinstance(self.data, Path) else hashlib.sha256(self.data).hexdigest()

    def git_oid(self) -> str:
        """The name that git gives to these bytes."""
        data = self.data.read_bytes() if isinstance(self.data, Path) else self.data
        return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


@dataclass(frozen=True)
class Changes:
    """How a repository differs from what it shall hold; `there` is what it holds at the commit `head`."""

    head: str
    there: frozenset[str]
    add: dict[str, Content]
    delete: list[str]
    unchanged: int

    @property
    def is_empty(self) -> bool:
        return not self.add and not self.delete


@dataclass(frozen=True)
class Synced:
    """What was done. `commit` is the state that holds the files; `pull_request` its address where one was opened."""

    commit: str
    uploaded: list[str] = field(default_factory=list)
    bytes: int = 0
    deleted: list[str] = field(default_factory=list)
    unchanged: int = 0
    pull_request: str | None = None


@dataclass(frozen=True)
class Target:
    """A repository to write to."""

    api: HfApi
    repo: str
    repo_type: RepoType

    def compare(
        self, files: Mapping[str, Content], is_ours: Callable[[str], bool], revision: str | None = None
    ) -> Changes:
        """What differs at a revision (default: main); `is_ours` says which other files are left over from us."""
        head, there = self.listing(revision)
        known = self._digests([path for path in files if path in there], head)
        add = {path: content for path, content in files.items() if not _is_same(content, known.get(path))}
        delete = sorted(path for path in there if path not in files and is_ours(path))
        return Changes(head, there, add, delete, len(files) - len(add))

    def listing(self, revision: str | None = None) -> tuple[str, frozenset[str]]:
        """The commit of a revision (default: main) and the paths it holds. Raises `HubError`."""
        info = retrying(
            "read",
            lambda: self.api.repo_info(self.repo, repo_type=self.repo_type, revision=revision),
            self.repo,
            self.repo_type,
        )
        return str(info.sha), frozenset(item.rfilename for item in getattr(info, "siblings", None) or [])

    def sync(
        self,
        files: Mapping[str, Content],
        is_ours: Callable[[str], bool],
        message: str,
        *,
        changes: Changes | None = None,
        create_pr: bool = False,
    ) -> Synced:
        """Send what differs and commit it.

        Args:
            files: what the repository shall hold, by path.
            is_ours: which files of the repository to delete when they are not among `files`.
            message: title of the commit or pull request.
            changes: what `compare` gave, where it was asked before.
            create_pr: open a pull request instead of committing to main.

        Raises:
            DatasetFolderError: a file differs from its manifest.
            HubError: the Hub refuses, or cannot be reached.
        """
        for left in reversed(range(_RACES)):
            changes = changes or self.compare(files, is_ours)
            if changes.is_empty:
                return Synced(changes.head, unchanged=changes.unchanged)
            try:
                return self._send(changes, message, create_pr)
            except HubError as error:
                if error.status != 412 or left == 0:  # 412: another commit was made since
                    raise
                print_note(f"{self.repo} was changed meanwhile; comparing again")
                changes = None
        raise AssertionError("not reached")

    def _send(self, changes: Changes, message: str, create_pr: bool) -> Synced:
        from huggingface_hub import CommitOperationDelete

        additions = []
        for group in progress(list(_groups(changes.add)), f"Uploading to {self.repo}", unit="group"):
            added = [_addition(path, content) for path, content in group.items()]
            with explained("upload to", self.repo, self.repo_type):  # the client tries again by itself here
                self.api.preupload_lfs_files(
                    self.repo, added, repo_type=self.repo_type, create_pr=create_pr, free_memory=False
                )
            additions += added
        deletions = [CommitOperationDelete(path_in_repo=path) for path in changes.delete]
        made = retrying(
            "publish to",
            lambda: self.api.create_commit(
                self.repo,
                [*additions, *deletions],
                commit_message=message,
                repo_type=self.repo_type,
                create_pr=create_pr,
                parent_commit=changes.head,
            ),
            self.repo,
            self.repo_type,
        )
        return Synced(
            made.oid,
            sorted(changes.add),
            sum(content.size for content in changes.add.values()),
            changes.delete,
            changes.unchanged,
            made.pr_url,
        )

    def _digests(self, paths: list[str], revision: str) -> dict[str, tuple[bool, str]]:
        """For each path whether it is an LFS file, and its sha256 or git oid."""
        found = {}
        for start in range(0, len(paths), _ASKED_AT_ONCE):
            some = paths[start : start + _ASKED_AT_ONCE]
            for info in retrying(
                "read",
                lambda some=some: self.api.get_paths_info(  # type: ignore[misc]  # mypy does not see the default
                    self.repo, some, repo_type=self.repo_type, revision=revision
                ),
                self.repo,
                self.repo_type,
            ):
                lfs = getattr(info, "lfs", None)
                found[info.path] = (True, lfs.sha256) if lfs else (False, getattr(info, "blob_id", ""))
        return found


def _is_same(content: Content, known: tuple[bool, str] | None) -> bool:
    if known is None:
        return False
    is_lfs, oid = known
    return oid == (content.digest() if is_lfs else content.git_oid())


def _groups(files: Mapping[str, Content]) -> Iterator[dict[str, Content]]:
    """The files in their order, in groups of bounded size."""
    group: dict[str, Content] = {}
    size = 0
    for path, content in files.items():
        if group and (size + content.size > _GROUP_BYTES or len(group) >= _GROUP_FILES):
            yield group
            group, size = {}, 0
        group[path] = content
        size += content.size
    if group:
        yield group


def _addition(path: str, content: Content) -> CommitOperationAdd:
    from huggingface_hub import CommitOperationAdd

    if content.sha256 is not None and isinstance(content.data, Path) and sha256_file(content.data) != content.sha256:
        raise DatasetFolderError(
            f"{content.data} differs from the manifest, so nothing was published. Build the folder again."
        )
    data = content.data if isinstance(content.data, bytes) else str(content.data)
    addition = CommitOperationAdd(path_in_repo=path, path_or_fileobj=data)
    if content.sha256 is not None:
        addition.upload_info.sha256 = bytes.fromhex(content.sha256)  # it was just computed: not a second time
    return addition
