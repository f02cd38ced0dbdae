"""A Hub on loopback for tests: the real, unpatched clients talk to it. In memory; counts requests and bytes; breaks.

    with LoopbackHub() as hub:
        hub.add_account("hf_alice", "alice", orgs=("lab",))
        subprocess.run([...], env={**os.environ, **hub.environment(tmp_path / "hf", "hf_alice")})
        assert hub.repo("dataset", "lab/soco").resolve("main").files
        assert not hub.requests_of("GET", r"/resolve/.*\\.arrow")

Clients read HF_ENDPOINT when they are imported, so they run in subprocesses. Endpoints: ../../shared/hub_api.md and
`loopback_routes`; the state: `loopback_store`.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qsl, unquote, urlsplit

from . import loopback_discussions  # noqa: F401  (registers its endpoints)
from .loopback_routes import Answer, Call, answer
from .loopback_store import Account, Blob, Commit, HubError, Repo, is_lfs


@dataclass
class Logged:
    """One request as served. `received` and `sent` count body bytes, also of a connection that was cut."""

    method: str
    path: str  # unquoted, without the query
    query: dict[str, str]
    account: str | None
    span: str | None = None  # its Range header
    status: int = 0  # 0 = the connection was dropped
    received: int = 0
    sent: int = 0


@dataclass
class Fault:
    """Breaks matching requests: `status` answers an error, None drops the connection after `after_bytes` of the body.

    `after_bytes` counts bytes of the request body for PUT and POST, of the answer for GET; the first `skip` matching
    requests pass, the next `times` break.
    """

    method: str
    path: str  # regular expression, searched in the unquoted path
    status: int | None = None
    times: int = 1
    skip: int = 0
    after_bytes: int = 0
    code: str = ""
    message: str = "injected"
    headers: Mapping[str, str] = field(default_factory=dict)
    done_first: bool = False  # do what was asked, then drop the connection instead of answering
    hits: int = 0

    def applies(self, method: str, path: str) -> bool:
        """Count a request; whether this one breaks."""
        if method != self.method or not re.search(self.path, path):
            return False
        self.hits += 1
        return self.skip < self.hits <= self.skip + self.times


class LoopbackHub:
    """State, server and log of one Hub; a context manager. All public attributes may be read while it serves."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.accounts: dict[str, Account] = {}  # by token
        self.repos: dict[tuple[str, str], Repo] = {}  # by type and id
        self.objects: dict[str, bytes] = {}  # LFS objects by sha256
        self.log: list[Logged] = []
        self.faults: list[Fault] = []
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> LoopbackHub:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def environment(self, home: Path | str, token: str | None = None) -> dict[str, str]:
        """Variables that point the clients of a subprocess here. Give each process that follows a push its own `home`."""
        return {
            "HF_ENDPOINT": self.endpoint,
            "HF_HOME": str(home),
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_IMPLICIT_TOKEN": "",
            "HF_HUB_OFFLINE": "0",
            "HF_TOKEN": token or "",
            "NO_PROXY": "127.0.0.1",
        }

    def add_account(self, token: str, name: str, *, role: str = "write", orgs: tuple[str, ...] = ()) -> Account:
        self.accounts[token] = made = Account(name, role, orgs)
        return made

    def add_repo(self, type: str, id: str, files: Mapping[str, bytes] | None = None, **settings: Any) -> Repo:
        """Make a repository directly (`private=`, `gated=`), with files on main."""
        with self.lock:
            self.repos[type, id] = made = Repo(type, id, **settings)
            if files:
                self.commit(made, files)
            return made

    def commit(self, repo: Repo, files: Mapping[str, bytes], revision: str = "main") -> Commit:
        """Commit files directly, past all checks (and so past every fault)."""
        blobs = {path: Blob(data, is_lfs(path, data)) for path, data in files.items()}
        with self.lock:
            self.objects |= {blob.oid: blob.data for blob in blobs.values() if blob.lfs}
            return repo.commit(revision, blobs)

    def repo(self, type: str, id: str) -> Repo:
        return self.repos[type, id]

    def files(self, type: str, id: str, revision: str = "main") -> dict[str, bytes]:
        """Contents of a repository by path."""
        with self.lock:
            return {path: blob.data for path, blob in self.repos[type, id].resolve(revision).files.items()}

    def fail(self, method: str, path: str, status: int, **options: Any) -> Fault:
        """Answer matching requests with an error status; options as in `Fault`."""
        self.faults.append(fault := Fault(method, path, status, **options))
        return fault

    def drop(self, method: str, path: str, **options: Any) -> Fault:
        """Cut the connection of matching requests; options as in `Fault`."""
        self.faults.append(fault := Fault(method, path, **options))
        return fault

    def lose_answer(self, method: str, path: str, **options: Any) -> Fault:
        """Do what matching requests ask, but drop the connection instead of answering."""
        return self.drop(method, path, done_first=True, **options)

    def clear(self) -> None:
        """Forget log and faults, keep the state."""
        with self.lock:
            self.log.clear()
            self.faults.clear()

    def requests_of(self, method: str | None = None, path: str = "") -> list[Logged]:
        """Logged requests of a method whose path matches a regular expression."""
        with self.lock:
            return [r for r in self.log if method in (None, r.method) and re.search(path, r.path)]

    def bytes_up(self, path: str = r"^/lfs/") -> int:
        """Bytes of bodies received on matching paths (default: contents of LFS files)."""
        return sum(r.received for r in self.requests_of(None, path))

    def bytes_down(self, path: str = "/resolve/") -> int:
        """Bytes of bodies sent from matching paths, HEAD requests left out."""
        return sum(r.sent for r in self.requests_of("GET", path))


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, hub: LoopbackHub) -> None:
        self.hub = hub
        super().__init__(("127.0.0.1", 0), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away in the middle is what some tests want."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: Any) -> None:
        """The hub keeps its own log."""

    def _serve(self) -> None:
        hub = cast(_Server, self.server).hub
        url = urlsplit(self.path)
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ").strip()
        account = hub.accounts.get(token)
        logged = Logged(
            self.command,
            unquote(url.path),
            dict(parse_qsl(url.query)),
            account.name if account else None,
            self.headers.get("Range"),
        )
        with hub.lock:
            hub.log.append(logged)
            fault = next((f for f in hub.faults if f.applies(self.command, logged.path)), None)
        lost = fault is not None and fault.done_first
        cut = fault.after_bytes if fault is not None and fault.status is None and not lost else None
        body = self._body(logged, cut if self.command in ("PUT", "POST") else None)
        if cut is not None and self.command in ("PUT", "POST"):
            self._hang_up()
            return
        if fault is not None and fault.status is not None:
            made = _error(HubError(fault.status, fault.code, fault.message))
            made.headers |= fault.headers
        else:
            call = Call(hub, self.command, url.path, logged.query, self.headers, body, token, account)
            try:
                with hub.lock:
                    made = answer(call)
            except HubError as error:
                made = _error(error)
        if lost:
            self._hang_up()
        else:
            self._send(made, logged, cut)

    def _hang_up(self) -> None:
        self.close_connection = True
        self.connection.close()

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _serve  # noqa: N815  (the base class looks for these names)

    def _body(self, logged: Logged, cut: int | None) -> bytes:
        parts = []
        for part in self._chunks(cut):
            logged.received += len(part)
            parts.append(part)
        return b"".join(parts)

    def _chunks(self, limit: int | None) -> Iterator[bytes]:
        """The request body in pieces, at most `limit` bytes of it."""
        left = limit
        if "chunked" in (self.headers.get("Transfer-Encoding") or ""):
            while (size := int(self.rfile.readline().split(b";")[0], 16)) > 0:
                piece = self.rfile.read(size if left is None else min(size, left))
                yield piece
                left = None if left is None else left - len(piece)
                if left == 0:
                    return
                self.rfile.readline()
            self.rfile.readline()
            return
        size = int(self.headers.get("Content-Length") or 0)
        size = size if left is None else min(size, left)
        while size > 0 and (piece := self.rfile.read(min(size, 1 << 16))):
            size -= len(piece)
            yield piece

    def _send(self, made: Answer, logged: Logged, cut: int | None) -> None:
        logged.status = made.status
        self.send_response(made.status)
        for name, value in made.headers.items():
            self.send_header(name, value)
        if "Content-Length" not in made.headers:
            self.send_header("Content-Length", str(len(made.body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        body = made.body if cut is None else made.body[:cut]
        logged.sent += len(body)
        self.wfile.write(body)
        if cut is not None:
            logged.status = 0
            self.wfile.flush()
            self._hang_up()


def _error(error: HubError) -> Answer:
    body = json.dumps({"error": error.message, **error.body}).encode()
    headers = {"Content-Type": "application/json", "X-Error-Message": error.message or "error"}
    if error.code:
        headers["X-Error-Code"] = error.code
    return Answer(error.status, body, headers)
