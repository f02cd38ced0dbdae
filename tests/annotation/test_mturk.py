"""Mechanical Turk: the page in a HIT of a stand-in on loopback, preview, ids, posting back; what is refused."""

from __future__ import annotations

import http.server
import threading
import time
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from annotation.helpers import NAMES, Client, Server, cup_project, token_of
from annotation.page import PersonsPage
from helpers.browser import needs_browser
from sqlalchemy import select

from soco_datasets.annotation.database import Assignment, Person
from soco_datasets.annotation.guard import GuardOptions
from soco_datasets.annotation.mturk import external_question
from soco_datasets.annotation.work import Workbench
from soco_datasets.errors import UsageError

PREVIEW = "ASSIGNMENT_ID_NOT_AVAILABLE"


class StandIn:
    """Mechanical Turk as far as a HIT's page sees it: a page with the frame, and /mturk/externalSubmit."""

    def __init__(self) -> None:
        self.frame, self.submitted = "", []  # type: ignore[var-annotated]
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.answer(f'<iframe id="f" src="{outer.frame}" width="1200" height="800"></iframe>')

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"])).decode()
                outer.submitted.append((self.path, dict(urllib.parse.parse_qsl(body))))
                self.answer("submitted")

            def answer(self, text: str) -> None:
                self.send_response(200)
                self.send_header("content-type", "text/html")
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *_: Any) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@contextmanager
def world(folder: Path) -> Iterator[tuple[Workbench, Server, StandIn, str]]:
    site = StandIn()
    with cup_project(folder) as bench, Server(bench, GuardOptions(turk_sites=(site.url,))) as server:
        xml = external_question(bench, server.url)
        key = urllib.parse.parse_qs(urllib.parse.urlsplit(ElementTree.fromstring(xml)[0].text or "").query)["key"][0]
        yield bench, server, site, key
    site.server.shutdown()


def ids(site: StandIn, key: str, change: dict[str, str] | None = None) -> dict[str, str]:
    given = {"assignmentId": "3ASSIGN1", "workerId": "A1WORKER", "hitId": "3HIT01", "turkSubmitTo": site.url}
    return {**given, "key": key, **(change or {})}


@needs_browser
@pytest.mark.browser
def test_a_hit_from_preview_to_submission(tmp_path: Path) -> None:
    with world(tmp_path) as (bench, server, site, key):
        address = f"{server.url}/mturk?{urllib.parse.urlencode({'key': key, 'assignmentId': PREVIEW})}"
        with PersonsPage(address) as page:
            page.wait_for("document.getElementById('message-text').textContent.includes('Accept the HIT')")
            assert "cup rim left" in page.text()
        with bench.database.reading() as session:
            assert session.scalars(select(Person)).all() == []  # a preview makes nothing
        site.frame = f"{server.url}/mturk?{urllib.parse.urlencode(ids(site, key))}"
        with PersonsPage(site.url):  # in the frame of the site's page: allowed, and it opens the worker's session
            for _ in range(300):
                with bench.database.reading() as session:
                    if session.scalars(select(Assignment)).first() is not None:
                        break
                time.sleep(0.1)
        with bench.database.reading() as session:
            assert [person.name for person in session.scalars(select(Person))] == ["mturk A1WORKER"]
        with PersonsPage(site.frame) as page:
            page.ready(NAMES[0])
            page.mouse(page.screen(50, 60))
            for _ in NAMES[1:]:
                page.key("h")
            page.saved()
            page.press("#finish")
            page.wait_for("document.body.innerText === 'submitted'")
        path, form = site.submitted[0]
        assert (path, form["assignmentId"], "task" in form) == ("/mturk/externalSubmit", "3ASSIGN1", True)
        with bench.database.reading() as session:
            row = session.scalars(select(Assignment)).one()
            assert (row.status, row.turk_assignment, row.turk_hit) == ("done", "3ASSIGN1", "3HIT01")
            assert session.get_one(Person, row.person_id).external_id == "A1WORKER"


def test_what_is_refused(tmp_path: Path) -> None:
    with world(tmp_path) as (bench, server, site, key):
        anyone = Client(server.url, None)

        def opened(**change: str) -> tuple[int, Any]:
            return anyone.post("/api/mturk/session", ids(site, key, change))

        assert opened(key="0" * 32)[1]["error"] == "bad_key"
        assert opened(turkSubmitTo="https://evil.example")[1]["error"] == "bad_site"
        for wrong in ("", "../x", "a b c d e f", "x" * 70):
            assert opened(workerId=wrong)[1]["error"] == "bad_turk_id"
        first = opened()[1]
        worker = Client(server.url, first["token"])
        task = worker.task()
        assert worker.task()["id"] == task["id"]
        assert opened(workerId="A2OTHER0")[1]["error"] == "other_worker"  # somebody else's assignment
        second = Client(server.url, opened(assignmentId="3ASSIGN2")[1]["token"])
        own = second.task()
        assert own["id"] != task["id"]  # the same worker never sees an image twice
        assert second.place(task["id"])[1]["error"] == "not_yours"  # each session opens its own assignment only
        forged = first["token"].rpartition(".")[0] + "." + "0" * 64
        assert Client(server.url, forged).post("/api/next")[1]["error"] == "bad_token"
        assert worker.request("GET", "/api/owner/overview")[0] == 401
        assert opened(assignmentId="3ASSIGN3")[0] == 200
        third = Client(server.url, opened(assignmentId="3ASSIGN3")[1]["token"])
        assert third.post("/api/next")[1]["task"] is None
        plain = Client(server.url, token_of(bench, "Ada"))
        assert plain.task()["keypoints"]
    with cup_project(tmp_path / "without") as bench, Server(bench) as server:
        assert Client(server.url, None).post("/api/mturk/session", {})[0] in (404, 405)
    with pytest.raises(UsageError, match="https"):
        external_question(bench, "http://annotate.example.org")
