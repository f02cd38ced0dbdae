"""JSON and YAML that comes from outside, read in one way: bounded, of finite numbers, of whole characters, no doubles.

Whatever is read with `read_json_text` or `read_yaml_text` can be walked, turned into text and written again without an
overflow, a recursion or a character that is none.
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any, NoReturn

DEEPEST = 64  # levels of mappings and lists; those of this package have fewer than 15
_MOST_VALUES = 20_000_000  # entries of lists and mappings of one text
_MOST_MEMORY = 1_200_000_000  # bytes that the values of one text may take, or so many times its size as below
_MOST_TIMES = 12
_MEMORY = {"{": 240, "[": 80, ",": 16, '"': 32}  # bytes that CPython takes for what each of these begins or ends
_DIGITS = 400  # characters of a number that are looked at
_SHOWN = 80  # characters of a wrong value in a message
_HALF = re.compile(r"\\u[dD][89a-fA-F]")
_LARGEST_CSV = 20_000_000  # bytes of a table of models or images
_YAML_EVENTS = 50_000
_YAML_TEXT = 65_536  # characters of one scalar


class ForeignTextError(ValueError):
    """Text that is not JSON or YAML, or holds what no file of this package holds.

    Attributes:
        problem: what is wrong.
        line: where, from 1; None where it is not known.
    """

    def __init__(self, problem: str, line: int | None = None) -> None:
        super().__init__(problem if line is None else f"line {line}: {problem}")
        self.problem, self.line = problem, line


class NotJsonError(ForeignTextError):
    """Text that is no JSON at all.

    Attributes:
        sentence: what it is, to follow a file's name: "not valid JSON (line 2, column 1: ...)".
    """

    def __init__(self, problem: str, sentence: str) -> None:
        super().__init__(problem)
        self.sentence = sentence


def read_json_text(
    text: str | bytes,
    *,
    finite: bool = True,
    halves: bool = False,
    huge: bool = False,
    on_double: Callable[[str], object] | None = None,
    deepest: int = DEEPEST,
    most_values: int = _MOST_VALUES,
) -> Any:
    """Parse JSON of others.

    Args:
        text: the JSON; bytes are UTF-8, or UTF-16 or UTF-32 with their mark.
        finite: refuse NaN and infinity; files of other libraries may hold them.
        halves: take escapes of half a surrogate pair, as replies of models may hold.
        huge: read a number beyond what a float holds as infinity, for a caller that looks at every number.
        on_double: called with the name of each field that an object has twice, of which the last one counts; None =
            such a field is an error.
        deepest: levels of mappings and lists that are read.
        most_values: entries of lists and mappings that are read.

    Raises:
        ForeignTextError: not JSON, not UTF-8, half of a surrogate pair, a number that is not finite or has hundreds of
            digits, a field given twice, or nested too deeply.
    """

    def of_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) != len(pairs):
            seen: set[str] = set()
            for name, _ in pairs:
                if name in seen:
                    if on_double is None:
                        raise ForeignTextError(f"the field {_short(name)} is given twice")
                    on_double(name)
                seen.add(name)
        return made

    hooks: dict[str, Any] = {"parse_int": _huge_or_whole if huge else _whole}
    if finite:
        hooks |= {"parse_constant": _refuse_number, "parse_float": float if huge else _finite}
    try:
        decoded = text if isinstance(text, str) else text.decode(json.detect_encoding(text))
        _check_amount(decoded, most_values)
        found = json.loads(decoded, object_pairs_hook=of_pairs, **hooks)
        if not halves and (_HALF.search(decoded) or isinstance(text, str)) and not _is_text(decoded, found):
            raise ForeignTextError("holds an escape such as \\ud800, which is not a character by itself")
    except ForeignTextError:
        raise
    except RecursionError:
        raise ForeignTextError("nested far too deeply") from None
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}: {error.msg}"
        raise NotJsonError(str(error), f"not valid JSON ({place})") from None
    except UnicodeDecodeError as error:
        raise NotJsonError(str(error), f"not a text (byte {error.start} is not {error.encoding})") from None
    except ValueError as error:
        raise ForeignTextError(str(error)) from None
    if decoded.count("[") + decoded.count("{") > deepest:
        _check_depth(found, deepest)
    return found


def _check_amount(text: str, most_values: int) -> None:
    """Raise `ForeignTextError` where what JSON holds would take far more memory than the JSON: ten million `{}`."""
    counts = {mark: text.count(mark) for mark in _MEMORY}
    if sum(counts.values()) - counts['"'] > most_values:
        raise ForeignTextError(f"more than {most_values:,} values")
    if sum(_MEMORY[mark] * number for mark, number in counts.items()) > max(_MOST_MEMORY, _MOST_TIMES * len(text)):
        raise ForeignTextError(f"its values take more than {_MOST_MEMORY:,} bytes of memory")


def read_json_file(path: Path, most: int, **options: Any) -> Any:
    """`read_json_text` of a file of at most `most` bytes.

    Raises:
        ForeignTextError: larger, or as `read_json_text`.
        OSError: it cannot be read.
    """
    return read_json_text(read_bounded_bytes(path, most), **options)


def read_bounded_bytes(path: Path, most: int) -> bytes:
    """The content of a file. Raises `ForeignTextError` where it has more than `most` bytes, `OSError`."""
    with open(path, "rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise ForeignTextError(f"larger than {most:,} bytes")
    return data


def read_csv_rows(path: Path, *, delimiter: str = ",", most: int = _LARGEST_CSV) -> list[tuple[int, list[str]]]:
    """The rows of a CSV file that are not blank, each with the number of its last line.

    Raises:
        ForeignTextError: more than `most` bytes, not UTF-8, or not CSV.
        OSError: the file cannot be read.
    """
    data = read_bounded_bytes(path, most)
    try:
        reader = csv.reader(io.StringIO(data.decode("utf-8-sig"), newline=""), delimiter=delimiter)
        return [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ForeignTextError(f"not a CSV file in UTF-8 ({error})") from None


def check_yaml(text: str | bytes) -> None:
    """Refuse YAML that expands: aliases and anchors, more than some thousand nodes, nesting, endless scalars.

    Raises:
        ForeignTextError: saying what, with the line.
    """
    import yaml

    depth = 0
    try:
        for number, event in enumerate(yaml.parse(text, Loader=yaml.SafeLoader)):
            line = event.start_mark.line + 1 if event.start_mark else None
            if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
                raise ForeignTextError("aliases and anchors (& and *) are not read; write the value out", line)
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1
            if depth > DEEPEST:
                raise ForeignTextError(f"nested more than {DEEPEST} levels deep", line)
            if number > _YAML_EVENTS:
                raise ForeignTextError(f"more than {_YAML_EVENTS:,} values")
            if isinstance(event, yaml.ScalarEvent) and len(event.value) > _YAML_TEXT:
                raise ForeignTextError(f"a value of {len(event.value):,} characters", line)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        if isinstance(error, ForeignTextError):
            raise
        mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ForeignTextError(problem or first, mark.line + 1 if mark else None) from None


def read_yaml_text(text: str | bytes) -> Any:
    """Parse YAML of others; its values are mappings, lists and plain scalars.

    Raises:
        ForeignTextError: not YAML, or as `check_yaml`, or a value that is no plain scalar (see `check_scalar`).
    """
    import yaml

    check_yaml(text)
    try:
        found = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError, TypeError, OverflowError) as error:
        raise ForeignTextError(str(error).splitlines()[0] if str(error) else type(error).__name__) from None
    level = [found]
    while level:
        parents = [value for value in level if isinstance(value, dict | list)]
        for value in level:
            if not isinstance(value, dict | list):
                check_scalar(value)
        level = [key for value in parents if isinstance(value, dict) for key in value]
        level += [part for value in parents for part in (value.values() if isinstance(value, dict) else value)]
    return found


def check_scalar(value: object, what: str = "a value") -> None:
    """Raise `ForeignTextError` unless a value is plain: text, a usual number, a truth value, a date, nothing."""
    if value is not None and not isinstance(value, str | int | float | date):
        raise ForeignTextError(f"{what} must be a plain value, not a {type(value).__name__}")
    if isinstance(value, int) and abs(value) >= 2**63:
        raise ForeignTextError(f"{what} is a number of too many digits")
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ForeignTextError(f"{what} holds half a character") from None


def is_version(value: object, *known: int) -> bool:
    """Whether a stated version is one of these: `true` is no 1, and 1.0 is not either."""
    return type(value) is int and value in known


def _is_text(decoded: str, found: Any) -> bool:
    try:
        decoded.encode()
        if _HALF.search(decoded):
            json.dumps(found, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _check_depth(found: Any, deepest: int) -> None:
    level, depth = [found], 0
    while level:
        depth += 1
        if depth > deepest + 1:
            raise ForeignTextError(f"nested more than {deepest} levels deep")
        parents = [value for value in level if isinstance(value, dict | list)]
        level = [
            part
            for value in parents
            for part in (value.values() if isinstance(value, dict) else value)
            if isinstance(part, dict | list)
        ]


def _short(text: str) -> str:
    shown = repr(text)
    return shown if len(shown) <= _SHOWN else f"{shown[:8]}... ({len(text)} characters)"


def _refuse_number(text: str) -> NoReturn:
    shown = text if len(text) <= _SHOWN else f"{text[:8]}... ({len(text)} characters)"
    raise ForeignTextError(f"holds {shown}, which is not a finite number")


def _finite(text: str) -> float:
    value = float(text)
    return value if math.isfinite(value) else _refuse_number(text)


def _whole(text: str) -> int:
    if len(text) > _DIGITS or not math.isfinite(float(text)):
        _refuse_number(text)
    return int(text)


def _huge_or_whole(text: str) -> int | float:
    return int(text) if len(text) <= _DIGITS and math.isfinite(float(text)) else math.inf
