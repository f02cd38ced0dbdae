from __future__ import annotations

import base64
import dataclasses
import hashlib
import html
import json
import re
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from helpers.browser import dom_of, elements, needs_browser, screenshot, text_of
from helpers.report_records import of_folder, predictions, record
from helpers.small_release import make_release
from PIL import Image

from soco_datasets.benchmarks.build import build_dataset
from soco_datasets.cli import main
from soco_datasets.config import Protocol, ScoringConfig
from soco_datasets.data.folder import DatasetFolder, open_folder
from soco_datasets.errors import PredictionsError, UsageError
from soco_datasets.records.evaluation import EvaluationResult, record_from_predictions, write_evaluation
from soco_datasets.reporting.gallery import analyze, choose_pairs, galleries
from soco_datasets.reporting.page import PageParts, page_script, render_page
from soco_datasets.reporting.photographs import Photographs
from soco_datasets.reporting.report_tables import report_tables
from soco_datasets.reporting.write_report import write_report

HOSTILE = [
    "<script>document.documentElement.setAttribute('data-pwned', 1)</script>",
    '"><img src=x onerror="document.documentElement.setAttribute(\'data-pwned\', 1)">',
    "</title></style></svg></text><svg onload=alert(1)>",
    "' onmouseover='alert(1)",
    "{{ 7 * 7 }}{% raw %}",
    "]]><!--",
    "javascript:alert(1)",
    "&lt;b&gt;",
    "car\u202egnp.exe\x00\n",
]
HARMLESS = [f"plain {chr(ord('a') + i)}" for i in range(len(HOSTILE))]
POINTS = ["<script>alert(2)</script>", "b' onload='alert(3)", "c</svg>", "d&amp;"]
PLAIN_POINTS = ["front", "rear", "left", "right"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> DatasetFolder:
    root = tmp_path_factory.mktemp("data")
    build_dataset(make_release(root / "release"), root / "built")
    return open_folder(root / "built")


@pytest.fixture(scope="module")
def run(folder: DatasetFolder, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two evaluated models beside their predictions."""
    out = tmp_path_factory.mktemp("results")
    tables = [of_folder(folder, name, hit=hit, seed=i) for i, (name, hit) in enumerate((("good", 0.9), ("poor", 0.3)))]
    return [write_evaluation(out, table, record_from_predictions(table, resamples=40))[0] for table in tables]


def noise(image_id: str) -> Image.Image:
    seed = abs(hash(image_id)) % 1000
    return Image.fromarray(np.random.default_rng(seed).integers(0, 255, (100, 200, 3), dtype=np.uint8))


def page_of(categories: list[str], points: list[str], model: str) -> str:
    table = predictions(categories, model, point_names=points, dataset=categories[0][:20].encode().hex())
    parents = dict(zip(categories, [categories[0], categories[1], "x"] * 3, strict=False))
    result = record_from_predictions(table, resamples=20)
    more = record(categories, model, point_names=points, supercategories=parents)
    more = more.replace(model={**more.model, "name": model + "\ud800"})  # JSON may hold half a character
    photographs = Photographs(noise)
    found = galleries({0: table, 1: table}, ["soc"], photographs, 2)
    return render_page([result, more], PageParts(found, photographs.data_uris()))


def test_the_command_writes_page_and_tables(
    run: list[Path], folder: DatasetFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", *map(str, run), "--out", str(tmp_path), "--data", str(folder.path)]) == 0
    assert "report.html" in capsys.readouterr().out
    page = (tmp_path / "report.html").read_text()
    for path in run:
        result = EvaluationResult.read(path)
        for task in ("cc", "soc", "cross_soc"):
            pck = result.metrics[task]["pair"]["0.1"]["overall"]["pck"]
            assert f"{100 * pck:.2f}" in page
    stems = {path.stem for path in (tmp_path / "tables").iterdir()}
    assert {"summary", "metrics", "categories", "anatomy", "drops", "provenance"} <= stems
    assert {path.suffix for path in (tmp_path / "tables").iterdir()} == {".md", ".csv", ".tex"}
    assert page.count("<image id=") > 2
    assert main(["report", str(tmp_path / "none.json"), "--out", str(tmp_path)]) == 1


def test_nothing_is_fetched_and_nothing_can_run(run: list[Path], folder: DatasetFolder, tmp_path: Path) -> None:
    page = write_report(run, tmp_path, folder.path)[0].read_text()
    assert page.count("<script") == page.count(f"<script>{page_script()}</script>") == 1
    digest = base64.b64encode(hashlib.sha256(page_script().encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}';" in page
    assert not re.search(r"(?:src|href|action|url)\s*[=(]\s*[\"']?(?:https?:|//)", page)
    assert "default-src 'none'" in page
    assert not re.search(r"<[^>]+\son\w+=", page)


def test_without_the_dataset_or_predictions_the_page_says_what_is_missing(
    run: list[Path], tmp_path: Path, folder: DatasetFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOCO_CACHE", str(tmp_path / "empty"))
    monkeypatch.delenv("SOCO_HOME", raising=False)
    page = write_report(run, tmp_path / "a")[0].read_text()
    assert "the dataset small (content hash" in page
    assert "<image id=" not in page
    monkeypatch.setenv("SOCO_HOME", str(folder.path))  # found by its content hash
    assert "<image id=" in write_report(run, tmp_path / "b")[0].read_text()
    alone = tmp_path / "alone.json"
    alone.write_bytes(run[0].read_bytes())
    page = write_report([alone, run[1]], tmp_path / "c")[0].read_text()
    assert "alone.predictions.parquet is not beside alone.json" in page
    assert "<image id=" in page


def test_what_does_not_belong_together_is_refused(run: list[Path], tmp_path: Path, folder: DatasetFolder) -> None:
    other = write_evaluation(tmp_path, table := predictions(["car"], "other"), record_from_predictions(table))[0]
    with pytest.raises(UsageError, match=r"good and other cannot be compared.*different data"):
        write_report([run[0], other], tmp_path)
    centered = predictions(["car"], "third", protocol=Protocol(ScoringConfig(convention="reference")))
    third = write_evaluation(tmp_path, centered, record_from_predictions(centered))[0]
    with pytest.raises(UsageError, match=r"other and third cannot be compared.*convention centered and reference"):
        write_report([other, third], tmp_path)
    with pytest.raises(UsageError, match="not the dataset of these results"):
        write_report([other], tmp_path, folder.path)
    stale = tmp_path / "stale.json"
    stale.write_bytes(run[0].read_bytes())
    (tmp_path / "stale.predictions.parquet").write_bytes(run[1].with_name("poor.predictions.parquet").read_bytes())
    with pytest.raises(PredictionsError, match="of another evaluation"):
        write_report([stale], tmp_path, folder.path)
    with pytest.raises(UsageError, match="at least one result"):
        write_report([], tmp_path)
    assert not (tmp_path / "report.html").exists()


def test_a_record_without_the_optional_parts_still_makes_a_page() -> None:
    bare = record(["car", "bus"]).replace(intervals=None, anatomy=None, curves=None, baselines=None)
    soc = {"soc": {"pair": {"0.1": bare.metrics["soc"]["pair"]["0.1"]}}}
    protocol = dataclasses.replace(
        bare.protocol, scoring=ScoringConfig(bare.protocol.scoring.convention, (0.1,), reductions=("pair",))
    )
    page = render_page([bare.replace(metrics=soc, protocol=protocol)])
    sections = re.findall(r'<section id="(\w+)"', page)
    assert sections == ["summary", "categories", "numbers", "terms"]
    assert re.findall(r'<a href="#(\w+)"', page) == sections


def test_the_papers_numbers_stand_beside_the_same_model() -> None:
    ours, unknown = record(["car", "bus"], "facebook/dinov2-base"), record(["car", "bus"], "somebody's")
    tables = {table.key: table for table in report_tables([ours, unknown])}
    names = [column.name for column in tables["summary"].columns]
    rows = [dict(zip(names, row, strict=True)) for row in tables["summary"].rows]
    assert rows[0]["SOC in the paper"] == 60.43
    assert rows[0]["Cross-SOC in the paper"] == 54.98
    assert rows[1]["SOC in the paper"] is None
    page = render_page([ours])
    assert "paper 60.4<" in page
    assert "not comparable with the paper (the data is made-up, not SOCO; the convention is centered, not" in page
    full = record([f"c{i}" for i in range(100)], "dinov2_b14", protocol=Protocol())
    soc = 100 * full.metrics["soc"]["pair"]["0.1"]["overall"]["pck"]
    difference = round(soc, 1) - 60.4
    text = render_page([full])
    assert f"({difference:+.1f})".replace("-", "\u2212") in text  # of the numbers as shown
    assert "not comparable" not in text


def test_galleries_show_what_they_promise() -> None:
    table = predictions(["car", "bus", "van", "cab"], hit=0.5, seed=3)
    analyzed = analyze(table, "soc")
    rows = analyzed.rows.to_pylist()
    share = {row["pair_id"]: [] for row in rows}
    swaps = {row["pair_id"]: 0 for row in rows}
    for row, kind in zip(rows, analyzed.kind.tolist(), strict=True):
        share[row["pair_id"]].append(kind == 0)
        swaps[row["pair_id"]] += kind == 2
    chosen = choose_pairs([analyzed], 3)
    assert set(chosen) == {"best", "typical", "worst", "swaps"}
    everything = [pair_id for ids in chosen.values() for pair_id in ids]
    assert len(everything) == len(set(everything))
    assert [len(chosen[kind]) for kind in ("best", "typical", "worst")] == [3, 3, 3]
    mean = {name: np.mean(values) for name, values in share.items()}
    assert mean[chosen["best"][0]] == max(mean.values())
    assert mean[chosen["worst"][0]] == min(mean.values())
    left = [name for name in swaps if name not in chosen["best"] + chosen["worst"]]
    assert swaps[chosen["swaps"][0]] == max(swaps[name] for name in left)
    assert len({pair_id.partition("/")[0] for pair_id in chosen["best"]}) == 3
    picture = galleries({0: table}, ["soc"], Photographs(noise), 1)["soc"]["best"][0]
    assert picture.views[0].hits == sum(share[chosen["best"][0]])
    assert picture.radius == pytest.approx(0.1 * 200 * 2.7, abs=0.1)  # box of 200 px, image of 100 px shown 270 px high
    row = next(row for row in rows if row["pair_id"] == chosen["best"][0])
    assert picture.queries[0].source == pytest.approx(np.array(row["source_point"]) * 2.7, abs=0.1)


def test_photographs_keep_to_their_budget() -> None:
    photographs = Photographs(lambda name: Image.effect_noise((640, 480), 90).convert("RGB"))
    for number in range(20):
        photographs.add(f"car/{number}")
    plenty, little = photographs.data_uris(), photographs.data_uris(budget=150_000)
    assert list(plenty) == [f"p{i}" for i in range(20)]
    assert sum(len(uri) for uri, _ in little.values()) < 150_000 * 1.4 < sum(len(uri) for uri, _ in plenty.values())
    assert photographs.add("car/3").key == "p3"
    wide = Photographs(lambda name: Image.new("RGB", (5000, 2))).add("x")
    assert wide.size == (675, 1)


@needs_browser
def test_names_are_data_in_a_real_browser(tmp_path: Path) -> None:
    """The same page with harmless names has the same elements with the same attributes, and no name's script ran."""
    doms = []
    for stem, names, points in (("hostile", HOSTILE, POINTS), ("plain", HARMLESS, PLAIN_POINTS)):
        path = tmp_path / f"{stem}.html"
        model = names[0] + names[1] if stem == "hostile" else "plain model"
        page = page_of(names, points, model)
        path.write_text(re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page))  # escaping alone must do
        doms.append(dom_of(path))
    hostile = doms[0]
    assert "data-pwned" not in re.match(r"(?s).*?<html[^>]*>", hostile)[0]
    found = [Counter(elements(dom)) for dom in doms]
    assert "img" not in {name for name, _ in found[0]}
    assert sum(number for (name, _), number in found[0].items() if name == "script") == 1
    drawn = {"g", "path", "text", "use", "wbr"}  # how many ticks, marks and lines there are depends on the names
    kinds = [{key for key in counts if key[0] not in ("text", "wbr")} for counts in found]
    assert kinds[0] == kinds[1]
    assert {name for tag, names in found[0] if tag == "text" for name in names} <= {"style", "transform", "x", "y"}
    kept = [{key: number for key, number in counts.items() if key[0] not in drawn} for counts in found]
    assert kept[0] == kept[1]
    assert {names for tag, names in found[0] if tag == "wbr"} <= {frozenset()}
    hostile = hostile.replace("<wbr>", "")
    shown = text_of(hostile)
    for name in HOSTILE[:-1]:
        assert name in shown
    assert "\u202e" not in hostile
    assert "{{ 7 * 7 }}" in shown
    assert html.escape(HOSTILE[0], quote=False) in hostile


@needs_browser
def test_the_browser_would_notice_a_script_and_the_policy_would_stop_it(tmp_path: Path) -> None:
    page = render_page([record(["car"])])
    attack = page.replace("<body>", f"<body>{HOSTILE[0]}")
    bare = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", attack)
    (tmp_path / "bare.html").write_text(bare)
    (tmp_path / "kept.html").write_text(attack)
    assert 'data-pwned="1"' in dom_of(tmp_path / "bare.html")[:300]
    assert 'data-pwned="1"' not in dom_of(tmp_path / "kept.html")[:300]


@needs_browser
def test_the_page_fills_a_desktop_and_a_phone(run: list[Path], folder: DatasetFolder, tmp_path: Path) -> None:
    page = write_report(run, tmp_path, folder.path)[0]
    for width, height in ((1280, 900), (500, 900)):
        shot = np.asarray(Image.open(screenshot(page, tmp_path / f"{width}.png", width, height)).convert("L"))
        assert shot.shape == (height, width)
        assert (shot < 90).mean() > 0.005  # text and bars on
        assert (shot > 230).mean() > 0.5  # a light page
    style = "<style>main, header, nav, footer { outline: 0 }</style>"
    wide = tmp_path / "probe.html"
    script = "<script>document.title = document.documentElement.scrollWidth + ' ' + innerWidth</script></body>"
    text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', style, page.read_text())
    wide.write_text(text.replace("</body>", script))
    title = re.search(r"<title>(\d+) (\d+)</title>", dom_of(wide))
    assert title is not None
    assert int(title[1]) <= int(title[2])  # nothing makes the page scroll sideways


@needs_browser
def test_a_hundred_categories_and_three_models(tmp_path: Path) -> None:
    categories = [f"category {i}" for i in range(100)]
    parents = {name: f"super {i % 4}" for i, name in enumerate(categories)}
    tables = [
        predictions(categories, f"model {i}", seed=i, hit=0.3 + 0.2 * i, supercategories=parents) for i in range(3)
    ]
    results = [record_from_predictions(table, resamples=20) for table in tables]
    photographs = Photographs(lambda name: Image.effect_noise((400, 300), 80).convert("RGB"))
    shown = galleries(dict(enumerate(tables)), ["soc", "cross_soc"], photographs, 4)
    page = render_page(results, PageParts(shown, photographs.data_uris()))
    path = tmp_path / "report.html"
    path.write_text(page)
    assert len(photographs) > 50
    assert path.stat().st_size < 15_000_000
    timing = (
        "<script>addEventListener('load', () => { document.title = 'loaded ' + performance.now() })</script></head>"
    )
    probe = tmp_path / "probe.html"
    probe.write_text(re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page).replace("</head>", timing))
    started = time.monotonic()
    dom = dom_of(probe)
    loaded = re.search(r"<title>loaded ([\d.]+)</title>", dom)
    assert loaded is not None
    print(json.dumps({
        "bytes": path.stat().st_size, "photographs": len(photographs), "elements": len(elements(dom)),
        "load_event_ms": float(loaded[1]), "browser_start_to_end_s": round(time.monotonic() - started, 2),
    }))  # fmt: skip
    assert text_of(dom).count("category 99") > 1
