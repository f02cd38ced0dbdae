"""The leaderboard's page: what it shows (no gradio needed), and the page itself in a real browser."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from itertools import combinations, pairwise
from pathlib import Path
from types import ModuleType

import pytest
from helpers.browser import needs_browser
from helpers.file_modules import module_of
from helpers.hub_results import BENCHMARK, board_files, make_result
from helpers.live_page import LivePage
from helpers.loopback_hub import LoopbackHub
from hypothesis import given
from hypothesis import strategies as st

from soco_datasets.data.folder import open_folder
from soco_datasets.hub.board_charts import Spot, plot_entry_sizes, plot_spots
from soco_datasets.hub.drop_chart import plot_entry_drops, spread
from soco_datasets.hub.leaderboard import Collected, Entry, paper_entries
from soco_datasets.records.verification import Verification
from soco_datasets.reporting.style import WIDE, WIDTH

pytest.importorskip("matplotlib", reason="the charts need matplotlib")

APP = Path(__file__).parents[2] / "eval" / "leaderboard"
EVIL = "evil<img src=x onerror=\"window.pwned=1;alert('pwned')\"><script>window.pwned=1</script>$x$[a](javascript:alert(1))"
MODELS = (
    "[...document.querySelectorAll('[data-testid^=cell-][data-testid$=\"-1\"]')].map(cell => cell.innerText.trim())"
)
DARK, INK = "document.body", "#1f2430"  # what gradio marks as dark; the color of text in the light
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


def load_module(name: str) -> ModuleType:
    return module_of(APP / f"{name}.py")


@pytest.fixture(scope="module")
def views() -> ModuleType:
    return load_module("views")


@pytest.fixture(scope="module")
def pair_views() -> ModuleType:
    return load_module("pair_views")


def shown(table: dict) -> list[list[object]]:
    return table["table"]["data"]


def test_the_table_is_filtered_and_ranked(views: ModuleType) -> None:
    mine = Entry("mine", "local", {("soc", "overall"): 61.0, ("cc", "overall"): 2.0})
    apart = Entry(
        "small", "local", {("soc", "overall"): 99.0, ("cc", "overall"): 99.0}, unranked="the image size is 140"
    )
    collected = Collected((*paper_entries(), mine, apart))
    table = views.ranking(collected, "soc", "overall", ["local", "paper"], "")
    assert table["table"]["headers"][:4] == ["rank", "model", "CC", "SOC"]
    rows = shown(table)
    assert len(rows) == 42
    assert [row[1] for row in rows[:5]] == ["small", "dinov2_l14", "dinov3_vitl16", "mine", "dinov2_b14"]
    assert rows[0][:4] == ["", "small", 99.0, 99.0]
    assert rows[3][:4] == [3, "mine", 2.0, 61.0]
    assert table["table"]["metadata"]["display_value"][1][:4] == ["1", "dinov2_l14", "80.68", "62.40"]
    styles = table["table"]["metadata"]["styling"]
    assert "italic" in styles[0][3]
    assert [[place for place, style in enumerate(row) if "700" in style] for row in styles[:4]] == [
        [],
        [2, 3, 4],
        [],
        [],
    ]
    assert [row[:2] for row in shown(views.ranking(collected, "soc", "overall", ["local", "paper"], "MIN"))] == [
        [3, "mine"]
    ]
    assert [row[0] for row in shown(views.ranking(collected, "cc", "overall", ["local"], ""))] == ["", 1]
    assert shown(views.ranking(collected, "cc", "animals", ["local"], "")) == []
    questions = views.ranking(collected, "lvlm_vis", "overall", ["paper"], "")
    assert questions["table"]["headers"][2:5] == ["LVLM Vis.", "LVLM Vis.+Desc.", "LVLM Desc."]


def test_columns_are_chosen_and_facts_come_from_the_list(views: ModuleType) -> None:
    collected = Collected(tuple(paper_entries()))
    chosen = ["SOC", "family", "size (M)", "patch", "license", "published", "links"]
    table = views.ranking(collected, "soc", "overall", ["paper"], "dinov2_b14", chosen)
    assert table["table"]["headers"] == ["rank", "model", *chosen]
    row = shown(table)[0]
    assert row[1:8] == ["dinov2_b14", 60.43, "dinov2", 87, 14, "Apache-2.0", "2026-05"]
    assert 'href="https://huggingface.co/facebook/dinov2-base"' in row[8]
    assert set(chosen) <= set(views.column_choices(collected))
    own = Entry(
        "own", "local", {("soc", "overall"): 1.0, ("cross_cc", "overall"): 1.0}, unranked="the image size is 140"
    )
    more = Collected((*paper_entries(), own))
    assert "Cross-CC" in views.column_choices(more)
    assert "Cross-CC" not in views.chosen_at_first(more)  # nobody who is ranked has it
    assert {"CC", "SOC", "Cross-SOC", "size (M)"} <= set(views.chosen_at_first(more))
    evil = Entry(EVIL, "hub", {("soc", "overall"): 1.0}, url=f"javascript:{EVIL}", notes=EVIL)
    assert shown(views.ranking(Collected((evil,)), "soc", "overall", ["hub"], "", ["links"]))[0][-1] == ""
    assert "<img" not in views.details(Collected((evil,)), EVIL)


def test_how_far_a_result_was_verified_is_stated(views: ModuleType) -> None:
    rerun = Verification("rerun", by="ada", when="2026-11-30T10:00:00+00:00", images=36, pairs=40)
    entries = (
        Entry("a", "hub", {("soc", "overall"): 5.0}, verification=rerun),
        Entry("b", "hub", {("soc", "overall"): 4.0}),
        Entry("c", "local", {("soc", "overall"): 3.0}, unranked="the image size is 140"),
    )
    rows = shown(views.ranking(Collected(entries), "soc", "overall", ["hub", "local"], "", ["verified"]))
    assert [row[-1] for row in rows] == ["rerun (36 images, 40 pairs) by ada on 2026-11-30", "claimed", "unranked"]
    assert "the image size is 140" in views.details(Collected(entries), "c")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/srv/a b/results/x.json is left out", "/srv/a b"),
        ("'/work/data/results/x.json': cannot be read", "/work"),
        (r"C:\Users\ada\results\x.json", "Users"),
    ],
)
def test_a_path_is_cut_to_its_last_name(views: ModuleType, text: str, expected: str) -> None:
    assert expected not in views.public(text)
    assert "x.json" in views.public(text)
    assert (
        views.public("see https://huggingface.co/lab/model and 3/4") == "see https://huggingface.co/lab/model and 3/4"
    )


def test_charts_follow_the_page_and_say_why_there_is_none(views: ModuleType) -> None:
    bad = Entry(EVIL, "hub", {("cc", "overall"): 5.0, ("soc", "overall"): 3.0})
    apart = Entry("dinov2_b14", "local", dict(bad.scores), unranked="x")
    collected = Collected((*paper_entries(), bad, apart))
    names = views.chart_choices(collected)
    assert names[0] == "dinov2_l14"
    assert names[-2:] == [EVIL, "dinov2_b14 (unranked)"]
    drawn = [
        views.drop_chart(collected, [*names[:8], EVIL], "overall"),
        views.size_chart(collected, "soc", "overall", names[:8]),
        views.subsets_chart(collected, "soc", views.subset_choices(collected)),
    ]
    for markup in drawn:
        assert markup.count("<svg") == 2
        assert "var(--ink)" in markup
        assert "<img" not in markup
        assert "dinov2_b14" in markup
    assert "no model here has them" in views.drop_chart(collected, [], "overall")
    assert "No model here has that score" in views.size_chart(Collected(()), "soc", "overall", [])
    sheet = views.style_sheet()
    assert sheet.count("--ink:") == 2
    assert ".dark .soco-chart" in sheet


def test_axes_fit_the_data() -> None:
    entries = [entry for entry in paper_entries() if entry.model in ("dinov2_b14", "dinov2_l14")]
    low, high = plot_entry_drops(entries).axes[0].get_ylim()
    values = [entry.scores[task, "overall"] for entry in entries for task in ("cc", "soc", "cross_soc")]
    assert min(values) - 6 < low < min(values)
    assert max(values) < high < max(values) + 6


@pytest.mark.parametrize("width", [WIDE, WIDTH])
def test_names_of_points_cover_no_other_name(width: float) -> None:
    entries = [e for e in paper_entries() if ("soc", "overall") in e.scores and e.details.parameters]
    named = {e.model for e in sorted(entries, key=lambda e: -e.scores["soc", "overall"])[:12]}
    crowd = [Spot(f"model_{number}", 50 + number % 4, 60 + number / 5) for number in range(14)]
    from matplotlib.backends import backend_agg as agg

    for figure in (
        plot_entry_sizes(entries, "soc", named=named, width=width),
        plot_spots(crowd, {spot.name for spot in crowd}, ("x", "y"), "", width),
    ):
        agg.FigureCanvasAgg(figure).draw()
        boxes = [text.get_window_extent() for text in figure.axes[0].texts]
        assert len(boxes) >= 12
        assert [(a, b) for a, b in combinations(boxes, 2) if a.overlaps(b)] == []


def test_downstream_results_stand_beside_the_papers(views: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SOCO_LEADERBOARD", raising=False)
    monkeypatch.delenv("SOCO_LEADERBOARD_RESULTS", raising=False)
    board = views.Board()
    table = views.downstream_rows(board.downstream)
    assert {"dinov2_b14", "clip_b16"} <= {row[0] for row in table["data"]}
    knn = table["headers"].index("kNN %")
    best = max(range(len(table["data"])), key=lambda row: table["data"][row][knn])
    assert "700" in table["metadata"]["styling"][best][knn]
    key = views.downstream_choices(board.downstream)[0][1]
    assert "dinov2_b14" in views.downstream_chart(board, key, ["dinov2_b14"])


@given(st.lists(st.floats(0, 100), min_size=1, max_size=12))
def test_names_in_the_chart_keep_apart_and_in_order(values: list[float]) -> None:
    values = sorted(values, reverse=True)
    heights = spread(values, 4.5)
    assert all(above - below > 4.5 - 1e-6 for above, below in pairwise(heights))
    assert sum(heights) == pytest.approx(sum(values))  # moved up as much as down


def test_pairs_are_drawn_under_two_models(pair_views: ModuleType, built_mini: Path, tmp_path: Path) -> None:
    make_result(built_mini, tmp_path, name="mine", resamples=0)
    make_result(built_mini, tmp_path, name=EVIL, seed=1, tasks=("cc", "soc"), resamples=0)
    pairs = pair_views.Pairs(open_folder(built_mini), tmp_path)
    mine = "mine (mine.json)"
    (other,) = set(pairs.predictions) - {mine}
    category = pairs.categories("soc")[0]
    both, told = pairs.draw("soc", category, 10**6, [mine, other])
    alone, same = pairs.draw("soc", category, 10**6, [pair_views.ANNOTATION, pair_views.NOBODY])
    last = len(pairs.numbers("soc", category))
    assert told == same
    assert told.startswith(f"pair {last} of ")
    assert (both.count("<figure"), alone.count("<figure")) == (3, 2)
    assert both.index('class="key"') < both.index("<figure")  # the legend stands above
    assert "<img" not in both
    assert "hits" in both
    assert "valid target, with the number" in alone
    assert pairs.draw("cross_soc", pairs.categories("cross_soc")[0], None, [mine, other])[0].count("<figure") == 2
    assert (pairs.step("soc", category, last, 1), pairs.step("soc", category, None, -1)) == (1, last)
    assert pairs.draw("soc", "no such category", 1, [mine]) == ("", "no pair of this category")


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
        page.wait_for("document.querySelector('.soco-details')?.innerText.includes('javascript:evil<img')")
        for tab in ("Score and size", "Score drop", "Supercategories", "Downstream"):
            page.click("tab", tab)
            page.wait_for(
                "[...document.querySelectorAll('.soco-chart svg')].some(e => e.getBoundingClientRect().width > 500)"
            )
        page.click("tab", "Pairs")
        page.wait_for(
            "[...document.querySelectorAll('.soco-pair image')].some(i => i.getBoundingClientRect().width > 100)"
        )
        page.wait_for("[...document.querySelectorAll('textarea')].some(t => t.value.startsWith('pair 1 of'))")
        page.click("button", "Next")
        page.wait_for("[...document.querySelectorAll('textarea')].some(t => t.value.startsWith('pair 2 of'))")
        page.click("button", "Previous")
        page.wait_for("[...document.querySelectorAll('textarea')].some(t => t.value.startsWith('pair 1 of'))")
        page.run(f"{DARK}.classList.toggle('dark')")
        assert (
            page.run("getComputedStyle(document.querySelector('.soco-chart')).getPropertyValue('--ink').trim()") != INK
        )

        assert page.run("window.pwned === undefined")
        assert page.run('document.querySelectorAll(\'img[src="x"], a[href^="javascript"]\').length') == 0
        assert page.dialogs == []
        assert [url for url in page.requests if not url.startswith((served, "data:", "blob:"))] == []
        # no path of the machine that serves the page, in what is shown, asked for or configured
        served_text = page.run(
            "document.documentElement.outerHTML + [...document.querySelectorAll('textarea')].map(t => t.value)"
        )
        config = page.run("fetch('config').then(answer => answer.text())")
        for place in (str(tmp_path.parents[1]), str(APP.parents[1]), tempfile.gettempdir() + "/"):
            assert place not in served_text + config + " ".join(page.requests)
