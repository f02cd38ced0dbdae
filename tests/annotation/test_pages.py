"""The three pages in the real browser, driven as people do."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from annotation.helpers import NAMES, Client, Server, ServerProcess, add_pictures, cup_project, token_of
from annotation.page import PersonsPage
from helpers.browser import needs_browser
from sqlalchemy import select

from soco_datasets.annotation.database import Assignment, ImageRow, Placement, Suggestion
from soco_datasets.annotation.project import load_project
from soco_datasets.annotation.report import build_report, render_report_page
from soco_datasets.annotation.results import final_images
from soco_datasets.annotation.work import Workbench, assignment_answers

pytestmark = [needs_browser, pytest.mark.browser]
SHOTS = os.environ.get("SOCO_SCREENSHOTS")  # a folder: keep the pictures to look at


def shot(page: PersonsPage, name: str) -> None:
    if SHOTS:
        time.sleep(0.4)
        page.screenshot(Path(SHOTS) / f"{name}.png")


def answers(bench: Workbench, assignment: int = 1) -> dict[str, tuple[str, float | None, float | None]]:
    with bench.database.reading() as session:
        return {name: (a.state, a.x, a.y) for name, a in assignment_answers(session, assignment).items()}


def close(got: tuple[str, float | None, float | None], x: float, y: float) -> bool:
    return got[0] == "visible" and abs((got[1] or 0) - x) < 1 and abs((got[2] or 0) - y) < 1


def test_with_the_mouse(tmp_path: Path) -> None:
    with cup_project(tmp_path) as bench, Server(bench) as server:
        token = token_of(bench, "Ada")
        with PersonsPage(f"{server.url}/annotate#{token}") as page:
            page.ready(NAMES[0])
            shot(page, "desktop")
            page.mouse(page.screen(50, 60))
            page.ready(NAMES[1])  # the next one is chosen by itself
            page.mouse(page.screen(120, 90))
            page.ready(NAMES[2])
            page.saved()
            assert close(answers(bench)[NAMES[0]], 50, 60)
            page.mouse(page.screen(50, 60), page.screen(60, 66), page.screen(70, 72))  # drag the first
            page.ready(NAMES[0])
            page.saved()
            assert close(answers(bench)[NAMES[0]], 70, 72)
            page.press("#undo")
            page.wait_for("!document.getElementById('undo').disabled")
            page.saved()
            page.wait_for("document.getElementById('count').textContent.startsWith('2')")
            assert close(answers(bench)[NAMES[0]], 50, 60)
            page.mouse(page.screen(140, 100), page.screen(100, 80))  # drag the picture: nothing is placed
            page.press("#zoom-in")
            page.press("#zoom-fit")
            page.run("document.querySelectorAll('#points button')[2].click()")
            page.press("#hidden")
            page.ready(NAMES[3])
            page.press("#unsure")
            page.ready(NAMES[4])
            assert page.run("document.getElementById('finish').disabled")
            page.mouse(page.screen(100, 120))
            page.saved()
            page.wait_for("!document.getElementById('finish').disabled")
            shot(page, "desktop-done")
            assert [answers(bench)[name][0] for name in NAMES] == ["visible", "visible", "hidden", "unsure", "visible"]
            page.press("#finish")
            page.wait_for("document.getElementById('count').textContent.startsWith('0')")
            with bench.database.reading() as session:
                assert session.scalars(select(Assignment.status).order_by(Assignment.id)).all() == ["done", "open"]
            page.press("#help")
            shot(page, "desktop-help")
        assert not page.dialogs
        assert not any(token in url.partition("#")[0] for url in page.requests)  # the key is in no request's address


def test_with_the_keyboard_alone_at_a_pleasant_pace(tmp_path: Path) -> None:
    """20 points in about 20 x (a few arrows and Enter): what a practiced person needs is counted, not timed."""
    with (
        cup_project(tmp_path, images=1) as bench,
        Server(bench) as server,
        PersonsPage(f"{server.url}/annotate#{token_of(bench, 'Ada')}") as page,
    ):
        page.ready(NAMES[0])
        for number, name in enumerate(NAMES[:3]):
            page.ready(name)
            page.key("ArrowRight", times=3 + number)
            page.key("ArrowDown", shift=True)
            page.key("Enter")
        page.ready(NAMES[3])
        page.key("h")
        page.ready(NAMES[4])
        page.key("u")
        page.saved()
        placed = answers(bench)
        assert [placed[name][0] for name in NAMES] == ["visible"] * 3 + ["hidden", "unsure"]
        assert placed[NAMES[1]][1] > placed[NAMES[0]][1]  # type: ignore[operator]
        page.key("k")
        page.key("k")
        page.ready(NAMES[2])
        page.key("ArrowLeft", times=4)
        page.saved()
        assert answers(bench)[NAMES[2]][1] == pytest.approx((placed[NAMES[2]][1] or 0) - 4)
        page.key("z")
        page.saved()
        page.wait_for("document.getElementById('status').textContent === 'Saved'")
        assert answers(bench)[NAMES[2]][1] == pytest.approx((placed[NAMES[2]][1] or 0) - 3)
        page.key("n")
        page.wait_for("!document.getElementById('message').hidden")
        assert "no more images" in page.text()


@pytest.mark.parametrize(
    ("name", "width", "height", "dark"),
    [
        ("tablet", 1024, 768, False),
        ("tablet-upright", 768, 1024, False),
        ("phone", 390, 844, False),
        ("dark", 1300, 850, True),
    ],
)
def test_on_other_screens(tmp_path: Path, name: str, width: int, height: int, dark: bool) -> None:
    with cup_project(tmp_path, images=1) as bench, Server(bench) as server:
        with bench.database.writing() as session:
            image = session.scalars(select(ImageRow)).one()
            image.suggest = True
            session.add(Suggestion(image_id=image.id, keypoint=NAMES[1], x=150, y=100, score=0.9, model="m"))
        with PersonsPage(f"{server.url}/annotate#{token_of(bench, 'Ada')}") as page:
            page.device(width, height, dark, touch=not dark, scale=2)
            page.ready(NAMES[0])
            place = page.screen(60, 50)
            page.mouse(place) if dark else page.tap(*place)
            page.ready(NAMES[1])
            page.saved()
            shot(page, name)
            assert close(answers(bench)[NAMES[0]], 60, 50)
            page.wait_for("!document.getElementById('confirm').hidden")
            page.press("#confirm")
            page.saved()
            page.ready(NAMES[2])
            with bench.database.reading() as session:
                step = session.scalars(select(Placement).where(Placement.keypoint == NAMES[1])).one()
            assert (step.source, step.x, step.y) == ("suggestion", 150, 100)
            overflow = "document.documentElement.scrollWidth > innerWidth || document.documentElement.scrollHeight > innerHeight"
            assert not page.run(overflow)
            small = "[...document.querySelectorAll('button')].filter(b => b.offsetParent && b.offsetHeight < 32).map(b => b.id)"
            assert page.run(small) == []


def test_a_crash_of_browser_and_server(tmp_path: Path) -> None:
    """Steps made while the server is away wait in the page and outlive it; nothing is stored twice."""
    with cup_project(tmp_path, images=1) as bench:
        token = token_of(bench, "Ada")
        process = ServerProcess(tmp_path)
        process.start()
        with PersonsPage(f"{process.url}/annotate#{token}") as page:
            page.ready(NAMES[0])
            page.mouse(page.screen(50, 60))
            page.saved()
            process.kill()
            page.ready(NAMES[1])
            page.mouse(page.screen(70, 60))
            page.mouse(page.screen(90, 60))
            page.wait_for("document.getElementById('status').textContent.startsWith('No connection')")
            shot(page, "offline")
            process.start()
            page.saved()
            page.call("Page.reload")
            page.ready(NAMES[3])
            assert page.run("document.getElementById('count').textContent") == "3 / 5"
        process.kill()
        assert [round(answers(bench)[name][1] or 0) for name in NAMES[:3]] == [50, 70, 90]
        with bench.database.reading() as session:
            assert len(session.scalars(select(Placement)).all()) == 3


def test_a_picture_that_does_not_decode_and_a_title_with_script(tmp_path: Path) -> None:
    with cup_project(tmp_path, images=1) as bench:
        (tmp_path / "images" / "cup" / "cup_0.JPEG").write_bytes(b"\xff\xd8 cut short")
        path = tmp_path / "project.yaml"
        path.write_text(path.read_text().replace("title: Cups", "title: <img src=x onerror=alert(1)>"))
        bench.project = load_project(tmp_path)
        with Server(bench) as server, PersonsPage(f"{server.url}/annotate#{token_of(bench, 'Ada')}") as page:
            page.wait_for("document.getElementById('message-text').textContent.includes('cannot be shown')")
            assert page.run("document.querySelectorAll('header img').length") == 0
            assert page.run("document.getElementById('title').textContent").startswith("<img")
        assert not page.dialogs
        report, _ = build_report(bench)
        assert "<img src=x" not in render_report_page(report, [])


def test_refusals_are_said_in_words_and_script_stays_text(tmp_path: Path) -> None:
    with cup_project(tmp_path, images=1) as bench, Server(bench) as server:
        with PersonsPage(f"{server.url}/annotate#soco-nothing") as page:
            page.wait_for("document.getElementById('message-text').textContent.includes('Copy the whole link')")
            shot(page, "refused")
        token = token_of(bench, "Ada")
        with PersonsPage(f"{server.url}/annotate#{token}") as page:
            page.ready(NAMES[0])
            other = Client(server.url, token)
            other.place(other.task()["id"], NAMES[1], note="<img src=x onerror=alert(1)>")
            page.mouse(page.screen(50, 60))
            page.wait_for("document.getElementById('message-text').textContent.includes('another tab')")
            page.press("#message-button")
            page.ready(NAMES[0])
            assert page.run("document.getElementById('count').textContent") == "1 / 5"
            assert not page.dialogs


def people_at_work(bench: Workbench, server: Server) -> None:
    """Three people answer two images; on the first they disagree about one point and one swaps left and right."""
    rim = {NAMES[2]: (40.0, 40.0), NAMES[3]: (150.0, 40.0), NAMES[4]: (100.0, 120.0)}
    for number, name in enumerate(("Ada", "Bob", "Cleo")):
        client = Client(server.url, token_of(bench, name))
        while (answer := client.post("/api/next")[1])["task"]:
            points = {key: (x + number, y + number) for key, (x, y) in rim.items()}
            points[NAMES[0]] = (60.0 + 30 * number, 50.0)
            if number == 2:
                points[NAMES[2]], points[NAMES[3]] = points[NAMES[3]], points[NAMES[2]]
            client.answer_all(answer["task"], points)


def test_the_reviewer_and_the_owner(tmp_path: Path) -> None:
    with cup_project(tmp_path) as bench, Server(bench) as server:
        people_at_work(bench, server)
        owner = token_of(bench, "Olga <script>alert(1)</script>".replace("<", "(").replace(">", ")"), "owner")
        with PersonsPage(f"{server.url}/review#{token_of(bench, 'Rae', 'reviewer')}") as page:
            page.wait_for("document.getElementById('message').hidden")
            shot(page, "review")
            page.ready(NAMES[0])
            assert "Disputed" in page.run("document.getElementById('why').textContent")
            page.mouse(page.screen(90, 70))  # move it
            page.saved()
            page.press("#all")
            page.wait_for("document.getElementById('count').textContent === 'complete'")
            page.press("#next")
            page.wait_for("document.getElementById('count').textContent === '4 left'")
            page.key("a") if page.run("document.getElementById('code').textContent") != NAMES[0] else page.key("h")
            page.wait_for("document.getElementById('count').textContent === '3 left'")
            page.run("[...document.querySelectorAll('#points button')][2].click()")
            page.run(f"document.getElementById('other').value = {NAMES[3]!r}")
            page.press("#swap")
            page.wait_for("document.getElementById('count').textContent === '1 left'")
            page.press("#all")
            page.wait_for("document.getElementById('count').textContent === 'complete'")
            page.press("#next")
            page.wait_for("document.getElementById('message-title').textContent === 'All reviewed'")
            assert "larger" in page.text()
        with bench.database.reading() as session:
            first, second = final_images(session, bench.project)
        assert first.points[NAMES[0]] == pytest.approx((90, 70), abs=1)
        assert NAMES[0] not in second.points
        assert second.points[NAMES[2]] == pytest.approx((150.5, 40.5))  # exchanged: the medians were right
        with PersonsPage(f"{server.url}/owner#{owner}") as page:
            page.wait_for("!document.getElementById('owner').hidden")
            shot(page, "owner")
            assert "6 / 6" in page.text()
            page.run("document.querySelector('#invite input').value = 'Dan'")
            page.click("button", "Invite")
            page.wait_for("document.getElementById('link').textContent.includes('#soco-')")
            page.wait_for("[...document.querySelectorAll('#people tr')].some(r => r.innerText.startsWith('Dan'))")
            page.click("button", "Pause")
            page.wait_for("[...document.querySelectorAll('#people .paused')].length === 1")
            page.device(390, 844, dark=True, touch=True)
            shot(page, "owner-phone-dark")
            assert not page.run("document.documentElement.scrollWidth > innerWidth")
        add_pictures(bench, 1, first=20)
