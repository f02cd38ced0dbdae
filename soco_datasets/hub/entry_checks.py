"""What all sources of leaderboard entries do: pass over what cannot be read, and state what was verified."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace

from ..utils.text import clean
from .leaderboard import MISMATCH, Entry
from .verify import Verdict


@contextlib.contextmanager
def one_of_many(what: object, remarks: list[str]) -> Iterator[None]:
    """Whatever goes wrong with one file or model of a stranger leaves that one out, with a remark."""
    try:
        yield
    except Exception as error:  # files of strangers raise what nobody expects; the others are shown all the same
        first = clean(str(error).splitlines()[0] if str(error) else "")
        remarks.append(f"{clean(what)} is left out: it cannot be read ({type(error).__name__}: {first[:200]})")


def with_verdict(entry: Entry, verdict: Verdict, what: str, remarks: list[str]) -> Entry:
    """The entry with what was verified here, unless more was verified before."""
    if verdict.problems or verdict.mismatches:
        remarks.append(f"{clean(what)} does not match its data; see: soco verify {clean(what)}")
        return replace(entry, status=MISMATCH)
    if not verdict.references:
        remarks.append(f"{clean(what)} matches its data, but the dataset is not here to compare with (--data)")
        return entry
    if verdict.findings:
        remarks.append(f"{clean(what)}, {clean(verdict.findings[0])}; see: soco verify {clean(what)}")
    found = verdict.verification()
    return entry if entry.verification.strength > found.strength else replace(entry, verification=found)
