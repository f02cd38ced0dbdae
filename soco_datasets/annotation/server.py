"""The pages as an ASGI application: an API of JSON with a bearer token, and static pages that hold no data.

The token stands in the link's fragment (`/annotate#soco-...`), which browsers never send: it is in no server log, and
with no cookie there is nothing that another site's request could use.
"""

from __future__ import annotations

import importlib.resources
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from .guard import Guard, GuardOptions, read_body
from .refusals import RefusedError
from .server_annotate import annotate_routes
from .server_owner import owner_routes
from .server_review import review_routes
from .server_turk import turk_routes
from .work import Workbench

_PAGES = {"/annotate": "annotate.html", "/review": "review.html", "/owner": "owner.html", "/mturk": "annotate.html"}
_TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css"}
_MOST_DIGITS = 18

Handler = Callable[[Request, dict[str, Any]], Any]


def create_app(bench: Workbench, options: GuardOptions) -> Starlette:
    """The application for a project."""
    static = importlib.resources.files(__package__) / "static"
    files = {entry.name: entry.read_bytes() for entry in static.iterdir() if Path(entry.name).suffix in _TYPES}
    routes = [Route(path, _static(files[name], ".html")) for path, name in _PAGES.items()]
    routes += [Route("/", _static(files["index.html"], ".html"))]
    routes += [
        Route(f"/static/{name}", _static(data, Path(name).suffix))
        for name, data in files.items()
        if not name.endswith(".html")
    ]
    routes.append(Route("/health", _health))
    tables = (annotate_routes(bench), review_routes(bench), owner_routes(bench), turk_routes(bench, options))
    for table in tables:
        for (method, path), handler in table.items():
            routes.append(Route(path, _endpoint(handler, method == "POST"), methods=[method]))
    return Starlette(routes=routes, middleware=[Middleware(Guard, options=options)], exception_handlers=_HANDLERS)


def _static(data: bytes, ending: str) -> Callable[[Request], Awaitable[Response]]:
    async def page(request: Request) -> Response:
        return Response(data, media_type=f"{_TYPES[ending]}; charset=utf-8")

    return page


async def _health(request: Request) -> Response:
    return JSONResponse({"status": "ok"})


def _endpoint(handler: Handler, has_body: bool) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        body = parse_request(await read_body(request)) if has_body else {}
        result = await run_in_threadpool(handler, request, body)
        return result if isinstance(result, Response) else JSONResponse(result)

    return endpoint


def parse_request(raw: bytes) -> dict[str, Any]:
    """A JSON object from a request's body. Raises `RefusedError` (400) for anything else, NaN and Infinity included."""

    def refuse(text: str) -> None:
        raise ValueError(f"{text} is not JSON")

    try:
        body = json.loads(raw, parse_constant=refuse)
        json.dumps(body, ensure_ascii=False).encode()  # lone surrogates cannot be stored
    except (ValueError, RecursionError):
        raise RefusedError(400, "not_json", "The request's body is not valid JSON.") from None
    if not isinstance(body, dict):
        raise RefusedError(400, "not_json", "The request's body must be a JSON object.")
    return body


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, RefusedError)
    return JSONResponse({"error": error.code, "message": error.message}, status_code=error.status)


async def _not_found(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": "not_found", "message": "There is no such page."}, status_code=404)


async def _wrong_method(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": "method", "message": "Not this way."}, status_code=405)


async def _failed(request: Request, error: Exception) -> Response:
    message = "The server could not store this. Your step is kept in this page and sent again."
    return JSONResponse({"error": "server", "message": message}, status_code=500)


_HANDLERS: dict[Any, Any] = {RefusedError: _refused, 404: _not_found, 405: _wrong_method, 500: _failed}
