"""A published dataset folder: downloaded whole, or without its images, which then come one by one by ranges of bytes.

Both land in the Hub's own cache, as one snapshot folder per commit. A snapshot without image shards is recognized by
its path, so that it can be opened again by path in any process.
"""

from __future__ import annotations

import contextlib
import re
import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from ..errors import DataNotFoundError, DatasetFolderError, UsageError
from ..utils.paths import local_path
from .image_index import INDEX, index_rows
from .manifest import MANIFEST, ShardEntry

_ADDRESS = re.compile(r"(?:hf://datasets/)?([A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*?)(?:@([\w./-]+))?/?")
_SNAPSHOT = re.compile(r"datasets--([\w.-]+?)--([\w.-]+)/snapshots/([0-9a-f]{40})$")
_MOST_FILES, _MOST_BYTES = 20_000, 500_000_000_000  # of a published folder; SOCO has some 30 files of 1 GB together
_LARGEST_MANIFEST = 200_000_000  # bytes
_SECONDS = 10.0  # for what the Hub states of a repository
_KEPT = 32  # images that a process keeps: neighboring rows often share one


@dataclass(frozen=True)
class HubAddress:
    """A dataset repository and maybe a revision of it."""

    repo: str
    revision: str | None = None


def hub_address(data_dir: str | Path) -> HubAddress | None:
    """What "hf://datasets/ORG/NAME", "ORG/NAME" or either with "@REVISION" names; None for anything else.

    A folder that exists is never taken for a repository.

    >>> hub_address("hf://datasets/lab/soco@v1.0")
    HubAddress(repo='lab/soco', revision='v1.0')
    >>> hub_address("/data/soco") is None
    True
    """
    text = str(data_dir)
    found = _ADDRESS.fullmatch(text)
    if found is None or (not text.startswith("hf://") and local_path(text).exists()):
        return None
    return HubAddress(found[1], found[2])


def is_published(repo: str, revision: str | None = None) -> bool:
    """Whether a repository is a published dataset folder (not a release that has to be built), as far as we can see."""
    import httpx2
    from huggingface_hub import HfApi, try_to_load_from_cache
    from huggingface_hub.errors import HfHubHTTPError

    if isinstance(try_to_load_from_cache(repo, MANIFEST, repo_type="dataset", revision=revision), str):
        return True
    try:
        return HfApi().file_exists(repo, MANIFEST, repo_type="dataset", revision=revision)
    except (HfHubHTTPError, httpx2.TransportError, OSError):
        return False


def fetch_folder(address: HubAddress, *, images: bool, force: bool = False) -> Path:
    """The snapshot of a published folder in the Hub's cache, complete or (`images=False`) without the image shards.

    Without the Hub, what is cached is used.

    Raises:
        DataNotFoundError: the repository holds no published folder.
        DatasetFolderError: it is far larger than any published folder.
        HubError: it cannot be had: missing, gated, no network; says what to do.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import RemoteEntryNotFoundError

    from ..utils.hub_errors import explained
    from ..utils.hub_reach import check_reachable

    with explained("find a folder, or load a Hub dataset, called", address.repo):
        with contextlib.suppress(RemoteEntryNotFoundError):  # said below
            check_reachable(address.repo, MANIFEST, address.revision, "dataset")
        _check_size(address)
        path = Path(
            snapshot_download(
                address.repo,
                repo_type="dataset",
                revision=address.revision,
                ignore_patterns=["preview/*", *([] if images else ["images/*"])],
                force_download=force,
            )
        )
    if not (path / MANIFEST).is_file():
        raise DataNotFoundError(
            f"The Hub dataset {address.repo} is not a published dataset folder (it has no {MANIFEST}). If it is a "
            f"release, build it first: soco build {address.repo} --out DIR, then give DIR as the data."
        )
    if not images and not (path / INDEX).is_file():  # published as Parquet: single images cannot be had
        return fetch_folder(address, images=True, force=force)
    return path


def _check_size(address: HubAddress) -> None:
    """Look at what a repository states of its files before any is downloaded; without the Hub the cache is used."""
    import httpx2
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    try:
        info = HfApi().dataset_info(address.repo, revision=address.revision, files_metadata=True, timeout=_SECONDS)
    except (HfHubHTTPError, OfflineModeIsEnabled, httpx2.TransportError, OSError):
        return  # the download says what is wrong, or takes what is cached
    sizes = {item.rfilename: item.size or 0 for item in info.siblings or []}
    problem = ""
    if len(sizes) > _MOST_FILES:
        problem = f"{len(sizes):,} files, more than {_MOST_FILES:,}"
    elif sum(sizes.values()) > _MOST_BYTES:
        problem = f"{sum(sizes.values()):,} bytes, more than {_MOST_BYTES:,}"
    elif sizes.get(MANIFEST, 0) > _LARGEST_MANIFEST:
        problem = f"a {MANIFEST} of {sizes[MANIFEST]:,} bytes, more than {_LARGEST_MANIFEST:,}"
    if problem:
        raise DatasetFolderError(
            f"The Hub dataset {address.repo} has {problem}: it is not downloaded. If you trust it, download it "
            f"yourself (hf download {address.repo} --repo-type dataset --local-dir DIR) and give DIR."
        )


@dataclass(frozen=True)
class Snapshot:
    """Where a folder in the Hub's cache comes from."""

    repo: str
    commit: str

    @staticmethod
    def of(path: Path) -> Snapshot | None:
        """The origin of a folder; None where it is no snapshot that can give single images."""
        found = _SNAPSHOT.search(path.as_posix())
        if found is None or not (path / INDEX).is_file():
            return None
        return Snapshot(f"{found[1]}/{found[2]}", found[3])


class HubImages:
    """The images of one shard of a snapshot, each fetched by itself when it is asked for."""

    def __init__(self, snapshot: Snapshot, root: Path, shard: ShardEntry) -> None:
        self._snapshot = snapshot
        self._file = shard.path.relative_to(root).as_posix()
        rows = index_rows(root, shard)
        self._offsets, self._lengths = rows["offset"].to_pylist(), rows["length"].to_pylist()
        self._kept: OrderedDict[int, pa.Buffer] = OrderedDict()
        self._lock = threading.Lock()

    def read(self, row: int) -> pa.Buffer:
        """The file of image `row` of the shard. Raises `HubError` where it cannot be had."""
        with self._lock:
            if row in self._kept:
                self._kept.move_to_end(row)
                return self._kept[row]
        data = pa.py_buffer(self._fetch(self._offsets[row], self._lengths[row]))
        with self._lock:
            self._kept[row] = data
            if len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return data

    def _fetch(self, offset: int, length: int) -> bytes:
        from huggingface_hub import hf_hub_url
        from huggingface_hub.utils import build_hf_headers, hf_raise_for_status, http_backoff

        from ..utils.hub_errors import explained

        repo, commit = self._snapshot.repo, self._snapshot.commit
        url = hf_hub_url(repo, self._file, repo_type="dataset", revision=commit)
        headers = {**build_hf_headers(), "Range": f"bytes={offset}-{offset + length - 1}"}
        with explained("fetch an image of", repo):
            answer = http_backoff("GET", url, headers=headers, follow_redirects=True)
            hf_raise_for_status(answer)
        if answer.status_code != 206 or len(answer.content) != length:
            raise DatasetFolderError(
                f"{repo}: asked for {length:,} bytes of {self._file} and got {len(answer.content):,} (status "
                f"{answer.status_code}). Load it without streaming, which downloads whole files."
            )
        return bytes(answer.content)


def one_revision(address: HubAddress, revision: str | None) -> HubAddress:
    """The address with the revision of `revision=`; raises `UsageError` where both name one."""
    if revision is None:
        return address
    if address.revision is not None:
        raise UsageError(f"revision={revision!r} and the one in {address.repo}@{address.revision}: give only one.")
    return HubAddress(address.repo, revision)
