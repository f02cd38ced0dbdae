"""Everything a user of `soco lvlm` does, on the mini set and on photographs: local families and a scripted endpoint."""

from __future__ import annotations

import base64
import csv
import io
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("inspect_ai", reason="runs of questions need inspect-ai (extra lvlm)")
pytest.importorskip("transformers", reason="local models need transformers (extra models)")

from helpers import tiny_vlm
from helpers.batch_server import serve_batches
from helpers.lvlm_results import make_answers
from helpers.scripted_server import Scripted, images_of, serve, text_of
from helpers.shared_builds import built_mini
from helpers.shared_data import REAL_SAMPLE, needs_photographs
from PIL import Image

from soco_datasets.benchmarks.build import build_dataset
from soco_datasets.cli import main
from soco_datasets.data.folder import DatasetFolder, open_folder
from soco_datasets.data.questions.point_pairs import point_pairs
from soco_datasets.lvlm.pointing import point_questions
from soco_datasets.lvlm.question_rows import read_rows
from soco_datasets.lvlm.subsets import SubsetOptions, question_subset
from soco_datasets.lvlm.tsv import FILE_NAMES
from soco_datasets.records.evaluation import EvaluationResult

pytestmark = [pytest.mark.lvlm, pytest.mark.slow]

CASES = Path(__file__).parents[1] / "data" / "lvlm"
LOCAL = {"qwen2_5_vl": "resized", "internvl": "thousandths"}
GOOD = 0
csv.field_size_limit(2**27)


@dataclass(frozen=True)
class Place:
    """A dataset, and how a user runs commands on it."""

    folder: DatasetFolder
    few: tuple[str, ...]
    capsys: pytest.CaptureFixture[str]

    def run(self, *arguments: str, expect: int = GOOD) -> str:
        """`soco ARGUMENTS --data ...`; gives what it printed, standard error last."""
        self.capsys.readouterr()
        assert main([*map(str, arguments), "--data", str(self.folder.path)]) == expect, self.capsys.readouterr()
        said = self.capsys.readouterr()
        return said.out + said.err

    def rows(self, setting: str = "vis") -> list[dict[str, Any]]:
        return read_rows(self.folder, setting)


@pytest.fixture(scope="module", params=["mini", pytest.param("real_sample", marks=needs_photographs)])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> DatasetFolder:
    if request.param == "mini":
        return open_folder(built_mini())
    return open_folder(build_dataset(REAL_SAMPLE, tmp_path_factory.mktemp("real") / "built").path)


@pytest.fixture
def place(folder: DatasetFolder, capsys: pytest.CaptureFixture[str]) -> Place:
    categories = sorted({row["category"] for row in read_rows(folder, "vis")})[:2]
    return Place(folder, ("--category", ",".join(categories), "--per-category", "1"), capsys)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("models")
    long = tiny_vlm.qwen2_5_vl(root / "qwen2_5_vl", max_position_embeddings=32768)
    return {"qwen2_5_vl": long, **{name: tiny_vlm.FAMILIES[name](root / name) for name in ("internvl", "qwen3_vl")}}


def always(text: str, **fields: Any) -> Callable[[int, dict[str, Any]], Scripted]:
    return lambda number, body: Scripted(text, **fields)


def record_of(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def asking(url: str, name: str = "m") -> tuple[str, ...]:
    return ("--model", name, "--base-url", url, "--max-retries", "0", "--max-connections", "1")


@pytest.mark.parametrize("family", LOCAL)
def test_a_local_model_is_loaded_once_and_its_run_scored(
    place: Place, models: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, family: str
) -> None:
    """Points 1 and 11: one load for three settings; tokens counted; damaged answers are seen before the model loads."""
    from transformers import AutoModelForImageTextToText

    loads: list[str] = []
    own = AutoModelForImageTextToText.from_pretrained
    monkeypatch.setattr(
        AutoModelForImageTextToText, "from_pretrained", lambda f, **options: loads.append(str(f)) or own(f, **options)
    )
    run = ("lvlm", "run", "--model", models[family], "--device", "cpu", "--out", tmp_path, "--max-tokens", "3")
    place.run(*run, *place.few)
    assert len(loads) == 1
    answers = sorted((tmp_path / family).glob("*.answers.jsonl"))
    assert len(answers) == 3
    place.run("lvlm", "score", *answers, "--partial", "--out", tmp_path / "s.json")
    record = record_of(tmp_path / "s.json")
    assert record["model"]["model_type"] == family
    assert record["protocol"]["settings"]["vis"]["tokens"]["input_tokens"] > 0
    answers[0].write_bytes(answers[0].read_bytes().replace(b'"outcome"', b'"outcame"', 1))
    assert "is not an answer" in place.run(*run, *place.few, expect=1)
    assert len(loads) == 1


@pytest.mark.parametrize(
    ("parser", "name", "field"), [("paper", "random_shared", "letter"), ("strict", "answers_shared", "by_a_person")]
)
def test_scores_are_those_of_the_letters_in_the_given_files(
    place: Place, tmp_path: Path, parser: str, name: str, field: str
) -> None:
    """Points 2 and 3: every string of the file is an answer; the score is that of the letters beside them."""
    cases = json.loads((CASES / f"{name}.json").read_text())["cases"]
    rows = place.rows()
    told = {row["index"]: cases[number % len(cases)] for number, row in enumerate(rows)}
    paths = make_answers(place.folder.path, tmp_path, settings=["vis"], reply=lambda row: told[row["index"]]["answer"])
    place.run("lvlm", "score", *paths, "--resamples", "10", "--out", tmp_path / "s.json")
    found = record_of(tmp_path / "s.json")["parsers"][parser]["settings"]["vis"]
    right = sum(told[row["index"]][field] == row["answer"] for row in rows)
    assert found["overall"]["average"] == pytest.approx(right / len(rows))
    assert found["parse_failures"] == pytest.approx(sum(not case[field] for case in told.values()) / len(rows))


RELEASED = {
    "Qwen/Qwen2.5-VL-7B": ("Qwen2.5-VL", 2048, {"temperature": 0.01, "top_p": 0.001, "top_k": 1}),
    "Qwen/Qwen3-VL-8B": (
        "Qwen3-VL", 16384, {"temperature": 0.7, "top_p": 0.8, "top_k": 20, "presence_penalty": 1.5}
    ),
    "InternVL3_5-8B": ("InternVL3.5", 4096, {"temperature": 0.0}),
    "llava-onevision-7b": ("LLaVA-OV", 2048, {"temperature": 0.0}),
    "gpt-4o-2024-05-13": ("GPT-4o-2024-05-13", 2048, {"temperature": 0.0}),
}  # fmt: skip


def test_the_protocol_of_the_paper_reaches_endpoints(place: Place, tmp_path: Path) -> None:
    """Point 4."""
    for name, (family, tokens, sampling) in RELEASED.items():
        with serve(always("A")) as server:
            options = (*asking(server.url, name), "--protocol", "paper", "--limit", "1", "--setting", "vis")
            place.run("lvlm", "run", *options, "--out", tmp_path)
            body = server.requests[0]
        assert sampling.items() <= body.items(), name
        assert ("presence_penalty" in body) == (family == "Qwen3-VL")
        assert tokens == (body.get("max_tokens") or body["max_completion_tokens"])
        (path,) = (tmp_path / name.replace("/", "--")).glob("vis.run.json")
        record = record_of(path)
        assert record["asked"]["protocol"]["family"] == family
        assert record["asked"]["protocol"]["changed"] == []
        assert "not_applied" not in record["asked"]["protocol"]
        own = text_of(body)
        assert ("Please select the correct answer from the options above." in own) == (family != "InternVL3.5")


@pytest.mark.parametrize(
    ("family", "given"), [("qwen2_5_vl", {"temperature": 0.01}), ("qwen3_vl", {"temperature": 0.7})]
)
def test_the_protocol_of_the_paper_on_local_models(
    place: Place, models: dict[str, Path], tmp_path: Path, family: str, given: dict[str, float]
) -> None:
    run = ("lvlm", "run", "--model", models[family], "--device", "cpu", "--batch-size", "1", "--max-tokens", "2")
    options = ("--limit", "1", "--setting", "desc", "--out", tmp_path)
    place.run(*run, "--protocol", "paper", *options)
    record = record_of(tmp_path / family / "desc.run.json")
    assert given.items() <= record["asked"].items()
    assert record["asked"]["protocol"]["changed"] == ["max_tokens"]
    assert record["asked"]["protocol"].get("not_applied", {}) == (
        {"presence_penalty": 1.5} if family == "qwen3_vl" else {}
    )
    if family == "qwen2_5_vl":
        assert record["model"]["min_pixels"] == 1280 * 28 * 28
        assert record["tokens"]["input_tokens"] > 4 * 1280
    place.run(*run, "--protocol", "paper", "--temperature", "0", *options[:-1], tmp_path / "greedy")
    greedy = record_of(tmp_path / "greedy" / family / "desc.run.json")["asked"]  # 0 is a value that was given
    assert (greedy["temperature"], "temperature" in greedy["protocol"]["changed"]) == (0.0, True)
    said = place.run(*run, "--presence-penalty", "1", *options, expect=2)
    assert "--presence-penalty is for endpoints" in said


def read_tsv(path: Path) -> list[dict[str, str]]:
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def write_tsv(path: Path, rows: list[dict[str, str]]) -> Path:
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter="\t", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_tables_for_vlmevalkit_and_back(place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Points 5, 6 and 11: heads as the kit looks for them; lost pictures, NUL, small letters, files of another kind."""
    place.run("lvlm", "export", "--setting", "vis", "--out", tmp_path)
    path = tmp_path / FILE_NAMES["vis"]
    table = read_tsv(path)
    groups = {row["g_index"] for row in table}
    assert {row["index"] for row in table if row["index"] == row["g_index"]} == groups
    assert len(table) == 4 * len(groups) == len(place.rows())
    few = [dict(row) for row in table if row["g_index"] in sorted(groups)[:2]]
    for row in few[:4]:
        row["answer"] = row["answer"].lower()
    assert main(["lvlm", "import", str(write_tsv(path, few)), "--out", str(tmp_path / "back")]) == 0
    back = read_rows(open_folder(tmp_path / "back"), "vis")
    assert [row["answer"] for row in back] == [row["answer"].upper() for row in few]
    lost = [dict(row) for row in few]
    by_index = {row["index"]: row for row in lost}
    images = json.loads(by_index[lost[5]["index"]]["image"].replace("'", '"'))
    lost[5]["image"] = images[1]
    nul = [dict(row) for row in few]
    nul[2]["question"] += "\0"
    for changed, message in ((lost, "row 6.*1 picture here and 2"), (nul, "row 3.*NUL")):
        capsys.readouterr()
        assert main(["lvlm", "import", str(write_tsv(path, changed)), "--out", str(tmp_path / "no")]) != 0
        assert re.search(message, capsys.readouterr().err)
    for content, kind in (
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS pointer"),
        (b"<!DOCTYPE html><html></html>", "HTML"), (b"\x1f\x8b\x08\0", "gzip"), ("index\t".encode("utf-16"), "UTF-16"),
    ):  # fmt: skip
        path.write_bytes(content)
        assert main(["lvlm", "import", str(path), "--out", str(tmp_path / "no")]) == 2
        assert capsys.readouterr().err.count(kind) == 1
    assert not (tmp_path / "no").exists()


EMPTY = {"message": "You exceeded your current quota", "code": "insufficient_quota"}
ENDINGS = [
    (Scripted(status=429, error=EMPTY), "account of this provider is empty", 1),
    (Scripted(status=400, error={"message": "Your credit balance is too low"}), "account of this provider is empty", 1),
    (Scripted(status=400, error={"code": "billing_hard_limit_reached"}), "account of this provider is empty", 1),
    (Scripted(status=400, error={"message": "unknown field x"}), "refuses every question: .*unknown field x", 5),
    (Scripted(body="{oops"), "8 questions got no answer", 8),
    (Scripted(body=""), "8 x The endpoint sent an empty body", 8),
    (Scripted(body="<html>Bad gateway</html>", headers={"Content-Type": "text/html"}), "8 x The endpoint sent", 8),
    (Scripted(body='{"choices": null}'), "8 x The endpoint sent JSON that is not an answer", 8),
    (Scripted(status=302, headers={"Location": "http://127.0.0.1:9/elsewhere"}, body=""), "got no answer", 8),
]


@pytest.mark.parametrize(("reply", "said", "requests"), ENDINGS)
def test_endings_say_why(place: Place, tmp_path: Path, reply: Scripted, said: str, requests: int) -> None:
    """Point 7."""
    with serve(lambda number, body: reply) as server:
        run = ("lvlm", "run", *asking(server.url), "--setting", "vis", *place.few, "--out", tmp_path)
        found = place.run(*run, expect=1)
        assert re.search(said, found), found
        assert len(server.requests) == requests
        assert not any(name.lower() == "authorization" for headers in server.headers for name in headers)


def test_progress_is_a_plain_line_and_a_killed_run_goes_on(place: Place, tmp_path: Path) -> None:
    """Point 8, and resuming."""
    with serve(always("B", delay=0.1)) as server:
        run = ["lvlm", "run", *asking(server.url), "--setting", "vis", *place.few, "--out", str(tmp_path)]
        command = [sys.executable, "-m", "soco_datasets.cli", *run, "--data", str(place.folder.path)]
        process = subprocess.Popen([*command, "--progress-interval", "0.1"], stderr=subprocess.PIPE, text=True)
        assert process.stderr is not None
        lines: list[str] = []
        while len(server.requests) < 3:
            lines.append(process.stderr.readline())
        process.kill()
        process.communicate()
        assert any(re.match(r"vis: \d of 8 questions", line) for line in lines), lines
        stored = (tmp_path / "m" / "vis.answers.jsonl").read_bytes().count(b"\n") - 1
        before = len(server.requests)
        place.run(*run)
        assert len(server.requests) == before + 8 - stored


def test_what_is_drawn_and_described(place: Place) -> None:
    """Points 9 and 10: every disc has a size that is seen, also beside a close one; descriptions are English."""
    from soco_datasets.data.questions.label_layout import Canvas, mark_radii

    sizes = {row["image_id"]: (row["width"], row["height"]) for row in place.folder.table("images", "test").to_pylist()}
    differing = 0
    for row in place.rows():
        canvas = Canvas.of(*sizes[row["target_image_id"]])
        radii = mark_radii(canvas, [canvas.point(point) for point in row["candidate_points"]])
        assert min(radii) >= min(canvas.size) / 150
        differing += len(set(radii)) > 1
    texts = {row["description"] for setting in ("vis_desc", "desc") for row in place.rows(setting)}
    assert texts
    assert not [text for text in texts if re.search(r"^Leg \w+ \w+ knee|(?:an?|the) \w+ electric$|  ", text)]
    changes = (Path(__file__).parents[2] / "docs" / "reference" / "changes-lvlm.md").read_text()
    assert place.folder.content_hash in changes


def test_scores_have_intervals_and_are_compared(place: Place, tmp_path: Path) -> None:
    """Point 11."""
    records = []
    for name, text in (("right", None), ("wrong", "None of them")):
        reply = (lambda row: row["answer"]) if text is None else (lambda row, text=text: text)
        paths = make_answers(place.folder.path, tmp_path / name, reply=reply, name=f"soco_hf/lab/{name}")
        records.append(tmp_path / f"{name}.json")
        place.run("lvlm", "score", *paths, "--resamples", "20", "--out", records[-1])
        overall = record_of(records[-1])["parsers"]["strict"]["settings"]["vis"]["overall"]
        low, high = overall["circular_interval"]
        assert (overall["circular"], high - low > 0.01) == (float(text is None), True)
    found = json.loads(run_plain(place, "compare", *records, "--json"))["settings"]["vis"]["strict"]["circular"]
    assert (found["difference"], found["only_a"]) == (-1.0, found["questions"])
    assert found["p"] == pytest.approx(2 / 2 ** found["questions"])
    other = make_answers(place.folder.path, tmp_path / "other", name="soco_hf/lab/other")
    said = place.run("lvlm", "score", *other, "--out", records[0], expect=2)
    assert "another run" in said
    before = records[0].read_bytes()
    assert record_of(records[0])["model"]["name"] == "lab/right"
    place.run("lvlm", "score", *other, "--out", records[0], "--overwrite")
    assert records[0].read_bytes() != before


def run_plain(place: Place, *arguments: Any) -> str:
    """A command without --data; what it printed to standard output."""
    place.capsys.readouterr()
    assert main(list(map(str, arguments))) == 0
    return place.capsys.readouterr().out


def test_answers_that_were_cut_are_counted_and_an_empty_verdict_is_none(place: Place, tmp_path: Path) -> None:
    with serve(always("It is some part that I do not", finish="length")) as server:
        run = ("lvlm", "run", *asking(server.url), "--setting", "vis", *place.few, "--out", tmp_path)
        assert "8 answers were cut at 512 tokens" in place.run(*run)
    record = record_of(tmp_path / "m" / "vis.run.json")
    assert (record["cut_at_limit"], record["tokens"]["input_tokens"]) == (8, 80)
    with serve(always(" ")) as server:
        files = ("lvlm", "judge", tmp_path / "m" / "vis.answers.jsonl")
        place.run(*files, *asking(server.url, "j"), expect=1)
        assert server.requests


def test_a_workbook_of_the_released_code_is_scored_reported_and_compared(place: Place, tmp_path: Path) -> None:
    """Point 12."""
    place.run("lvlm", "export", "--setting", "desc", "--out", tmp_path)
    table = read_tsv(tmp_path / FILE_NAMES["desc"])
    book = tmp_path / "Qwen2.5-VL-7B_soco_lvlm_txt.csv"
    with open(book, "w", encoding="utf-8", newline="") as file:
        names = ["index", "g_index", "question", "answer", "category", "prediction"]
        writer = csv.DictWriter(file, names, extrasaction="ignore")
        writer.writeheader()
        writer.writerows({**row, "prediction": f"The correct answer is {row['answer']}"} for row in table)
    assert main(["lvlm", "import", str(tmp_path / FILE_NAMES["desc"]), "--out", str(tmp_path / "d")]) == 0
    for data, name in ((place.folder.path, "own"), (tmp_path / "d", "imported")):
        record = tmp_path / f"{name}.json"
        assert main(["lvlm", "score", str(book), "--data", str(data), "--out", str(record)]) == 0
        assert record_of(record)["parsers"]["paper"]["settings"]["desc"]["overall"]["circular"] == 1.0
        assert main(["verify", str(record), "--data", str(data)]) == 0
    assert main(["compare", str(tmp_path / "own.json"), str(tmp_path / "own.json")]) == 0


FORMS: dict[str, tuple[str, Callable[[float, float, int, int], str]]] = {
    "molmo": ("percent", lambda x, y, w, h: f'<point x="{100 * x / w:.3f}" y="{100 * y / h:.3f}" alt="p">p</point>'),
    "qwen2.5": ("pixels", lambda x, y, w, h: f'```json\n[{{"point_2d": [{x:.2f}, {y:.2f}], "label": "p"}}]\n```'),
    "qwen3": ("thousandths", lambda x, y, w, h: f'{{"point_2d": [{1000 * x / w:.2f}, {1000 * y / h:.2f}]}}'),
    "tuple": ("unit", lambda x, y, w, h: f"The point is at ({x / w:.5f}, {y / h:.5f})."),
    "json": ("pixels", lambda x, y, w, h: json.dumps({"x": round(x, 2), "y": round(y, 2)})),
}


@pytest.mark.parametrize("form", FORMS)
def test_pointing_at_an_endpoint_that_knows_the_points(place: Place, tmp_path: Path, form: str) -> None:
    """Point 13: an endpoint that finds the calibration's dots and the true points gets a PCK of 1, and is verified.

    On the mini set one form is asked in all questions, the others in one of each category.
    """
    frame, write = FORMS[form]
    known = {pair["pair_id"]: pair for pair in point_pairs(place.folder).to_pylist()}
    whole = form == "molmo" or len(known) < 20
    part = SubsetOptions(per_category=None if whole else 1)
    chosen = question_subset(point_questions(place.folder, "vis_desc", frame), part)
    order = [row["question_id"] for row in chosen.rows]
    subset = () if whole else ("--per-category", "1")
    asked: list[str] = []

    def script(number: int, body: dict[str, Any]) -> Scripted:
        picture = Image.open(io.BytesIO(base64.b64decode(images_of(body)[-1].partition(",")[2])))
        if "red dot" in text_of(body):
            pixels = np.asarray(picture.convert("RGB"), dtype=int)
            ys, xs = np.nonzero((pixels[..., 0] > 180) & (pixels[..., 1] < 80))
            return Scripted(write(float(xs.mean()), float(ys.mean()), picture.width, picture.height))
        pair = known[order[len(asked)]]
        asked.append(pair["pair_id"])
        assert tuple(pair["target_size"]) == picture.size
        return Scripted(write(*pair["target_points"][0][0], *picture.size))

    with serve(script) as server:
        run = ("lvlm", "point", *asking(server.url), "--frame", frame, "--setting", "vis_desc", "--image-format", "png")
        said = place.run(*run, *subset, "--out", tmp_path)
        assert f"frame {frame}: 16 of 16 dots found" in said
        assert f"answers without a point: 0 of {len(order)}" in said
        path = tmp_path / "pointing" / "m" / "m.json"
        record = EvaluationResult.read(path)
        assert record.metrics["point_vis_desc"]["pair"]["0.1"]["overall"]["pck"] == 1.0
        if whole:
            assert "match" in place.run("verify", str(path)).splitlines()[-1]
        before = path.read_bytes()
        requests = len(server.requests)
        assert "not the questions" in place.run(*run, *subset, "--limit", "1", "--out", tmp_path, expect=2)
        assert (len(server.requests), path.read_bytes()) == (requests, before)
        place.run(*run, *subset, "--limit", "1", "--out", tmp_path, "--overwrite")
        assert "a chosen part is not verified" in place.run("verify", str(path), expect=1)


@pytest.mark.parametrize("family", LOCAL)
def test_local_families_point(place: Place, models: dict[str, Path], tmp_path: Path, family: str) -> None:
    options = ("--device", "cpu", "--max-tokens", "3", "--calibration", "2", *place.few, "--out", tmp_path)
    said = place.run("lvlm", "point", "--model", models[family], *options)
    assert f"frame {LOCAL[family]}: " in said
    record = EvaluationResult.read(tmp_path / "pointing" / family / f"{family}.json")
    assert set(record.metrics) == {"point_vis", "point_vis_desc", "point_desc"}
    assert record.model["frame"] == LOCAL[family]
    run_plain(place, "report", tmp_path / "pointing" / family, "--out", tmp_path / "page")


def test_questions_for_other_kits(place: Place, tmp_path: Path) -> None:
    """Point 14; the kits themselves are tried in test_kit_export.py."""
    import datasets

    place.run("lvlm", "export", "--format", "parquet", "--setting", "vis", "--out", tmp_path)
    loaded = datasets.load_dataset(str(tmp_path), "vis", split="test", cache_dir=str(tmp_path / "cache"))
    assert [row["answer"] for row in loaded.select_columns(["answer"])] == [row["answer"] for row in place.rows()]
    assert list((tmp_path / "lmms_eval").glob("*vis*.yaml"))
    assert "lmms-eval" in (tmp_path / "README.md").read_text()
    assert (tmp_path / "inspect_evals" / "eval.yaml").is_file()


def test_markers_subsets_ablations_and_thinking(place: Place, tmp_path: Path) -> None:
    """Point 15."""
    with serve(always("<think>A or B?</think>B")) as server:
        common = (*asking(server.url), *place.few, "--thinking")
        study = ("lvlm", "markers", *common, "--shapes", "arrow,cross", "--colors", "red", "--out", tmp_path)
        assert "cross, red" in place.run(*study)
        found = record_of(tmp_path / "m.markers.json")
        for row in found["markers"]:
            part = row["settings"]["vis"]
            assert (part["groups"], part["average"], part["parse_failures"]) == (2, 0.25, 0.0)
            assert part["circular_interval"][1] > 0
        assert len(server.requests) == 2 * 8
        before = (tmp_path / "m.markers.json").read_bytes()
        other = [*map(str, study), "--parser", "strict"]
        assert "another run: parser paper, not strict" in place.run(*other, expect=2)
        assert (tmp_path / "m.markers.json").read_bytes() == before
        assert len(server.requests) == 2 * 8
        place.run(*other, "--overwrite")
        server.requests.clear()
        place.run("lvlm", "run", *common, "--no-images", "--setting", "vis", "--out", tmp_path / "blind")
        assert [images_of(body) for body in server.requests] == [[]] * 8
        assert {body.get("max_tokens") or body["max_completion_tokens"] for body in server.requests} == {16384}
    lines = (tmp_path / "blind" / "m" / "vis.answers.jsonl").read_text().splitlines()[1:]
    assert {(line["response"], line["reasoning"]) for line in map(json.loads, lines)} == {("B", "A or B?")}


def test_batch_mode_is_passed_through(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Point 15: OpenAI's batch interface; one refused line costs the others nothing; what has none says so."""
    import inspect_ai.model._providers.util.batch as waits

    monkeypatch.setattr(waits, "DEFAULT_BATCH_TICK", 0.1)
    monkeypatch.setattr(waits, "DEFAULT_SEND_DELAY", 0.5)
    monkeypatch.setenv("SOCO_TEST_KEY", "sesame")
    refused: list[Mapping[str, Any]] = []

    def script(body: dict[str, Any]) -> Scripted:
        if refused:
            return Scripted("B")
        refused.append(body)
        return Scripted(status=400, error={"message": "Blocked", "code": "content_filter"})

    with serve_batches(script) as server:
        common = ("--base-url", server.url, "--api-key-env", "SOCO_TEST_KEY", "--max-retries", "0", "--batch", "4")
        run = ("lvlm", "run", "--model", "openai/gpt-4o", *common, *place.few, "--setting", "vis", "--out", tmp_path)
        records = json.loads(place.run(*run, "--json").partition("vis: ")[0])
        counts = records[0]["counts"]
        assert (counts["answered"], counts["refused"]) == (7, 1)
        assert server.single == 0
        assert sum(map(len, server.batches)) == 8
        assert all(len(images_of(body)) == 2 for batch in server.batches for body in batch)
        place.run(*run)
        assert sum(map(len, server.batches)) == 8
        plain = ("lvlm", "run", "--model", "m", *common, *place.few, "--out", tmp_path)
        assert "--batch is for providers with a batch mode" in place.run(*plain, expect=2)
        assert server.single == 0


def test_baselines_of_other_data_are_not_replaced(place: Place, tmp_path: Path) -> None:
    guess = ("lvlm", "baseline", "--model", "random", "--out", tmp_path)
    place.run(*guess)
    before = (tmp_path / "random" / "vis.answers.jsonl").read_bytes()
    assert "replacing the answers" in place.run(*guess)
    assert "model.seed 0, not 1" in place.run(*guess, "--seed", "1", expect=2)
    assert (tmp_path / "random" / "vis.answers.jsonl").read_bytes() == before
    place.run(*guess, "--seed", "1", "--overwrite")
    assert (tmp_path / "random" / "vis.answers.jsonl").read_bytes() != before
    shutil.copyfile(tmp_path / "random" / "vis.run.json", tmp_path / "random" / "vis.answers.jsonl")
    assert "is not replaced" in place.run(*guess, expect=2)
