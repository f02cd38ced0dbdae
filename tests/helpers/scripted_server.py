"""An OpenAI-compatible server on loopback that answers by a script and counts what it is asked.

Run as a program (`python scripted_server.py LOG`), it prints its address and logs each request's text to LOG.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

from helpers.http_threads import served


@dataclass(frozen=True)
class Scripted:
    """One HTTP reply: a completion's text, or an error."""

    text: str = "A"
    status: int = 200
    finish: str = "stop"
    refusal: str | None = None
    error: dict[str, Any] | None = None
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0
    body: str | None = None  # sent as it is instead of a completion
    reasoning: str | None = None


@dataclass
class Server:
    """What `serve` yields: where it is and every chat request it got, in order."""

    url: str
    requests: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    def texts(self) -> list[str]:
        return [text_of(request) for request in self.requests]


def text_of(request: dict[str, Any]) -> str:
    return " ".join(part["text"] for part in request["messages"][-1]["content"] if part["type"] == "text")


def images_of(request: dict[str, Any]) -> list[str]:
    return [part["image_url"]["url"] for part in request["messages"][-1]["content"] if part["type"] == "image_url"]


@contextmanager
def serve(script: Callable[[int, dict[str, Any]], Scripted]) -> Iterator[Server]:
    """`script(number of the request from 0, its body)` says what to reply."""
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with lock:
                number = len(server.requests)
                server.requests.append(body)
                server.headers.append(dict(self.headers))
            reply = script(number, body)
            time.sleep(reply.delay)
            content = json.dumps(completion(reply) if reply.status == 200 else {"error": reply.error}).encode()
            if reply.body is not None:
                content = reply.body.encode()
            try:
                self.send_response(reply.status)
                for name, value in {"Content-Type": "application/json", **reply.headers}.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)
            except (BrokenPipeError, ConnectionResetError):
                pass  # the client gave up waiting

        def log_message(self, *_: Any) -> None:
            pass

    with served(Handler) as address:
        server = Server(f"{address}/v1")
        yield server


def completion(reply: Scripted) -> dict[str, Any]:
    message = {"role": "assistant", "content": reply.text, "refusal": reply.refusal}
    if reply.reasoning is not None:
        message["reasoning_content"] = reply.reasoning
    return {
        "id": "x",
        "object": "chat.completion",
        "created": 0,
        "model": "scripted",
        "choices": [{"index": 0, "message": message, "finish_reason": reply.finish, "logprobs": None}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 1, "total_tokens": 11},
    }
