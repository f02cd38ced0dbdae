"""Questions for other kits, tried with the real ones where they are installed."""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from datasets import load_dataset
from helpers.file_modules import module_of
from helpers.lvlm_results import make_answers, score
from helpers.scripted_server import Scripted, images_of, serve
from helpers.tiny_folder import write_folder
from PIL import ImageFile

from soco_datasets.cli import main
from soco_datasets.data.folder import open_folder
from soco_datasets.data.questions.pictures import open_pictures
from soco_datasets.lvlm.question_rows import read_rows


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    root = tmp_path_factory.mktemp("kits")
    data = write_folder(root / "tiny")
    assert main(["lvlm", "export", "--format", "parquet", "--data", str(data), "--out", str(root / "out")]) == 0
    return data, root / "out"


def test_datasets_reads_the_exported_folder(exported: tuple[Path, Path]) -> None:
    data, out = exported
    folder = open_folder(data)
    for setting in ("vis", "desc"):
        loaded = load_dataset(str(out), setting, split="test")
        rows = read_rows(folder, setting)
        assert [row["answer"] for row in loaded] == [row["answer"] for row in rows]
        pictures = list(open_pictures(folder, rows[1]).values())
        assert loaded[1]["image_1"].size == pictures[0].size
        assert (loaded[1]["image_2"] is None) == (setting == "desc")
        assert loaded[1]["question"].startswith("<image 1>")
        assert "<image" not in loaded[1]["question_text"]


@pytest.mark.parametrize("format", ["tsv", "parquet"])
def test_an_export_replaces_no_other_file(tmp_path: Path, format: str) -> None:
    data, out = write_folder(tmp_path / "tiny"), tmp_path / "out"
    export = ["lvlm", "export", "--format", format, "--data", str(data), "--setting", "vis", "--out", str(out)]
    assert main(export) == 0
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    assert main(export) == 0  # the same content
    assert main([*export, "--marker", "circle"]) == 2
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before
    assert main([*export, "--marker", "circle", "--overwrite"]) == 0
    changed = [path.name for path, content in before.items() if path.read_bytes() != content]
    assert changed == ["soco_lvlm_img.tsv" if format == "tsv" else "vis.parquet"]
    (out / changed[0]).write_text("notes", encoding="utf-8")
    assert main(export) == 2


def utilities(out: Path) -> Any:
    return module_of(out / "lmms_eval" / "utils.py")


def test_the_functions_for_lmms_eval(exported: tuple[Path, Path]) -> None:
    _, out = exported
    tools = utilities(out)
    docs = list(load_dataset(str(out), "vis", split="test"))
    assert [image.mode for image in tools.doc_to_visual(docs[0])] == ["RGB", "RGB"]
    assert "Options:\nA. Point A" in tools.doc_to_text(docs[0])
    groups = {doc["g_index"] for doc in docs}
    wrong = next(iter(groups))
    found = [
        tools.process_results(d, [d["answer"] if d["g_index"] != wrong or d["ordering"] else "none"]) for d in docs
    ]
    assert tools.accuracy([item["soco_accuracy"] for item in found]) == 1 - 1 / len(docs)
    assert tools.circular([item["soco_circular"] for item in found]) == 1 - 1 / len(groups)


def scores(data: Path, answers: Path, reply: Callable[[Mapping[str, Any]], str]) -> tuple[float, float]:
    """Accuracy and circular accuracy of `soco lvlm score`, parser `paper`, setting `vis`."""
    paths = make_answers(data, answers, reply=reply, settings=["vis"])
    record = json.loads(score(data, paths, answers / "record.json").read_text())
    overall = record["parsers"]["paper"]["settings"]["vis"]["overall"]
    return overall["average"], overall["circular"]


def reasoned(row: Mapping[str, Any]) -> str:
    """An answer of two paragraphs, wrong in some orderings."""
    chance = random.Random(row["index"])
    return f"The same part is marked.\n\nANSWER: {row['answer'] if chance.random() < 0.8 else chance.choice('ABCD')}"


def test_lmms_eval_gives_the_same_scores(exported: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", False)  # lmms-eval sets it for the whole process
    tasks = pytest.importorskip("lmms_eval.tasks", reason="lmms-eval is not installed", exc_type=ImportError)
    pytest.importorskip("filelock._api", reason="lmms-eval 0.7.3 needs filelock below 4")
    from lmms_eval.api.model import lmms
    from lmms_eval.evaluator import simple_evaluate

    data, out = exported
    manager = tasks.TaskManager(include_path=str(out / "lmms_eval"), include_defaults=False)
    assert {"soco_lvlm_vis", "soco_lvlm_vis_desc", "soco_lvlm_desc"} <= set(manager.all_tasks)
    asked = []

    class Model(lmms):  # type: ignore[misc, unused-ignore]
        def loglikelihood(self, requests: list[Any]) -> list[Any]:
            raise NotImplementedError

        generate_until_multi_round = loglikelihood

        def generate_until(self, requests: list[Any]) -> list[str]:
            answers = []
            for text, options, to_visual, number, task, split in (request.args for request in requests):
                row = self.task_dict[task][split][number]
                asked.append((text, options["until"], len(to_visual(row))))
                answers.append(reasoned(row))
            return answers

    run = simple_evaluate(model=Model(), tasks=["soco_lvlm_vis"], task_manager=manager, bootstrap_iters=10)
    found = run["results"]["soco_lvlm_vis"]
    expected = scores(data, out.parent / "lmms", reasoned)
    assert (found["soco_accuracy,none"], found["soco_circular,none"]) == pytest.approx(expected)
    assert {(until == [], pictures, "Options:" in text) for text, until, pictures in asked} == {(True, 2, True)}


def test_evalscope_reads_the_rows(exported: tuple[Path, Path]) -> None:
    pytest.importorskip("evalscope.benchmarks.general_vmcq.general_vmcq_adapter", exc_type=ImportError)
    from evalscope.api.dataset.loader import LocalDataLoader
    from evalscope.api.registry import get_benchmark
    from evalscope.config import TaskConfig

    _, out = exported
    adapter = get_benchmark("general_vmcq", TaskConfig(datasets=["general_vmcq"]))
    loader = LocalDataLoader(
        data_id_or_path=str(out), split="val", subset="vis", sample_fields=adapter.record_to_sample
    )
    samples = loader.load()
    rows = load_dataset(str(out), "vis", split="test")
    assert [sample.target for sample in samples] == [row["answer"] for row in rows]
    content = samples[0].input[0].content
    assert [part.type for part in content].count("image") == 2


def test_evalscope_gives_the_same_accuracy(exported: tuple[Path, Path], tmp_path: Path) -> None:
    pytest.importorskip("evalscope.benchmarks.general_vmcq.general_vmcq_adapter", exc_type=ImportError)
    from evalscope import TaskConfig, run_task

    data, out = exported
    rows = read_rows(open_folder(data), "vis")
    with serve(lambda number, body: Scripted(reasoned(rows[number]))) as server:
        found = run_task(
            TaskConfig(
                model="m",
                api_url=server.url,
                api_key="x",
                eval_type="openai_api",
                datasets=["general_vmcq"],
                dataset_args={"general_vmcq": {"local_path": str(out), "subset_list": ["vis"]}},
                eval_batch_size=1,
                work_dir=str(tmp_path),
            )
        )
        assert {len(images_of(body)) for body in server.requests} == {2}
    assert found["general_vmcq"].score == pytest.approx(scores(data, tmp_path / "own", reasoned)[0], abs=1e-4)


def test_the_entry_for_inspect_evals_names_the_task(exported: tuple[Path, Path]) -> None:
    yaml = pytest.importorskip("yaml")
    _, out = exported
    entry = yaml.safe_load((out / "inspect_evals" / "eval.yaml").read_text())
    source = Path(sys.modules["soco_datasets"].__file__ or "").parents[1] / entry["task_file"]
    assert "@task\ndef soco_lvlm(" in source.read_text()
    assert [task["arguments"]["setting"] for task in entry["tasks"]] == ["vis", "vis_desc", "desc"]
    card = (out / "README.md").read_text()
    assert json.dumps("vis.parquet")[1:-1] in card
