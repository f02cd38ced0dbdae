"""Answers in a workbook of VLMEvalKit (xlsx, tsv or csv), as everyone has who ran the released code.

A row has at least `index` and `prediction`; `g_index`, `answer` and `question`, where they are there, are compared with
the questions, so that a workbook of other questions is not scored. The first sheet that has both columns is read, with
the standard library alone. An answer that begins with "=" was stored as a formula: its text is read.
"""

from __future__ import annotations

import csv
import io
import re
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from ..data.questions.generation import SETTINGS
from ..errors import DataNotFoundError, PredictionsError, UsageError, unknown_name
from ..utils.compressed import check_zip
from ..utils.files import sha256_file
from ..utils.foreign import ForeignTextError, read_bounded_bytes
from .answer_store import STORE_VERSION
from .circular_scores import Answer, AnswerRow, Key, first_items
from .tsv import FILE_NAMES

SUFFIXES = (".xlsx", ".tsv", ".csv")
_NAMESPACE = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_CELL = re.compile(r"([A-Z]+)\d+")
_MOST_TEXTS, _MOST_COLUMNS = 2_000_000, 16_384  # of a sheet; Excel has no more columns
_MISSING = ("", "nan", "none", "null")
_NEEDED = ("index", "prediction")
_MOST_BYTES = 2**31  # of a file: a workbook with pictures has some hundred megabytes
_UNREADABLE = (  # what damaged files raise
    UnicodeDecodeError, csv.Error, zipfile.BadZipFile, zlib.error, ElementTree.ParseError, KeyError, IndexError,
    ValueError, RuntimeError, NotImplementedError, EOFError, OverflowError,
)  # fmt: skip
_ESCAPED = re.compile(r"_x([0-9A-Fa-f]{4})_")  # a character that XML does not hold, such as _x000D_


def is_workbook(path: Path) -> bool:
    """Whether a file is one by its name."""
    return path.suffix.lower() in SUFFIXES


def workbook_answers(
    path: Path, setting: str, rows: Iterable[AnswerRow], dataset: str, model: str | None = None
) -> tuple[dict[str, Any], dict[Key, Answer]]:
    """The header that an answers file would have, and (setting, index) -> what was answered.

    Args:
        path: the workbook.
        setting: of its questions, see `workbook_setting`.
        rows: the questions of that setting.
        dataset: content hash of the data that has them.
        model: name of the model; None = what the file is called.

    Raises:
        PredictionsError: columns are missing, an index comes twice or is not a question's, or the answers, groups or
            questions differ from the data's.
    """
    known = {row["index"]: row for row in rows}
    answers: dict[Key, Answer] = {}
    groups: dict[str, set[str]] = {}
    wrong: list[str] = []
    for number, cells in enumerate(read_workbook(path), start=1):
        index = _integer(cells["index"])
        row = known.get(index)
        if row is None:
            wrong.append(f"row {number}: index {index} is not of these questions")
            continue
        if (setting, index) in answers:
            wrong.append(f"row {number}: index {index} comes twice")
        for name, value in (("answer", row["answer"]), ("question", row["question"])):
            if cells.get(name) and " ".join(cells[name].split()) != " ".join(value.split()):
                wrong.append(f"row {number}: index {index} has another {name} than the data")
        if "g_index" in cells:
            groups.setdefault(_integer(cells["g_index"]), set()).add(row["g_index"])
        text = cells["prediction"]
        answers[setting, index] = Answer("" if text.strip().lower() in _MISSING else text)
    wrong += [f"g_index {name} has rows of several questions" for name, found in groups.items() if len(found) > 1]
    if wrong:
        raise PredictionsError(
            f"{path} has {len(wrong)} row(s) that do not fit the questions, {first_items(wrong)}. Give the --data that "
            "was asked (soco lvlm import), and --setting where the file's name does not say it."
        )
    header = {
        "soco_lvlm_answers": STORE_VERSION,
        "model": {"name": model or workbook_model(path), "kind": "vlmevalkit"},
        "setting": setting,
        "dataset": dataset,
        "workbook_sha256": sha256_file(path),
        "template": "unknown (workbook)",
    }
    return header, answers


def workbook_setting(path: Path, given: str | None = None) -> str:
    """The setting of a workbook: the given one, or what its name says (MODEL_soco_lvlm_img.xlsx).

    >>> workbook_setting(Path("Qwen2.5-VL-7B-Instruct_soco_lvlm_imgtxt.xlsx"))
    'vis_desc'
    """
    if given is not None:
        if given not in SETTINGS:
            raise unknown_name("setting", given, SETTINGS)
        return given
    for setting, name in FILE_NAMES.items():
        if re.search(rf"{Path(name).stem}(?![a-z])", path.stem, re.IGNORECASE):
            return setting
    raise UsageError(
        f"The setting of {path.name} is not known by its name (MODEL_soco_lvlm_img.xlsx, ..._imgtxt, ..._txt): give "
        "--setting vis, vis_desc or desc."
    )


def workbook_model(path: Path) -> str:
    """The name of the model in the file's name.

    >>> workbook_model(Path("Qwen2.5-VL-7B-Instruct_soco_lvlm_imgtxt.xlsx"))
    'Qwen2.5-VL-7B-Instruct'
    """
    stems = "|".join(Path(name).stem for name in FILE_NAMES.values())
    return re.sub(rf"[_-]?(?:{stems})(?![a-z]).*$", "", path.stem, flags=re.IGNORECASE) or path.stem


def read_workbook(path: Path) -> Iterator[dict[str, str]]:
    """The rows of the first sheet with the columns `index` and `prediction`: column name (lower case) -> text.

    Raises:
        DataNotFoundError: no such file.
        PredictionsError: not such a file, without these columns or with one of them twice.
    """
    try:
        content = read_bounded_bytes(path, _MOST_BYTES)
    except OSError as error:
        raise DataNotFoundError(f"The workbook {path} cannot be read ({error.strerror}).") from error
    except ForeignTextError as error:
        raise PredictionsError(f"{path} cannot be read as a workbook ({error}).") from error
    try:
        missing: list[str] = []
        for rows in _sheets(content) if content.startswith(b"PK") else [_text(content, path.suffix.lower())]:
            header = [name.strip().lower() for name in next(rows, [])]
            missing = [name for name in _NEEDED if name not in header]
            if not missing:
                break
        else:
            raise PredictionsError(
                f"{path} lacks the column(s) {', '.join(missing)}: it is not a workbook of VLMEvalKit's predictions."
            )
        if twice := [name for name in _NEEDED if header.count(name) > 1]:
            raise PredictionsError(f"{path} has the column {twice[0]} twice. Keep the one to be scored.")
        for cells in rows:
            if any(cell.strip() for cell in cells):
                yield dict(zip(header, [*cells, *[""] * (len(header) - len(cells))], strict=False))
    except _UNREADABLE as error:
        if isinstance(error, PredictionsError):
            raise
        raise PredictionsError(f"{path} cannot be read as a workbook ({error}). Save it again.") from error


def _text(content: bytes, suffix: str) -> Iterator[list[str]]:
    """The rows of a text file; a spreadsheet program may have saved it as UTF-16, or with semicolons."""
    if content.startswith(b"\xd0\xcf\x11\xe0"):
        raise ValueError("it is an old .xls file or has a password; save it as .xlsx without one")
    wide = content.startswith((b"\xff\xfe", b"\xfe\xff"))
    text = content.decode("utf-16" if wide else "utf-8-sig")
    first = text.partition("\n")[0]
    delimiter = "\t" if suffix == ".tsv" or "\t" in first else ";" if ";" in first and "," not in first else ","
    limit = csv.field_size_limit(2**28)
    try:
        yield from list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
    finally:
        csv.field_size_limit(limit)


def _sheets(content: bytes) -> Iterator[Iterator[list[str]]]:
    """The rows of each sheet of an xlsx file, as text."""
    check_zip(io.BytesIO(content))
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        names = archive.namelist()
        shared: list[str] = []
        if "xl/sharedStrings.xml" in names:
            for item in _elements(archive, "xl/sharedStrings.xml", "si"):
                shared.append(_joined(item))
                if len(shared) > _MOST_TEXTS:
                    raise ValueError(f"it has more than {_MOST_TEXTS:,} texts")
        sheets = [name for name in names if re.fullmatch(r"xl/worksheets/sheet\d+\.xml", name)]
        if not sheets:
            raise ValueError("it has no sheet")
        for name in sorted(sheets, key=lambda name: (len(name), name)):
            yield _rows(_elements(archive, name, "row"), shared)


def _rows(elements: Iterator[ElementTree.Element], shared: list[str]) -> Iterator[list[str]]:
    for row in elements:
        cells: list[str] = []
        for cell in row.iter(f"{_NAMESPACE}c"):
            place = _column(cell.get("r"), len(cells))
            if not len(cells) <= place < _MOST_COLUMNS:
                raise ValueError(f"cell {cell.get('r')!r} is out of place")
            cells += [""] * (place - len(cells)) + [_value(cell, shared)]
        yield cells


def _elements(archive: zipfile.ZipFile, member: str, name: str) -> Iterator[ElementTree.Element]:
    """The elements of a name, each forgotten when the next one is asked for."""
    with archive.open(member) as file:
        parents: list[ElementTree.Element] = []
        for event, element in ElementTree.iterparse(file, ("start", "end")):
            if event == "start":
                parents.append(element)
                continue
            parents.pop()
            if element.tag == f"{_NAMESPACE}{name}":
                yield element
                if parents:
                    parents[-1].clear()


def _column(reference: str | None, following: int) -> int:
    """The number of a cell's column from its reference ("C7" is 2)."""
    match = _CELL.fullmatch(reference or "")
    if match is None:
        return following
    number = 0
    for letter in match[1]:
        number = 26 * number + ord(letter) - 64
    return number - 1


def _value(cell: ElementTree.Element, shared: list[str]) -> str:
    if cell.get("t") == "inlineStr":
        return _joined(cell)
    value, formula = cell.find(f"{_NAMESPACE}v"), cell.find(f"{_NAMESPACE}f")
    if formula is not None and (value is None or not value.text or cell.get("t") == "e"):
        return _unescaped(f"={formula.text or ''}")  # an answer such as "= B": nothing ever computed it
    text = "" if value is None or value.text is None else value.text
    if cell.get("t") == "s" and text:
        if not text.isdigit():
            raise ValueError(f"{text!r} is no shared text")
        return shared[int(text)]
    return _unescaped(text)


def _joined(element: ElementTree.Element) -> str:
    """The text of an element, without the phonetic text beside it."""
    parts = (part for item in element if item.tag != f"{_NAMESPACE}rPh" for part in item.iter(f"{_NAMESPACE}t"))
    return _unescaped("".join(part.text or "" for part in parts))


def _unescaped(text: str) -> str:
    return _ESCAPED.sub(lambda match: chr(int(match[1], 16)), text)


def _integer(text: str) -> str:
    """An id that a spreadsheet may have written as a decimal number.

    >>> _integer(" 12.0 "), _integer("a")
    ('12', 'a')
    """
    return re.sub(r"\.0+$", "", text.strip())
