"""A request that is refused: the HTTP status, a code for programs, a sentence for people."""

from __future__ import annotations

from ..errors import SocoError


class RefusedError(SocoError):
    """Nothing was stored; `status` is the HTTP status, `code` a short name."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message
