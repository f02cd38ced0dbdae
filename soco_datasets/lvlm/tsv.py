"""The TSV form of the released questions, as VLMEvalKit reads it: one line a row, pictures as base64 in it.

One row is read or written at a time, so memory does not grow with the file. A field `image` is the base64 of a picture,
a list of such ("['...', '...']"), or, as VLMEvalKit allows, the `index` of another row that has the same pictures.
"""

from __future__ import annotations

import ast
import base64
import binascii
import csv
import io
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from PIL import Image

from ..data.diagnostics import BuildReport
from ..data.release_types import MAX_PIXELS
from ..errors import DataNotFoundError, UsageError

COLUMNS = ("index", "question", "image", "image_path", "answer", "g_index", "qid", "category", "A", "B", "C", "D")
LETTERS = "ABCD"
FILE_NAMES = {"vis": "soco_lvlm_img.tsv", "vis_desc": "soco_lvlm_imgtxt.tsv", "desc": "soco_lvlm_txt.tsv"}
MOST_PICTURES = 2  # most in a row: source and target
_REFERENCE = 64  # characters; a shorter `image` is the index of another row, as VLMEvalKit has it
_MOST_TABS = 10_000
_FIELD = 256 * 2**20  # bytes of a field: beyond it a quotation mark is not closed


@dataclass(frozen=True)
class TsvRow:
    """One row as it stands in the file.

    Attributes:
        number: of the row, 1 for the first behind the header.
        index, g_index, qid, category, question, answer: as given; ids and letters without surrounding blanks.
        options: texts of A to D.
        pictures: files of its pictures (JPEG or PNG bytes); empty where `reference` says whose they are.
        reference: index of the row whose pictures it shows, None where it has its own.
        paths: `image_path`, one or more.
    """

    number: int
    index: str
    g_index: str
    qid: str
    category: str
    question: str
    answer: str
    options: tuple[str, ...]
    pictures: tuple[bytes, ...]
    reference: str | None
    paths: tuple[str, ...]


def setting_of(path: Path) -> str | None:
    """The setting that a released file's name stands for, None for any other name."""
    return next((setting for setting, name in FILE_NAMES.items() if path.name.lower() == name), None)


def read_tsv(path: Path, findings: BuildReport) -> Iterator[TsvRow]:
    """The rows of a file, one at a time. What is wrong with a row goes to `findings`, and the row is left out.

    Raises:
        DataNotFoundError: no such file.
        UsageError: not a TSV of questions: columns are missing or doubled.
    """
    _check_kind(path)
    try:
        file = open(path, encoding="utf-8", errors="surrogateescape", newline="")  # noqa: SIM115 - closed below
    except OSError as error:
        raise DataNotFoundError(f"The TSV {path} cannot be read ({error.strerror}).") from error
    with file:
        reader = csv.reader(_lines(file), delimiter="\t", strict=True)
        columns = _columns(path, _next(path, 0, reader, findings))
        number = 0
        while fields := _next(path, number + 1, reader, findings):
            number += 1
            if row := _row(path, number, dict(columns), fields, findings):
                yield row
        if not _ends_with_newline(path):
            message = "the file does not end with a line break: its end may be missing"
            findings.note(path.name, f"row {number}", "no_final_newline", message)


def _lines(file: TextIO) -> Iterator[str]:
    while line := file.readline(_FIELD + 1):
        if len(line) > _FIELD or line.count("\t") > _MOST_TABS:  # its fields would take far more memory than the line
            raise csv.Error(f"a line of more than {_FIELD:,} characters or {_MOST_TABS:,} tabs")
        yield line


def _check_kind(path: Path) -> None:
    """Raise where the first bytes show that a file is something else than text with tabs."""
    try:
        with open(path, "rb") as file:
            start = file.read(4096)
    except OSError as error:
        raise DataNotFoundError(f"The TSV {path} cannot be read ({error.strerror}).") from error
    what = _kind(start)
    if what is not None:
        raise UsageError(f"{path} is not a TSV of questions: {what}")


def _kind(start: bytes) -> str | None:
    """What a file is by its first bytes, and what to do; None where nothing speaks against a TSV."""
    if start.startswith(b"version https://git-lfs"):
        return "it is a Git LFS pointer. Get the file itself, such as with: git lfs pull"
    if start.startswith(b"\x1f\x8b"):
        return "it is compressed with gzip. Unpack it with: gunzip"
    if start.startswith(b"PK\x03\x04"):
        return "it is a zip archive or a workbook. Unpack it, or save the sheet as text with tabs."
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "it is UTF-16 text. Save it as UTF-8."
    if start.lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        return "it is an HTML page, such as a login or error page. Download the raw file again."
    header = start.partition(b"\n")[0]
    if b"\t" not in header and header.count(b",") >= 5 and b"question" in header:
        return "its columns are separated by commas. Save it with tabs."
    return None


def _columns(path: Path, header: list[str] | None) -> list[tuple[str, int]]:
    names = [name.strip().lstrip("﻿") for name in header or []]
    missing = [name for name in COLUMNS if name not in names]
    doubled = sorted(name for name, count in Counter(names).items() if count > 1)
    if missing or doubled:
        what = f"lacks the column(s) {', '.join(missing)}" if missing else f"has {', '.join(doubled)} more than once"
        raise UsageError(f"{path} {what}: it is not a TSV of questions, whose columns are {', '.join(COLUMNS)}.")
    return [(name, names.index(name)) for name in names]


def _next(path: Path, number: int, reader: Iterator[list[str]], findings: BuildReport) -> list[str] | None:
    """The fields of the next row that is not blank; None at the end, or where later rows cannot be separated."""
    limit = csv.field_size_limit(_FIELD)
    try:
        return next((fields for fields in reader if fields), None)
    except csv.Error as error:
        message = f"not a row of a TSV ({error}): the file is cut, or a quotation mark is not closed"
        findings.error(path.name, f"row {number}", "broken_row", message, "get the file again")
        return None
    finally:
        csv.field_size_limit(limit)


def _row(path: Path, number: int, columns: dict[str, int], fields: list[str], findings: BuildReport) -> TsvRow | None:
    where = f"row {number}"
    if len(fields) != len(columns):
        message = f"has {len(fields)} fields instead of {len(columns)}: the file is cut, or a tab is in a field"
        findings.error(path.name, where, "cut_row", message, "get the file again")
        return None
    values = {name: fields[place] for name, place in columns.items()}
    if nul := [name for name, value in values.items() if "\0" in value]:
        message = f"{', '.join(nul)} contains NUL bytes: the file is damaged"
        findings.error(path.name, where, "nul_bytes", message, "get the file again")
        return None
    for name in ("index", "g_index", "qid", "category", "answer", "image", "image_path"):
        values[name] = values[name].strip()
    before = len(findings.of("error"))
    for name in ("index", "g_index", "category", "question", "image", *LETTERS):
        if not values[name].strip():
            findings.error(path.name, where, "empty_field", f"{name} is empty", "get the file again")
        elif name != "image" and not _is_utf8(values[name]):
            findings.error(path.name, where, "not_utf8", f"{name} is not UTF-8 text", "get the file again")
    values["answer"] = values["answer"].upper() if values["answer"] in tuple("abcd") else values["answer"]
    if values["answer"] not in tuple(LETTERS):
        message = f"the answer is {values['answer'][:20]!r}, none of A, B, C and D"
        findings.error(path.name, where, "bad_answer", message, "get the file again")
    reference = values["image"] if 0 < len(values["image"]) <= _REFERENCE else None
    try:
        pictures = () if reference is not None else tuple(map(decode_picture, _listed(values["image"])))
        if len(pictures) > MOST_PICTURES:
            raise ValueError(f"{len(pictures)} pictures; a question has a source and a target")
        paths = _listed(values["image_path"])
    except ValueError as error:
        findings.error(path.name, where, "bad_image", f"index {values['index']}: {error}", "get the file again")
        return None
    if len(findings.of("error")) > before:
        return None
    return TsvRow(
        number=number,
        index=values["index"],
        g_index=values["g_index"],
        qid=values["qid"],
        category=values["category"],
        question=values["question"],
        answer=values["answer"],
        options=tuple(values[letter] for letter in LETTERS),
        pictures=pictures,
        reference=reference,
        paths=tuple(paths),
    )


def _listed(text: str) -> list[str]:
    """One string, or the strings of a list written in Python or JSON."""
    if not (text.startswith("[") and text.endswith("]")):
        return [text] if text else []
    try:
        items = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError):
        raise ValueError("a list of strings that cannot be read") from None
    if not all(isinstance(item, str) for item in items):
        raise ValueError("a list of something else than strings")
    return list(items)


def decode_picture(text: str) -> bytes:
    """The file in base64 text or a data URL, checked to be a complete picture. Raises `ValueError`."""
    header, comma, payload = text.partition(",")
    if comma and header.strip().lower().startswith("data:image/"):
        text = payload
    try:
        data = base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError(f"broken base64 ({error})") from None
    try:
        with Image.open(io.BytesIO(data)) as image:
            if image.width * image.height > MAX_PIXELS:
                raise ValueError(f"{image.width} x {image.height} pixels, more than {MAX_PIXELS:,}")
            image.load()
    except Exception as error:  # damaged images raise almost anything
        raise ValueError(f"the base64 is not a complete picture ({error})") from None
    return data


def _is_utf8(text: str) -> bool:
    return not any("\udc80" <= char <= "\udcff" for char in text)


def _ends_with_newline(path: Path) -> bool:
    with open(path, "rb") as file:
        file.seek(0, io.SEEK_END)
        file.seek(max(0, file.tell() - 1))
        return file.read(1) in (b"\n", b"\r", b"")


def write_tsv(file: TextIO, rows: Iterable[TsvRow], *, header: bool = True) -> int:
    """Write rows as VLMEvalKit reads them, one at a time, behind the names of the columns; returns how many."""
    writer = csv.writer(file, delimiter="\t", lineterminator="\n")
    if header:
        writer.writerow(COLUMNS)
    count = 0
    for row in rows:
        pictures = [base64.b64encode(data).decode("ascii") for data in row.pictures]
        fields: Mapping[str, str] = {
            "index": row.index,
            "question": row.question,
            "image": _written(pictures),
            "image_path": _written(row.paths),
            "answer": row.answer,
            "g_index": row.g_index,
            "qid": row.qid,
            "category": row.category,
            **dict(zip(LETTERS, row.options, strict=True)),
        }
        writer.writerow([fields[name] for name in COLUMNS])
        count += 1
    return count


def _written(items: Sequence[str]) -> str:
    """One string as it is, several as a list that VLMEvalKit takes apart."""
    if len(items) == 1 and not items[0].startswith("["):
        return items[0]
    return repr(list(items)) if items else ""
