"""Running the server: uvicorn on loopback unless told otherwise, and what to set behind a proxy."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from urllib.parse import urlsplit

from ..errors import UsageError
from .guard import LOOPBACK, GuardOptions, origin_of
from .server import create_app
from .work import Workbench

TURK_SITES = ("https://www.mturk.com", "https://workersandbox.mturk.com")


@dataclass(frozen=True)
class ServeOptions:
    """How to serve.

    Attributes:
        host: address to bind; 127.0.0.1 = this machine only.
        port: 0 = any free one.
        public_url: the address that people open, where a proxy is in front.
        mturk: allow Mechanical Turk to frame the pages.
        mturk_sites: origins that count as Mechanical Turk (a stand-in in tests).
    """

    host: str = "127.0.0.1"
    port: int = 8000
    public_url: str | None = None
    mturk: bool = False
    mturk_sites: tuple[str, ...] = TURK_SITES


def guard_options(options: ServeOptions) -> GuardOptions:
    """Which hosts and origins the server answers to.

    Raises:
        UsageError: a public address that is none, or http to another machine.
    """
    hosts, origins = list(LOOPBACK), []
    if options.host not in ("0.0.0.0", "::"):
        hosts.append(options.host)
    if options.public_url is not None:
        parts = urlsplit(options.public_url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.path not in ("", "/"):
            raise UsageError(
                f"--public-url takes an address such as https://annotate.example.org, got {options.public_url!r}."
            )
        hosts.append(parts.hostname)
        origins.append(origin_of(options.public_url))
    elif options.host in ("0.0.0.0", "::"):
        hosts = ["*"]
    return GuardOptions(tuple(hosts), tuple(origins), options.mturk_sites if options.mturk else ())


def serve(bench: Workbench, options: ServeOptions) -> None:
    """Serve until interrupted. Prints the address on stderr; nothing that was acknowledged is lost when it ends."""
    import uvicorn

    guard = guard_options(options)
    app = create_app(bench, guard)
    config = uvicorn.Config(
        app,
        host=options.host,
        port=options.port,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=512,
        timeout_keep_alive=30,
        h11_max_incomplete_event_size=64 * 1024,
    )
    server = uvicorn.Server(config)
    sockets = [config.bind_socket()]
    port = sockets[0].getsockname()[1]
    print(
        f"Serving {bench.project.title!r} on http://{options.host}:{port} (stop with Ctrl+C)",
        file=sys.stderr,
        flush=True,
    )
    if options.host not in ("127.0.0.1", "::1", "localhost"):
        print(_PROXY_ADVICE, file=sys.stderr, flush=True)
    server.run(sockets=sockets)


_PROXY_ADVICE = (
    "This address can be reached from other machines, unencrypted. Put a proxy with TLS in front (nginx, Caddy), "
    "bind the server to 127.0.0.1 and start it with --public-url https://YOUR.NAME, so that links and the check of "
    "requests from other sites fit; the proxy must hand on the Host header."
)
