"""The page of a report as a reader uses it in a real browser: sorting, filters, keys, fingers, paper, no script."""

from __future__ import annotations

import base64
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.browser import dom_of, needs_browser, text_of
from helpers.live_page import LivePage
from helpers.report_records import of_folder
from helpers.small_release import make_release

from soco_datasets.benchmarks.build import build_dataset
from soco_datasets.data.folder import DatasetFolder, open_folder
from soco_datasets.records.evaluation import record_from_predictions, write_evaluation
from soco_datasets.reporting.write_report import write_report

pytestmark = needs_browser
NAMES = ("good", "middling", "poor")
VISIBLE = "[...document.querySelectorAll('.pair[data-c]')].filter(pair => !pair.hidden)"
ORDER = "[...document.querySelectorAll('.ranked tbody tr')].map(row => row.querySelector('.name').textContent)"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three models on a small data set, the worst given first."""
    root = tmp_path_factory.mktemp("page")
    build_dataset(make_release(root / "release"), root / "data")
    folder: DatasetFolder = open_folder(root / "data")
    for place, (name, hit) in enumerate(zip(NAMES, (0.9, 0.5, 0.1), strict=True)):
        table = of_folder(folder, name, hit=hit, seed=place)
        write_evaluation(root / "results", table, record_from_predictions(table, resamples=40))
    return write_report([root / "results"], root / "report", folder.path)[0]


@pytest.fixture(scope="module")
def tab(page: Path) -> Iterator[LivePage]:
    with LivePage(page.as_uri()) as opened:
        opened.wait_for("document.readyState === 'complete'")
        yield opened


def key(tab: LivePage, name: str, code: int) -> None:
    for kind in ("keyDown", "keyUp"):
        tab.call("Input.dispatchKeyEvent", type=kind, key=name, windowsVirtualKeyCode=code)


def test_models_are_ranked_and_any_column_sorts(tab: LivePage) -> None:
    assert tab.run(ORDER) == list(NAMES)
    head = "[...document.querySelectorAll('.ranked thead th')].find(th => th.textContent.startsWith('SOC'))"
    tab.run(f"{head}.querySelector('button').click()")
    assert tab.run(f"{head}.getAttribute('aria-sort')") == "descending"
    tab.run(f"{head}.querySelector('button').click()")
    assert tab.run(ORDER) == list(reversed(NAMES))
    model = "[...document.querySelectorAll('.ranked thead th')].find(th => th.textContent === 'model')"
    tab.run(f"{model}.querySelector('button').click()")
    assert tab.run(ORDER) == sorted(NAMES)
    assert tab.run("document.querySelectorAll('.ranked [aria-sort]').length") == 1
    best = tab.run(
        "[...document.querySelectorAll('.ranked [data-t=SOC] .value.best')].map(e => e.closest('tr').rowIndex)"
    )
    assert set(best) == {sorted(NAMES).index("good") + 1}


def test_a_pair_is_shown_under_every_model_and_filtered(tab: LivePage) -> None:
    whole = tab.run(f"{VISIBLE}.length")
    assert whole > 3
    assert tab.run(f"{VISIBLE}.every(pair => pair.querySelectorAll('.view').length === 4)")  # the source, three models
    choose = (
        (
            "(name, value) => {{ const s = document.querySelector('form.filters').elements[name]; s.value = value;"
            " s.dispatchEvent(new Event('input', {{bubbles: true}})); }}"
        )
        .replace("{{", "{")
        .replace("}}", "}")
    )
    tab.run(f"({choose})('outcome', 'swap')")
    swaps = tab.run(f"{VISIBLE}.length")
    assert 0 < swaps <= whole
    assert tab.run(f"{VISIBLE}.every(pair => pair.querySelector('.m.o-swap'))")
    assert tab.run(f"{VISIBLE}.every(p => [...p.querySelectorAll('.m.o-hit')].every(m => m.matches('.dim')))")
    tab.run(f"({choose})('outcome', '')")
    tab.run(f"({choose})('category', '1')")
    assert 0 < tab.run(f"{VISIBLE}.length") < whole
    tab.run(f"({choose})('keypoint', '0')")
    name = tab.run("document.querySelector('select[name=keypoint]').options[1].textContent")
    assert tab.run(f"{VISIBLE}.every(pair => pair.textContent.includes({name!r}))")
    assert tab.run("document.querySelector('.filters output').textContent").endswith(f"of {whole} pairs")
    tab.run("document.querySelector('form.filters').reset()")
    tab.wait_for(f"{VISIBLE}.length === {whole}")


def test_marks_are_reached_by_keys_and_by_touch(tab: LivePage) -> None:
    tip = "getComputedStyle(document.activeElement, '::after').content"
    tab.call("Emulation.setFocusEmulationEnabled", enabled=True)
    tab.run("document.querySelector('.view .m').focus()")
    first = tab.run("document.activeElement.getAttribute('aria-label')")
    assert re.match(r"1\. \w+", first)
    assert first in tab.run(tip)
    key(tab, "ArrowRight", 39)
    assert tab.run("document.activeElement.getAttribute('aria-label')").startswith("2. ")
    assert tab.run("document.querySelectorAll('.view:first-of-type .m[tabindex=\"0\"]').length") > 0
    stops = tab.run("[...document.querySelectorAll('.view')].map(v => v.querySelectorAll('.m[tabindex=\"0\"]').length)")
    assert set(stops) == {1}  # one stop of the Tab key per picture
    tab.run("document.querySelectorAll('.view')[1].scrollIntoView({block: 'center', behavior: 'instant'})")
    tab.call("Emulation.setTouchEmulationEnabled", enabled=True)
    mark = "[...document.querySelectorAll('.view')[1].querySelectorAll('.m')].at(-1)"
    tab.tap(mark, until=f"document.activeElement === {mark}")
    assert "error" in tab.run(tip)
    tab.call("Emulation.setTouchEmulationEnabled", enabled=False)


def test_a_pair_is_enlarged_and_closed_without_a_script_too(tab: LivePage) -> None:
    before = tab.run("document.querySelector('#pair-2').getBoundingClientRect().width")
    tab.run("location.hash = '#pair-2'")
    tab.wait_for("getComputedStyle(document.querySelector('#pair-2')).position === 'fixed'")
    assert tab.run("document.querySelector('#pair-2').getBoundingClientRect().width") > before
    key(tab, "Escape", 27)
    tab.wait_for("location.hash === '#matches'")
    assert tab.run("getComputedStyle(document.querySelector('#pair-2')).position") != "fixed"
    focused = "document.activeElement.matches('#pair-2 .enlarge')"  # closing returns to the pair, not to the top
    tab.wait_for(focused)
    assert tab.run("(r => r.top >= 0 && r.bottom <= innerHeight)(document.activeElement.getBoundingClientRect())")
    tab.run("location.hash = '#pair-2'")
    tab.wait_for("getComputedStyle(document.querySelector('#pair-2')).position === 'fixed'")
    tab.run("document.querySelector('#pair-3 .enlarge').focus()")  # what the enlarged pair hides is not reached
    assert tab.run("document.activeElement.matches('#pair-2 .close')")
    tab.run("document.activeElement.click()")
    tab.wait_for(focused)


def test_no_request_leaves_the_page(tab: LivePage, page: Path) -> None:
    assert [url for url in tab.requests if not url.startswith("data:")] == [page.as_uri()]
    assert tab.run("fetch('https://example.org').then(() => 'sent', () => 'refused')") == "refused"


def test_everything_is_readable_without_the_script(page: Path, tmp_path: Path) -> None:
    plain = tmp_path / "plain.html"
    plain.write_text(re.sub(r"script-src '[^']*';", "script-src 'none';", page.read_text()))
    dom = dom_of(plain)
    assert 'aria-sort="' not in dom
    assert re.search(r'<form class="filters" hidden', dom)
    shown = text_of(dom)
    for name in (*NAMES, "Largest disagreement", "Keypoints per category", "Skip to the results"):
        assert name in shown
    assert 'tabindex="0" role="img"' in dom


def test_paper_has_every_column_and_open_tables(page: Path, tab: LivePage, tmp_path: Path) -> None:
    data = tab.call("Page.printToPDF", printBackground=False, preferCSSPageSize=True)["data"]
    (tmp_path / "report.pdf").write_bytes(base64.b64decode(data))
    run = subprocess.run(["pdftotext", "-layout", str(tmp_path / "report.pdf"), "-"], capture_output=True, check=False)
    text = run.stdout.decode()
    table = (page.parent / "tables" / "metrics.csv").read_text().splitlines()
    for name in ("pair @0.1", "image @0.02", "keypoints", "model weights hash", "Summary", "good", "poor"):
        assert all(word in text for word in name.split()), name
    numbers = re.findall(r"\b\d+\.\d\d\b", text)
    for cell in table[1].split(",")[2:-2]:
        assert f"{float(cell):.2f}" in numbers
    tab.call("Emulation.setEmulatedMedia", media="print")
    tab.call("Emulation.setDeviceMetricsOverride", width=703, height=1000, deviceScaleFactor=1, mobile=False)
    over = tab.run(
        "[...document.querySelectorAll('table, figure')].filter(e => e.getBoundingClientRect().right > innerWidth + 1)"
        ".map(e => e.innerText.slice(0, 60))"
    )
    colors = tab.run("getComputedStyle(document.querySelector('.meter i')).printColorAdjust")
    widths = "[...document.querySelectorAll('.chart')].map(e => e.getBoundingClientRect().width)"
    narrow = tab.run(f"(all => all.map(w => Math.round(w / Math.min(...all))))({widths})")
    tab.call("Emulation.setEmulatedMedia", media="")
    tab.call("Emulation.clearDeviceMetricsOverride")
    assert over == []
    assert colors == "exact"
    assert set(narrow) == {1}  # a chart alone is as wide as one of several


@pytest.mark.parametrize("width", [1440, 400])
def test_nothing_makes_the_page_scroll_sideways(tab: LivePage, width: int) -> None:
    tab.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
    assert tab.run("document.documentElement.scrollWidth") <= width
    tab.call("Emulation.clearDeviceMetricsOverride")
