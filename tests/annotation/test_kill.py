"""kill -9 of the server at random moments: every acknowledged save is there, none twice."""

from __future__ import annotations

import http.client
import random
import threading
import time
from pathlib import Path

import pytest
from annotation.helpers import NAMES, Client, ServerProcess, cup_project, token_of
from sqlalchemy import select

from soco_datasets.annotation.database import Placement
from soco_datasets.annotation.opened import open_project


@pytest.mark.slow
def test_twenty_kills(tmp_path: Path) -> None:
    draw = random.Random(5)
    acknowledged: set[str] = set()
    sent: set[str] = set()
    with cup_project(tmp_path, images=8, annotators_per_image=3) as bench:
        tokens = [token_of(bench, f"P{n}") for n in range(4)]
    process = ServerProcess(tmp_path)
    for _ in range(20):
        process.start()
        stop = threading.Event()

        def work(token: str, stopped: threading.Event = stop) -> None:
            client = Client(process.url, token)
            try:
                task = client.task()
                while not stopped.is_set():
                    step = client.step(draw.choice(NAMES), "visible", draw.uniform(0, 200), draw.uniform(0, 150))
                    sent.add(step["key"])
                    if client.post(f"/api/tasks/{task['id']}/place", step)[0] == 200:
                        acknowledged.add(step["key"])
            except (OSError, http.client.HTTPException, AssertionError):
                return  # the server is gone

        threads = [threading.Thread(target=work, args=(token,)) for token in tokens]
        for thread in threads:
            thread.start()
        time.sleep(draw.uniform(0.05, 0.8))
        process.kill()
        stop.set()
        for thread in threads:
            thread.join()
    assert len(acknowledged) > 50
    with open_project(tmp_path) as bench, bench.database.reading() as session:
        stored = list(session.scalars(select(Placement.key)))
    assert len(stored) == len(set(stored))
    assert acknowledged <= set(stored) <= sent
