"""The leaderboard's page: what it shows (no gradio needed), and the page itself in a real browser."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import pytest
from helpers.browser import needs_browser
from helpers.hub_results import BENCHMARK, board_files, make_result
from helpers.live_page import LivePage
from helpers.loopback_hub import LoopbackHub
from hypothesis import given
from hypothesis import strategies as st

from soco_datasets.data.folder import open_folder
from soco_datasets.hub.drop_chart import spread
from soco_datasets.hub.leaderboard import Collected, Entry, paper_entries

pytest.importorskip("matplotlib", reason="the charts need matplotlib")

APP = Path(__file__).parents[2] / "eval" / "leaderboard"
EVIL = "evil<img src=x onerror=\"window.pwned=1;alert('pwned')\"><script>window.pwned=1</script>$x$[a](javascript:alert(1))"
MODELS = (
    "[...document.querySelectorAll('[data-testid^=cell-][data-testid$=\"-1\"]')].map(cell => cell.innerText.trim())"
)
_START = 120.0  # seconds; importing gradio on a busy machine


def gradio_python() -> str | None:
    """An interpreter that has gradio: this one, or that of SOCO_GRADIO_PYTHON."""
    if importlib.util.find_spec("gradio"):
        return sys.executable
    return os.environ.get("SOCO_GRADIO_PYTHON")


needs_gradio = pytest.mark.skipif(
    gradio_python() is None,
    reason="no gradio here (it wants an older Pillow than the toolkit pins): give an interpreter in SOCO_GRADIO_PYTHON",
)


@pytest.fixture(scope="module")
def views() -> ModuleType:
    spec = importlib.util.spec_from_file_location("leaderboard_views", APP / "views.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_table_is_filtered_and_ranked(views: ModuleType) -> None:
    mine = Entry("mine", "local", {("soc", "overall"): 61.0, ("cc", "overall"): 2.0})
    collected = Collected((*paper_entries(), mine))
    heading, rows = views.ranking(collected, "soc", "overall", ["local", "paper"], "")
    assert heading[:4] == ["rank", "model", "CC", "SOC"]
    assert len(rows) == 41
    assert [row[1] for row in rows[:4]] == ["dinov2_l14", "dinov3_vitl16", "mine", "dinov2_b14"]
    assert rows[2][:4] == [3, "mine", 2.0, 61.0]
    _, found = views.ranking(collected, "soc", "overall", ["local", "paper"], "MIN")
    assert [row[:2] for row in found] == [[3, "mine"]]
    _, of_local = views.ranking(collected, "cc", "overall", ["local"], "")
    assert [row[0] for row in of_local] == [1]
    assert views.ranking(collected, "cc", "animals", ["local"], "")[1] == []
    assert views.ranking(collected, "lvlm_vis", "overall", ["paper"], "")[0][2:5] == [
        "LVLM Vis.",
        "LVLM Vis.+Desc.",
        "LVLM Desc.",
    ]


def test_numbers_sort_by_value_and_show_two_decimals(views: ModuleType) -> None:
    table = views.as_table(*views.ranking(Collected(tuple(paper_entries())), "soc", "overall", ["paper"], ""))
    assert table["data"][0][:4] == [1, "dinov2_l14", 80.68, 62.4]
    assert table["metadata"]["display_value"][0][:4] == ["1", "dinov2_l14", "80.68", "62.40"]


def test_the_chart_is_drawn_where_there_is_something_to_draw(views: ModuleType) -> None:
    collected = Collected((*paper_entries(), Entry(EVIL, "hub", {("cc", "overall"): 5.0, ("soc", "overall"): 3.0})))
    names = views.chart_choices(collected)
    assert names[0] == "dinov2_l14"
    assert names[-1] == EVIL
    assert views.chart(collected, [*names[:8], EVIL], "overall").width > 500
    assert views.chart(collected, [], "overall") is None


@given(st.lists(st.floats(0, 100), min_size=1, max_size=12))
def test_names_in_the_chart_keep_apart_and_in_order(values: list[float]) -> None:
    values = sorted(values, reverse=True)
    heights = spread(values, 4.5)
    assert all(above - below > 4.5 - 1e-6 for above, below in pairwise(heights))
    assert sum(heights) == pytest.approx(sum(values))  # moved up as much as down


def test_pairs_are_drawn_with_and_without_matches(views: ModuleType, built_mini: Path, tmp_path: Path) -> None:
    make_result(built_mini, tmp_path, name="mine", resamples=0)
    pairs = views.Pairs(open_folder(built_mini), tmp_path)
    (result,) = pairs.predictions
    assert result == "mine (mine.json)"
    category = pairs.categories("soc")[0]
    drawn, told = pairs.draw("soc", category, 10**6, result)
    plain, same = pairs.draw("soc", category, 10**6, views.ANNOTATION)
    assert told == same
    assert pairs.draw("soc", category, None, result)[1].startswith("pair 1 of ")  # the number was deleted
    assert told.startswith(f"pair {len(pairs.numbers('soc', category))} of ")
    assert drawn.size == plain.size
    assert drawn.tobytes() != plain.tobytes()
    assert pairs.draw("soc", "no such category", 1, result) == (None, "no pair of this category")


@pytest.fixture(scope="module")
def served(built_mini: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the page, over a loopback Hub and a folder, both with names that try to script it."""
    work = tmp_path_factory.mktemp("app")
    data = {"id": "GenIntelLab/SOCO", "revision": None, "content_hash": open_folder(built_mini).content_hash}
    make_result(built_mini, work / "results", name=EVIL, dataset=data, resamples=0)
    entry = {
        "dataset": {"id": BENCHMARK, "task_id": "soc"},
        "value": 97.0,
        "notes": EVIL,
        "source": {"url": f"javascript:{EVIL}"},
    }
    cc = {**entry, "dataset": {"id": BENCHMARK, "task_id": "cc"}}
    with LoopbackHub() as hub:
        files = board_files(built_mini)
        manifest = files["manifest.json"].replace(b'"id": "mini"', b'"id": "GenIntelLab/SOCO"')
        hub.add_repo("dataset", BENCHMARK, {**files, "manifest.json": manifest})
        hub.add_repo("model", "lab/good", {".eval_results/soco.yaml": json.dumps([cc, entry]).encode()})
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("HF_", "SOCO_", "GRADIO_"))},
            **hub.environment(work / "hf"),
            "SOCO_LEADERBOARD": BENCHMARK,
            "SOCO_LEADERBOARD_RESULTS": str(work / "results"),
            "SOCO_LEADERBOARD_DATA": str(built_mini),
            "GRADIO_ANALYTICS_ENABLED": "False",
            "PYTHONPATH": str(APP.parents[1]),
            "PYTHONUNBUFFERED": "1",
        }
        python = gradio_python()
        assert python is not None
        log = work / "log"
        with log.open("w") as out:
            process = subprocess.Popen(
                [python, str(APP / "app.py")], env=environment, cwd=work, stdout=out, stderr=subprocess.STDOUT
            )
        try:
            yield _address(process, log)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=30)


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    end = time.monotonic() + _START
    while time.monotonic() < end and process.poll() is None:
        text = log.read_text()
        if "Running on local URL:" in text:
            url = text.split("Running on local URL:")[1].split()[0]
            with urllib.request.urlopen(url, timeout=30) as answer:
                assert answer.status == 200
            return url
        time.sleep(0.2)
    raise AssertionError(log.read_text())


@needs_gradio
@needs_browser
def test_the_page_in_a_real_browser(served: str, tmp_path: Path) -> None:
    with LivePage(served) as page:
        page.wait_for(f"({MODELS}).includes('dinov2_l14') && ({MODELS}).includes('lab/good')")
        assert page.run(f"({MODELS})[0]") == "lab/good"
        search = "document.querySelector('[placeholder=\"part of a name\"]')"
        for typed in ("dinov2_b", "evil", "lab/"):
            page.run(f"{search}.select(), {search}.focus()")
            page.call("Input.insertText", text=typed)
            page.wait_for(f"(m => m.length && m.every(name => name.includes({json.dumps(typed)})))({MODELS})")
            if typed == "evil":
                assert page.run(MODELS) == [EVIL]  # as text, whole
        assert page.run("document.querySelector('[data-testid=cell-0-3]').innerText.trim()") == "97.00"
        page.press("[data-testid=cell-0-1]")
        page.wait_for("[...document.querySelectorAll('textarea')].some(t => t.value.includes('javascript:evil<img'))")
        page.screenshot(tmp_path / "ranking.png")

        page.click("tab", "Drop from task to task")
        page.wait_for("[...document.images].some(i => i.alt == 'the drop' && i.offsetParent && i.naturalWidth > 500)")
        page.screenshot(tmp_path / "drop.png")

        page.click("tab", "Pairs and matches")
        page.wait_for(
            "[...document.images].some(i => i.alt == 'source and target' && i.offsetParent && i.naturalWidth > 500)"
        )
        page.wait_for("[...document.querySelectorAll('textarea')].some(t => t.value.startsWith('pair 1 of'))")
        page.click("button", "next pair")
        page.wait_for("[...document.querySelectorAll('textarea')].some(t => t.value.startsWith('pair 2 of'))")
        page.screenshot(tmp_path / "pairs.png")

        assert page.run("window.pwned === undefined")
        assert page.run('document.querySelectorAll(\'img[src="x"], a[href^="javascript"]\').length') == 0
        assert page.dialogs == []
        assert [url for url in page.requests if not url.startswith((served, "data:", "blob:"))] == []
