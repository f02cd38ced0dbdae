"""What every request passes: host, origin and size are checked, and every answer carries the security headers."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .refusals import RefusedError

MAX_BODY = 64 * 1024
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
_CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "base-uri 'none'; form-action {forms}; frame-ancestors {frames}"
)


@dataclass(frozen=True)
class GuardOptions:
    """Which names the server answers to.

    Attributes:
        hosts: host names without port; ("*",) = any.
        origins: origins besides the server's own that may send requests (that of a proxy's public address).
        turk_sites: origins that may frame the page and are posted to (Mechanical Turk); () = none.
    """

    hosts: tuple[str, ...] = LOOPBACK
    origins: tuple[str, ...] = ()
    turk_sites: tuple[str, ...] = ()


class Guard:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp, options: GuardOptions) -> None:
        self.app, self.options = app, options

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._add_headers(scope["path"], MutableHeaders(scope=message))
            await send(message)

        refused = self._refusal(scope, Headers(scope=scope))
        if refused is None:
            await self.app(scope, receive, answer)
        else:
            body = {"error": refused.code, "message": refused.message}
            await JSONResponse(body, status_code=refused.status)(scope, receive, answer)

    def _refusal(self, scope: Scope, headers: Headers) -> RefusedError | None:
        host = headers.get("host", "")
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() and ":" in host else host
        if "*" not in self.options.hosts and name.lower() not in self.options.hosts:
            fix = "Behind a proxy, start the server with --public-url and that address."
            return RefusedError(421, "unknown_host", f"This server does not answer to the name {name[:100]!r}. {fix}")
        if scope["method"] in ("GET", "HEAD"):
            return None
        origin = headers.get("origin")
        own = {f"http://{host}", f"https://{host}", *self.options.origins}
        if origin is not None and origin not in own:
            fix = "Behind a proxy, start the server with --public-url and the address that people open."
            return RefusedError(403, "cross_site", f"Requests from another site are refused. {fix}")
        if origin is None and headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return RefusedError(403, "cross_site", "Requests from another site are refused.")
        if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            return RefusedError(415, "not_json", "Requests must be application/json.")
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length) > MAX_BODY:
            return RefusedError(413, "too_large", f"A request has at most {MAX_BODY // 1024} KB.")
        return None

    def _add_headers(self, path: str, headers: MutableHeaders) -> None:
        sites = " ".join(self.options.turk_sites) if path == "/mturk" else ""
        headers["content-security-policy"] = _CSP.format(forms=sites or "'none'", frames=sites or "'none'")
        headers["x-content-type-options"] = "nosniff"
        headers["referrer-policy"] = "no-referrer"
        headers["cross-origin-resource-policy"] = "same-origin"
        headers["permissions-policy"] = "camera=(), microphone=(), geolocation=()"
        if not sites:
            headers["x-frame-options"] = "DENY"
        if path.startswith("/api/") and "cache-control" not in headers:
            headers["cache-control"] = "no-store"


async def read_body(request: Request) -> bytes:
    """The body, never more than `MAX_BODY` of it. Raises `RefusedError` (413)."""
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > MAX_BODY:
            raise RefusedError(413, "too_large", f"A request has at most {MAX_BODY // 1024} KB.")
        parts.append(part)
    return b"".join(parts)


def origin_of(url: str) -> str:
    """ "https://a.example/x" -> "https://a.example"."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
