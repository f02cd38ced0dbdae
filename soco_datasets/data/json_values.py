"""Values of a release's JSON files: parsed strictly, texts in NFC, numbers only where they are finite."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Sequence
from typing import Any

from ..utils.foreign import ForeignTextError, read_json_text
from .diagnostics import BuildReport


class BadFileError(Exception):
    """A file that cannot be used; its findings are recorded already."""


def is_json(path: str) -> bool:
    """Whether a file is JSON by its name."""
    return path.lower().endswith(".json")


def nfc(text: str) -> str:
    """Unicode NFC, so that names from macOS archives meet names from JSON."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def load_json(file: str, raw: bytes, findings: BuildReport) -> Any:
    """Parse JSON with `foreign.read_json_text`. A field given twice is a repair: the last one counts.

    Records an error and raises `BadFileError` when it does not parse.
    """
    doubled: list[str] = []
    try:
        data = read_json_text(raw, huge=True, on_double=doubled.append)
    except ForeignTextError as error:
        findings.error(file, "", "not_json", f"not valid JSON: {error}", "write the file again")
        raise BadFileError from None
    if doubled:
        message = f"the field(s) {first_names(doubled)} given more than once: the last one counts"
        findings.repair(file, doubled[0], "doubled_field", message, "give each field once")
    return data


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
