"""Answers in a JSON Lines file: one line per reply, written to disk before the next question is asked.

A run that is killed keeps every line it wrote; an incomplete last line is cut off when the file is opened again. The
first line names the run (model, setting, data): answers of other runs are never mixed in.
"""

from __future__ import annotations

import io
import json
import os
import threading
from collections import Counter
from collections.abc import Collection, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from ..errors import SocoError, UsageError
from ..utils.files import explain_write_errors
from ..utils.foreign import ForeignTextError, read_bounded_bytes, read_json_text

STORE_VERSION = 1
ANSWERED = ("answered", "empty", "refused", "no_context")  # outcomes that are final: never asked again
FAILED = ("timeout", "rate_limit", "no_images", "refused_access", "failed")  # asked again by the next run
ANSWER_OUTCOMES = (*ANSWERED, *FAILED)
_LARGEST = 1_000_000_000  # bytes
_NUMBER = (int, float)
_LINE_TYPES: dict[str, Any] = dict.fromkeys(("response", "stop", "reason", "reasoning"), str) | dict.fromkeys(
    ("input_tokens", "output_tokens", "reasoning_tokens", "cost"), _NUMBER
)


class AnswerStore:
    """The answers of one model in one setting. Use as a context; one process at a time.

    Args:
        path: the file; made when absent.
        header: what asks: JSON values only. It must equal that of an existing file that holds answers.
        retry: final outcomes that are asked again all the same, such as "empty".

    Raises:
        UsageError: the file holds answers of another run, or another process writes it.
        SocoError: the file is damaged other than at its end, or cannot be written.
    """

    def __init__(self, path: Path, header: Mapping[str, Any], retry: Collection[str] = ()) -> None:
        from filelock import FileLock, Timeout

        self.path = path
        self._final = tuple(outcome for outcome in ANSWERED if outcome not in retry)
        self._lines: dict[str, dict[str, Any]] = {}
        self._write_lock = threading.Lock()
        with explain_write_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = FileLock(f"{path}.lock")
            try:
                self._lock.acquire(timeout=0)
            except Timeout:
                raise UsageError(f"Another run writes {path}. Wait for it, or give another --out.") from None
            try:
                self._open(json.loads(json.dumps(dict(header))))
            except BaseException:
                self._lock.release()
                raise

    def __enter__(self) -> AnswerStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        self._lock.release()

    def get(self, key: str) -> dict[str, Any] | None:
        """The line of a question that has its final answer, else None."""
        line = self._lines.get(key)
        return line if line is not None and line["outcome"] in self._final else None

    def add(self, key: str, line: Mapping[str, Any]) -> None:
        """Write one reply or failure; on return it is on the disk. A later line of a key replaces the earlier one."""
        if line.get("outcome") not in ANSWER_OUTCOMES:
            raise ValueError(f"outcome is one of {', '.join(ANSWER_OUTCOMES)}; got {line.get('outcome')!r}")
        whole = {"key": key, **line}
        with self._write_lock, explain_write_errors(self.path):
            self._file.write(_encode(whole))
            self._file.flush()
            os.fsync(self._file.fileno())
            self._lines[key] = whole

    def lines(self) -> dict[str, dict[str, Any]]:
        """Key -> the last line of each question, answered or failed."""
        return dict(self._lines)

    def counts(self) -> dict[str, int]:
        """How many questions ended in each outcome, all of `ANSWER_OUTCOMES` named."""
        found = Counter(line["outcome"] for line in self._lines.values())
        return {outcome: found[outcome] for outcome in ANSWER_OUTCOMES}

    def _open(self, header: dict[str, Any]) -> None:
        existing, lines, good = read_answers(self.path) if self.path.is_file() else (None, {}, 0)
        wanted = {"soco_lvlm_answers": STORE_VERSION, **header}
        if existing is not None and existing != wanted:
            if any(line["outcome"] in ANSWERED for line in lines.values()):
                raise UsageError(_other_run(self.path, existing, wanted))
            existing, lines, good = None, {}, 0  # a run that got no answer, such as one with a wrong address
        self._lines = lines
        self._file = open(self.path, "ab")  # noqa: SIM115 - closed in __exit__
        if self._file.tell() > good:  # a complete file keeps its time, that of the last answer
            self._file.truncate(good)
        if existing is None:
            self._file.write(_encode(wanted))
            self._file.flush()
            os.fsync(self._file.fileno())


def read_answers(path: Path) -> tuple[dict[str, Any] | None, dict[str, dict[str, Any]], int]:
    """(header, key -> last line, bytes in complete lines) of an answers file; header None for an empty one.

    A last line without its newline is what a crash leaves: it is not counted.

    Raises:
        SocoError: no such file, or a complete line that is not an answer.
    """
    try:
        content = read_bounded_bytes(path, _LARGEST)
    except IsADirectoryError:
        raise SocoError(f"{path} is a folder. Give the answers in it: {path}/*.answers.jsonl") from None
    except FileNotFoundError:
        raise SocoError(f"There is no answers file {path}. `soco lvlm run` writes it.") from None
    except ForeignTextError as error:
        raise SocoError(f"{path} is {error}: these are not answers.") from None
    good = content.rfind(b"\n") + 1
    stream = io.BytesIO(content)
    header: dict[str, Any] | None = None
    lines: dict[str, dict[str, Any]] = {}
    for number, text in enumerate(stream, start=1):
        if stream.tell() > good:
            break
        try:
            line = read_json_text(text, halves=True)
            if header is None:
                if line.get("soco_lvlm_answers") != STORE_VERSION:
                    raise ValueError(f"expected a header with soco_lvlm_answers {STORE_VERSION}")
                _check_types(line, {"model": dict, "setting": str, "dataset": str})
                header = line
            elif line["outcome"] in ANSWER_OUTCOMES:
                _check_types(line, _LINE_TYPES)
                lines[str(line["key"])] = line
            else:
                raise ValueError(f"unknown outcome {line['outcome']!r}")
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            if path.suffix == ".json":
                raise SocoError(
                    f"{path} is a JSON file, not answers: give the *.answers.jsonl it was made from."
                ) from None
            raise SocoError(
                f"{path}, line {number} is not an answer ({error}). Restore the file, or give another --out."
            ) from error
    return header, lines, good


def _check_types(line: Mapping[str, Any], types: Mapping[str, Any]) -> None:
    """Raise `ValueError` where a field is of another type than a run writes; fields may be missing."""
    for name, kind in types.items():
        value: Any = line.get(name)
        if value is None and not (name in line and name in ("model", "response")):
            continue
        if not isinstance(value, kind) or isinstance(value, bool):
            raise ValueError(f"{name} is {value!r:.40}")
        if kind is _NUMBER and value < 0:
            raise ValueError(f"{name} is {value!r:.40}, below 0")


def _encode(line: Mapping[str, Any]) -> bytes:
    return (json.dumps(line, ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace")


def _other_run(path: Path, existing: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    differing = [
        f"{name}: {existing.get(name)!r} there, {wanted.get(name)!r} now"
        for name in sorted({*existing, *wanted})
        if existing.get(name) != wanted.get(name)
    ]
    return (
        f"{path} holds the answers of another run ({'; '.join(differing)}). Give another --out, or the same options to "
        "resume it."
    )
