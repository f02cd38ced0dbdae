"""The API as an annotator's page uses it, and as somebody uses it who should not: over a real socket."""

from __future__ import annotations

import contextlib
import io
import math
import urllib.request
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from annotation.helpers import NAMES, Client, Server, add_pictures, cup_project, picture, token_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from sqlalchemy import func, select

from soco_datasets.annotation.database import Assignment, Person, Placement, now
from soco_datasets.annotation.guard import GuardOptions
from soco_datasets.annotation.serving import ServeOptions, guard_options
from soco_datasets.annotation.work import Workbench
from soco_datasets.errors import UsageError


@contextlib.contextmanager
def served(folder: Path, **options: Any) -> Iterator[tuple[Workbench, Server]]:
    guard = options.pop("guard", None)
    with cup_project(folder, **options) as bench, Server(bench, guard) as server:
        yield bench, server


def log_size(bench: Workbench) -> int:
    with bench.database.reading() as session:
        return session.scalar(select(func.count()).select_from(Placement)) or 0


def test_a_task_from_invitation_to_finish(tmp_path: Path) -> None:
    with served(tmp_path) as (bench, server):
        ada = Client(server.url, token_of(bench, "Ada"))
        assert ada.request("GET", "/api/me")[1] == {
            "name": "Ada", "status": "active", "done": 0, "title": "Cups", "instructions": "Place each point.",
        }  # fmt: skip
        task = ada.task()
        assert [k["name"] for k in task["keypoints"]] == NAMES
        assert task["keypoints"][0]["card"] == {"x": 30.0, "y": 40.0}
        assert task["points"] == {}
        for path in (f"/api/tasks/{task['id']}/image", f"/api/tasks/{task['id']}/card/0"):
            status, data = ada.request("GET", path)
            assert (status, data[:2]) == (200, b"\xff\xd8")
        status, refused = ada.post(f"/api/tasks/{task['id']}/finish", {"seconds": 1})
        assert (status, refused["error"]) == (409, "unanswered")
        assert ada.place(task["id"], NAMES[0], "visible", 11.5, 22.25)[1]["points"][NAMES[0]]["x"] == 11.5
        assert ada.place(task["id"], NAMES[0], "visible", 30, 40)[0] == 200
        assert ada.place(task["id"], NAMES[1], "hidden")[0] == 200
        undo = {"key": "undo0001", "tab": ada.tab, "seen": 2**40}
        assert NAMES[1] not in ada.post(f"/api/tasks/{task['id']}/undo", undo)[1]["points"]
        assert ada.post(f"/api/tasks/{task['id']}/undo", undo)[1]["points"][NAMES[0]]["x"] == 30  # the same, once
        second = ada.post(f"/api/tasks/{task['id']}/undo", {**undo, "key": "undo0002"})[1]
        assert second["points"][NAMES[0]]["x"] == 11.5
        assert second["can_undo"]
        assert ada.task()["points"] == second["points"]  # as after a crash of the browser
        ada.answer_all(task, {NAMES[0]: (5, 6)})
        assert ada.place(task["id"], NAMES[0])[1]["error"] == "done"
        assert ada.task()["id"] != task["id"]
        assert log_size(bench) == 5 + len(NAMES)  # steps and undos, all of them


def test_the_picture_is_shown_unrotated_as_points_are_stored(tmp_path: Path) -> None:
    with served(tmp_path, images=1) as (bench, server):
        picture(tmp_path / "images" / "cup" / "cup_0.JPEG", 1, exif=6)
        ada = Client(server.url, token_of(bench, "Ada"))
        _, data = ada.request("GET", f"/api/tasks/{ada.task()['id']}/image")
        with Image.open(io.BytesIO(data)) as got:
            assert got.getexif().get(0x0112) == 1


BAD_STEPS: list[tuple[dict[str, Any], str]] = [
    ({"x": -0.5}, "outside"),
    ({"x": 200.5}, "outside"),
    ({"y": 1e300}, "outside"),
    ({"x": "12"}, "bad_position"),
    ({"x": True}, "bad_position"),
    ({"x": None, "y": None}, "no_position"),
    ({"y": None}, "bad_position"),
    ({"state": "hidden"}, "extra_position"),
    ({"state": "maybe"}, "bad_state"),
    ({"state": None}, "bad_state"),
    ({"keypoint": "cup_lid"}, "unknown_keypoint"),
    ({"keypoint": "../../etc/passwd"}, "unknown_keypoint"),
    ({"keypoint": 3}, "bad_field"),
    ({"key": "short"}, "bad_key"),
    ({"key": "a" * 65}, "bad_key"),
    ({"tab": "<script>"}, "bad_key"),
    ({"seen": -1}, "bad_field"),
    ({"seen": 1.5}, "bad_field"),
    ({"source": "import"}, "bad_field"),
    ({"note": "x" * 501}, "bad_note"),
    ({"note": ["x"]}, "bad_note"),
]


def test_bad_steps_are_refused_and_store_nothing(tmp_path: Path) -> None:
    with served(tmp_path) as (bench, server):
        ada = Client(server.url, token_of(bench, "Ada"))
        task = ada.task()
        for change, code in BAD_STEPS:
            status, answer = ada.post(f"/api/tasks/{task['id']}/place", {**ada.step(), **change})
            assert (status, answer["error"]) == (422, code), (change, answer)
            assert answer["message"]
        for raw in (b'{"x": NaN}', b"[1]", b"{", b"\xff", b'{"note": "\\ud800"}', b"[" * 30_000):
            assert ada.request("POST", f"/api/tasks/{task['id']}/place", raw)[0] == 400
        assert log_size(bench) == 0
        assert ada.place(task["id"], note="<script>alert(1)</script>")[0] == 200  # kept as it is, shown as text


def test_who_may_do_what(tmp_path: Path) -> None:
    with served(tmp_path / "a") as (bench, server), cup_project(tmp_path / "b") as other:
        ada, bob = (Client(server.url, token_of(bench, name)) for name in ("Ada", "Bob"))
        mine, theirs = ada.task(), bob.task()
        stored = log_size(bench)
        expired = token_of(bench, "Old", days=1)
        with bench.database.writing() as session:
            session.scalars(select(Person).where(Person.name == "Old")).one().expires = now() - timedelta(seconds=1)
        reviewer = token_of(bench, "Rae", "reviewer")
        tokens: list[tuple[str | None, str]] = [
            (None, "no_token"),
            ("soco-x", "bad_token"),
            (token_of(other, "Ada"), "other_project"),
            (f"{ada.token[:-1]}{'A' if ada.token[-1] != 'A' else 'B'}" if ada.token else None, "unknown_token"),
            (expired, "expired"),
            (reviewer, "wrong_role"),
            ("turk.abc.def", "bad_token"),
        ]
        for token, code in tokens:
            wrong = Client(server.url, token)
            for method, path in (("GET", "/api/me"), ("POST", "/api/next"), ("GET", f"/api/tasks/{mine['id']}/image")):
                status, answer = wrong.request(method, path, None if method == "GET" else {})
                assert status in (401, 403), (token, path)
                assert answer["error"] == code
        assert ada.place(theirs["id"])[1]["error"] == "not_yours"
        assert ada.request("GET", f"/api/tasks/{theirs['id']}/image")[0] == 404
        assert ada.post(f"/api/tasks/{theirs['id']}/finish", {"seconds": 1})[0] == 404
        assert ada.request("GET", "/api/owner/overview")[0] == 403
        assert ada.post("/api/review/next")[0] == 403
        owner = Client(server.url, token_of(bench, "Olga", "owner"))
        people = {p["name"]: p["id"] for p in owner.request("GET", "/api/owner/overview")[1]["people"]}
        assert owner.post(f"/api/owner/people/{people['Ada']}/status", {"status": "paused"})[0] == 200
        for answer in (ada.post("/api/next"), ada.place(mine["id"])):
            assert (answer[0], answer[1]["error"]) == (403, "paused")
        assert ada.request("GET", f"/api/tasks/{mine['id']}/image")[0] == 404
        owner.post(f"/api/owner/people/{people['Ada']}/status", {"status": "active"})
        assert ada.place(mine["id"])[0] == 200
        assert log_size(bench) == stored + 1
        renewed = token_of(bench, "Ada")
        assert ada.post("/api/next")[1]["error"] == "unknown_token"  # a new link ends the old one
        assert Client(server.url, renewed).task()["points"]


def test_two_tabs_and_replays(tmp_path: Path) -> None:
    with served(tmp_path) as (bench, server):
        ada = Client(server.url, token_of(bench, "Ada"))
        task, other_tab = ada.task(), "0123456789abcdef"
        step = ada.step(seen=0)
        status, first = ada.post(f"/api/tasks/{task['id']}/place", step)
        assert ada.post(f"/api/tasks/{task['id']}/place", step) == (status, first)  # sent again: stored once
        changed = ada.post(f"/api/tasks/{task['id']}/place", {**step, "x": 99.0})
        assert (changed[0], changed[1]["error"]) == (409, "key_reused")
        stale = ada.place(task["id"], NAMES[1], tab=other_tab, seen=0)
        assert (stale[0], stale[1]["error"]) == (409, "other_tab")
        assert ada.place(task["id"], NAMES[1], tab=other_tab, seen=first["seen"])[0] == 200
        assert ada.place(task["id"], NAMES[2], seen=first["seen"])[1]["error"] == "other_tab"
        assert log_size(bench) == 2


def test_requests_from_elsewhere_and_too_large_ones(tmp_path: Path) -> None:
    with served(tmp_path) as (bench, server):
        ada = Client(server.url, token_of(bench, "Ada"))
        task = ada.task()
        path, step = f"/api/tasks/{task['id']}/place", ada.step()
        assert ada.post(path, step, origin="https://evil.example")[1]["error"] == "cross_site"
        assert ada.post(path, step, sec_fetch_site="cross-site")[1]["error"] == "cross_site"
        assert ada.post(path, step, content_type="text/plain")[0] == 415
        assert ada.post(path, step, host="evil.example")[0] == 421
        with contextlib.suppress(OSError):  # the server may close before all of it is sent
            assert ada.request("POST", path, b" " * 10_000_000)[0] == 413
        assert log_size(bench) == 0
        assert ada.post(path, step, origin=server.url)[0] == 200
        for wild in (
            "/static/../server.py",
            "/static/%2e%2e/server.py",
            "/api/tasks/1%2f..%2f2/image",
            "/api/tasks/٣/image",
        ):
            assert ada.request("GET", quote(wild, safe="/%"))[0] == 404
        with urllib.request.urlopen(f"{server.url}/annotate") as page:
            headers = page.headers
        assert "script-src 'self'" in headers["content-security-policy"]
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert (headers["x-frame-options"], headers["referrer-policy"]) == ("DENY", "no-referrer")


def test_behind_a_proxy_the_public_address_counts(tmp_path: Path) -> None:
    guard = guard_options(ServeOptions(public_url="https://annotate.example.org"))
    with served(tmp_path, guard=guard) as (bench, server):
        ada = Client(server.url, token_of(bench, "Ada"))
        there = {"host": "annotate.example.org", "origin": "https://annotate.example.org"}
        assert ada.post("/api/next", **there)[0] == 200
        refused = ada.post("/api/next", origin="https://other.example.org")
        assert "--public-url" in refused[1]["message"]
    with pytest.raises(UsageError, match="--public-url"):
        guard_options(ServeOptions(public_url="annotate.example.org"))


def test_an_image_that_is_gone_or_does_not_decode_is_named(tmp_path: Path) -> None:
    with served(tmp_path, images=1) as (bench, server):
        ada = Client(server.url, token_of(bench, "Ada"))
        task = ada.task()
        (tmp_path / "images" / "cup" / "cup_0.JPEG").unlink()
        status, answer = ada.request("GET", f"/api/tasks/{task['id']}/image")
        assert (status, answer["error"]) == (404, "no_picture")


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
FIELDS = ("key", "tab", "seen", "keypoint", "state", "x", "y", "source", "note")


class TestAnything:
    """Whatever is sent, the server answers with a sentence or stores exactly one valid step."""

    bench: Workbench
    ada: Client
    task: int

    @pytest.fixture(autouse=True, scope="class")
    def _server(self, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
        with served(tmp_path_factory.mktemp("any")) as (bench, server):
            cls = TestAnything
            cls.bench, cls.ada = bench, Client(server.url, token_of(bench, "Ada"))
            cls.task = cls.ada.task()["id"]
            yield

    @settings(max_examples=80, suppress_health_check=list(HealthCheck))
    @given(change=st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=3), path=st.sampled_from(("place", "undo")))
    def test_a_step(self, change: dict[str, Any], path: str) -> None:
        before = log_size(self.bench)
        status, answer = self.ada.post(f"/api/tasks/{self.task}/{path}", {**self.ada.step(), **change})
        stored = log_size(self.bench) - before
        if status == 200:
            assert stored <= 1
            for point in answer["points"].values():
                assert point["x"] is None or (0 <= point["x"] <= 200 and 0 <= point["y"] <= 150)
                assert point["x"] is None or math.isfinite(point["x"] + point["y"])
        else:
            assert status in (400, 409, 422)
            assert answer["message"]
            assert stored == 0

    @settings(max_examples=30)
    @given(
        body=JSON,
        path=st.sampled_from(("/api/next", "/api/tasks/1/finish", "/api/mturk/session", "/api/review/1/judge")),
    )
    def test_any_body(self, body: Any, path: str) -> None:
        status, _ = self.ada.request("POST", path, body)
        assert status < 500


def test_an_image_goes_to_k_people_and_to_nobody_twice(tmp_path: Path) -> None:
    with served(tmp_path, images=3, annotators_per_image=2) as (bench, server):
        people = [Client(server.url, token_of(bench, f"P{n}")) for n in range(4)]
        seen: list[tuple[int, int]] = []
        for _ in range(5):
            for index, person in enumerate(people):
                status, answer = person.post("/api/next")
                assert status == 200
                if answer["task"]:
                    with bench.database.reading() as session:
                        seen.append((session.get_one(Assignment, answer["task"]["id"]).image_id, index))
                    person.answer_all(answer["task"], {})
        assert len(seen) == len(set(seen)) == 6
        assert all(sum(image == one for image, _ in seen) == 2 for one in {image for image, _ in seen})
        add_pictures(bench, 1, first=10)
        assert people[0].post("/api/next")[1]["task"] is not None


def test_an_image_that_was_left_goes_to_somebody_else(tmp_path: Path) -> None:
    with served(tmp_path, images=1, annotators_per_image=1) as (bench, server):
        ada, bob = (Client(server.url, token_of(bench, name)) for name in ("Ada", "Bob"))
        task = ada.task()
        ada.place(task["id"])
        assert bob.post("/api/next")[1]["task"] is None
        with bench.database.writing() as session:
            session.get_one(Assignment, task["id"]).touched = now() - timedelta(hours=25)
        assert bob.task()["id"] != task["id"]
        refused = ada.place(task["id"], NAMES[1])
        assert (refused[0], refused[1]["error"]) == (409, "abandoned")
        assert log_size(bench) == 1


def test_loopback_only_unless_told_otherwise() -> None:
    assert guard_options(ServeOptions()) == GuardOptions(("127.0.0.1", "localhost", "[::1]", "127.0.0.1"))
