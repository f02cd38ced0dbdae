"""Results are never replaced by others, and what they state is held against their data."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from helpers.small_release import edit, make_release

import soco_datasets
from soco_datasets import RunConfig
from soco_datasets.api import evaluate_model
from soco_datasets.benchmarks.build import build_dataset
from soco_datasets.cli import main
from soco_datasets.records import replacement
from soco_datasets.records.evaluation import EvaluationResult
from soco_datasets.records.predictions import HEADER_KEY, read_predictions


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two datasets of different content."""
    root = tmp_path_factory.mktemp("results")
    built = []
    for number in (3, 4):
        release = make_release(root / f"release{number}", images_per_category=number)
        built.append(build_dataset(str(release), root / f"built{number}").path)
    return built


def evaluate(folder: Path, out: Path, *options: str, tasks: str = "soc", size: int = 64) -> int:
    arguments = ["--model", "dense_sift", "--data", str(folder), "--tasks", tasks, "--out", str(out)]
    return main(["evaluate", *arguments, *(["--image-size", str(size)] if size != 800 else []), *options])


def names(out: Path) -> list[str]:
    return sorted(path.name for path in out.iterdir())


def test_sizes_and_conventions_have_names_of_their_own(folders: list[Path], tmp_path: Path) -> None:
    for size in (64, 96):
        assert evaluate(folders[0], tmp_path, size=size) == 0
    assert evaluate(folders[0], tmp_path, "--convention", "centered") == 0
    assert evaluate(folders[0], tmp_path, "--valid-area", "--normalizer", "image", "--split", "all") == 0
    stems = ("size64", "size64.centered", "size96")
    wanted = [f"dense_sift.{stem}.{end}" for stem in stems for end in ("json", "predictions.parquet")]
    assert names(tmp_path) == sorted([*wanted, "dense_sift.size64.normalizer-image.valid-area.all.json"])
    for path in tmp_path.glob("*.predictions.parquet"):
        assert main(["verify", str(path), "--data", str(folders[0])]) == 0


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"folder": 1}, "data with the content hash"),
        ({"tasks": "cc"}, "soc, not cc"),
        ({"options": ["--alphas", "0.2"]}, "alphas"),
        ({"options": ["--reductions", "pair"]}, "reductions"),
    ],
)
def test_another_run_is_refused_before_any_work_and_replaces_when_asked(
    folders: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], other: dict[str, Any], said: str
) -> None:
    assert evaluate(folders[0], tmp_path) == 0
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    capsys.readouterr()
    assert evaluate(folders[0], tmp_path) == 0
    assert "replaced" in capsys.readouterr().out
    kept = json.loads(before["dense_sift.size64.json"])["metrics"]
    assert EvaluationResult.read(tmp_path / "dense_sift.size64.json").to_dict()["metrics"] == kept
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    arguments = (folders[other.get("folder", 0)], tmp_path, *other.get("options", ()))
    assert evaluate(*arguments, tasks=other.get("tasks", "soc")) == 2
    error = capsys.readouterr().err
    assert said in error
    assert "--overwrite" in error
    assert before == {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert evaluate(*arguments, "--overwrite", tasks=other.get("tasks", "soc")) == 0
    assert before.keys() == {path.name for path in tmp_path.iterdir()}


@pytest.mark.parametrize("way", ["command", "all pairs", "python"])
def test_a_run_whose_name_is_taken_meanwhile_is_kept_under_the_next(
    folders: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    other, out = tmp_path / "other", tmp_path / "out"
    split = ["--split", "all" if way == "all pairs" else "test"]
    assert evaluate(folders[0], other, *split, tasks="cc") == 0
    first = {path.name: path.read_bytes() for path in other.iterdir()}
    check = replacement.check_replaces_own

    def checked_before(*args: Any, **kwargs: Any) -> bool:
        there = check(*args, **kwargs)
        shutil.copytree(other, out, dirs_exist_ok=True)  # the other run ends right after the look at the name
        return there

    def run(*, overwrite: bool) -> None:
        monkeypatch.setattr(replacement, "check_replaces_own", checked_before)
        monkeypatch.setattr(evaluate_model, "check_replaces_own", checked_before)
        if way == "python":
            how = RunConfig(out=out, overwrite=overwrite)
            soco_datasets.evaluate("dense_sift", str(folders[0]), "soc", image_size=64, run=how)
        else:
            assert evaluate(folders[0], out, *split, *(["--overwrite"] if overwrite else [])) == 0

    run(overwrite=False)
    assert {name: (out / name).read_bytes() for name in first} == first
    second = {path.name for path in out.iterdir()} - first.keys()
    assert sorted(second) == sorted(name.replace(".size64", ".size64.2") for name in first)
    record = EvaluationResult.read(next(out / name for name in second if name.endswith(".json")))
    assert list(record.metrics) == ["soc"]
    run(overwrite=True)
    assert {path.name for path in out.iterdir()} == first.keys() | second
    assert all((out / name).read_bytes() != content for name, content in first.items())


def test_the_demo_replaces_no_other_result(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "dense_sift.json").write_text("{}")
    assert main(["demo", "--out", str(tmp_path), "--image-size", "64"]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert [path.read_text() for path in tmp_path.iterdir()] == ["{}"]


def test_a_probe_of_another_run_is_refused_too(
    folders: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = ["probe", "--model", "dense_sift", "--data", str(folders[0]), "--image-size", "64", "--out", str(tmp_path)]
    base += ["--variants", "reference", "--epochs"]
    assert main([*base, "1"]) == 0
    assert main([*base, "1"]) == 0
    assert main([*base, "2"]) == 2
    assert "epochs 1, not 2" in capsys.readouterr().err
    assert main([*base, "2", "--overwrite"]) == 0


def stated(record: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Change the header of the predictions, and make the record from them anew, as an honest program would."""
    path = record.with_name(f"{record.stem}.predictions.parquet")
    table = pq.read_table(path)
    header = json.loads(table.schema.metadata[HEADER_KEY])
    change(header)
    metadata = {**table.schema.metadata, HEADER_KEY: json.dumps(header).encode()}
    pq.write_table(table.replace_schema_metadata(metadata), path)
    read_predictions(path)
    assert main(["score", str(path), "--out", str(record)]) == 0


HEADERS = {
    "moved": lambda header: header["supercategories"].update(car="hand_held"),
    "none": lambda header: header["supercategories"].update(car=None),
    "removed": lambda header: header["supercategories"].pop("bus"),
    "added": lambda header: header["supercategories"].update(ghost="hand_held"),
}


@pytest.mark.parametrize("change", HEADERS.values(), ids=HEADERS)
def test_supercategories_are_held_against_the_data(
    folders: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], change: Callable[[dict[str, Any]], Any]
) -> None:
    assert evaluate(folders[0], tmp_path) == 0
    record = tmp_path / "dense_sift.size64.json"
    assert main(["verify", str(record), "--data", str(folders[0])]) == 0
    stated(record, change)
    capsys.readouterr()
    assert main(["verify", str(record), "--data", str(folders[0])]) == 1
    assert "supercategories" in capsys.readouterr().out
    predictions = str(tmp_path / "dense_sift.size64.predictions.parquet")
    assert main(["score", predictions, "--data", str(folders[0])]) == 1


@pytest.mark.parametrize("version", [1, 2])
def test_an_honest_record_of_an_older_version_verifies_with_a_note(
    folders: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], version: int
) -> None:
    assert evaluate(folders[0], tmp_path) == 0
    record = tmp_path / "dense_sift.size64.json"

    def older(fields: dict[str, Any]) -> None:
        fields["schema_version"] = version
        for name in ("predictions_sha256", *(("intervals", "anatomy", "curves", "baselines") if version == 1 else ())):
            fields.pop(name)

    edit(record, older)
    assert main(["verify", str(record), "--data", str(folders[0])]) == 0
    assert "note: the record does not state the sha256" in capsys.readouterr().out
    edit(record, lambda fields: fields["metrics"]["soc"]["pair"]["0.1"]["overall"].update(pck=0.987))
    assert main(["verify", str(record), "--data", str(folders[0])]) == 1


def test_small_ones(folders: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate(folders[0], tmp_path, size=5) == 2
    assert "less than one cell" in capsys.readouterr().err
    for name in ("results.json", "r.predictions.parquet", "R.JSON"):
        assert evaluate(folders[0], tmp_path / name) == 2
        assert "Give the name of a folder" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
    table = tmp_path / "t.csv"
    table.write_text("model,soc,other\na,50%,1\nb,40%,2\nc,30%,3\n")
    assert main(["correlate", str(table), "--x", "soc"]) == 2
    assert "'50%' is not a finite number" in capsys.readouterr().err
