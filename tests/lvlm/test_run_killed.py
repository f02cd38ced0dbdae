"""A run that is killed (SIGKILL) while questions are under way, in two settings, and started again each time."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from helpers.scripted_server import Scripted, images_of, serve, text_of
from helpers.small_release import make_release

from soco_datasets.benchmarks.build import build_dataset
from soco_datasets.cli import main

pytest.importorskip("inspect_ai", reason="runs of questions need inspect-ai (extra lvlm)")

SETTINGS = ("vis", "vis_desc", "desc")
ROWS = 36  # 3 questions in four orderings and three settings
KILLS = (5, 28)  # answers there are when it is killed


pytestmark = pytest.mark.lvlm


def said(body: dict[str, Any]) -> str:
    return "ABCD"[hashlib.sha256(images_of(body)[-1].encode()).digest()[0] % 4]


def identity(body: dict[str, Any]) -> str:
    return hashlib.sha256("".join([*images_of(body), text_of(body)]).encode()).hexdigest()


class Held:
    """Answers until so many are given, then lets requests hang until told to go on."""

    def __init__(self) -> None:
        self.limit = 0
        self.go_on = threading.Event()

    def until(self, limit: int) -> None:
        self.limit, self.go_on = limit, threading.Event()

    def __call__(self, number: int, body: dict[str, Any]) -> Scripted:
        if number >= self.limit:
            self.go_on.wait(60)
        return Scripted(said(body))


def stored(out: Path) -> int:
    """How many answers are on the disk."""
    return sum(max(0, path.read_bytes().count(b"\n") - 1) for path in out.glob("m/*.answers.jsonl"))


def scores(data: Path, out: Path, record: Path) -> Any:
    files = [str(out / "m" / f"{setting}.answers.jsonl") for setting in SETTINGS]
    assert main(["lvlm", "score", *files, "--data", str(data), "--out", str(record)]) == 0
    return json.loads(record.read_text())["parsers"]


def test_no_answered_question_is_asked_again_and_the_score_is_the_same(tmp_path: Path) -> None:
    data, out = tmp_path / "built", tmp_path / "killed"
    build_dataset(make_release(tmp_path / "release"), data)
    script = Held()
    with serve(script) as server:
        common = [
            "lvlm",
            "run",
            "--model",
            "m",
            "--base-url",
            server.url,
            "--data",
            str(data),
            "--max-connections",
            "2",
        ]
        answered: list[str] = []
        for answers in KILLS:
            script.until(len(server.requests) + answers - stored(out))
            first = len(server.requests)
            process = subprocess.Popen([sys.executable, "-m", "soco_datasets.cli", *common, "--out", str(out)])
            try:
                while stored(out) < answers or len(server.requests) <= script.limit:
                    assert process.poll() is None
            finally:
                process.send_signal(signal.SIGKILL)
                process.wait()
                script.go_on.set()
            answered += map(identity, server.requests[first : script.limit])
        assert len(answered) == stored(out) == KILLS[-1]
        script.until(10**6)
        first = len(server.requests)
        assert main([*common, "--out", str(out)]) == 0
        answered += map(identity, server.requests[first:])
        assert len(answered) == len(set(answered)) == ROWS
        assert main([*common, "--out", str(tmp_path / "whole")]) == 0
    assert scores(data, out, tmp_path / "killed.json") == scores(data, tmp_path / "whole", tmp_path / "whole.json")
