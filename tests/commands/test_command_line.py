"""The command line itself: its help, its errors, its exit codes, on a terminal and off one."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from helpers.command_lines import every_help, on_terminal, read_command_line, without_codes

from soco_datasets import __version__
from soco_datasets.benchmarks.tasks import get_tasks
from soco_datasets.cli import main
from soco_datasets.commands import COMMANDS, evaluate, lvlm_run, study
from soco_datasets.utils.progress import progress_mode
from soco_datasets.utils.terminal import Verbosity, is_terminal, print_text, terminal_width, verbosity

PROGRAM = [sys.executable, "-m", "soco_datasets.cli"]
GROUPS = ("Data", "Evaluate", "Look", "Publish", "Vision-language", "Downstream", "Annotate")
DINO = ("--model", "dinov2_b14")


def test_help_on_a_terminal_is_boxed_and_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    for arguments, panels in (((), GROUPS), (("evaluate", "--help"), ("Model", "Protocol", "Run", "Output"))):
        shown = on_terminal(*arguments)
        plain = without_codes(shown)
        assert shown != plain
        assert max(map(len, plain.splitlines())) <= 80
        for panel in panels:
            assert f"╭─ {panel} ─" in plain
    words = " ".join(without_codes(on_terminal("verify", "--help")).replace("│", " ").split())
    assert "ORG/MODEL[@REVISION]" in words  # brackets are no markup
    assert "<str>" not in words
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]", on_terminal("--help", NO_COLOR="1"))


def test_help_off_a_terminal_is_plain_and_never_wrapped(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == main(["-h"]) == 0
    overview = capsys.readouterr().out
    places = [overview.index(f"\n{group}:\n") for group in GROUPS]
    assert places == sorted(places)
    for name in COMMANDS:
        assert re.search(rf"^  {name.replace('_', '-')} +\w", overview, re.MULTILINE)
    assert main(["evaluate", "--help"]) == 0
    text = capsys.readouterr().out
    assert not re.search(r"[\x1b╭│]", overview + text)
    lines = {line.split()[0]: line for line in text.splitlines() if line.startswith("  --")}
    for option, default in (
        ("--out", "results"),
        ("--tasks", "the protocol's: cc,soc,cross_cc,cross_soc"),
        ("--alphas", "the protocol's: 0.1,0.05,0.02"),
        ("--reductions", "the protocol's: pair,keypoint"),
        ("--convention", "the protocol's: reference"),
        ("--image-size", "800"),
    ):
        assert lines[option].endswith(f"[default: {default}]")
    assert "--normaliser" not in text
    assert text.endswith(
        "example:\n  soco evaluate --model facebook/dinov2-base --data soco --protocol paper --out results\n"
    )
    assert main(["demo", "--help"]) == 0
    assert "[default: soco_demo]" in capsys.readouterr().out


def test_every_command_has_help_with_an_example_and_metavars_that_say_something() -> None:
    pages = every_help()
    assert len(pages) > 50
    for path, text in pages.items():
        assert re.search(rf"^examples?:\n  soco {path[0]}", text, re.MULTILINE), path
        for option, metavar in re.findall(r"^  --([a-z0-9-]+) ([A-Z][A-Z0-9_]*)", text, re.MULTILINE):
            own = option.upper().replace("-", "_")
            assert metavar != own or metavar in ("MODEL", "TASK", "URL", "HOST", "NAME"), (path, option)


def test_examples_use_options_that_exist_and_the_folder_of_the_quick_start() -> None:
    pages = every_help()
    seen = 0
    for text in pages.values():
        for line in re.split(r"examples?:\n", text)[-1].replace("&&", "\n").splitlines():
            words = shlex.split(line, comments=True)[1:]
            path = max((known for known in pages if list(known) == words[: len(known)]), key=len)
            options = [word for word in words if word.startswith("--")]
            assert all(re.search(rf"^  {option}\b", pages[path], re.MULTILINE) for option in options), line
            data = [words[place + 1] for place, word in enumerate(words) if word == "--data"]
            assert set(data) <= {"soco", "mini", "synth", "soco=mini"}, line
            seen += 1
    assert seen > 50


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["evalute"], "soco: No such command 'evalute'. Did you mean 'evaluate'?"),
        (["--quite"], "soco: No such option --quite. Did you mean --quiet?"),
        (["evaluate", "--skip-bda"], "soco evaluate: No such option --skip-bda. Did you mean --skip-bad?"),
        (["evaluate", "--skip-bad=3"], "soco evaluate: --skip-bad takes no value."),
        (["evaluate", "--skip-ba", *DINO], "soco evaluate: No such option --skip-ba. Did you mean --skip-bad"),
        (["evaluate", "--image-size", "28o"], "soco evaluate: --image-size must be a whole number, got '28o'"),
        (["evaluate", "--soft-beta=x"], "soco evaluate: --soft-beta must be a number, got 'x'"),
        (["evaluate", "--model"], "soco evaluate: --model needs a value."),
        (["evaluate", "--model", "--data", "mini"], "soco evaluate: --model needs a value."),
        (["evaluate"], "soco evaluate: --model is missing: a name from `soco models`"),
        (["evaluate", *DINO, "--out="], "soco evaluate: --out: '' is not a path"),
        (["score"], "soco score: FILE is missing: the Parquet file"),
        (["score", "a", "b"], "soco score: Unexpected argument: b"),
        (
            ["build", "--format", "parket"],
            "soco build: --format must be arrow or parquet, got 'parket'. Did you mean parquet?",
        ),
        (["cache"], "soco cache: Name a command: list, clear."),
        (["lvlm", "scor"], "soco lvlm: No such command 'scor'. Did you mean 'score'?"),
        (
            ["lvlm", "export", "--format", "tvs", "--out", "x"],
            "soco lvlm export: --format must be tsv or parquet, got 'tvs'.",
        ),
        (["leaderboard", "--source", "hubb"], "soco leaderboard: Unknown source 'hubb'. Did you mean 'hub'?"),
        (["leaderboard", "--json", "--csv"], "soco leaderboard: --json and --csv exclude one another."),
        (["annotate", "people", "p", "--pause", "a", "--resume", "b"], "exclude one another"),
        (["info", "--quiet", "--verbose"], "soco info: --quiet and --verbose exclude one another."),
        (["models", "--family", "dino"], "soco models: dino_b16, dino_s16: of the family vit."),
        (["models", "dinov2_b41"], "or 'dinov2_l14'? `soco models` lists all."),
        (
            ["evaluate", "--model", "./x", "--data", "mini", "--device", "gpu"],
            "Unknown device 'gpu'. Did you mean 'cuda'?",
        ),
        (["score", "a\x1b[2J\nb", "c\x1b\nd"], "soco score: Unexpected argument: c"),
    ],
)
def test_wrong_use_is_one_line(capsys: pytest.CaptureFixture[str], arguments: list[str], message: str) -> None:
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert err.count("\n") == 1
    assert "\x1b" not in err


def test_data_is_asked_for_in_the_words_of_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("SOCO_HOME", "SOCO_CACHE"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "soco-data").mkdir()
    (tmp_path / "soco-data" / "manifest.json").write_text("{}")
    assert main(["evaluate", *DINO, "--data", "soco-dat"]) == 1
    assert capsys.readouterr().err == (
        "soco evaluate: --data soco-dat: no such folder. Did you mean soco-data? "
        "Give a folder made by `soco build`, or --data mini.\n"
    )
    assert main(["info", "soco-dat"]) == 1
    assert capsys.readouterr().err.startswith("soco info: soco-dat: no such folder. Did you mean soco-data?")
    (tmp_path / "answers.jsonl").touch()
    assert main(["lvlm", "score", "answers.jsonl", "--data", "elsewhere"]) == 1
    assert capsys.readouterr().err.startswith("soco lvlm score: --data elsewhere: no such folder. Give")
    done = subprocess.run(
        [*PROGRAM, "lvlm", "report", "answers"],
        capture_output=True,
        text=True,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "SOCO_CACHE": str(tmp_path / "cache")},
        check=False,
    )
    assert done.returncode == 1
    (tmp_path / "answers").mkdir()
    (tmp_path / "answers" / "vis.answers.jsonl").touch()
    done = subprocess.run(
        [*PROGRAM, "lvlm", "report", "answers"],
        capture_output=True,
        text=True,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "SOCO_CACHE": str(tmp_path / "cache")},
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "Give --data DIR, a folder made by `soco build`, or --data mini" in done.stderr
    assert "data_dir" not in done.stderr


def test_options_are_read_as_before() -> None:
    read = read_command_line(evaluate, *DINO, "--layer", "-1", "--alphas=0.1", "--normaliser=image", "--out=~/x")
    assert (read.model.layer, read.protocol.alphas, read.protocol.normalizer) == (-1, "0.1", "image")
    assert read.output.out == Path.home() / "x"
    assert read_command_line(evaluate, *DINO, "--layer=-1").model.layer == -1
    assert read_command_line(evaluate, *DINO, "--normaliser", "image").protocol.normalizer == "image"
    read = read_command_line(
        study, "--tables", "a.csv", "b.csv", "--x", "soc", "--data", "synth", "--data", "soco=mini"
    )
    assert (read.columns.tables, read.columns.x) == ([Path("a.csv"), Path("b.csv")], "soc")
    assert read.runs.data == ["synth", "soco=mini"]
    assert read_command_line(study).columns.tables is None
    read = read_command_line(lvlm_run, "--model", "m", "--out", "o", "--seed", "0", "--protocol", "paper")
    assert (read.questions.seed, read.questions.protocol, read.asking.batch_size) == (0, "paper", 8)


@pytest.mark.parametrize(
    ("tasks", "names"),
    [("SOC", ["soc"]), (["Cross-SOC", "CC", "cc"], ["cross_soc", "cc"]), ([" Soc_Geo "], ["soc_geo"])],
)
def test_tasks_are_known_by_what_tables_call_them(tasks: str | list[str], names: list[str]) -> None:
    assert [task.name for task in get_tasks(tasks)] == names
    given = tasks if isinstance(tasks, str) else ",".join(tasks)
    protocol = read_command_line(evaluate, *DINO, "--tasks", given).protocol
    assert [task.name for task in evaluate.requested_tasks(protocol)] == names


@pytest.mark.parametrize(
    ("arguments", "level"),
    [
        (["info", "mini"], Verbosity.NORMAL),
        (["--quiet", "info", "mini"], Verbosity.QUIET),
        (["info", "mini", "--quiet"], Verbosity.QUIET),
        (["info", "--verbose", "mini"], Verbosity.VERBOSE),
        (["--verbose", "info", "mini"], Verbosity.VERBOSE),
    ],
)
def test_how_much_is_reported_is_of_one_command(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], level: Verbosity
) -> None:
    seen: list[Verbosity] = []
    modes: list[str] = []

    def describe(*_: object, **__: object) -> str:
        seen.append(verbosity())
        modes.append(progress_mode())
        return ""

    monkeypatch.setenv("SOCO_PROGRESS", "bar")
    monkeypatch.setattr("soco_datasets.benchmarks.info.describe_folder", describe)
    assert main(arguments) == 0
    assert seen == [level]
    assert modes == ["none" if level is Verbosity.QUIET else "bar"]
    assert verbosity() is Verbosity.NORMAL


def test_codes_are_returned_and_never_raised(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    codes: list[int] = []
    thread = threading.Thread(
        target=lambda: codes.extend(main(line) for line in (["--version"], ["no"], ["info", "-h"]))
    )
    thread.start()
    thread.join()
    assert codes == [0, 2, 0]
    assert capsys.readouterr().out.startswith(f"soco-datasets {__version__}\n")

    def interrupted(*_: object, **__: object) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr("soco_datasets.benchmarks.info.describe_folder", interrupted)
    assert main(["info", "mini"]) == 130
    assert "soco info: Interrupted; no partial files were left." in capsys.readouterr().err


def test_a_process_that_is_terminated_or_loses_its_reader_says_so_quietly(tmp_path: Path) -> None:
    reader = subprocess.run(
        f"{sys.executable} -m soco_datasets.cli models --json | head -c 1; exit ${{PIPESTATUS[0]}}",
        shell=True,
        executable="/bin/bash",
        capture_output=True,
        text=True,
        check=False,
    )
    assert (reader.returncode, reader.stderr) == (0, "")
    command = [*PROGRAM, "demo", "--out", str(tmp_path / "demo")]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    limit = time.monotonic() + 60
    while not (tmp_path / "demo").exists() and time.monotonic() < limit and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.endswith("soco demo: Interrupted; no partial files were left.\n")


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("soco ev", {"evaluate"}),
        ("soco evaluate --ski", {"--skip-bad"}),
        ("soco evaluate --model 2*dinov2_b", {"2*dinov2_b14", "2*dinov2_b14_reg"}),
        (
            "soco evaluate --tasks soc,cross_s",
            {f"soc,cross_s{rest}" for rest in ("oc", "oc_soft", "oc_geo", "oc_geo_multi", "pecies")},
        ),
        ("soco benchmarks spair", {"spair71k"}),
        ("soco evaluate --protocol pa", {"paper"}),
    ],
)
def test_the_shell_is_offered_names(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], line: str, offered: set[str]
) -> None:
    monkeypatch.setenv("_SOCO_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", line)
    monkeypatch.setenv("COMP_CWORD", str(len(line.split()) - 1))
    assert main([]) == 0
    assert set(capsys.readouterr().out.split()) == offered


@pytest.mark.parametrize("arguments", [["--help"], ["evaluate", "--help"], ["info", "--help"], ["evaluate"]])
def test_parsing_imports_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import json, sys; from soco_datasets.cli import main; code = main(sys.argv[1:]); "
        "print(json.dumps([code, sorted({name.partition('.')[0] for name in sys.modules})]))"
    )
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    code_returned, modules = json.loads(done.stdout.splitlines()[-1])
    assert code_returned == (0 if arguments[-1] == "--help" else 2)
    assert not {"torch", "transformers", "datasets", "matplotlib", "inspect_ai", "numpy"} & set(modules)
    assert "rich" not in modules  # not before something is drawn on a terminal


def test_texts_are_printed_as_they_are(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    long = "a[bold]b[/bold] " * 40
    print_text(f"{long}\x1b[2J", style="bold")
    assert capsys.readouterr().out == f"{long}\ufffd[2J\n"
    assert terminal_width() is None
    assert not is_terminal()
