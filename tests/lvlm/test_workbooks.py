"""Scoring workbooks of VLMEvalKit."""

from __future__ import annotations

import csv
import json
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
from soco_datasets.lvlm.workbooks import read_workbook, workbook_answers, workbook_setting

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
