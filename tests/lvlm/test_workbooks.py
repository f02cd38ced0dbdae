"""Scoring workbooks of VLMEvalKit."""

from __future__ import annotations

import contextlib
import csv
import json
import random
import zipfile
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import pytest
from helpers.tiny_folder import write_folder

from soco_datasets.cli import main
from soco_datasets.data.folder import open_folder
from soco_datasets.errors import PredictionsError, UsageError
from soco_datasets.lvlm.question_rows import read_rows
from soco_datasets.lvlm.workbooks import is_workbook, read_workbook, workbook_answers, workbook_setting

COLUMNS = ("index", "g_index", "question", "answer", "category", "prediction")


def cells(rows: list[dict[str, Any]]) -> list[list[str]]:
    """As VLMEvalKit writes them: every second question right, numbers as decimals."""
    said = [row["answer"] if int(row["g_index"]) % 2 == 0 else "None of them" for row in rows]
    heads = {row["g_index"]: row["index"] for row in rows if row["ordering"] == 0}
    return [
        [f"{row['index']}.0", heads[row["g_index"]], row["question"], row["answer"], row["category"], text]
        for row, text in zip(rows, said, strict=True)
    ]


def write_xlsx(path: Path, table: list[list[str]]) -> Path:
    """Shared strings in the odd columns, inline strings and numbers in the others; empty cells left out."""
    shared: list[str] = []
    lines = []
    for number, row in enumerate(table, start=1):
        found = []
        for place, text in enumerate(row):
            name = f"{chr(65 + place)}{number}"
            if not text:
                continue
            if place % 2:
                shared.append(text)
                found.append(f'<c r="{name}" t="s"><v>{len(shared) - 1}</v></c>')
            elif text.replace(".", "").isdigit():
                found.append(f'<c r="{name}"><v>{text}</v></c>')
            else:
                found.append(f'<c r="{name}" t="inlineStr"><is><t>{escape(text)}</t></is></c>')
        lines.append(f'<row r="{number}">{"".join(found)}</row>')
    space = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(
            "xl/worksheets/sheet1.xml", f"<worksheet {space}><sheetData>{''.join(lines)}</sheetData></worksheet>"
        )
        items = "".join(f"<si><r><t>{escape(text)}</t></r></si>" for text in shared)
        archive.writestr("xl/sharedStrings.xml", f"<sst {space}>{items}</sst>")
    return path


def write_text(path: Path, table: list[list[str]]) -> Path:
    with open(path, "w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter="\t" if path.suffix == ".tsv" else ",").writerows(table)
    return path


@pytest.mark.parametrize("suffix", ["xlsx", "tsv", "csv"])
def test_a_workbook_is_scored_as_answers_are(tmp_path: Path, suffix: str, capsys: pytest.CaptureFixture[str]) -> None:
    data = write_folder(tmp_path / "tiny")
    rows = read_rows(open_folder(data), "vis_desc")
    path = tmp_path / f"Qwen2.5-VL-7B_soco_lvlm_imgtxt.{suffix}"
    (write_xlsx if suffix == "xlsx" else write_text)(path, [list(COLUMNS), *cells(rows)])
    out = tmp_path / "scores.json"
    assert main(["lvlm", "score", str(path), "--data", str(data), "--out", str(out)]) == 0
    record = json.loads(out.read_text())
    groups = {row["g_index"] for row in rows}
    right = sum(int(group) % 2 == 0 for group in groups) / len(groups)
    assert record["model"]["name"] == "Qwen2.5-VL-7B"
    assert record["parsers"]["strict"]["settings"]["vis_desc"]["overall"]["circular"] == pytest.approx(right)
    assert main(["lvlm", "score", str(path), "--data", str(data), "--model", "mine", "--json"]) == 0
    assert json.loads(capsys.readouterr().out.partition("{")[2].join(["{", ""]))["model"]["name"] == "mine"


def test_workbooks_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    folder = open_folder(write_folder(tmp_path / "tiny"))
    rows = read_rows(folder, "vis")
    table = cells(rows)
    for change, message in (
        (lambda t: t.append(t[0]), "comes twice"),
        (lambda t: t[1].__setitem__(0, "99999"), "index 99999 is not of these questions"),
        (lambda t: t[2].__setitem__(3, "ABCD"["ABCD".index(t[2][3]) - 1]), "another answer"),
        (lambda t: [row.__setitem__(1, "0") for row in t], "rows of several questions"),
    ):
        changed = [list(row) for row in table]
        change(changed)
        path = write_text(tmp_path / "m_soco_lvlm_img.tsv", [list(COLUMNS), *changed])
        with pytest.raises(PredictionsError, match=message):
            workbook_answers(path, "vis", rows, folder.content_hash)
    path = write_text(tmp_path / "m.csv", [["index", "answer"], ["0", "A"]])
    with pytest.raises(PredictionsError, match="lacks the column"):
        list(read_workbook(path))
    with pytest.raises(UsageError, match="--setting"):
        workbook_setting(path)


SPACE = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'


def write_sheets(path: Path, *sheets: str) -> Path:
    """A workbook of sheets that are given as XML rows."""
    with zipfile.ZipFile(path, "w") as archive:
        for number, rows in enumerate(sheets, start=1):
            archive.writestr(
                f"xl/worksheets/sheet{number}.xml", f"<worksheet {SPACE}><sheetData>{rows}</sheetData></worksheet>"
            )
        archive.writestr("xl/sharedStrings.xml", f"<sst {SPACE}><si><t>C</t><rPh><t>see</t></rPh></si></sst>")
    return path


def cell(text: str, kind: str = "inlineStr") -> str:
    return f'<c t="{kind}">{f"<is><t>{text}</t></is>" if kind == "inlineStr" else text}</c>'


HEAD = f"<row>{cell('index')}{cell('prediction')}</row>"


@pytest.mark.parametrize(
    ("answer", "read"),
    [
        (cell("<f>B</f><v></v>", "str"), "=B"),  # pandas writes the answer "=B" as a formula
        (cell("<f>Answer: B</f><v>#NAME?</v>", "e"), "=Answer: B"),
        (cell("<f>1+1</f><v>2</v>", "n"), "2"),
        (cell("B_x000D_ it is"), "B\r it is"),
        (cell("<v>0</v>", "s"), "C"),
    ],
)
def test_what_a_cell_says(tmp_path: Path, answer: str, read: str) -> None:
    about = f"<row>{cell('about')}</row>"
    path = write_sheets(tmp_path / "m.xlsx", about, f"{HEAD}<row>{cell('<v>3</v>', 'n')}{answer}</row>")
    assert list(read_workbook(path)) == [{"index": "3", "prediction": read}]


@pytest.mark.parametrize(
    "rows",
    [
        f"{HEAD}<row>{cell('<v>9</v>', 's')}</row>", f"{HEAD}<row>{cell('<v>-1</v>', 's')}</row>",
        f'{HEAD}<row><c r="ZZZZZZ1"><v>1</v></c></row>', f"<row>{cell('index')}{cell('Prediction')}{cell('prediction')}</row>",
        HEAD + "<row>" + "<c>" * 60 + "</c>" * 60 + "</row>", HEAD + "<row>" + "<c/>" * 20_000 + "</row>",
        f"{HEAD}<row>{cell('1')}{cell('x' * 10_000_001)}</row>", f"{HEAD}<!--{'x' * 2_100_000}-->",
    ],
)  # fmt: skip
def test_sheets_that_cannot_be_read_are_named(tmp_path: Path, rows: str) -> None:
    with pytest.raises(PredictionsError, match=r"m\.xlsx"):
        list(read_workbook(write_sheets(tmp_path / "m.xlsx", rows)))


def test_entities_and_rows_of_a_million_columns_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.xlsx"
    with zipfile.ZipFile(path, "w") as archive:
        sheet = f'<!DOCTYPE x [<!ENTITY a "B">]><worksheet {SPACE}><sheetData>{HEAD}</sheetData></worksheet>'
        archive.writestr("xl/worksheets/sheet1.xml", sheet)
    with pytest.raises(PredictionsError, match="entities"):
        list(read_workbook(path))
    (tmp_path / "m.csv").write_text("index,prediction\n" + "," * 1_000_001, encoding="utf-8")
    with pytest.raises(PredictionsError, match="columns"):
        list(read_workbook(tmp_path / "m.csv"))


def test_damaged_files_and_those_of_other_programs(tmp_path: Path) -> None:
    table = [["index", "prediction"], *[[str(number), "Answer: B"] for number in range(40)]]
    whole = write_xlsx(tmp_path / "whole.xlsx", table).read_bytes()
    path = tmp_path / "m.xlsx"
    chance = random.Random(0)
    for _ in range(200):
        damaged = bytearray(whole)
        for _ in range(3):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        path.write_bytes(bytes(damaged))
        with contextlib.suppress(PredictionsError):
            list(read_workbook(path))
    for path in (tmp_path / "m.xlsx", tmp_path / "m.xls"):
        path.write_bytes(b"\xd0\xcf\x11\xe0" + bytes(100))
        assert is_workbook(path)
        with pytest.raises(PredictionsError, match="password"):
            list(read_workbook(path))
    for encoding, delimiter in (("utf-16", ","), ("utf-8-sig", ";")):
        (tmp_path / "m.csv").write_text(f"index{delimiter}prediction\n0{delimiter}B\n", encoding=encoding)
        assert list(read_workbook(tmp_path / "m.csv")) == [{"index": "0", "prediction": "B"}]
