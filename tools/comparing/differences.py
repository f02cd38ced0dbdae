"""Comparing two records: every fact by its path, exactly, but for what may change between versions or runs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .facts import PICTURES, WORDING

NUMBERS = "numbers"
KINDS = (NUMBERS, WORDING, PICTURES)
_MISSING = object()
# Keys whose value is a time, a duration or a version, or depends on them: at any depth of a JSON file or its metadata.
_VOLATILE = re.compile(
    r"created|started|finished|ended|updated|date|time|timestamp|seconds|duration|elapsed|.*_seconds|versions"
    r"|toolkit_version|soco_datasets|version_of_\w+"
)
_FREE_TEXT = {"message", "mend", "hint", "title", "notes", "about", "description_of_run"}


@dataclass(frozen=True)
class Difference:
    """One value that is not the same.

    Attributes:
        kind: "numbers" (anything that must not move), "wording" or "pictures".
        place: step, file and path inside it.
        before, after: what is there, shortened; "(none)" where nothing is.
    """

    kind: str
    place: str
    before: str
    after: str

    def __str__(self) -> str:
        return f"[{self.kind}] {self.place}: {self.before} -> {self.after}"


def differences(before: Any, after: Any, place: str = "", kind: str = NUMBERS) -> Iterator[Difference]:
    """All differences between two values of JSON."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        ours, theirs = _known(before), _known(after)
        for key in dict.fromkeys([*ours, *theirs]):
            inner = key if key in (WORDING, PICTURES) else WORDING if key in _FREE_TEXT else kind
            name = f"{place}.{key}" if place else key
            yield from differences(ours.get(key, _MISSING), theirs.get(key, _MISSING), name, inner)
    elif isinstance(before, list) and isinstance(after, list):
        if len(before) != len(after):
            yield Difference(kind, f"{place}.length", str(len(before)), str(len(after)))
        for index, (first, second) in enumerate(zip(before, after, strict=False)):
            yield from differences(first, second, f"{place}[{index}]", kind)
    elif not _same(before, after):
        yield Difference(kind, place, _shown(before), _shown(after))


def accepted_options(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Difference]:
    """Commands and options that were there and are not known any more; added ones are wording."""
    for command, options in before.items():
        if command not in after:
            yield Difference(NUMBERS, f"soco {command}", "a command", "(none)")
            continue
        theirs = after[command]["accepted"]
        for option, known in options["accepted"].items():
            if known and theirs.get(option) is not True:
                note = "not accepted" if option in theirs else "not listed (record with --old to probe hidden aliases)"
                yield Difference(NUMBERS, f"soco {command} {option}", "accepted", note)
        yield from differences(options["shown"], after[command]["shown"], f"soco {command} help", WORDING)
    for command in after.keys() - before.keys():
        yield Difference(WORDING, f"soco {command}", "(none)", "a new command")


def _known(value: Mapping[str, Any]) -> dict[str, Any]:
    return {_renamed(key): inner for key, inner in value.items() if not _VOLATILE.fullmatch(key)}


def _renamed(text: str) -> str:
    """The probe variant by its new name."""
    return re.sub(r"\b(?:honest|held[- ]out)\b", "heldout", text)


def _same(before: Any, after: Any) -> bool:
    if isinstance(before, str) and isinstance(after, str):
        return _renamed(before) == _renamed(after)
    return type(before) is type(after) and (before == after or (before != before and after != after))


def _shown(value: Any, limit: int = 100) -> str:
    text = "(none)" if value is _MISSING else repr(value)
    return text if len(text) <= limit else f"{text[:limit]}..."
