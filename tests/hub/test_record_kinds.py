"""A kind of record is one class: the toy kind below is all that another package has to write."""

from __future__ import annotations

import importlib
import json
import os
import sys
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from helpers.hub_clients import run_soco
from helpers.hub_results import BENCHMARK, board_files
from helpers.loopback_hub import LoopbackHub
from helpers.pair_tables import small_table

from soco_datasets.data.folder import open_folder
from soco_datasets.errors import PredictionsError, UsageError
from soco_datasets.records.base import Record
from soco_datasets.records.evaluation import EvaluationResult, record_from_predictions
from soco_datasets.records.registry import forget_type, read_record, record_types

TOY = """
from typing import ClassVar

import pyarrow.compute as pc

from soco_datasets.records.base import Record
from soco_datasets.records.ranking import RankedTask


class DepthResult(Record):
    kind: ClassVar[str] = "depth"
    tasks: ClassVar = {"depth": RankedTask("Depth", metric="rmse", unit="m", higher_is_better=False)}

    metrics: dict[str, dict[str, float]]

    def recompute(self, data):
        error = pc.subtract(data["predicted"], data["truth"])
        return self.replace(metrics={"depth": {"rmse": pc.mean(pc.multiply(error, error)).as_py() ** 0.5}})
"""


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The class, installed for processes that are started, and known in this one until the test ends."""
    site = tmp_path / "site"
    (site / "toy-1.0.dist-info").mkdir(parents=True)
    (site / "toy_depth.py").write_text(TOY)
    (site / "toy-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: toy\nVersion: 1.0\n")
    entry = "[soco_datasets.records]\ndepth = toy_depth:DepthResult\n"
    (site / "toy-1.0.dist-info" / "entry_points.txt").write_text(entry)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.syspath_prepend(site)
    yield importlib.import_module("toy_depth").DepthResult
    del sys.modules["toy_depth"]
    forget_type("depth")


def write_toy(toy: Any, folder: Path, name: str, error: float, content_hash: str) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.json"
    pq.write_table(
        pa.table({"truth": [1.0, 2.0], "predicted": [1.0 + error, 2.0 - error]}), folder / f"{name}.predictions.parquet"
    )
    provenance = {
        "model": {"name": name},
        "dataset": {"id": "rooms", "content_hash": content_hash},
        "versions": {},
        "device": "cpu",
        "counts": {"images": 2},
        "created": "2026-01-31T12:00:00+00:00",
    }
    record = toy(**provenance, metrics={"depth": {"rmse": 0.0}})
    record.recompute(toy.read_data(Path(toy.data_beside(str(path))))).write(path)
    return path


def test_the_command_line_and_the_leaderboard_handle_it(toy: Any, tmp_path: Path, built_mini: Path) -> None:
    content_hash = open_folder(built_mini).content_hash
    near, far = (write_toy(toy, tmp_path / "r", name, e, content_hash) for name, e in (("near", 0.25), ("far", 0.5)))
    files = board_files(built_mini)
    benchmark = yaml.safe_load(files["eval.yaml"])
    benchmark["tasks"].append({**benchmark["tasks"][0], "id": "depth"})
    with LoopbackHub() as hub:
        hub.add_account("hf_bob", "bob")
        hub.add_repo("dataset", BENCHMARK, {**files, "eval.yaml": yaml.safe_dump(benchmark).encode()})
        hub.add_repo("model", "lab/near")
        ranked = run_soco(hub, tmp_path, "leaderboard", "--local", near.parent, "--task", "depth", "--json", "--check")
        assert [(e["rank"], e["model"], e["value"], e["unit"]) for e in json.loads(ranked.stdout)] == [
            (1, "near", 0.25, "m"),
            (2, "far", 0.5, "m"),
        ]
        table = run_soco(hub, tmp_path, "leaderboard", "--local", near.parent, "--source", "local").stdout
        assert table.startswith("Depth, overall, ranked by Depth\n")
        assert "depth/rmse" in run_soco(hub, tmp_path, "verify", near, "--numbers-only").stdout
        names = ("--model-repo", "lab/near", "--dataset-repo", BENCHMARK, "--artifacts", "bob/r")
        dry = run_soco(hub, tmp_path, "submit", near, *names, "--dry-run", token="hf_bob").stdout
        (entry,) = yaml.safe_load(dry.partition("file .eval_results/soco_depth.yaml:")[2])
        assert (entry["dataset"]["task_id"], entry["value"]) == ("depth", 0.25)
        far.write_text(far.read_text().replace("0.5", "0.1"))
        wrong = run_soco(hub, tmp_path, "verify", far, "--numbers-only", check=False)
        assert (wrong.returncode, "MISMATCH" in wrong.stderr) == (1, True)


def test_it_is_found_by_its_json_and_says_what_it_is(toy: Any, tmp_path: Path) -> None:
    record = read_record(write_toy(toy, tmp_path, "near", 0.25, "c"))
    assert type(record).__name__ == "DepthResult"
    assert record.headline.higher_is_better is False
    assert repr(record) == "<DepthResult near on rooms: Depth rmse 0.25 m>"
    assert record.flat() == {"depth.rmse": 0.25}
    assert record.to_pandas().to_dict("records") == [
        {"model": "near", "dataset": "rooms", "name": "depth.rmse", "value": 0.25}
    ]
    fields = json.loads(record.to_json())
    for name, value, said in (
        ("metrics", {"depth": {"rmse": "far"}}, "metrics/depth/rmse must be a number, got 'far'"),
        ("kind", "dept", "of kind depth: \"kind\" is 'dept'"),
        ("schema_version", 2, "schema version 2 cannot be read, only version 1"),
    ):
        with pytest.raises(PredictionsError, match=said):
            type(record).from_json(json.dumps({**fields, name: value}))


def test_two_classes_cannot_have_one_name() -> None:
    with pytest.raises(UsageError, match=r"give .*Other another `kind`"):

        class Other(Record):
            kind: ClassVar[str] = "pck"

    assert [kind.kind for kind in record_types()][:2] == ["pck", "lvlm"]


def test_numbers_of_a_record_for_loggers_and_tables() -> None:
    record = record_from_predictions(small_table(), resamples=0)
    assert record.flat()["soc.pair.0.1.overall.pck"] == 0.875
    assert record.flat(short=True) == {"soc": 87.5, "cc": 100.0}
    assert repr(record) == "<EvaluationResult tiny on made-up: SOC PCK@0.1 87.50%>"
    frame = record.to_pandas()
    car = frame.query("task == 'soc' and reduction == 'pair' and alpha == 0.1 and name == 'car'")
    assert car["pck"].tolist() == [0.75]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"pairs": 3', '"pairs": ' + "9" * 400),
        ('"pairs": 3', '"pairs": ' + "9" * 5000),
        ('"pck": 0.875', '"pck": NaN'),
        ('"pck": 0.875', '"pck": 1e999'),
        ('"weights_hash": "abc"', '"weights_hash": ' + "[" * 500 + "]" * 500),
        ('"weights_hash": "abc"', '"weights_hash": ' + "[" * 10**5 + "]" * 10**5),
        ('"device": "cpu"', '"device": null'),
        ('"device": "cpu"', '"self": 1'),
    ],
)
def test_numbers_and_nesting_without_bounds_are_refused(old: str, new: str) -> None:
    text = record_from_predictions(small_table(), resamples=0).to_json()
    assert old in text
    with pytest.raises(PredictionsError):
        EvaluationResult.from_json(text.replace(old, new))
