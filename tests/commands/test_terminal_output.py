"""What commands show: tables that fit and are colored, details and silence, files that were mixed up, a silent Hub."""

from __future__ import annotations

import os
import re
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest
from helpers.command_lines import PROGRAM, on_terminal, without_codes
from helpers.pair_tables import small_table

import soco_datasets
from soco_datasets.cli import main
from soco_datasets.errors import DataNotFoundError
from soco_datasets.records.evaluation import record_from_predictions, write_evaluation
from soco_datasets.utils.text_table import BEST, DIM, GOOD, TextTable, best_in_columns

ROWS = [
    ["model", "score", "spread", "note"],
    ["a_long_name_of_a_model", "1.00", "0.10", "x"],
    ["b", "2.00", "0.20", "y"],
]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A record and its predictions, and a file that is not JSON."""
    folder = tmp_path_factory.mktemp("output")
    table = small_table()
    record, predictions = write_evaluation(folder, table, record_from_predictions(table, resamples=20), "tiny")
    (folder / "bad.json").write_text('{"a": 1\n"b": 2}')
    return SimpleNamespace(
        folder=folder, record=str(record), predictions=str(predictions), bad=str(folder / "bad.json")
    )


@pytest.mark.parametrize("width", [30, 45, 80])
def test_a_table_leaves_columns_out_or_continues_below(width: int) -> None:
    short = TextTable(ROWS, expendable=("note", "spread", "score"), hint="--json").text(width)
    assert max(map(len, short.splitlines())) <= width
    assert ("Hidden" in short) == (width < 42)
    assert ("note" in short.splitlines()[0]) == (width >= 42)
    whole = TextTable(ROWS).text(width)
    assert max(map(len, whole.splitlines())) <= width
    for cell in (cell for row in ROWS for cell in row):
        assert cell in whole.split()
    prose = TextTable([["a", "words " * 30]], prose=True).text(width)
    assert max(map(len, prose.splitlines())) <= width
    assert {line[:3] for line in prose.splitlines()[1:]} == {"   "}


def test_styles_follow_their_cells() -> None:
    assert best_in_columns(ROWS, [1, 2], lowest=[2]) == [(2, 1), (1, 2)]
    styles = {(2, 1): BEST, (2, 3): GOOD, (1, None): DIM}
    lines = TextTable(ROWS, expendable=("spread",), styles=styles).lines(38)
    assert ("2.00", BEST) in lines[2]
    assert ("y", GOOD) in lines[2]
    assert {style for text, style in lines[1] if text.strip()} == {DIM}


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (("report", "{predictions}"), "a Parquet file of predictions, not a result record; give {record}"),
        (("score", "{record}"), "a JSON file such as a result record, not the data behind it; give the Parquet file"),
        (("report", "{bad}"), "bad.json: not valid JSON (line 2, column 1: Expecting ',' delimiter), so it is not"),
        (("compare", "{record}", "{bad}"), "bad.json: not valid JSON (line 2, column 1"),
        (("leaderboard", "--local", "{folder}", "--data", "nope"), "--data nope: no such folder"),
        (("lvlm", "score", "nofile"), "soco lvlm score: nofile: no such file. Give the answers"),
    ],
)
def test_files_that_were_mixed_up_are_named(
    files: SimpleNamespace, capsys: pytest.CaptureFixture[str], command: tuple[str, ...], message: str
) -> None:
    assert main([part.format(**vars(files)) for part in command]) == 1
    assert message.format(**vars(files)) in capsys.readouterr().err


def test_python_speaks_of_its_own_argument() -> None:
    with pytest.raises(DataNotFoundError, match=r'^data=\'nope\' does not exist\. .*data="mini"'):
        soco_datasets.evaluate("dense_sift", data="nope")


def test_verbose_adds_details_and_quiet_leaves_results(
    files: SimpleNamespace, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    shown = {}
    for option in ("--quiet", "", "--verbose"):
        out = tmp_path / f"{option}.json"
        assert main(["score", files.predictions, "--out", str(out), *([option] * bool(option))]) == 0
        shown[option] = capsys.readouterr()
    assert len({captured.out for captured in shown.values()}) == 1
    assert shown["--quiet"].err == ""
    assert "cannot be checked" in shown[""].err
    assert "took" not in shown[""].err
    assert re.search(r"wrote .*--verbose\.json \(\d+\.\d [kM]B\)\nthe command took \d+\.\d s", shown["--verbose"].err)


def test_best_and_agreeing_numbers_are_colored_on_a_terminal_only(files: SimpleNamespace) -> None:
    command = ("verify", files.record, "--numbers-only")
    shown = on_terminal(*command)
    plain = without_codes(shown)
    assert shown.count("\x1b[32midentical") > 3
    assert re.search(r"values are identical to the last digit", plain)
    assert not re.search(r"\d\.\d{6}", plain)
    assert max(map(len, plain.splitlines())) <= 80
    assert "\x1b[32m" not in on_terminal(*command, NO_COLOR="1")
    piped = subprocess.run([*PROGRAM, *command], capture_output=True, text=True, check=True).stdout
    assert "\x1b" not in piped
    assert "identical" in piped


def test_the_leaderboard_takes_printed_titles_and_marks_the_best(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["leaderboard", "--task", "Cross-SOC"]) == 0
    assert "ranked by Cross-SOC" in capsys.readouterr().out
    shown = on_terminal("leaderboard", "--paper", columns=60)
    assert max(map(len, without_codes(shown).splitlines())) <= 60
    assert "Hidden (terminal too narrow): date" in without_codes(shown)
    assert "\x1b[1m62.40\x1b[0m" in shown  # the best SOC of the paper


@pytest.fixture(params=[404, 503])
def hub(request: pytest.FixtureRequest) -> Iterator[SimpleNamespace]:
    """A Hub that answers everything with one status, and the paths that it was asked for."""
    asked: list[str] = []

    class Answer(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            asked.append(self.path)
            self.send_response(request.param)
            self.send_header("Content-Length", "0")
            if request.param == 404:
                self.send_header("X-Error-Code", "RepoNotFound")
            self.end_headers()

        do_GET = do_HEAD  # noqa: N815 the name that http.server asks for

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield SimpleNamespace(url=f"http://127.0.0.1:{server.server_port}", asked=asked, status=request.param)
    server.shutdown()


@pytest.mark.parametrize("command", [("models", "--check", "lab/mistyped"), ("info", "lab/mistyped")])
def test_a_mistyped_hub_id_fails_after_two_tries_without_noise(
    hub: SimpleNamespace, command: tuple[str, ...], tmp_path: Path
) -> None:
    environment = {**os.environ, "HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "0"}
    run = subprocess.run([*PROGRAM, *command], capture_output=True, text=True, env=environment, check=False)
    assert run.returncode == 1
    (line,) = run.stderr.splitlines()
    assert line.startswith(f"soco {command[0]}: ")
    assert "lab/mistyped" in line
    assert sum("lab/mistyped/resolve" in path for path in hub.asked) == (1 if hub.status == 404 else 2)
