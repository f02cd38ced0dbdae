"""`soco publish`: a built folder as a dataset repository that plain `datasets` loads and streams."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from ..benchmarks.base import benchmarks
from ..benchmarks.card import render_card
from ..benchmarks.preview import PREVIEW, SAMPLE
from ..data.folder import DatasetFolder, open_folder
from ..data.image_index import INDEX
from ..data.image_offsets import image_index
from ..data.manifest import MANIFEST
from ..errors import UsageError
from ..utils.hub_errors import HubError, repo_url
from . import eval_yaml as benchmark
from .client import (
    check_repo_name,
    connect,
    hub_progress_on_terminals,
    make_repo,
    retrying,
)
from .sync import (
    Changes,
    Content,
    Synced,
    Target,
)

if TYPE_CHECKING:
    from huggingface_hub import HfApi

CARD = "README.md"
_ALWAYS_THERE = (".gitattributes",)  # made by the Hub


@cache
def _shard_pattern() -> re.Pattern[str]:
    """Files that a build may have made, whichever benchmark's."""
    configs = {name for known in benchmarks().values() for name in known.configs}
    names = "|".join(map(re.escape, sorted({*configs, PREVIEW.name})))
    return re.compile(rf"({names})/[a-z0-9_]+-\d{{5}}-of-\d{{5}}\.(arrow|parquet)")


@dataclass(frozen=True)
class Published:
    """What `publish_dataset` did: where, the commit, what was sent, the tag it has, the pull request if one is open."""

    repo: str
    url: str
    synced: Synced
    tag: str | None = None


@hub_progress_on_terminals()
def publish_dataset(
    folder: str | Path, repo: str, *, private: bool = False, create_pr: bool = False, tag: str | None = None
) -> Published:
    """Create or update a dataset repository on the Hub.

    Args:
        folder: made by `soco build`.
        repo: "ORG/NAME".
        private: make the repository private when it is created.
        create_pr: propose the change to an existing repository.
        tag: name this release so.

    Raises:
        UsageError: a wrong name, no token, a tag or a repository that is taken.
        DatasetFolderError, DataNotFoundError: the folder is not a complete built folder.
        HubError: the Hub refuses or cannot be reached. A partial publication is never visible; run it again to resume.
    """
    check_repo_name(repo)
    if create_pr and tag:
        raise UsageError("--revision names a published release: merge the pull request first, then tag it.")
    if tag is not None and not re.fullmatch(r"[\w][\w.-]*", tag):
        raise UsageError(f"--revision {tag!r} is not a tag: use letters, digits, '.', '-' and '_', such as v1.0.")
    built = open_folder(folder)
    files = _files(built, repo)
    api, me = connect()
    target = Target(api, repo, "dataset")
    if not create_pr:
        _ensure_repo(api, repo, private)
    changes = target.compare(files, _is_ours)
    _refuse_foreign(repo, changes.there)
    is_tagged = tag is not None and _check_tag(api, repo, tag, changes)
    message = f"SOCO {built.content_hash[:12]}, built by soco-datasets {built.manifest['toolkit_version']}"
    if create_pr and (opened := _same_proposal(target, files, message, me)):
        return Published(repo, repo_url(repo), opened)
    try:
        synced = target.sync(files, _is_ours, message, changes=changes, create_pr=create_pr)
    except HubError as error:
        if error.status != 403 or create_pr:
            raise
        raise HubError(f"{error} Or propose the change instead: --create-pr.", 403) from error
    if tag is not None and not is_tagged:
        retrying(
            "tag",
            lambda: api.create_tag(repo, tag=tag, revision=synced.commit, repo_type="dataset", exist_ok=True),
            repo,
        )
    return Published(repo, repo_url(repo), synced, tag)


def _files(built: DatasetFolder, repo: str) -> dict[str, Content]:
    """What the repository shall hold, data first."""
    splits = {config: built.splits(config) for config in built.configs}
    shards = [(config, split) for config in splits for split in splits[config]]
    files = {
        shard.path.relative_to(built.path).as_posix(): Content(shard.path, shard.sha256)
        for config, split in shards
        for shard in built.shards(config, split)
    }
    manifest = built.manifest
    if preview := manifest.get("preview"):
        path = built.path / str(preview["file"])
        if path.is_file():
            files[str(preview["file"])] = Content(path, str(preview["sha256"]))
        else:  # a folder that was downloaded for its data alone
            manifest = {name: value for name, value in manifest.items() if name != "preview"}
    if (built.path / SAMPLE).is_file():
        files[SAMPLE] = Content(built.path / SAMPLE)
    index = image_index(built)
    if index is not None:
        files[INDEX] = Content(index)
    format = built.shards(*shards[0])[0].path.suffix[1:]
    files[MANIFEST] = Content((built.path / MANIFEST).read_bytes())
    files[benchmark.FILE] = Content(benchmark.render_eval_yaml(splits).encode())
    files[CARD] = Content(render_card(manifest, format, repo).encode())
    return files


def _is_ours(path: str) -> bool:
    """Whether a file of the repository was left there by an earlier publication."""
    return bool(_shard_pattern().fullmatch(path)) or path in (INDEX, MANIFEST, SAMPLE)


def _ensure_repo(api: HfApi, repo: str, private: bool) -> None:
    try:
        info = retrying("publish to", lambda: api.repo_info(repo, repo_type="dataset"), repo)
    except HubError as error:
        if error.status not in (401, 404):
            raise
        make_repo(api, repo, "dataset", private=private)
        return
    if private and not info.private:
        raise UsageError(
            f"{repo} exists and is public; --private is for a new repository. "
            f"Make it private at {repo_url(repo)}/settings, or leave --private out."
        )


def _refuse_foreign(repo: str, there: frozenset[str]) -> None:
    """A repository that holds files but none of a publication belongs to something else."""
    others = sorted(path for path in there if path not in (*_ALWAYS_THERE, CARD) and not _is_ours(path))
    if others and MANIFEST not in there:
        listed = ", ".join(others[:3]) + (", ..." if len(others) > 3 else "")
        raise UsageError(
            f"The name is taken: {repo_url(repo)} holds something else ({listed}). Nothing was sent. "
            f"Choose another --repo, or empty that one first."
        )


def _check_tag(api: HfApi, repo: str, tag: str, changes: Changes) -> bool:
    """Whether the tag is there; refuse one that names another state than the one that is about to be published."""
    refs = retrying("read", lambda: api.list_repo_refs(repo, repo_type="dataset"), repo)
    taken = {ref.name: ref.target_commit for ref in refs.tags}
    if tag in taken and not (changes.is_empty and taken[tag] == changes.head):
        raise UsageError(
            f"The tag {tag} of {repo} names another state ({taken[tag][:12]}), and releases are never moved. "
            f"Nothing was sent. Choose another --revision (taken: {', '.join(sorted(taken))})."
        )
    return tag in taken


def _same_proposal(target: Target, files: dict[str, Content], message: str, me: str) -> Synced | None:
    """An open pull request of ours that holds exactly this, so that running twice does not open two."""
    opened = retrying(
        "read the pull requests of",
        lambda: [
            found
            for found in target.api.get_repo_discussions(
                target.repo,
                repo_type="dataset",
                author=me,
                discussion_type="pull_request",
                discussion_status="open",
            )
            if found.title == message
        ],
        target.repo,
    )
    for found in opened:
        changes = target.compare(files, _is_ours, revision=f"refs/pr/{found.num}")
        if changes.is_empty:
            return Synced(changes.head, unchanged=changes.unchanged, pull_request=found.url)
    return None
