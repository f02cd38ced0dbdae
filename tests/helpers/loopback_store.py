"""What a Hub holds, in memory: accounts, repositories with commits, refs and pull requests, evaluation results.

No HTTP here (`loopback_hub` serves it). It models what the clients expect, not how the real Hub validates
`eval.yaml`, `.eval_results` or cards. Names ("lab/soco") and repo types ("model", "dataset", "space") are the Hub's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import yaml

REGULAR_LIMIT = 10_000  # bytes; larger files, and files that are no text, go through LFS
LFS_SUFFIXES = (".arrow", ".parquet", ".zip", ".npz", ".safetensors")


class HubError(Exception):
    """An answer that is an error: HTTP status, the Hub's X-Error-Code ("" = none), message, extra body fields."""

    def __init__(self, status: int, code: str = "", message: str = "", **body: Any) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.body = status, code, message, body


@dataclass(frozen=True)
class Account:
    """Who a token belongs to; `role` is "write", "read" or "fineGrained"."""

    name: str
    role: str = "write"
    orgs: tuple[str, ...] = ()

    def may_write(self, namespace: str) -> bool:
        return self.role == "write" and namespace in (self.name, *self.orgs)


@dataclass(frozen=True)
class Blob:
    """A file: bytes, and whether it went through LFS."""

    data: bytes
    lfs: bool

    @property
    def git_oid(self) -> str:
        return hashlib.sha1(b"blob %d\0" % len(self.data) + self.data).hexdigest()

    @property
    def oid(self) -> str:
        """What clients compare: the sha256 of an LFS file, the git blob sha1 of a regular one."""
        return hashlib.sha256(self.data).hexdigest() if self.lfs else self.git_oid


@dataclass(frozen=True)
class Commit:
    """One state of a repository."""

    oid: str
    files: Mapping[str, Blob]
    parent: str | None
    title: str
    author: str


@dataclass
class Discussion:
    """A pull request or a plain discussion."""

    num: int
    title: str
    author: str
    status: str
    is_pull_request: bool
    events: list[dict[str, Any]] = field(default_factory=list)
    merge_oid: str | None = None

    @property
    def ref(self) -> str:
        return f"refs/pr/{self.num}"


@dataclass
class Repo:
    """One repository. `refs` maps a full ref ("refs/heads/main", "refs/tags/v1", "refs/pr/1") to a commit oid."""

    type: str
    id: str
    private: bool = False
    gated: bool = False
    granted: set[str] = field(default_factory=set)  # accounts let into a gated repository
    commits: dict[str, Commit] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    discussions: dict[int, Discussion] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.refs["refs/heads/main"] = self._store({}, None, "initial commit", "system").oid

    @property
    def namespace(self) -> str:
        return self.id.split("/")[0]

    @property
    def path(self) -> str:
        """Its place in web addresses: no prefix for a model."""
        return self.id if self.type == "model" else f"{self.type}s/{self.id}"

    def resolve(self, revision: str) -> Commit:
        """The commit of a branch, tag, full ref or oid."""
        for ref in (f"refs/heads/{revision}", f"refs/tags/{revision}", revision):
            if ref in self.refs:
                return self.commits[self.refs[ref]]
        if revision in self.commits:
            return self.commits[revision]
        raise HubError(404, "RevisionNotFound", f"Invalid rev id: {revision}")

    def ref_of(self, revision: str) -> str:
        """The full name of a branch or pull request that can be committed to."""
        for ref in (f"refs/heads/{revision}", revision):
            if ref in self.refs and not ref.startswith("refs/tags/"):
                return ref
        raise HubError(404, "RevisionNotFound", f"Invalid rev id: {revision}")

    def commit(
        self,
        revision: str,
        add: Mapping[str, Blob],
        *,
        delete: Iterable[str] = (),
        title: str = "commit",
        author: str = "system",
        parent: str | None = None,
    ) -> Commit:
        """Commit to a branch or pull request; `delete` names files, or folders ending in "/"."""
        ref = self.ref_of(revision)
        head = self.refs[ref]
        if parent is not None and parent != head:
            raise HubError(412, "", "A commit has happened since. Please refresh and try again.")
        gone = tuple(delete)
        kept = {
            path: blob
            for path, blob in self.commits[head].files.items()
            if path not in gone and not path.startswith(tuple(g for g in gone if g.endswith("/")) or ("\0",))
        }
        made = self._store({**kept, **add}, head, title, author)
        self.refs[ref] = made.oid
        return made

    def open_pull_request(
        self, title: str, author: str, *, status: str = "open", pull_request: bool = True
    ) -> Discussion:
        num = len(self.discussions) + 1
        self.discussions[num] = made = Discussion(num, title, author, status, pull_request)
        if pull_request:
            self.refs[made.ref] = self.refs["refs/heads/main"]
        return made

    def merge(self, num: int, author: str = "system") -> None:
        """Merge a pull request: its files, as far as it changed them, onto main."""
        pull = self.discussions[num]
        if pull.status not in ("open", "draft"):
            raise HubError(400, "", f"This pull request is {pull.status}.")
        base, head = self._fork_point(pull), self.commits[self.refs[pull.ref]]
        changed = {path: blob for path, blob in head.files.items() if base.files.get(path) != blob}
        gone = [path for path in base.files if path not in head.files]
        pull.merge_oid = self.commit("main", changed, delete=gone, title=f"Merge {pull.title}", author=author).oid
        pull.status = "merged"

    def changed_by(self, num: int) -> dict[str, Blob]:
        """Files that a pull request adds or alters."""
        pull = self.discussions[num]
        base, head = self._fork_point(pull), self.commits[self.refs[pull.ref]]
        return {path: blob for path, blob in head.files.items() if base.files.get(path) != blob}

    def conflicts(self, num: int) -> list[str]:
        """Files that a pull request changes and main has changed since too."""
        base, main = self._fork_point(self.discussions[num]).files, self.resolve("main").files
        return [path for path, blob in self.changed_by(num).items() if main.get(path) not in (base.get(path), blob)]

    def _fork_point(self, pull: Discussion) -> Commit:
        on_main = set()
        oid: str | None = self.refs["refs/heads/main"]
        while oid is not None:
            on_main.add(oid)
            oid = self.commits[oid].parent
        oid = self.refs[pull.ref]
        while oid not in on_main:
            oid = self.commits[oid].parent or oid
        return self.commits[oid]

    def _store(self, files: Mapping[str, Blob], parent: str | None, title: str, author: str) -> Commit:
        listing = "\n".join(f"{path} {blob.oid}" for path, blob in sorted(files.items()))
        text = f"{self.type} {self.id} {len(self.commits)} {parent} {title}\n{listing}"
        made = Commit(hashlib.sha1(text.encode()).hexdigest(), dict(files), parent, title, author)
        self.commits[made.oid] = made
        return made


def is_lfs(path: str, data_or_size: bytes | int, sample: bytes = b"") -> bool:
    """Whether the server takes a file through LFS."""
    size = data_or_size if isinstance(data_or_size, int) else len(data_or_size)
    start = sample if isinstance(data_or_size, int) else data_or_size[:512]
    return size > 0 and (path.endswith(LFS_SUFFIXES) or size > REGULAR_LIMIT or b"\0" in start)


def front_matter(text: str) -> dict[str, Any]:
    """YAML between the first two `---` lines; raises `yaml.YAMLError` or `ValueError` where it is not a mapping."""
    if not text.startswith("---"):
        return {}
    loaded = yaml.safe_load(text.split("---", 2)[1]) or {}
    if not isinstance(loaded, dict):
        raise ValueError("the metadata is not a mapping")
    return loaded


def card_data(commit: Commit) -> dict[str, Any]:
    """The metadata of a commit's README, {} where there is none."""
    blob = commit.files.get("README.md")
    try:
        return front_matter(blob.data.decode()) if blob else {}
    except (yaml.YAMLError, ValueError):
        return {}


def eval_results(repo: Repo) -> list[dict[str, Any]]:
    """Entries of `.eval_results/*.yaml` of a model: those on main, then those of open pull requests."""
    main = repo.resolve("main").files
    found = _entries_of(main, None)
    for pull in repo.discussions.values():
        if pull.is_pull_request and pull.status in ("open", "draft"):
            found += _entries_of(repo.changed_by(pull.num), pull.num)
    return found


def leaderboard(dataset: Repo, models: Iterable[Repo], *, task_id: str | None, base_only: bool) -> list[dict[str, Any]]:
    """Ranked entries of one task (default: the first one of `eval.yaml`); 404 without `eval.yaml`."""
    blob = dataset.resolve("main").files.get("eval.yaml")
    if blob is None:
        raise HubError(404, "", "This dataset has no leaderboard.")
    task = task_id or yaml.safe_load(blob.data)["tasks"][0]["id"]
    rows = []
    for model in models:
        if base_only and card_data(model.resolve("main")).get("base_model"):
            continue
        for entry in eval_results(model):
            data = entry.get("data", {})
            about = data.get("dataset", {})
            if about.get("id") == dataset.id and about.get("task_id") == task:
                rows.append(
                    {
                        "modelId": model.id,
                        "value": data["value"],
                        "filename": entry["filename"],
                        "verified": entry["verified"],
                        "author": {
                            "type": "user",
                            "name": model.namespace,
                            "fullname": model.namespace,
                            "avatarUrl": "",
                        },
                        **{key: data[key] for key in ("source", "notes") if key in data},
                        **({"pullRequest": entry["pullRequest"]} if "pullRequest" in entry else {}),
                    }
                )
    rows.sort(key=lambda row: -row["value"])
    return [{"rank": rank, **row} for rank, row in enumerate(rows, 1)]


def _entries_of(files: Mapping[str, Blob], pull_request: int | None) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for path, blob in sorted(files.items()):
        if not (path.startswith(".eval_results/") and path.endswith((".yaml", ".yml"))):
            continue
        where = {"filename": path, "verified": False} | ({} if pull_request is None else {"pullRequest": pull_request})
        try:
            for entry in yaml.safe_load(blob.data):
                _ = entry["dataset"]["id"], entry["dataset"]["task_id"], float(entry["value"])
                found.append({**where, "data": _jsonable(entry)})
        except (yaml.YAMLError, TypeError, KeyError, ValueError) as error:
            found.append({**where, "error": f"invalid: {error}"})
    return found


def _jsonable(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _jsonable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_jsonable(item) for item in value]
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def now() -> str:
    """The present time as the Hub writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
