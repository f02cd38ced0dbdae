"""Answers in a workbook of VLMEvalKit (xlsx, tsv or csv), as everyone has who ran the released code.

A row has at least `index` and `prediction`; `g_index`, `answer` and `question`, where they are there, are compared with
the questions, so that a workbook of other questions is not scored. The first sheet that has both columns is read, with
the standard library alone: openpyxl gives a cell either its formula or its value, keeps `_x000D_`, and takes gigabytes
for a row of millions of cells. An answer that begins with "=" was stored as a formula: its text is read.
"""

from __future__ import annotations

import csv
import io
import re
import sys
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from xml.parsers import expat

from ..data.questions.generation import SETTINGS
from ..errors import DataNotFoundError, PredictionsError, UsageError, unknown_name
from ..utils.compressed import check_zip
from ..utils.files import sha256_file
from ..utils.foreign import ForeignTextError, read_bounded_bytes
from .answer_store import STORE_VERSION
from .circular_scores import Answer, AnswerRow, Key, first_items
from .tsv import FILE_NAMES

_Element = tuple[str, dict[str, str] | None, str]  # name; attributes where it starts, text where it ends
SUFFIXES = (".xlsx", ".xlsm", ".xls", ".tsv", ".csv")
_CELL = re.compile(r"([A-Z]+)\d+")
_MOST_TEXTS, _MOST_COLUMNS = 2_000_000, 16_384  # of a sheet; Excel has no more columns
_MOST_MEMORY, _LONGEST_TEXT = 700_000_000, 10_000_000  # bytes of all texts of a sheet; characters of one cell
_LONGEST_QUIET = 2_000_000  # bytes of a comment or tag
_EMPTY = sys.getsizeof("")
_MOST_DELIMITERS = 1_000_000  # of a row of a text file, those within its texts too
_DEEPEST, _MOST_ELEMENTS = 50, 1_000_000  # elements within each other; of a row or a shared text
_MOST_WRONG = 10_000  # rows that do not fit the questions, after which no more are read
_MISSING = ("", "nan", "none", "null")
_NEEDED = ("index", "prediction")
_MOST_BYTES = 2**31  # of a file: a workbook with pictures has some hundred megabytes
_UNREADABLE = (  # what damaged files raise
    UnicodeDecodeError, csv.Error, zipfile.BadZipFile, zlib.error, expat.ExpatError, KeyError, IndexError,
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
        if len(wrong) >= _MOST_WRONG:
            break
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
        count = f"{len(wrong)}{' or more' if len(wrong) >= _MOST_WRONG else ''}"
        raise PredictionsError(
            f"{path} has {count} row(s) that do not fit the questions, {first_items(wrong)}. Give the --data that "
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
    unread = 0

    def lines() -> Iterator[str]:
        nonlocal unread
        for line in io.StringIO(text, newline=""):
            unread += line.count(delimiter)
            if unread > _MOST_DELIMITERS:
                raise ValueError(f"a row has more than {_MOST_DELIMITERS:,} columns")
            yield line

    try:
        for row in csv.reader(lines(), delimiter=delimiter):
            unread = 0
            yield row
    finally:
        csv.field_size_limit(limit)


def _sheets(content: bytes) -> Iterator[Iterator[list[str]]]:
    """The rows of each sheet of an xlsx file, as text."""
    check_zip(io.BytesIO(content))
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        names = archive.namelist()
        shared = list(_shared_texts(archive)) if "xl/sharedStrings.xml" in names else []
        sheets = [name for name in names if re.fullmatch(r"xl/worksheets/sheet\d+\.xml", name)]
        if not sheets:
            raise ValueError("it has no sheet")
        for name in sorted(sheets, key=lambda name: (len(name), name)):
            yield _rows(_elements(archive, name), shared)


def _shared_texts(archive: zipfile.ZipFile) -> Iterator[str]:
    parts: list[str] = []
    phonetic, number = False, 0
    for name, attributes, text in _elements(archive, "xl/sharedStrings.xml"):
        if name == "rPh":
            phonetic = attributes is not None  # how the text beside it is spoken
        elif name == "t" and attributes is None and not phonetic:
            parts.append(text)
        elif name == "si" and attributes is None:
            number += 1
            if number > _MOST_TEXTS:
                raise ValueError(f"it has more than {_MOST_TEXTS:,} texts")
            yield _unescaped("".join(parts))
            parts = []


def _rows(elements: Iterable[_Element], shared: list[str]) -> Iterator[list[str]]:
    cells: list[str] = []
    about: dict[str, str] = {}
    texts: dict[str, list[str]] = {}
    phonetic = False
    for name, attributes, text in elements:
        if name == "row":
            if attributes is None:
                yield cells
            cells = []
        elif name == "rPh":
            phonetic = attributes is not None
        elif name == "c" and attributes is not None:
            about, texts = attributes, {}
            place = _column(about.get("r"), len(cells))
            if not len(cells) <= place < _MOST_COLUMNS:
                raise ValueError(f"cell {about.get('r')!r} is out of place")
            cells += [""] * (place - len(cells))
        elif name == "c":
            cells.append(_value(about.get("t"), {key: "".join(parts) for key, parts in texts.items()}, shared))
        elif attributes is None and not phonetic:
            texts.setdefault(name, []).append(text)


def _elements(archive: zipfile.ZipFile, member: str) -> Iterator[_Element]:
    """The starts and ends of the elements of an XML file, none of them kept."""
    found: list[_Element] = []
    text: list[str] = []
    depth = elements = length = memory = quiet = 0

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal depth, elements, quiet
        depth, elements, quiet = depth + 1, elements + 1, 0
        if depth > _DEEPEST or elements > _MOST_ELEMENTS:
            raise ValueError(f"a row has more than {_MOST_ELEMENTS:,} elements, or {_DEEPEST} within each other")
        found.append((name.rpartition("}")[2], attributes, ""))
        text.clear()

    def end(name: str) -> None:
        nonlocal depth, elements, length, memory, quiet
        depth, quiet = depth - 1, 0
        found.append((name.rpartition("}")[2], None, "".join(text)))
        elements = 0 if found[-1][0] in ("row", "si") else elements
        memory += sys.getsizeof(found[-1][2]) - _EMPTY
        if memory > _MOST_MEMORY:
            raise ValueError(f"its texts take more than {_MOST_MEMORY:,} bytes")
        text.clear()
        length = length if found[-1][0] in ("t", "r", "rPh") else 0

    def words(piece: str) -> None:
        nonlocal length, quiet
        length, quiet = length + len(piece), 0
        if length > _LONGEST_TEXT:
            raise ValueError(f"a cell has more than {_LONGEST_TEXT:,} characters")
        text.append(piece)

    def doctype(*_: object) -> None:
        raise ValueError("it defines entities, as no workbook does")

    parser = expat.ParserCreate(namespace_separator="}")
    parser.buffer_text = True
    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = start, end, words
    parser.StartDoctypeDeclHandler = doctype
    with archive.open(member) as file:
        while piece := file.read(2**16):
            quiet += len(piece)
            if quiet > _LONGEST_QUIET:  # each piece makes expat read the unfinished comment or tag again
                raise ValueError("it has a comment or tag of megabytes")
            parser.Parse(piece)
            yield from found
            found.clear()
    parser.Parse(b"", True)
    yield from found


def _column(reference: str | None, following: int) -> int:
    """The number of a cell's column from its reference ("C7" is 2)."""
    match = _CELL.fullmatch(reference or "")
    if match is None:
        return following
    number = 0
    for letter in match[1]:
        number = 26 * number + ord(letter) - 64
    return number - 1


def _value(kind: str | None, texts: dict[str, str], shared: list[str]) -> str:
    """What a cell says, from its kind and the texts of its value (v), formula (f) and inline text (t)."""
    if kind == "inlineStr":
        return _unescaped(texts.get("t", ""))
    value = texts.get("v", "")
    if "f" in texts and (not value or kind == "e"):
        return _unescaped(f"={texts['f']}")  # an answer such as "= B": nothing ever computed it
    if kind == "s" and value:
        if not value.isdigit():
            raise ValueError(f"{value!r} is no shared text")
        return shared[int(value)]
    return _unescaped(value)


def _unescaped(text: str) -> str:
    return _ESCAPED.sub(lambda match: chr(int(match[1], 16)), text)


def _integer(text: str) -> str:
    """An id that a spreadsheet may have written as a decimal number.

    >>> _integer(" 12.0 "), _integer("a")
    ('12', 'a')
    """
    return re.sub(r"\.0+$", "", text.strip())
