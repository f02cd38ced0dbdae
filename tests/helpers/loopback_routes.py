"""The Hub's endpoints, one function each: what a request changes in the store, and the answer."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote

import yaml

from .loopback_store import Account, Blob, HubError, Repo, card_data, eval_results, front_matter, is_lfs, now

if TYPE_CHECKING:
    from email.message import Message

    from .loopback_hub import LoopbackHub


@dataclass
class Answer:
    """Status, body and headers."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Call:
    """A request that was read. `path` is still quoted."""

    hub: LoopbackHub
    method: str
    path: str
    query: Mapping[str, str]
    headers: Message
    body: bytes
    token: str
    account: Account | None

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def repo(self, type: str, id: str, *, write: bool = False, files: bool = False) -> Repo:
        """A repository that the caller may see (and change; and whose `files` he may read)."""
        repo = self.hub.repos.get((type, id))
        namespace = id.split("/")[0]
        member = self.account is not None and namespace in (self.account.name, *self.account.orgs)
        if repo is None or (repo.private and not member):
            raise HubError(404 if self.account else 401, "RepoNotFound", "Repository not found")
        if files and repo.gated and not member and (self.account is None or self.account.name not in repo.granted):
            raise HubError(403 if self.account else 401, "GatedRepo", f"Access to {type} {id} is restricted.")
        if write:
            self.signed_in()
            assert self.account is not None
            if not self.account.may_write(namespace):
                raise HubError(403, "", f"You don't have the rights to write to {id}")
        return repo

    def signed_in(self) -> Account:
        if self.account is None:
            raise HubError(401, "", "Invalid credentials in Authorization header" if self.token else "Unauthorized")
        return self.account

    def may_propose(self, repo: Repo) -> None:
        """Anyone with a token that can write anything may open a pull request."""
        if self.signed_in().role == "read":
            raise HubError(403, "", f"You don't have the rights to open a pull request on {repo.id}")


Handler = Callable[..., Answer]
_ROUTES: list[tuple[str, re.Pattern[str], Handler]] = []
_TYPES = {"models": "model", "datasets": "dataset", "spaces": "space", None: "model"}
SIGNATURE = "signedUploadSecret"  # whoever has it may upload
_ID = r"(?P<id>[^/]+/[^/]+)"
API = rf"/api/(?P<types>models|datasets|spaces)/{_ID}"
WEB = rf"/(?:(?P<types>datasets|spaces)/)?{_ID}"


def route(method: str, pattern: str) -> Callable[[Handler], Handler]:
    """Register a handler for paths (quoted) that match `pattern` whole; named groups become arguments."""

    def register(handler: Handler) -> Handler:
        _ROUTES.append((method, re.compile(pattern), handler))
        return handler

    return register


def answer(call: Call) -> Answer:
    """Find the endpoint and run it."""
    for method, pattern, handler in _ROUTES:
        match = pattern.fullmatch(call.path)
        if match and call.method == method:
            groups = {name: None if value is None else unquote(value) for name, value in match.groupdict().items()}
            if "types" in groups:
                groups["type"] = _TYPES[groups.pop("types")]
            return handler(call, **groups)
    raise HubError(404, "", f"No endpoint {call.method} {call.path} on the loopback Hub")


def as_json(value: Any, headers: Mapping[str, str] | None = None) -> Answer:
    return Answer(200, json.dumps(value).encode(), {"Content-Type": "application/json", **(headers or {})})


@route("GET", "/api/whoami-v2")
def whoami(call: Call) -> Answer:
    account = call.signed_in()
    orgs = [{"name": name, "type": "org", "fullname": name} for name in account.orgs]
    token = {"accessToken": {"role": account.role, "displayName": "test"}}
    return as_json({"type": "user", "name": account.name, "fullname": account.name, "orgs": orgs, "auth": token})


@route("POST", "/api/repos/create")
def create_repo(call: Call) -> Answer:
    asked = call.json
    account = call.signed_in()
    namespace = asked.get("organization") or account.name
    if not account.may_write(namespace):
        raise HubError(
            403, "", f"You don't have the rights to create a {asked.get('type') or 'model'} under {namespace}"
        )
    made = Repo(asked.get("type") or "model", f"{namespace}/{asked['name']}", asked.get("visibility") == "private")
    url = f"{call.hub.endpoint}/{made.path}"
    if (made.type, made.id) in call.hub.repos:
        raise HubError(409, "", "You already created this repo", url=url)
    call.hub.repos[made.type, made.id] = made
    return as_json({"url": url, "id": made.id})


@route("POST", "/api/validate-yaml")
def validate_yaml(call: Call) -> Answer:
    try:
        front_matter(call.json["content"])
    except (yaml.YAMLError, ValueError) as error:
        raise HubError(400, "", "Invalid metadata", errors=[{"message": str(error)}], warnings=[]) from error
    return as_json({"errors": [], "warnings": []})


@route("GET", API)
def info(call: Call, type: str, id: str) -> Answer:
    return revision_info(call, type, id, "main")


@route("GET", rf"{API}/auth-check")
def auth_check(call: Call, type: str, id: str) -> Answer:
    call.repo(type, id, files=True)
    return as_json({})


@route("GET", rf"{API}/revision/(?P<revision>[^/]+)")
def revision_info(call: Call, type: str, id: str, revision: str) -> Answer:
    repo = call.repo(type, id)
    commit = repo.resolve(revision)
    siblings = [
        {"rfilename": path, "size": len(blob.data), "blobId": blob.git_oid, **_lfs_field(blob)}
        for path, blob in sorted(commit.files.items())
    ]
    facts = {"id": id, "sha": commit.oid, "siblings": siblings, "private": repo.private, "gated": repo.gated}
    facts |= {"tags": [], "cardData": card_data(commit), "lastModified": now(), "createdAt": now(), "disabled": False}
    facts |= {"author": repo.namespace, "downloads": 0, "likes": 0}
    if type == "model":
        facts["evalResults"] = eval_results(repo)
    return as_json(json.loads(json.dumps(facts, default=str)))


@route("GET", rf"{API}/tree/(?P<revision>[^/]+)(?:/(?P<folder>.+))?")
def tree(call: Call, type: str, id: str, revision: str, folder: str | None) -> Answer:
    commit = call.repo(type, id).resolve(revision)
    inside = f"{folder.strip('/')}/" if folder else ""
    recursive = call.query.get("recursive", "false").lower() in ("true", "1")
    entries: dict[str, dict[str, Any]] = {}
    for path, blob in sorted(commit.files.items()):
        if not path.startswith(inside):
            continue
        steps = path[len(inside) :].split("/")
        for depth in range(1, len(steps) if recursive else min(len(steps), 2)):
            name = inside + "/".join(steps[:depth])
            entries[name] = {"type": "directory", "path": name, "oid": hashlib.sha1(name.encode()).hexdigest()}
        if recursive or len(steps) == 1:
            entries[path] = _entry(path, blob)
    if inside and not entries:
        raise HubError(404, "EntryNotFound", f"{folder} does not exist on {revision!r}")
    return as_json(list(entries.values()), {"X-Repo-Commit": commit.oid})


@route("POST", rf"{API}/paths-info/(?P<revision>[^/]+)")
def paths_info(call: Call, type: str, id: str, revision: str) -> Answer:
    files = call.repo(type, id).resolve(revision).files
    asked = parse_qs(call.body.decode()).get("paths", [])
    folders = {"/".join(path.split("/")[:n]) for path in files for n in range(1, path.count("/") + 1)}
    found = [_entry(path, files[path]) for path in asked if path in files]
    return as_json(found + [{"type": "directory", "path": path, "oid": "0" * 40} for path in asked if path in folders])


@route("GET", rf"{API}/refs")
def refs(call: Call, type: str, id: str) -> Answer:
    groups: dict[str, list[dict[str, str]]] = {"branches": [], "tags": [], "converts": [], "pullRequests": []}
    for ref, oid in call.repo(type, id).refs.items():
        kind = {"heads": "branches", "tags": "tags", "pr": "pullRequests"}[ref.split("/")[1]]
        groups[kind].append({"name": ref.split("/", 2)[2], "ref": ref, "targetCommit": oid})
    return as_json(groups)


@route("GET", rf"{API}/commits/(?P<revision>[^/]+)")
def commits(call: Call, type: str, id: str, revision: str) -> Answer:
    repo = call.repo(type, id)
    oid: str | None = repo.resolve(revision).oid
    listed = []
    while oid is not None:
        commit = repo.commits[oid]
        authors = [{"user": commit.author}]
        listed.append({"id": oid, "title": commit.title, "message": "", "date": now(), "authors": authors})
        oid = commit.parent
    return as_json(listed)


@route("POST", rf"{API}/tag/(?P<revision>[^/]+)")
def create_tag(call: Call, type: str, id: str, revision: str) -> Answer:
    repo = call.repo(type, id, write=True)
    ref = f"refs/tags/{call.json['tag']}"
    if ref in repo.refs:
        raise HubError(409, "", "Tag reference exists already")
    repo.refs[ref] = repo.resolve(revision).oid
    return as_json({})


@route("DELETE", rf"{API}/tag/(?P<tag>[^/]+)")
def delete_tag(call: Call, type: str, id: str, tag: str) -> Answer:
    if call.repo(type, id, write=True).refs.pop(f"refs/tags/{tag}", None) is None:
        raise HubError(404, "RevisionNotFound", f"No tag {tag}")
    return as_json({})


@route("POST", rf"{API}/branch/(?P<branch>[^/]+)")
def create_branch(call: Call, type: str, id: str, branch: str) -> Answer:
    repo = call.repo(type, id, write=True)
    if f"refs/heads/{branch}" in repo.refs:
        raise HubError(409, "", "Reference already exists")
    start = json.loads(call.body or b"{}").get("startingPoint", "main")
    repo.refs[f"refs/heads/{branch}"] = repo.resolve(start).oid
    return as_json({})


@route("POST", rf"{API}/preupload/(?P<revision>[^/]+)")
def preupload(call: Call, type: str, id: str, revision: str) -> Answer:
    repo = _writable(call, type, id)
    there = repo.resolve("main" if "create_pr" in call.query else revision).files
    files = []
    for item in call.json["files"]:
        path, large = item["path"], is_lfs(item["path"], item["size"], base64.b64decode(item["sample"]))
        oid = {"oid": there[path].oid} if path in there else {}
        files.append({"path": path, "uploadMode": "lfs" if large else "regular", "shouldIgnore": False, **oid})
    return as_json({"files": files})


@route("POST", rf"{WEB}\.git/info/lfs/objects/batch")
def lfs_batch(call: Call, type: str, id: str) -> Answer:
    call.may_propose(call.repo(type, id))
    objects = []
    for item in call.json["objects"]:
        href = f"{call.hub.endpoint}/lfs/{item['oid']}"
        signed = {"href": f"{href}?X-Amz-Signature={SIGNATURE}", "header": {}}
        actions = {"upload": signed, "verify": {"href": f"{href}/verify"}}
        objects.append({**item} if item["oid"] in call.hub.objects else {**item, "actions": actions})
    return as_json({"transfer": "basic", "objects": objects})


@route("PUT", r"/lfs/(?P<oid>[0-9a-f]{64})")
def lfs_upload(call: Call, oid: str) -> Answer:
    if hashlib.sha256(call.body).hexdigest() != oid:
        raise HubError(400, "", "The content does not have the sha256 it was announced with")
    call.hub.objects[oid] = call.body
    return Answer(200, b"", {"ETag": f'"{oid}"'})


@route("POST", r"/lfs/(?P<oid>[0-9a-f]{64})/verify")
def lfs_verify(call: Call, oid: str) -> Answer:
    if len(call.hub.objects.get(oid, b"")) != call.json["size"]:
        raise HubError(404, "", "No such object")
    return as_json({})


@route("POST", rf"{API}/commit/(?P<revision>[^/]+)")
def commit(call: Call, type: str, id: str, revision: str) -> Answer:
    repo = _writable(call, type, id)
    lines = [json.loads(line) for line in call.body.splitlines() if line.strip()]
    add, delete, header = {}, [], {}
    for line in lines:
        value = line["value"]
        if line["key"] == "header":
            header = value
        elif line["key"] == "file":
            add[value["path"]] = Blob(base64.b64decode(value["content"]), False)
        elif line["key"] == "lfsFile":
            if value["oid"] not in call.hub.objects:
                raise HubError(400, "", f"LFS object of {value['path']} was not uploaded")
            add[value["path"]] = Blob(call.hub.objects[value["oid"]], True)
        else:
            delete.append(value["path"].rstrip("/") + ("/" if line["key"] == "deletedFolder" else ""))
    author, extra = call.signed_in().name, {}
    if "create_pr" in call.query:
        pull = repo.open_pull_request(header["summary"], author)
        pull.events.append(comment(author, header.get("description", "")))
        revision = pull.ref
        extra = {"pullRequestUrl": f"{call.hub.endpoint}/{repo.path}/discussions/{pull.num}"}
    made = repo.commit(
        revision, add, delete=delete, title=header["summary"], author=author, parent=header.get("parentCommit")
    )
    url = f"{call.hub.endpoint}/{repo.path}/commit/{made.oid}"
    return as_json({"success": True, "commitOid": made.oid, "commitUrl": url, "hookOutput": "", **extra})


@route("HEAD", rf"{WEB}/resolve/(?P<revision>[^/]+)/(?P<path>.*)")
@route("GET", rf"{WEB}/resolve/(?P<revision>[^/]+)/(?P<path>.*)")
def resolve(call: Call, type: str, id: str, revision: str, path: str) -> Answer:
    commit = call.repo(type, id, files=True).resolve(revision)
    headers = {"X-Repo-Commit": commit.oid, "Accept-Ranges": "bytes"}
    blob = commit.files.get(path)
    if blob is None:
        body = json.dumps({"error": "Entry not found"}).encode()
        return Answer(404, body, {**headers, "X-Error-Code": "EntryNotFound", "X-Error-Message": "Entry not found"})
    headers |= {"ETag": f'"{blob.oid}"', "Content-Type": "application/octet-stream"}
    if call.method == "HEAD":
        return Answer(200, b"", {**headers, "Content-Length": str(len(blob.data))})
    span = re.fullmatch(r"bytes=(\d+)-(\d*)", call.headers.get("Range") or "")
    if not span:
        return Answer(200, blob.data, headers)
    start, end = int(span[1]), min(int(span[2] or len(blob.data) - 1), len(blob.data) - 1)
    if start > end:
        raise HubError(416, "", "Range not satisfiable")
    headers["Content-Range"] = f"bytes {start}-{end}/{len(blob.data)}"
    return Answer(206, blob.data[start : end + 1], headers)


def _writable(call: Call, type: str, id: str) -> Repo:
    """For a commit: write access, or with `create_pr` (or on a pull request) any account that can write anything."""
    as_pull = "create_pr" in call.query or "/refs%2Fpr%2F" in call.path
    repo = call.repo(type, id, write=not as_pull)
    if as_pull:
        call.may_propose(repo)
    return repo


def _entry(path: str, blob: Blob) -> dict[str, Any]:
    return {"type": "file", "path": path, "size": len(blob.data), "oid": blob.git_oid, **_lfs_field(blob)}


def _lfs_field(blob: Blob) -> dict[str, Any]:
    return (
        {"lfs": {"oid": blob.oid, "sha256": blob.oid, "size": len(blob.data), "pointerSize": 134}} if blob.lfs else {}
    )


def comment(author: str, text: str) -> dict[str, Any]:
    return event("comment", author, data={"edited": False, "hidden": False, "latest": {"raw": text}})


def event(type: str, author: str, **fields: Any) -> dict[str, Any]:
    key = hashlib.sha1(repr((type, author, fields)).encode()).hexdigest()
    return {"id": key, "type": type, "createdAt": now(), "author": {"name": author}, **fields}
