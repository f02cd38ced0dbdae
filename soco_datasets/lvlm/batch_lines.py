"""Batch mode of OpenAI's interface: one refused question of a batch must not cost the answers of the others.

inspect-ai reads a batch's results line by line and gives up the whole batch, answers included, at the first line that
is an error in OpenAI's form (a response of another status than 200). Here such a line is the error of its question.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

_Line = tuple[str, Any]


class BatchLineError(RuntimeError):
    """One question of a batch that got no answer.

    Attributes:
        status_code: HTTP status, None where the line has none.
        body: what the line says of the error.
    """

    def __init__(self, message: str, status_code: int | None, body: object) -> None:
        super().__init__(message)
        self.status_code = status_code
        self.body = body


def keep_good_lines(api: Any) -> None:
    """Change how an OpenAI provider of inspect-ai reads the results of its batches; others stay as they are."""
    resolve = getattr(api, "_resolve_batcher", None)
    if resolve is None:
        return

    def resolve_batcher(*arguments: Any, **named: Any) -> None:
        resolve(*arguments, **named)
        for name in ("_completions_batcher", "_responses_batcher"):
            batcher = getattr(api, name, None)
            if batcher is not None and "_parse_jsonl_line" not in vars(batcher):
                batcher._parse_jsonl_line = _tolerant(batcher._parse_jsonl_line)

    api._resolve_batcher = resolve_batcher


def _tolerant(parse: Callable[[dict[str, Any]], _Line]) -> Callable[[dict[str, Any]], _Line]:
    def parse_line(line: dict[str, Any]) -> _Line:
        error = line_error(line)
        if error is not None and line.get("custom_id"):
            return str(line["custom_id"]), error
        return parse(line)

    return parse_line


def line_error(line: Mapping[str, Any]) -> BatchLineError | None:
    """The error of a line of a result file, None for an answer.

    >>> line_error({"response": {"status_code": 400, "body": {"error": {"message": "no"}}}}).status_code
    400
    >>> line_error({"response": {"status_code": 200, "body": {}}, "error": None})
    """
    response = line.get("response")
    response = response if isinstance(response, dict) else {}
    status = response.get("status_code")
    body = response.get("body")
    said = line.get("error") or (body.get("error") if isinstance(body, dict) else None)
    if not said and status in (None, 200) and isinstance(body, dict):
        return None
    details = said if isinstance(said, dict) else {"message": str(said or "the line has no answer")}
    code = details.get("code")
    status = status if isinstance(status, int) and status != 200 else code if isinstance(code, int) else None
    message = " ".join(str(details.get(name)) for name in ("message", "code", "type") if details.get(name))
    return BatchLineError(message, status, details)
