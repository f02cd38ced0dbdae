"""What the API's handlers share: the token of a request, numbers in its path, pictures as answers."""

from __future__ import annotations

from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from ..utils.paths import real_path
from .photo_files import displayed
from .refusals import RefusedError

_MOST_DIGITS = 15


def bearer(request: Request) -> str | None:
    """The token in `Authorization: Bearer`, or None."""
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if kind.lower() == "bearer" else None


def number(request: Request, name: str) -> int:
    """An id in the path. Raises `RefusedError` (404) for anything but a plain number."""
    text = request.path_params[name]
    if not (text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS):
        raise RefusedError(404, "not_found", "There is no such page.")
    return int(text)


def picture_response(folder: Path, file: str) -> Response:
    """A picture of the project, never one outside its folder; cached by this browser only."""
    path = real_path(folder / file)
    if not path.is_relative_to(real_path(folder)) or not path.is_file():
        raise RefusedError(404, "no_picture", "This picture is not there any more; tell the owner.")
    data, kind = displayed(path)
    return Response(data, media_type=kind, headers={"cache-control": "private, max-age=3600"})
