from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("inspect_ai", reason="runs of questions need inspect-ai (extra lvlm)")

from helpers import tiny_vlm
from helpers.scripted_server import Scripted, images_of, serve, text_of
from helpers.small_release import make_release

from soco_datasets.benchmarks.build import build_dataset
from soco_datasets.cli import main
from soco_datasets.data.folder import DatasetFolder, open_folder
from soco_datasets.errors import DataNotFoundError, PredictionsError
from soco_datasets.lvlm.answer_files import load_answers
from soco_datasets.lvlm.answer_store import AnswerStore
from soco_datasets.lvlm.circular_scores import Answer
from soco_datasets.lvlm.judge import judge_answers
from soco_datasets.lvlm.model_choice import ModelOptions
from soco_datasets.lvlm.question_rows import read_rows
from soco_datasets.lvlm.run import AskOptions
from soco_datasets.lvlm.verdicts import load_judged

pytestmark = pytest.mark.lvlm

LONG = "I would say it is the thing on the far side, a part the artist drew"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> DatasetFolder:
    root = tmp_path_factory.mktemp("judge")
    build_dataset(make_release(root / "release"), root / "built")
    return open_folder(root / "built")


def said(row: dict[str, Any]) -> str:
    """Readable in the first ordering; in the second the judge sees a letter, in the third none."""
    return f"Answer: {row['answer']}" if row["ordering"] == 0 else f"{LONG}, ordering {row['ordering']}, {row['index']}"


def answer_files(folder: DatasetFolder, out: Path) -> list[Path]:
    """Answers of a model in two settings; the fourth ordering was refused."""
    paths = []
    for setting in ("vis", "desc"):
        paths.append(out / f"{setting}.answers.jsonl")
        header = {"model": {"name": "m"}, "setting": setting, "dataset": folder.content_hash}
        with AnswerStore(paths[-1], header) as store:
            for row in read_rows(folder, setting):
                place = {"setting": setting, "index": row["index"]}
                if row["ordering"] == 3:
                    store.add(f"k{row['index']}", {**place, "response": "", "outcome": "refused"})
                else:
                    store.add(f"k{row['index']}", {**place, "response": said(row), "outcome": "answered"})
    return paths


def judge(number: int, body: dict[str, Any]) -> Scripted:
    return Scripted("**C**" if "ordering 1," in text_of(body) else "N")


def test_an_empty_reply_of_the_judge_is_no_verdict_and_asked_again(
    folder: DatasetFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = answer_files(folder, tmp_path)[0]
    groups = len(read_rows(folder, "vis")) // 4
    silent = [True]
    with serve(lambda number, body: Scripted(" ") if silent[0] and number == 0 else judge(number, body)) as server:
        command = ["lvlm", "judge", str(path), "--data", str(folder.path), "--model", "r", "--base-url", server.url]
        assert main(command) == 1
        assert "1 unanswered" in capsys.readouterr().out
        silent[0] = False
        assert main(command) == 0
        assert len(server.requests) == 2 * groups + 1
    assert len((tmp_path / "judge" / "r" / "judged.jsonl").read_text().splitlines()) == 2 * groups


def test_verdicts_are_saved_and_scores_need_no_judge(
    folder: DatasetFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = answer_files(folder, tmp_path)
    groups = len(read_rows(folder, "vis")) // 4
    files = [*map(str, paths), "--data", str(folder.path)]
    with serve(judge) as server:
        command = ["lvlm", "judge", *files, "--model", "reader", "--base-url", server.url]
        assert main(command) == 0
        assert len(server.requests) == 2 * 2 * groups  # two unread orderings, two settings
        assert not any(images_of(request) for request in server.requests)
        assert all(LONG in text and "Question" not in text for text in server.texts())
        verdicts = tmp_path / "judge" / "reader" / "judged.jsonl"
        told = capsys.readouterr().out.splitlines()
        assert told[0] == f"vis: {2 * groups} unread, {groups} letter, {groups} none, 0 unanswered"
        assert told[-1] == str(verdicts)
        before = verdicts.read_bytes()
        assert main(command) == 0
        assert len(server.requests) == 2 * 2 * groups
    assert verdicts.read_bytes() == before
    for name in ("one", "two"):  # the judge is gone
        assert main(["lvlm", "score", *files, "--judged", str(verdicts), "--out", str(tmp_path / f"{name}.json")]) == 0
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "two.json").read_bytes()
    record = json.loads((tmp_path / "one.json").read_text())
    right = sum(row["answer"] == "C" and row["ordering"] == 1 for row in read_rows(folder, "vis"))
    averages = {name: found["settings"]["vis"]["overall"]["average"] for name, found in record["parsers"].items()}
    assert averages["strict"] == 1 / 4
    assert averages["judge"] == (groups + right) / (4 * groups)
    assert record["protocol"]["judge"]["judges"] == ["reader"]
    assert (record["protocol"]["judge"]["letter"], record["protocol"]["judge"]["none"]) == (2 * groups, 2 * groups)
    assert main(["lvlm", "score", *files, "--out", str(tmp_path / "plain.json")]) == 0
    plain = json.loads((tmp_path / "plain.json").read_text())
    assert set(plain["parsers"]) == {"paper", "strict"}
    assert plain["parsers"]["strict"] == record["parsers"]["strict"]


def test_a_judge_that_fails_is_counted_and_asked_again(folder: DatasetFolder, tmp_path: Path) -> None:
    paths = answer_files(folder, tmp_path)[:1]
    _, answers = load_answers(paths, folder.content_hash)
    rows = read_rows(folder, "vis")
    unread = len(rows) // 2

    def every_third_fails(number: int, body: dict[str, Any]) -> Scripted:
        return Scripted(status=400, error={"message": "no"}) if number % 3 == 0 and number < unread else judge(0, body)

    with serve(every_third_fails) as server:
        model = ModelOptions("reader", base_url=server.url)
        options = AskOptions(max_connections=1, max_retries=0)
        first = judge_answers(rows, answers, folder.content_hash, model, tmp_path, options)
        failed = len(range(0, unread, 3))
        assert not first.complete
        assert first.counts["vis"]["unanswered"] == failed
        assert len(first.verdicts.read_text().splitlines()) == unread - failed
        second = judge_answers(rows, answers, folder.content_hash, model, tmp_path, options)
        assert len(server.requests) == unread + failed
    assert second.complete
    assert len(second.verdicts.read_text().splitlines()) == unread
    record = json.loads((tmp_path / "reader" / "vis.run.json").read_text())
    assert record["counts"]["answered"] == unread


def test_nothing_to_judge(folder: DatasetFolder, tmp_path: Path) -> None:
    rows = read_rows(folder, "vis")
    answers = {("vis", row["index"]): Answer("B") for row in rows}
    model = ModelOptions("nobody", base_url="http://127.0.0.1:9/v1")
    judgment = judge_answers(rows, answers, folder.content_hash, model, tmp_path)
    assert judgment.complete
    assert load_judged(judgment.verdicts, answers).letters == {}


def test_a_local_judge(folder: DatasetFolder, tmp_path: Path) -> None:
    rows = read_rows(folder, "vis")[:4]
    answers = {("vis", row["index"]): Answer("It is <image> hard to say<|im_end|>") for row in rows}
    local = ModelOptions(str(tiny_vlm.qwen2_5_vl(tmp_path / "tiny")), device="cpu")
    judgment = judge_answers(rows, answers, folder.content_hash, local, tmp_path, AskOptions(max_tokens=4))
    assert judgment.complete
    assert judgment.counts["vis"]["unread"] == 4
    assert str(tmp_path) not in judgment.verdicts.read_text()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"setting": "vis", "index": "0"}', "line 1 is not a judged letter"),
        ("A", "line 1 is not a judged letter"),
        ('{"setting": "vis", "index": "0", "letter": "A", "reply_hash": "00"}', "another reply"),
    ],
)
def test_verdicts_that_are_none(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "judged.jsonl"
    path.write_text(line + "\n")
    with pytest.raises(PredictionsError, match=message):
        load_judged(path, {("vis", "0"): Answer("the left one")})
    with pytest.raises(DataNotFoundError, match="soco lvlm judge"):
        load_judged(tmp_path / "none.jsonl", {})


def test_verdicts_by_hand(tmp_path: Path) -> None:
    path = tmp_path / "judged.jsonl"
    lines = [("vis", "0", "A"), ("vis", "0", "B"), ("vis", "1", None), ("desc", "0", "C")]
    named = [dict(zip(("setting", "index", "letter"), line, strict=True)) for line in lines]
    path.write_text("".join(json.dumps(line) + "\n" for line in named))
    judged = load_judged(path, {("vis", "0"): Answer("the"), ("vis", "1"): Answer("one")})
    assert judged.letters == {("vis", "0"): "B"}
    assert {"judges": [], "letter": 1, "none": 1}.items() <= judged.record.items()
