from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import json
import os
import re
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from helpers.command_lines import read_command_line
from helpers.scripted_server import Scripted, completion, images_of, serve, text_of
from helpers.small_questions import small_asked
from helpers.small_release import make_release
from PIL import Image

from soco_datasets.benchmarks.build import build_dataset
from soco_datasets.cli import main
from soco_datasets.commands import lvlm_run
from soco_datasets.commands.lvlm_options import prepare_questions
from soco_datasets.data.folder import open_folder
from soco_datasets.data.questions.prompts import PromptTemplate
from soco_datasets.errors import MissingExtraError, SocoError, UsageError
from soco_datasets.lvlm.answer_store import read_answers
from soco_datasets.lvlm.model_choice import ModelOptions, model_name, open_model
from soco_datasets.lvlm.open_questions import open_asked
from soco_datasets.lvlm.run import AskOptions, run_questions

pytest.importorskip("inspect_ai", reason="runs of questions need inspect-ai (extra lvlm)")
pytestmark = pytest.mark.lvlm

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("lvlm")
    build_dataset(make_release(root / "release"), root / "built")
    return root / "built"


def script(number: int, body: dict[str, Any]) -> Scripted:
    """A letter that depends on the pictures alone."""
    return Scripted("ABCD"[hashlib.sha256(images_of(body)[0].encode()).digest()[0] % 4])


def one_at_a_time(**changes: Any) -> AskOptions:
    return AskOptions(**{"max_connections": 1, "max_retries": 0, **changes})


def stored(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()[1:]]


def test_every_question_is_asked_once_with_its_pictures(tmp_path: Path) -> None:
    asked = [small_asked("vis"), small_asked("desc")]
    with serve(script) as server:
        model = ModelOptions("m", base_url=server.url)
        first = run_questions(asked, model, tmp_path, one_at_a_time(image_format="png"))
        texts, pictures = server.texts(), [images_of(request) for request in server.requests]
        again = run_questions(asked, model, tmp_path, one_at_a_time(image_format="png"))
        assert len(server.requests) == 16
    assert [len(images) for images in pictures] == [2] * 8 + [1] * 8
    shown = Image.open(io.BytesIO(base64.b64decode(pictures[1][1].partition(",")[2])))
    assert shown.tobytes() == asked[0].pictures(1)[1].tobytes()
    assert texts[0] == asked[0].prompt(0)
    assert [result.record for result in again] == [result.record for result in first]
    for result, part in zip(first, asked, strict=True):
        assert result.complete
        assert result.record["counts"]["answered"] == result.record["questions"]["rows"] == 8
        assert result.record["questions"]["groups"] == 2
        assert [line["index"] for line in stored(result.answers)] == [row["index"] for row in part.rows]
        assert json.loads(result.record_path.read_text()) == result.record


def test_replies_that_are_no_answers_are_counted_and_not_asked_again(tmp_path: Path) -> None:
    replies = {
        0: Scripted(status=429, error={"message": "slow"}, headers={"Retry-After": "0.05"}),
        2: Scripted("  "),
        3: Scripted("", refusal="I cannot help with a picture."),
        4: Scripted(status=400, error={"message": "Blocked: A", "code": "content_filter"}),
        5: Scripted(status=400, error={"message": "A context of 10 tokens", "code": "context_length_exceeded"}),
        6: Scripted("B", finish="length"),
    }
    with serve(lambda number, body: replies.get(number, Scripted("A"))) as server:
        model = ModelOptions("m", base_url=server.url)
        (result,) = run_questions([small_asked()], model, tmp_path, one_at_a_time(max_retries=1))
        assert len(server.requests) == 9  # the rate-limited one twice
        run_questions([small_asked()], model, tmp_path, one_at_a_time())
        assert len(server.requests) == 9
    counts = {name: number for name, number in result.record["counts"].items() if number}
    assert counts == {"answered": 4, "empty": 1, "refused": 2, "no_context": 1}
    lines = stored(result.answers)
    assert [line["outcome"] for line in lines[:5]] == ["answered", "empty", "refused", "refused", "no_context"]
    assert [line["response"] for line in lines[1:5]] == [""] * 4  # an error's words are no answer
    assert "picture" in lines[2]["reason"]
    assert lines[5]["stop"] == "max_tokens"
    assert read_scores(tmp_path / "m" / "logs")["accuracy"] == 0.125


def read_scores(logs: Path) -> dict[str, float]:
    from inspect_ai.log import read_eval_log

    (path,) = logs.glob("*.eval")
    results = read_eval_log(str(path)).results
    assert results is not None
    return {name.split("/")[-1]: metric.value for name, metric in results.scores[0].metrics.items()}


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (Scripted(status=400, error={"message": "m is not a multimodal model"}), "takes no images"),
        (Scripted(status=401, error={"message": "bad key"}), "API key"),
        (Scripted(status=404, error={"message": "The model m does not exist"}), "name of the model"),
    ],
)
def test_an_endpoint_that_can_answer_nothing_ends_the_run_at_once(
    tmp_path: Path, reply: Scripted, message: str
) -> None:
    with serve(lambda number, body: reply) as server:
        with pytest.raises(SocoError, match=message):
            run_questions([small_asked()], ModelOptions("m", base_url=server.url), tmp_path, one_at_a_time())
        assert len(server.requests) == 1
    record = json.loads((tmp_path / "m" / "vis.run.json").read_text())
    assert record["counts"]["unanswered"] == 8


def test_failures_are_counted_and_asked_again(tmp_path: Path) -> None:
    ill = threading.Event()
    ill.set()

    def sometimes(number: int, body: dict[str, Any]) -> Scripted:
        if number % 2 and ill.is_set():
            return Scripted(delay=3)
        return script(number, body)

    with serve(sometimes) as server:
        model = ModelOptions("m", base_url=server.url)
        (result,) = run_questions([small_asked(groups=1)], model, tmp_path, one_at_a_time(timeout=1))
        assert not result.complete
        assert result.record["counts"]["timeout"] == result.record["counts"]["unanswered"] == 2
        ill.clear()
        (healed,) = run_questions([small_asked(groups=1)], model, tmp_path, one_at_a_time(timeout=1))
        assert healed.complete
        assert len(server.requests) == 6
    with serve(script) as server:
        model = ModelOptions("m", base_url=server.url)
        (whole,) = run_questions([small_asked(groups=1)], model, tmp_path / "whole", one_at_a_time())
    assert final(healed.answers) == final(whole.answers)


def final(path: Path) -> dict[str, str]:
    return {line["key"]: line["response"] for line in stored(path)}


def test_rate_limits_that_do_not_end_are_counted_and_asked_again(tmp_path: Path) -> None:
    slow = Scripted(status=429, error={"message": "slow down"}, headers={"Retry-After": "0.01"})
    with serve(lambda number, body: slow) as server:
        model = ModelOptions("m", base_url=server.url)
        (result,) = run_questions([small_asked(groups=1)], model, tmp_path, one_at_a_time())
    assert result.record["counts"]["rate_limit"] == result.record["counts"]["unanswered"] == 4
    assert "slow down" in stored(result.answers)[0]["reason"]
    assert len(server.requests) == 4  # max_retries=0 is one request a question
    with serve(script) as server:
        model = ModelOptions("m", base_url=server.url)  # no answer came from the first address: it may be another
        (healed,) = run_questions([small_asked(groups=1)], model, tmp_path, one_at_a_time())
        assert healed.complete
        rewritten = replace(small_asked(groups=1), template=PromptTemplate("blink", "{question} Well?"))
        with pytest.raises(UsageError, match=r"another run.*template_hash"):
            run_questions([rewritten], model, tmp_path, one_at_a_time())


@pytest.mark.parametrize(
    ("address", "message"),
    [("http://127.0.0.1:9/v1", "Nothing answers at .* Check --base-url"), ("localhost:80", "not the address")],
)
def test_an_address_where_nothing_answers(tmp_path: Path, address: str, message: str) -> None:
    with pytest.raises(SocoError, match=message):
        run_questions([small_asked()], ModelOptions("m", base_url=address), tmp_path)


def test_an_endpoint_that_is_down_ends_the_run_after_some_questions(tmp_path: Path) -> None:
    with serve(lambda number, body: Scripted(status=500, error={"message": "no"})) as server:
        with pytest.raises(SocoError, match="20 questions in a row"):
            run_questions([small_asked(groups=9)], ModelOptions("m", base_url=server.url), tmp_path, one_at_a_time())
        assert len(server.requests) == 20


def test_an_equal_refusal_of_the_first_questions_ends_the_run(tmp_path: Path) -> None:
    refuse = [Scripted(status=400, error={"message": f"no field x (request {number})"}) for number in range(30)]
    with serve(lambda number, body: refuse[number]) as server:
        with pytest.raises(SocoError, match="refuses every question"):
            run_questions([small_asked(groups=9)], ModelOptions("m", base_url=server.url), tmp_path, one_at_a_time())
        assert len(server.requests) == 5


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (429, {"message": "You exceeded your current quota", "code": "insufficient_quota"}),
        (400, {"message": "Your credit balance is too low to access the API"}),
        (400, {"message": "Limit reached", "code": "billing_hard_limit_reached"}),
    ],
)
def test_an_empty_account_ends_the_run_at_once(tmp_path: Path, status: int, error: dict[str, str]) -> None:
    with serve(lambda number, body: Scripted(status=status, error=error)) as server:
        with pytest.raises(SocoError, match="account of this provider is empty"):
            run_questions(
                [small_asked()], ModelOptions("m", base_url=server.url), tmp_path, one_at_a_time(max_retries=5)
            )
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("body", "named"), [("", "empty body"), ("{oops", "not JSON"), ("{}", "not an answer"), ("[]", "not an answer")]
)
def test_a_broken_reply_is_retried_and_named(tmp_path: Path, body: str, named: str) -> None:
    bad = [True]
    with serve(lambda number, request: Scripted(body=body) if bad[0] else Scripted("A")) as server:
        model = ModelOptions("m", base_url=server.url)
        (failed,) = run_questions([small_asked(groups=1)], model, tmp_path, one_at_a_time(progress_interval=0))
        assert failed.record["counts"]["failed"] == 4
        ((reason, number),) = failed.record["reasons"]
        assert (named in reason, number) == (True, 4), reason
        assert f"4 x {reason}" in lvlm_run.run_line(failed.record, failed.answers)
        bad[0] = False
        (healed,) = run_questions([small_asked(groups=1)], model, tmp_path, one_at_a_time())
        assert healed.complete
    if body:
        return  # each retry waits some seconds
    with serve(lambda number, request: Scripted("A") if number else Scripted(body=body)) as server:
        model = ModelOptions("m", base_url=server.url)
        (retried,) = run_questions([small_asked(groups=1)], model, tmp_path / "again", one_at_a_time(max_retries=1))
        assert (retried.complete, len(server.requests)) == (True, 5)


def changed(message: dict[str, Any] | None = None, **fields: Any) -> str:
    """The body of the answer "A" with other fields."""
    whole = completion(Scripted("A"))
    whole["choices"][0]["message"].update(message or {})
    return json.dumps(whole | fields)


TOOL = {"id": "1", "type": "function", "function": {"name": "zoom", "arguments": "{"}}


@pytest.mark.parametrize(
    ("body", "outcome", "named"),
    [
        (changed({"content": None, "tool_calls": [TOOL]}), "empty", ""),  # not asked again, as for the tool's result
        (changed(usage={"prompt_tokens": -5, "completion_tokens": -1, "total_tokens": -6}), "answered", ""),
        ('{"error": {"message": "overloaded", "code": 503}}', "failed", "503.*overloaded"),
        ('{"error": {"message": "Insufficient balance", "code": 402}}', "refused_access", "account .* is empty"),
        (changed({"content": "\\ud800 \x1b[2J"}), "answered", ""),
    ],
)  # fmt: skip
def test_odd_replies_are_asked_once_and_can_be_read_again(tmp_path: Path, body: str, outcome: str, named: str) -> None:
    with serve(lambda number, request: Scripted(body=body)) as server:
        model = ModelOptions("m", base_url=server.url)
        stops = pytest.raises(SocoError, match=named) if outcome == "refused_access" else contextlib.nullcontext()
        with stops:
            run_questions([small_asked(groups=1)], model, tmp_path, one_at_a_time())
        assert len(server.requests) == (1 if outcome == "refused_access" else 4)
    (path,) = (tmp_path / "m").glob("*.answers.jsonl")
    lines = read_answers(path)[1].values()
    assert {line["outcome"] for line in lines} == {outcome}
    assert all("input_tokens" not in line or line["input_tokens"] >= 0 for line in lines)
    if outcome == "failed":
        assert all(re.search(named, line["reason"]) for line in lines)


def test_no_key_is_sent_where_none_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOCO_TEST_KEY", "sesame")
    with serve(script) as server:
        parts = [small_asked("vis", 1), small_asked("desc", 1)]
        run_questions(parts, ModelOptions("m", base_url=server.url), tmp_path, one_at_a_time())
        assert len(server.headers) == 8
        assert not any(name.lower() == "authorization" for headers in server.headers for name in headers)
        keyed = ModelOptions("m", base_url=server.url, api_key_env="SOCO_TEST_KEY")
        run_questions(parts[:1], keyed, tmp_path / "keyed", one_at_a_time())
        assert "Bearer sesame" in server.headers[-1].values()


def test_progress_without_a_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with serve(lambda number, body: Scripted("A", delay=0.1)) as server:
        model = ModelOptions("m", base_url=server.url)
        run_questions([small_asked(groups=3)], model, tmp_path, one_at_a_time(progress_interval=0.3))
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("vis: ")]
    assert lines[0] == "vis: 0 of 12 questions, 0 s"
    assert lines[-1].startswith("vis: 12 of 12 questions, ")
    assert any(line.endswith(" left") for line in lines[1:-1])


def test_answers_cut_at_the_limit_tokens_and_reasoning_are_in_the_record(tmp_path: Path) -> None:
    replies = [
        Scripted("<think>A or B? A.", finish="length"), Scripted("<think>B is round.</think>\n\nD"),
        Scripted("C", reasoning="It is C."), Scripted("B"),
    ]  # fmt: skip
    with serve(lambda number, body: replies[number]) as server:
        options = one_at_a_time(thinking=True)
        (result,) = run_questions([small_asked(groups=1)], ModelOptions("m", base_url=server.url), tmp_path, options)
        assert {request.get("max_tokens") or request["max_completion_tokens"] for request in server.requests} == {16384}
    lines = stored(result.answers)
    assert [(line["response"], line.get("reasoning")) for line in lines] == [
        ("", "A or B? A."), ("D", "B is round."), ("C", "It is C."), ("B", None),
    ]  # fmt: skip
    assert result.record["cut_at_limit"] == 1
    assert result.record["tokens"] == {"input_tokens": 40, "output_tokens": 4, "reasoning_tokens": 0}
    assert "1 answers were cut at 16384 tokens" in lvlm_run.run_line(result.record, result.answers)


def test_the_protocol_of_the_paper_on_an_endpoint(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with serve(script) as server:
        name = "gpt-4o-2024-05-13"
        place = ("--data", str(folder), "--out", str(tmp_path))
        common = ("lvlm", "run", "--model", name, "--base-url", server.url, *place, "--limit", "1")
        assert main([*common, "--setting", "vis", "--protocol", "paper", "--max-retries", "0"]) == 0
        request = server.requests[0]
    row = open_asked("vis", folder).rows[0]
    assert text_of(request) == (
        f"Question: {row['question']}\nOptions:\nA. Point A\nB. Point B\nC. Point C\nD. Point D\n"
        "Please select the correct answer from the options above. \n"
    )
    images = [part["image_url"] for part in request["messages"][-1]["content"] if part["type"] == "image_url"]
    assert [image["detail"] for image in images] == ["low", "low"]
    sizes = [Image.open(io.BytesIO(base64.b64decode(image["url"].partition(",")[2]))).size for image in images]
    assert max(max(size) for size in sizes) <= 512
    record = json.loads((tmp_path / name / "vis.run.json").read_text())
    assert record["asked"]["protocol"] == {"name": "paper", "family": "GPT-4o-2024-05-13", "changed": []}
    assert (record["asked"]["max_tokens"], record["asked"]["image_size"]) == (2048, 512)
    assert main(["lvlm", "run", "--model", "other/model", *place, "--protocol", "paper"]) == 2
    assert re.search(r"no settings for 'other/model'.*Qwen2.5-VL", capsys.readouterr().err)


def test_sampling_options_reach_the_endpoint(tmp_path: Path) -> None:
    with serve(script) as server:
        options = one_at_a_time(temperature=0.7, top_p=0.8, top_k=20, repetition_penalty=1.1, seed=5)
        (result,) = run_questions([small_asked(groups=1)], ModelOptions("m", base_url=server.url), tmp_path, options)
        wanted = {"temperature": 0.7, "top_p": 0.8, "top_k": 20, "repetition_penalty": 1.1, "seed": 5}
        assert wanted.items() <= server.requests[0].items()
    assert wanted.items() <= result.record["asked"].items()
    header = json.loads(result.answers.read_text().splitlines()[0])
    assert wanted.items() <= header.items()


def test_subsets_and_questions_without_pictures(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = open_asked("vis", folder)
    categories = sorted({row["category"] for row in whole.rows})
    with serve(script) as server:
        common = ("--model", "m", "--base-url", server.url, "--data", str(folder), "--max-retries", "0")
        options = (*common, "--out", str(tmp_path), "--setting", "vis,desc", "--per-category", "1", "--seed", "3")
        read = read_command_line(lvlm_run, *options)
        asked, _, _ = prepare_questions(open_folder(folder), read.model, read.questions, read.asking, read.marker)
        ids = [[row["question_id"] for row in part.rows] for part in asked]
        assert ids[0] == ids[1]
        assert len(ids[0]) == 4 * len(categories)
        assert set(asked[0].all_keys()) <= set(whole.all_keys())
        assert main(["lvlm", "run", *common, "--out", str(tmp_path), "--category", "spaceship"]) == 2
        assert "spaceship" in capsys.readouterr().err
    with serve(lambda number, body: Scripted("A")) as server:
        common = ("--model", "m", "--base-url", server.url, "--data", str(folder), "--max-retries", "0", "--limit", "1")
        options = ("--out", str(tmp_path), "--category", categories[0], "--no-images", "--setting", "vis")
        assert main(["lvlm", "run", *common, *options]) == 0
        assert [images_of(request) for request in server.requests] == [[]] * 4
    assert json.loads((tmp_path / "m" / "vis.run.json").read_text())["asked"]["no_images"] is True


def test_the_marker_study(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with serve(lambda number, body: Scripted("B")) as server:
        common = ["lvlm", "markers", "--model", "m", "--base-url", server.url, "--data", str(folder)]
        options = ["--out", str(tmp_path), "--shapes", "arrow,cross", "--colors", "red,blue", "--per-category", "1"]
        assert main([*common, *options, "--max-retries", "0", "--json"]) == 0
        asked = len(server.requests)
        assert main([*common, *options, "--max-retries", "0"]) == 0
        assert len(server.requests) == asked  # resumed
        first = {images_of(request)[0] for request in server.requests}
    found = json.loads((tmp_path / "m.markers.json").read_text())
    styles = [(row["shape"], row["color"]) for row in found["markers"]]
    assert styles == [("arrow", "red"), ("arrow", "blue"), ("cross", "red"), ("cross", "blue")]
    for row in found["markers"]:
        part = row["settings"]["vis"]
        assert (part["average"], part["circular"]) == (0.25, 0.0)
        assert asked == 4 * 4 * part["groups"]
    assert len(first) == 4 * found["markers"][0]["settings"]["vis"]["groups"]  # each marker is another picture
    assert "cross, blue" in capsys.readouterr().out


def test_inspect_eval_runs_the_task_by_itself(folder: Path, tmp_path: Path) -> None:
    task = Path(lvlm_run.__file__).parents[1] / "lvlm" / "inspect_task.py"
    with serve(lambda number, body: Scripted("Answer: A")) as server:
        subprocess.run(
            [
                *(sys.executable, "-m", "inspect_ai", "eval", f"{task}@soco_lvlm", "--display", "none"),
                *("-T", f"data={folder}", "-T", "setting=desc", "-T", "questions=2"),
                *("--model", "openai-api/endpoint/m", "--model-base-url", server.url, "--log-dir", str(tmp_path)),
            ],
            env={**os.environ, "ENDPOINT_API_KEY": "none"},
            check=True,
            cwd=tmp_path,
        )
        assert len(server.requests) == 8
        assert {len(images_of(request)) for request in server.requests} == {1}
    assert read_scores(tmp_path) == {"accuracy": 0.25, "circular_accuracy": 0.0}


def test_the_command(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with serve(script) as server:
        common = ("--model", "m", "--base-url", server.url, "--data", str(folder), "--out", str(tmp_path))
        run = ("lvlm", "run", *common)
        assert main([*run, "--setting", "vis,desc", "--limit", "1", "--max-retries", "0"]) == 0
        assert capsys.readouterr().out.splitlines() == [
            f"{setting}: 4 answered: {tmp_path}/m/{setting}.answers.jsonl" for setting in ("vis", "desc")
        ]
        assert main([*run, "--setting", "vis,desc", "--limit", "1", "--json"]) == 0
        assert [record["setting"] for record in json.loads(capsys.readouterr().out)] == ["vis", "desc"]
        assert len(server.requests) == 8
        for wrong, message in (
            (("--setting", "seen"), "setting"),
            (("--limit", "0"), "at least one question"),
            (("--device", "cpu"), "--device is for a local model"),
            (("--marker", "star"), "marker"),
            (("--api-key-env", "SOCO_NO_SUCH_KEY"), "SOCO_NO_SUCH_KEY is not set"),
            (("--marker-color", "blue"), "another run"),
        ):
            assert main([*run, *wrong]) == 2
            assert message in capsys.readouterr().err
        assert len(server.requests) == 8


def test_questions_that_fail_are_an_error_of_the_command(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with serve(lambda number, body: Scripted(status=400, error={"message": "no"})) as server:
        place = ("--model", "m", "--base-url", server.url, "--data", str(folder), "--out", str(tmp_path))
        assert main(["lvlm", "run", *place, "--setting", "vis", "--limit", "1", "--max-retries", "0"]) == 1
        assert "4 questions got no answer" in capsys.readouterr().err


def test_keys_tell_what_is_seen(folder: Path, tmp_path: Path) -> None:
    from soco_datasets.data.questions.markers import MarkerStyle

    template = tmp_path / "mine.toml"
    template.write_text('name = "mine"\n[question]\nvis = "Which one?"\n')
    plain = open_asked("vis", folder)
    others = [
        open_asked("vis", folder, template=template),
        open_asked("vis", folder, style=MarkerStyle("cross", "blue")),
        open_asked("vis_desc", folder),
    ]
    keys = [list(part.all_keys()) for part in (plain, *others)]
    assert len(set().union(*keys)) == sum(map(len, keys))
    assert list(open_asked("vis", folder).all_keys()) == keys[0]
    assert list(plain.first(1).all_keys()) == keys[0][:4]


@pytest.mark.parametrize(
    ("option", "value"),
    [("max_tokens", 0), ("temperature", -1.0), ("max_connections", 0), ("max_retries", -1), ("timeout", 0)],
)
def test_numbers_out_of_range(option: str, value: float) -> None:
    with pytest.raises(UsageError, match=f"--{option.replace('_', '-')} is at least"):
        one_at_a_time(**{option: value})


def test_names_of_models() -> None:
    assert model_name(ModelOptions("soco_hf/google/gemma-3-4b-it")) == "soco_hf/google/gemma-3-4b-it"
    assert model_name(ModelOptions("vllm/Qwen/Qwen2.5-VL-7B-Instruct")) == "vllm/Qwen/Qwen2.5-VL-7B-Instruct"
    with pytest.raises(SocoError, match="OPENAI_API_KEY"):
        open_model(ModelOptions("openai/gpt-4o"))


def test_without_inspect_ai(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"soco-datasets\[lvlm\]"):
        run_questions([small_asked()], ModelOptions("m"), tmp_path)
