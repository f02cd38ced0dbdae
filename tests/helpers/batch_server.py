"""OpenAI's batch interface on loopback: a file of requests is uploaded, a batch is made of it, its results are a file."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

from helpers.http_threads import served
from helpers.scripted_server import Scripted, completion


@dataclass
class BatchServer:
    """What `serve_batches` yields.

    Attributes:
        url: the address.
        batches: the chat requests of each batch, in order of arrival.
        single: requests that came one by one.
    """

    url: str
    batches: list[list[dict[str, Any]]] = field(default_factory=list)
    single: int = 0


@contextmanager
def serve_batches(script: Callable[[dict[str, Any]], Scripted]) -> Iterator[BatchServer]:
    """`script(the body of a chat request)` says what to reply; status 200 is a result, others are errors of a line."""
    files: dict[str, str] = {}
    made: dict[str, dict[str, Any]] = {}
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["Content-Length"]))
            with lock:
                if self.path.endswith("/files"):
                    name = f"file-{len(files)}"
                    files[name] = _uploaded(content, str(self.headers["Content-Type"]))
                    fields = {"object": "file", "bytes": 1, "created_at": 0, "filename": "x.jsonl", "purpose": "batch"}
                    self._send({"id": name, "status": "processed", **fields})
                elif self.path.endswith("/batches"):
                    self._send(self._batch(json.loads(content)))
                else:
                    server.single += 1
                    self._send(completion(Scripted("A")))

        def do_GET(self) -> None:
            with lock:
                if match := re.search(r"/files/([\w-]+)/content", self.path):
                    self._send(files[match[1]])
                else:
                    self._send(made[self.path.rsplit("/", 1)[1]])

        def _batch(self, asked: dict[str, Any]) -> dict[str, Any]:
            assert asked["endpoint"] == "/v1/chat/completions"
            lines = [json.loads(line) for line in files[asked["input_file_id"]].splitlines() if line]
            server.batches.append([line["body"] for line in lines])
            good, bad = [], []
            for line in lines:
                reply = script(line["body"])
                if reply.status == 200:
                    response = {"status_code": 200, "request_id": "r", "body": completion(reply)}
                    good.append({"id": "x", "custom_id": line["custom_id"], "response": response, "error": None})
                else:
                    response = {"status_code": reply.status, "request_id": "r", "body": {"error": reply.error}}
                    bad.append({"id": "x", "custom_id": line["custom_id"], "response": response, "error": None})
            name = f"batch_{len(made)}"
            places = {}
            for kind, found in (("output_file_id", good), ("error_file_id", bad)):
                if found:
                    places[kind] = f"{kind}-{name}"
                    files[places[kind]] = "".join(json.dumps(line) + "\n" for line in found)
            made[name] = {
                "id": name, "object": "batch", "endpoint": asked["endpoint"], "completion_window": "24h",
                "input_file_id": asked["input_file_id"], "status": "completed", "created_at": 0, **places,
                "request_counts": {"total": len(lines), "completed": len(good), "failed": len(bad)},
            }  # fmt: skip
            return made[name]

        def _send(self, found: dict[str, Any] | str) -> None:
            content = (found if isinstance(found, str) else json.dumps(found)).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            pass

    with served(Handler) as address:
        server = BatchServer(f"{address}/v1")
        yield server


def _uploaded(content: bytes, kind: str) -> str:
    """The file of a multipart form."""
    boundary = kind.partition("boundary=")[2].strip('"').encode()
    part = next(part for part in content.split(b"--" + boundary) if b'name="file"' in part)
    return part.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n").decode()
