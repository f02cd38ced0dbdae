"""Reports, tables and pictures replace what was made from the same inputs, and nothing else without `--overwrite`."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.small_release import make_release

from soco_datasets.benchmarks.build import build_dataset
from soco_datasets.cli import main
from soco_datasets.errors import UsageError
from soco_datasets.records.made_files import MADE_FROM, write_made

MODELS = "model,soc,a\nm1,1,2\nm2,2,1\nm3,3,3\nm4,4,5\nm5,5,4\n"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset, results of two models on it, and two tables."""
    root = tmp_path_factory.mktemp("made")
    build_dataset(str(make_release(root / "release")), root / "data")
    for number, size in enumerate(("64", "96")):
        arguments = ["--model", "dense_sift", "--data", str(root / "data"), "--tasks", "soc", "--image-size", size]
        assert main(["evaluate", *arguments, "--out", str(root / f"results{number}")]) == 0
    shutil.copytree(root / "results0", root / "results01")
    shutil.copytree(root / "results1", root / "results01", dirs_exist_ok=True)
    (root / "models.csv").write_text(MODELS)
    (root / "more.csv").write_text(MODELS + "m6,6,6\n")
    (root / "other.csv").write_text(MODELS.replace("m5,5,4", "m5,5,9"))
    return root


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def report(root: Path, which: str, out: Path) -> list[str]:
    return ["report", str(root / f"results{which}"), "--out", str(out / "made")]


def correlate(root: Path, which: str, out: Path) -> list[str]:
    table = {"0": "models", "1": "other", "01": "more"}[which]
    return ["correlate", str(root / f"{table}.csv"), "--x", "soc", "--resamples", "100", "--out", str(out / "made")]


def view(root: Path, which: str, out: Path) -> list[str]:
    return ["view", str(root / "data"), "--number", str(1 + int(which)), "--out", str(out / "made.png")]


def compare(root: Path, which: str, out: Path) -> list[str]:
    record = str(next((root / "results0").glob("*.json")))
    return ["compare", record, record, "--resamples", str(100 + int(which)), "--out", str(out / "made.json")]


def table(root: Path, which: str, out: Path) -> list[str]:
    return ["downstream", "table", str(root / f"results{which}"), "--csv", str(out / "made.csv")]


COMMANDS = (report, correlate, view, compare)
GROWING = (report, correlate)  # what is made from more than before replaces it


@pytest.mark.parametrize("command", COMMANDS)
def test_only_what_was_made_from_the_same_inputs_is_replaced(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], command: Callable[[Path, str, Path], list[str]]
) -> None:
    assert main(command(root, "0", tmp_path)) == 0
    (tmp_path / "made" / "tables").mkdir(parents=True, exist_ok=True)
    (tmp_path / "made" / "tables" / "mine.md").write_text("notes")
    before = files(tmp_path)
    assert main(command(root, "0", tmp_path)) == 0
    assert "are replaced" in capsys.readouterr().err
    assert files(tmp_path) == before
    assert main(command(root, "1", tmp_path)) == 2
    assert "is not replaced" in capsys.readouterr().err
    assert files(tmp_path) == before
    if command in GROWING:
        assert main(command(root, "01", tmp_path)) == 0
        assert main(command(root, "0", tmp_path)) == 2
    assert main([*command(root, "1", tmp_path), "--overwrite"]) == 0
    assert files(tmp_path) != before
    assert main(command(root, "1", tmp_path)) == 0
    assert (tmp_path / "made" / "tables" / "mine.md").read_text() == "notes"
    if command in GROWING:
        (name,) = {"made/report.html", "made/correlations.md"} & before.keys()
        (tmp_path / name).write_text("edited by hand")
        assert main(command(root, "1", tmp_path)) == 2
        assert "other content" in capsys.readouterr().err
        assert (tmp_path / name).read_text() == "edited by hand"


@pytest.mark.parametrize("command", [*COMMANDS, table])
def test_files_of_others_are_kept(root: Path, tmp_path: Path, command: Callable[[Path, str, Path], list[str]]) -> None:
    assert main(command(root, "0", tmp_path / "first")) == 0
    made = files(tmp_path / "first")
    names = [name for name in made if not name.endswith(MADE_FROM)]
    foreign = tmp_path / "second" / names[-1]
    foreign.parent.mkdir(parents=True)
    foreign.write_text("of somebody else")
    assert main(command(root, "0", tmp_path / "second")) == 2
    assert files(tmp_path / "second") == {names[-1]: b"of somebody else"}


def test_several_works_share_a_folder_and_a_damaged_list_is_none(tmp_path: Path) -> None:
    write_made(tmp_path, {"a.html": "1", "a/old.csv": "1"}, ["x"])
    write_made(tmp_path, {"b.html": "1"}, ["y"])
    write_made(tmp_path, {"a.html": "2", "a/new.csv": "2"}, ["x", "z"])
    assert files(tmp_path).keys() == {"a.html", "a/new.csv", "b.html", MADE_FROM}
    assert set(json.loads((tmp_path / MADE_FROM).read_text())) == {"a.html", "b.html"}
    with pytest.raises(UsageError, match="made from y too"):
        write_made(tmp_path, {"b.html": "2"}, ["z"])
    for damaged in ("[" * 9999, "[]", '{"b.html": 3}', '{"b.html": {"inputs": [], "files": {"../c": "1"}}}'):
        (tmp_path / MADE_FROM).write_text(damaged)
        with pytest.raises(UsageError, match="with other content"):
            write_made(tmp_path, {"b.html": "2"}, ["y"])
    write_made(tmp_path, {"b.html": "2"}, ["y"], overwrite=True)
    assert (tmp_path / "b.html").read_text() == "2"
