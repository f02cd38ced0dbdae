"""The verdicts of a judge model as a file: one JSON line a reply, with the letter that the judge read from it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import DataNotFoundError, PredictionsError
from ..utils.files import sha256_file
from ..utils.foreign import read_json_text
from .answers import parse_strict
from .circular_scores import Answer, Key


@dataclass(frozen=True)
class Judged:
    """A file of verdicts, read.

    Attributes:
        letters: (setting, index) -> A to D; replies in which the judge saw no letter are left out.
        record: what a report says of it: the file's hash, the judges it names, how many verdicts with and without a
            letter.
    """

    letters: dict[Key, str]
    record: dict[str, Any]


def load_judged(path: Path, answers: Mapping[Key, Answer]) -> Judged:
    """Verdicts from JSON lines {"setting", "index", "letter"}; those of `judge.py` also have "reply_hash" and "judge".

    Verdicts on settings that are not scored are passed over; of two on one reply the later holds.

    Raises:
        DataNotFoundError: no such file.
        PredictionsError: a line that is none, or a verdict on another reply than the one in `answers`.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise DataNotFoundError(f"There is no file of verdicts {path}. `soco lvlm judge` writes it.") from None
    found: dict[Key, str | None] = {}
    judges: set[str] = set()
    for number, text in enumerate(content.splitlines(), start=1):
        try:
            line = read_json_text(text)
            key, letter = (str(line["setting"]), str(line["index"])), parse_strict(line["letter"])
        except (ValueError, KeyError, TypeError) as error:
            raise PredictionsError(f"{path}, line {number} is not a judged letter ({error}).") from None
        if key not in answers:
            continue
        if "reply_hash" in line and line["reply_hash"] != reply_hash(answers[key].text):
            raise PredictionsError(
                f"{path}, line {number} judges another reply to {key[0]} index {key[1]} than the answers have. Run "
                "`soco lvlm judge` on these answers."
            )
        found[key] = letter
        if line.get("judge"):
            judges.add(str(line["judge"]))
    letters = {key: letter for key, letter in found.items() if letter is not None}
    counts = {"letter": len(letters), "none": len(found) - len(letters)}
    return Judged(letters, {"sha256": sha256_file(path), "judges": sorted(judges), **counts})


def reply_hash(text: str | None) -> str:
    """Hex sha256 of a reply, which ties a verdict to what was judged."""
    return hashlib.sha256((text or "").encode("utf-8", "surrogatepass")).hexdigest()
