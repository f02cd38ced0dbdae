"""Values of a release's JSON files: parsed strictly, texts in NFC, numbers only where they are finite."""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections.abc import Sequence
from typing import Any

from .diagnostics import BuildReport


class BadFileError(Exception):
    """A file that cannot be used; its findings are recorded already."""


def is_json(path: str) -> bool:
    """Whether a file is JSON by its name."""
    return path.lower().endswith(".json")


def nfc(text: str) -> str:
    """Unicode NFC, so that names from macOS archives meet names from JSON."""
    return unicodedata.normalize("NFC", text)


def load_json(file: str, raw: bytes, findings: BuildReport) -> Any:
    """Parse JSON strictly: no NaN, no infinity, no half of a surrogate pair.

    Records an error and raises `BadFileError` when it does not parse.
    """

    def refuse(constant: str) -> float:
        raise ValueError(f"holds {constant}, which is not a number of JSON")

    try:
        data = json.loads(raw, parse_constant=refuse)
        check_text(raw, data)
        return data
    except (ValueError, RecursionError) as error:
        findings.error(file, "", "not_json", f"not valid JSON: {error}", "write the file again")
        raise BadFileError from None


def check_text(raw: bytes, data: Any) -> None:
    """Raise `ValueError` where a string of parsed JSON is no text: it escapes half of a surrogate pair."""
    if re.search(rb"\\u[dD][89a-fA-F]", raw) and not is_text(json.dumps(data, ensure_ascii=False)):
        raise ValueError("holds an escape such as \\ud800, which is no character by itself")


def finite(value: object) -> float | None:
    """The value as a float when it is a finite JSON number, else None (a bool is no number)."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def as_int(value: object) -> int | None:
    """An id given as an integer, a whole float or digits in a string; None otherwise."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value if abs(value) < 2**63 else None
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    if isinstance(value, str) and re.fullmatch(r"-?\d{1,18}", value.strip()):
        return int(value)
    return None


def missing_field(file: str, field: str, value: object, wanted: str, findings: BuildReport) -> None:
    """Record that a field is absent or of the wrong kind."""
    shown = repr(value) if len(repr(value)) <= 80 else repr(value)[:77] + "..."
    message = f"missing; wanted {wanted}" if value is None else f"is {shown}; wanted {wanted}"
    findings.error(file, field, "bad_field", message, f"give {wanted}")


def first_names(names: Sequence[str], limit: int = 4) -> str:
    """The first few names, for a message."""
    shown = ", ".join(dict.fromkeys(names[:limit]))
    return shown + (f" and {len(names) - limit} more" if len(names) > limit else "")


def is_text(value: str) -> bool:
    """Whether a string can be written as UTF-8: no half of a surrogate pair, as bytes that are not UTF-8 leave them."""
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
