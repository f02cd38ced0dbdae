"""Real photographs, from the release to the page: questions, runs of local models and of a server, scores, pictures."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("inspect_ai", reason="runs of questions need inspect-ai (extra lvlm)")

from helpers import tiny_vlm
from helpers.scripted_server import Scripted, images_of, serve
from helpers.shared_data import REAL_SAMPLE

from soco_datasets.benchmarks.build import build_dataset
from soco_datasets.cli import main
from soco_datasets.data.folder import DatasetFolder, open_folder
from soco_datasets.data.questions.generation import SETTINGS
from soco_datasets.lvlm.hf_model import Chat, load_vision_language_model
from soco_datasets.lvlm.open_questions import open_asked

pytestmark = pytest.mark.lvlm

GROUPS = 5  # fly, locust, macaque, tiger and zebra have two images each, so one pair


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> DatasetFolder:
    return open_folder(build_dataset(REAL_SAMPLE, tmp_path_factory.mktemp("real") / "built").path)


def run(folder: DatasetFolder, out: Path, model: str, *options: str) -> list[str]:
    """Run all settings; the paths of the answers."""
    assert main(["lvlm", "run", "--model", model, "--data", str(folder.path), "--out", str(out), *options]) == 0
    return [str(out / Path(model).name / f"{setting}.answers.jsonl") for setting in SETTINGS]


def score(folder: DatasetFolder, answers: Sequence[str], record: Path) -> dict[str, Any]:
    assert main(["lvlm", "score", *answers, "--data", str(folder.path), "--out", str(record)]) == 0
    found: dict[str, Any] = json.loads(record.read_text())
    return found


@pytest.mark.parametrize("family", ["qwen2_5_vl", "llava_onevision"])
def test_a_local_model(folder: DatasetFolder, tmp_path: Path, family: str) -> None:
    model = tiny_vlm.FAMILIES[family](tmp_path / family)
    answers = run(folder, tmp_path / "out", str(model), "--max-tokens", "6", "--batch-size", "6")
    record = score(folder, answers, tmp_path / "record.json")
    assert record["model"]["model_type"] == family
    assert record["model"]["processor"]["chat_template_hash"]
    alone = load_vision_language_model(model)
    for setting, path in zip(SETTINGS, answers, strict=True):
        assert record["counts"][setting]["answered"] == record["counts"][setting]["rows"] == 4 * GROUPS
        said = {line["index"]: line["response"] for line in map(json.loads, Path(path).read_text().splitlines()[1:])}
        asked = open_asked(setting, folder)
        for place in (0, 18):
            chat = Chat((*asked.pictures(place), asked.prompt(place)))
            assert alone.answer([chat], 6)[0].text == said[asked.rows[place]["index"]]
        assert len(set(said.values())) > 2


def test_a_server_and_the_page(folder: DatasetFolder, tmp_path: Path) -> None:
    """The server knows the right letters of `vis`, says one point in `desc`, and one letter in `vis_desc`."""
    right = {row["index"]: row["answer"] for row in open_asked("vis", folder).rows}
    order = [*right.values(), *"C" * len(right), *(right[str(int(index) // 4 * 4)] for index in right)]
    seen: list[set[str]] = []

    def script(number: int, body: dict[str, Any]) -> Scripted:
        seen.append({hashlib.sha256(image.encode()).hexdigest() for image in images_of(body)})
        return Scripted(f"Answer: {order[number]}")

    with serve(script) as server:
        answers = run(folder, tmp_path / "out", "told", "--base-url", server.url, "--max-connections", "1")
    pictures = [len(images) for images in seen]
    assert pictures == [2] * 40 + [1] * 20
    assert len(set.union(*seen)) == GROUPS + 4 * GROUPS  # a source once, a target in each ordering; desc adds none
    record = score(folder, answers, tmp_path / "record.json")
    shares = {
        setting: tuple(found["overall"][measure] for measure in ("average", "circular"))
        for setting, found in record["parsers"]["strict"]["settings"].items()
    }
    assert shares == {"vis": (1.0, 1.0), "vis_desc": (0.25, 0.0), "desc": (0.25, 0.0)}
    page_folder = tmp_path / "page"
    common = ["--data", str(folder.path), "--out", str(page_folder)]
    assert main(["lvlm", "report", str(tmp_path / "out" / "told"), *common]) == 0
    page = (page_folder / "lvlm.html").read_text(encoding="utf-8")
    assert "right in all four orderings" in page
    assert len(set(re.findall(r"data:image/jpeg;base64,[^\"]+", page))) == 8  # four questions
    assert "Left ankle of a macaque" in page
