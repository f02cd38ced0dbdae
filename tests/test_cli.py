"""The command line as a user runs it, in an empty folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from helpers.shared_data import ORACLE, REAL_SAMPLE, needs_photographs
from PIL import Image


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


def soco(home: Path, *arguments: str, cwd: Path | None = None, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        **variables,
        "HF_HOME": str(home / "hf"),
        "SOCO_CACHE": str(home / "cache"),
        "HF_HUB_OFFLINE": "1",
    }
    environment.pop("SOCO_HOME", None)
    command = [sys.executable, "-m", "soco_datasets.cli", *arguments]
    run = subprocess.run(command, capture_output=True, text=True, cwd=cwd or home, env=environment, check=False)
    assert "Traceback" not in run.stderr, run.stderr
    return run


def test_help_names_every_command_and_gives_examples(home: Path) -> None:
    overview = soco(home, "--help").stdout
    for command in ("build", "info", "demo", "evaluate", "score", "models"):
        assert command in overview
    assert "example:" in soco(home, "evaluate", "--help").stdout


def test_wrong_use_exits_with_2(home: Path) -> None:
    assert soco(home, "evalute").returncode == 2
    assert soco(home, "evaluate").returncode == 2
    run = soco(home, "evaluate", "--model", "dense_sift", "--data", "mini", "--tasks", "sco")
    assert run.returncode == 2
    assert "Did you mean" in run.stderr
    assert soco(home, "build", "mini", "--out", "x", "--format", "csv").returncode == 2
    assert soco(home, "evaluate", "--model", "dense_sift", "--data", "mini", "--alphas", "ten").returncode == 2


def test_work_not_done_exits_with_1_and_says_how_to_mend_it(home: Path) -> None:
    run = soco(home, "info")
    assert run.returncode == 1
    assert "soco build" in run.stderr
    assert "mini" in run.stderr
    assert soco(home, "score", "nowhere.parquet").returncode == 1
    (home / "file").touch()
    for command in ("evaluate", "probe"):  # before the model is loaded and all its work done
        run = soco(home, command, "--model", "./nowhere", "--data", "mini", "--out", "file/results")
        assert run.returncode == 1
        assert "Cannot write file/results: a part of the path is a file" in run.stderr


def test_commands_run_outside_the_main_thread_and_leave_signals_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import signal
    import threading

    from soco_datasets.cli import main

    codes: list[int] = []
    command = ["score", str(tmp_path / "nowhere.parquet")]
    thread = threading.Thread(target=lambda: codes.append(main(command)))
    thread.start()
    thread.join()
    handler = signal.getsignal(signal.SIGTERM)
    codes.append(main(command))
    assert codes == [1, 1]
    assert signal.getsignal(signal.SIGTERM) is handler
    assert capsys.readouterr().err.count("no such file") == 2


@pytest.mark.parametrize("out", ["--out=~/r", "--out=s3://[a]*?{b}"])
def test_results_lie_where_they_were_asked_for(tmp_path: Path, out: str) -> None:
    options = ["--model", "dense_sift", "--data", "mini", "--tasks", "soc", "--image-size", "64"]
    user, here = tmp_path / "user", tmp_path / "here"
    here.mkdir()
    environment = {"HOME": str(user)}
    assert soco(tmp_path, "evaluate", *options, out, cwd=here, **environment).returncode == 0
    name = out.removeprefix("--out=")
    folder = user / "r" if name == "~/r" else here / name
    assert sorted(path.name for path in folder.iterdir()) == [
        "dense_sift.size64.json",
        "dense_sift.size64.predictions.parquet",
    ]
    assert list(here.iterdir()) == ([] if name == "~/r" else [here / Path(name).parts[0]])
    record = f"{name}/dense_sift.size64.predictions.parquet"
    again = soco(tmp_path, "score", record, f"{out}/again.json", cwd=here, **environment)
    assert again.returncode == 0, again.stderr
    assert (folder / "again.json").read_bytes() == (folder / "dense_sift.size64.json").read_bytes()


PATHS = {
    "info": ["info", "{}"],
    "model": ["evaluate", "--data", "mini", "--image-size", "64", "--model", "{}"],
    "plug-in": ["evaluate", "--data", "mini", "--image-size", "64", "--model", "{}/m.py:f"],
    "data": ["evaluate", "--model", "dense_sift", "--data", "{}"],
    "release": ["build", "{}"],
    "check": ["models", "--check", "{}"],
    "checkpoint": ["convert", "dense_sift", "{}", "--out", "x"],
    "points": ["lvlm", "point", "--data", "mini", "--out", "x", "--model", "{}"],
    "store": ["cache", "list", "--store-dir", "{}"],
    "project": ["annotate", "aggregate", "{}"],
    "downstream": ["downstream", "run", "--model", "dense_sift", "--tasks", "navi", "--data=navi={}"],
    "models": ["study", "--models", "{}.csv", "--out", "x"],
}


@pytest.mark.parametrize("command", PATHS.values(), ids=PATHS)
def test_the_home_of_nobody_is_no_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    from soco_datasets.cli import main

    monkeypatch.chdir(tmp_path)
    assert main([part.format("~nobody-of-this-name/x") for part in command]) == 2
    assert "There is no home folder for '~nobody-of-this-name" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("variable", ["SOCO_HOME", "SOCO_CACHE"])
def test_the_home_of_nobody_in_a_variable(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], variable: str
) -> None:
    from soco_datasets.cli import main

    monkeypatch.setenv(variable, "~nobody-of-this-name/x")
    assert main(["info", *(["mini"] if variable == "SOCO_CACHE" else [])]) == 2
    assert "There is no home folder for" in capsys.readouterr().err


OUTPUTS = {  # command without the value of --out -> whether that is a folder
    "report nothing.json --out": True,
    "lvlm baseline --model random --data nothing --out": True,
    "lvlm export --data nothing --out": True,
    "build nothing --out": True,
    "correlate nothing.csv --x soc --out": True,
    "downstream run --model nothing --tasks all --data synth --out": True,
    "study --models nothing --out": True,
    "demo --out": True,
    "evaluate --model nothing --out": True,
    "probe --model nothing --out": True,
    "score nothing --out": False,
    "compare nothing nothing --out": False,
    "view nothing --config soc --out": False,
    "lvlm score nothing --data nothing --out": False,
}


@pytest.mark.parametrize("command", OUTPUTS)
def test_an_output_is_checked_before_anything_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    from soco_datasets.cli import main

    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    assert main([*command.split(), "file/x"]) == 1
    assert "Cannot write file/x: a part of the path is a file" in capsys.readouterr().err
    name, said = ("x.JSON", "Give the name of a folder, such as x.") if OUTPUTS[command] else (".", "it is a folder")
    assert main([*command.split(), name]) == 2
    assert said in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_names_of_files_cannot_steer_the_terminal(home: Path) -> None:
    run = soco(home, "score", "a\x1b[2Jb.parquet")
    assert run.returncode == 1
    assert "\x1b" not in run.stderr


def test_demo_writes_everything_it_promises(home: Path) -> None:
    run = soco(home, "demo", "--out", "demo", "--image-size", "160")
    assert run.returncode == 0, run.stderr
    for title in ("CC", "SOC", "Cross-SOC"):
        assert title in run.stdout
    record = json.loads((home / "demo/dense_sift.json").read_text())
    counts = record["counts"]
    assert counts["decodes"] == counts["forwards"] == counts["images"] > 50
    assert (
        record["metrics"]["cc"]["pair"]["0.1"]["overall"]["pck"]
        > record["metrics"]["soc"]["pair"]["0.1"]["overall"]["pck"]
    )
    assert pq.read_metadata(home / "demo/dense_sift.predictions.parquet").num_rows == counts["keypoints"]
    for task in ("soc", "cross_soc"):
        with Image.open(home / f"demo/matches_{task}.png") as picture:
            assert min(picture.size) > 300
            assert len(picture.convert("RGB").getcolors(2**24) or []) > 1000

    again = soco(home, "score", "demo/dense_sift.predictions.parquet", "--data", "mini", "--out", "again.json")
    assert again.returncode == 0, again.stderr
    assert (home / "again.json").read_bytes() == (home / "demo/dense_sift.json").read_bytes()


@needs_photographs
def test_the_readme_walk_prints_the_expected_numbers(home: Path) -> None:
    built = soco(home, "build", str(REAL_SAMPLE), "--out", "D")
    assert built.returncode == 0, built.stderr
    model = str(ORACLE / "models/dinov2_tiny_p14")
    tasks = "cc,soc,cross_cc,cross_soc"
    run = soco(
        home,
        "evaluate",
        "--data",
        "D",
        "--model",
        model,
        "--image-size",
        "285",
        "--tasks",
        tasks,
        "--out",
        "R",
        "--full",
    )
    assert run.returncode == 0, run.stderr
    values = {
        line.split()[0]: line.split()[1:7] for line in run.stdout.splitlines() if line[:1].isalpha() and "." in line
    }
    assert values["CC"][:3] == ["18.36", "4.13", "0.57"]
    assert values["SOC"][:3] == ["10.39", "1.48", "0.57"]
    assert values["Cross-CC"] == ["4.48", "1.08", "0.00", "4.73", "1.07", "0.00"]
    assert values["Cross-SOC"] == ["0.98", "0.38", "0.00", "1.12", "0.41", "0.00"]
    info = soco(home, "info", "D", "--verify")
    assert info.returncode == 0
    assert "differ from the real SOCO" in info.stdout
    mismatch = soco(home, "score", "R/dinov2_tiny_p14.size285.predictions.parquet", "--data", "mini")
    assert mismatch.returncode == 1
    assert "R/dinov2_tiny_p14.size285.predictions.parquet: these predictions were made on dataset" in mismatch.stderr
