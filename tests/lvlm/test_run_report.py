from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from helpers.small_questions import small_asked
from helpers.small_release import make_release

from soco_datasets.benchmarks.build import build_dataset
from soco_datasets.benchmarks.soco.paper_lvlm import paper_rows
from soco_datasets.cli import main
from soco_datasets.data.folder import DatasetFolder, open_folder
from soco_datasets.data.questions.generation import LETTERS
from soco_datasets.errors import PredictionsError, UsageError
from soco_datasets.lvlm.answer_files import write_letters
from soco_datasets.lvlm.answer_store import AnswerStore
from soco_datasets.lvlm.circular_scores import Answer
from soco_datasets.lvlm.question_rows import read_rows
from soco_datasets.reporting.lvlm_gallery import choose_questions
from soco_datasets.reporting.lvlm_page import write_lvlm_page


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> DatasetFolder:
    root = tmp_path_factory.mktemp("report")
    build_dataset(make_release(root / "release"), root / "built")
    return open_folder(root / "built")


def say(folder: DatasetFolder, out: Path, letter_of: Any) -> list[Path]:
    rows = [row for setting in ("vis", "desc") for row in read_rows(folder, setting)]
    letters = {(row["setting"], row["index"]): letter_of(row) for row in rows}
    return write_letters(out, {"name": out.name}, folder.content_hash, rows, letters)


def next_letter(row: Any) -> str:
    return LETTERS[(LETTERS.index(row["answer"]) + 1) % 4]


def test_kinds_are_told_apart() -> None:
    """Answers of a group are A, D, C, B; the same wrong point moves with the right one."""
    rows = [{**row, "question_id": f"bus/{row['g_index']}"} for row in small_asked(groups=5).rows]
    texts = {0: "ADCB", 1: "BADC", 2: "AAAA", 3: "ADCx", 4: "CBA"}
    answers = {
        ("vis", str(4 * group + place)): Answer(letter)
        for group, said in texts.items()
        for place, letter in enumerate(said)
    }
    chosen = choose_questions(rows, answers)["vis"]
    assert {kind: sorted(shown.index for shown in found) for kind, found in chosen.items()} == {
        "right": ["0"],
        "wrong": ["4"],
        "inconsistent": ["12", "8"],
    }
    refused = {key: Answer("A", "refused") for key in answers}
    (shown, *_) = choose_questions(rows, refused, number=1)["vis"]["inconsistent"]
    assert {(said.letter, said.status) for said in shown.orderings} == {("–", "refused")}


def test_the_page_shows_scores_pictures_and_answers(folder: DatasetFolder, tmp_path: Path) -> None:
    right = say(folder, tmp_path / "right", lambda row: row["answer"])
    wrong = say(folder, tmp_path / "<b>wrong", next_letter)
    page = write_lvlm_page([right, wrong], folder, tmp_path / "out").read_text(encoding="utf-8")
    assert "right in all four orderings" in page
    assert "the same wrong point in all four orderings" in page
    assert "not one point" not in page
    assert "<b>wrong" not in page
    assert "&lt;b&gt;wrong" in page
    assert '<span class="big">100.0' in page
    assert page.count("data:image/jpeg;base64,") == 18  # 2 models, 3 questions, two pictures in vis and one in desc
    assert "http" not in page.replace("http-equiv", "")
    again = write_lvlm_page([right, wrong], folder, tmp_path / "again").read_text(encoding="utf-8")
    assert again == page


def test_answers_that_are_not_complete(folder: DatasetFolder, tmp_path: Path) -> None:
    header = {"model": {"name": "half"}, "setting": "vis", "dataset": folder.content_hash}
    first, *_ = read_rows(folder, "vis")
    path = tmp_path / "half" / "vis.answers.jsonl"
    with AnswerStore(path, header) as store:
        store.add("k", {"setting": "vis", "index": first["index"], "response": "A", "outcome": "answered"})
    with pytest.raises(PredictionsError, match="lack the answer"):
        write_lvlm_page([[path]], folder, tmp_path)
    page = write_lvlm_page([[path]], folder, tmp_path, partial=True).read_text(encoding="utf-8")
    assert "not answered in all orderings" in page
    with pytest.raises(UsageError, match="at least one answers file"):
        write_lvlm_page([], folder, tmp_path)


def test_the_command(folder: DatasetFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    say(folder, tmp_path / "m", next_letter)
    common = ["--data", str(folder.path), "--out", str(tmp_path / "page")]
    assert main(["lvlm", "report", str(tmp_path / "m"), *common]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'page' / 'lvlm.html'}\n"
    assert main(["lvlm", "report", str(tmp_path / "page"), *common]) == 1
    assert "soco lvlm report: There are no answers" in capsys.readouterr().err


def test_the_papers_table() -> None:
    rows = {row["model"]: (row["vis"], row["vis_desc"], row["desc"]) for row in paper_rows()}
    assert len(rows) == 10
    assert rows["Qwen3-VL-8B"] == ("34.2", "30.8", "54.0")
