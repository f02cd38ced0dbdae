"""What `soco report` takes and writes: folders, sizes and layers of one model, any kind of record, figures."""

from __future__ import annotations

import csv
import dataclasses
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest
from helpers.report_records import predictions, record
from helpers.shared_builds import built_mini

from soco_datasets.cli import main
from soco_datasets.config import FeatureConfig, Protocol, ScoringConfig
from soco_datasets.data.folder import open_folder
from soco_datasets.errors import UsageError
from soco_datasets.records.base import Record
from soco_datasets.records.compare import compare_predictions
from soco_datasets.records.evaluation import EvaluationResult, record_from_predictions, write_evaluation
from soco_datasets.records.ranking import RankedTask
from soco_datasets.records.registry import forget_type, records_in
from soco_datasets.reporting.comparison import compare_results
from soco_datasets.reporting.page import render_page
from soco_datasets.reporting.plots import plot_categories, plot_keypoints
from soco_datasets.reporting.plots_data import keypoint_counts
from soco_datasets.reporting.report_tables import report_tables
from soco_datasets.reporting.score_access import model_names, ranking, score_of
from soco_datasets.reporting.write_report import write_report

CATEGORIES = [f"c{i}" for i in range(6)]


def with_features(**features: Any) -> Protocol:
    return Protocol(ScoringConfig(convention="centered"), dataclasses.replace(FeatureConfig(), **features))


def written(folder: Path, name: str = "tiny", hit: float = 0.5, **features: Any) -> Path:
    """A result and its predictions in a folder."""
    table = predictions(CATEGORIES, name, hit=hit, protocol=with_features(**features))
    stem = "_".join([name, *(str(value) for value in features.values())])
    path = write_evaluation(folder, table, record_from_predictions(table, resamples=20))[0]
    for suffix in (".json", ".predictions.parquet"):
        shutil.move(path.with_suffix(suffix), folder / f"{stem}{suffix}")
    return folder / f"{stem}.json"


def test_a_folder_of_sizes_and_layers_of_one_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = tmp_path / "results"
    for size, layer in ((280, -1), (140, -1), (140, 0)):
        written(results, image_size=size, layer=layer)
    (results / "notes.json").write_text('{"what": "no record"}')
    assert main(["report", str(results), "--out", str(tmp_path / "out")]) == 0
    assert "notes.json is not a record" in capsys.readouterr().err
    page = (tmp_path / "out" / "report.html").read_text()
    for label in ("tiny (280 px, last layer)", "tiny (140 px, last layer)", "tiny (140 px, layer 0)"):
        assert label in page
    assert "The runs differ in image size (140 px, 280 px); layer (tiny: " in page
    assert "images are 140 px and 280 px, not 800 px" in page
    with pytest.raises(UsageError, match="holds no result record"):
        write_report([tmp_path / "out"], tmp_path / "other")


def test_of_a_folder_of_everything_those_are_shown_that_belong_together(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results, out = tmp_path / "results", tmp_path / "out"
    for name in ("one", "two"):
        written(results, name)
    for name, change in (("other", {"content_hash": "f" * 64}), ("whole", {"split": "all"})):
        kept = record(CATEGORIES, name)
        kept.replace(dataset={**kept.dataset, **change}).write(results / f"{name}.json")
    assert main(["report", str(results), "--out", str(out)]) == 0
    page, err = (out / "report.html").read_text(), capsys.readouterr().err
    assert ">one, two on" in page
    assert "other.json is left out" in err
    assert "they were evaluated on different data" in err
    assert "whole.json is left out" in err
    assert "one is of the split test, the other of all" in err
    named = tmp_path / "named"  # what is named decides
    assert main(["report", str(results), str(results / "whole.json"), "--out", str(named)]) == 0
    assert ">whole on" in (named / "report.html").read_text()
    with pytest.raises(UsageError, match="whole and one cannot be compared"):
        write_report([results / "whole.json", results / "one.json"], out)


def test_compare_takes_two_layers_of_one_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = [written(tmp_path, image_size=size, layer=layer) for size, layer in ((280, -1), (140, 9))]
    assert main(["compare", *map(str, paths), "--resamples", "10"]) == 0
    out = capsys.readouterr().out
    assert "tiny (280 px, last layer)" in out
    assert "tiny (140 px, layer 9)" in out
    assert "the runs differ in image size (280, 140), layer (last, 9)" in out
    assert main(["compare", str(tmp_path), str(paths[0])]) == 2
    err = capsys.readouterr().err
    assert "is a folder with 2 result records" in err
    assert str(tmp_path / "tiny_140_9.json") in err
    same = [predictions(CATEGORIES, name) for name in ("a", "b")]
    found = compare_predictions(*same, resamples=10)
    assert (found["a"], found["b"], found["differ"]) == ("a", "b", {})


def test_records_of_folders_below_are_found_once_in_order(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = tmp_path / "results"
    for folder, name in ((".", "one"), ("b", "two"), ("a/x", "three"), (".old", "four"), ("1/2/3/4", "five")):
        written(results / folder, name)
    shutil.copytree(results / "b", results / "submission")  # the same record again
    (results / "b" / "notes.json").write_text("{}")
    found = records_in(results)
    assert [path.stem.partition("_")[0] for path in found.kinds] == ["one", "three", "two"]
    assert found.note == f"{results}: with the records of folders below: a/x (1), b (1)"
    assert main(["report", str(results), "--out", str(tmp_path / "out")]) == 0
    assert found.note in " ".join(capsys.readouterr().err.split())
    assert all(name in (tmp_path / "out" / "report.html").read_text() for name in ("one", "two", "three"))
    assert main(["leaderboard", "--local", str(results), "--no-paper", "--all", "--csv"]) == 0
    assert {row["model"] for row in csv.DictReader(capsys.readouterr().out.splitlines())} == {"one", "two", "three"}
    assert main(["compare", str(results / "a"), str(results / "b"), "--resamples", "5"]) == 0
    assert main(["compare", str(results / "a"), str(tmp_path / "out")]) == 2
    assert "no result record" in capsys.readouterr().err


def test_names_say_what_differs_and_nothing_else() -> None:
    plain = record(CATEGORIES, "m")
    layers = [record(CATEGORIES, "m", protocol=with_features(layer=layer)) for layer in (3, 9)]
    assert model_names([plain]) == ["m"]
    assert model_names(layers) == ["m (layer 3)", "m (layer 9)"]
    assert model_names([*layers, record(CATEGORIES, "other")]) == ["m (layer 3)", "m (layer 9)", "other"]
    assert model_names([plain, plain]) == ["m", "m (2)"]
    revised = [plain.replace(model={**plain.model, "revision": text * 40}) for text in "ab"]
    assert model_names(revised) == ["m (@aaaaaaa)", "m (@bbbbbbb)"]


def test_twelve_models_are_ranked_and_told_apart(tmp_path: Path) -> None:
    names = [f"organization/a-rather-long-name-of-a-model-{i}" for i in range(12)]
    results = [record(CATEGORIES, name, hit=0.05 * (i + 1), seed=i) for i, name in enumerate(names)]
    order = ranking(results)
    scores = [results[i].metrics["soc"]["pair"]["0.1"]["overall"]["pck"] for i in order]
    assert scores == sorted(scores, reverse=True)
    comparison = compare_results([results[i] for i in order])
    assert len({row.look for row in comparison.rows}) == 12
    soc = [row.cells[[title for title, _ in comparison.columns].index("SOC")] for row in comparison.rows]
    assert [cell.best for cell in soc].count(True) >= 1
    assert soc[0].best
    figure = plot_categories(results)
    shown = " ".join(text.get_text() for text in figure.legends[0].get_texts())
    assert all(name in shown for name in names)  # whole
    drawn = {(line.get_color(), line.get_marker()) for line in figure.axes[0].lines}
    assert len(drawn) == 12
    tables = {table.key: table for table in report_tables(results)}
    assert max(len(table.columns) for table in tables.values()) <= 15  # what fits on paper
    assert {row[1] for row in tables["categories"].rows} == set(names)


def test_no_interval_below_five_images() -> None:
    parents = {"c0": "two categories", "c1": "two categories"} | dict.fromkeys(CATEGORIES[2:], "four categories")
    result = record(CATEGORIES, supercategories=parents)
    metric: dict[str, Any] = {"reduction": "pair", "alpha": 0.1}
    few = score_of(result, "soc", part="per_supercategory", name="two categories", **metric)
    many = score_of(result, "soc", part="per_supercategory", name="four categories", **metric)
    assert (few.pairs, few.low) == (8, None)
    assert many.pairs == 16
    assert many.low is not None
    assert result.intervals["tasks"]["soc"]["pair"]["0.1"]["per_supercategory"]["two categories"] is not None
    assert "An interval is shown where at least 5 images" in render_page([result])


def test_every_chart_is_a_file_with_embedded_fonts(tmp_path: Path) -> None:
    results = [written(tmp_path / "results", name, hit) for name, hit in (("one", 0.7), ("two", 0.3))]
    report = write_report(results, tmp_path / "out")
    figures = {path.name for path in report if path.parent.name == "figures"}
    stems = {"drops", "outcomes_soc", "thresholds_cc", "categories_soc"}
    assert {f"{stem}.{form}" for stem in stems for form in ("svg", "pdf")} <= figures
    page = report[0].read_text()
    assert set(re.findall(r'href="figures/([^"]+)"', page)) == figures
    for name in figures:
        content = (tmp_path / "out" / "figures" / name).read_bytes()
        if name.endswith(".pdf"):
            width = re.search(rb"/MediaBox \[ ?0 0 ([\d.]+) ", content)
            assert width is not None
            assert float(width[1]) in (pytest.approx(3.3 * 72, abs=1), pytest.approx(6.9 * 72, abs=1))
            assert b"/Type3" not in content
            assert b"/FontFile2" in content
    if shutil.which("pdffonts"):
        path = tmp_path / "out" / "figures" / "drops.pdf"
        listed = subprocess.run(["pdffonts", str(path)], capture_output=True, text=True, check=True).stdout.splitlines()
        assert all("TrueType" in line and " yes yes " in line for line in listed[2:])
    text = (tmp_path / "out" / "tables" / "summary.csv").read_text()
    rows = list(csv.DictReader(text.splitlines()))
    best = EvaluationResult.read(results[0]).metrics["soc"]["pair"]["0.1"]["overall"]["pck"]
    assert float(rows[0]["SOC"]) == 100 * best  # every digit


def test_the_keypoints_of_any_data_set() -> None:
    folder = open_folder(built_mini())
    counts = keypoint_counts(folder)
    names = {category: folder.taxonomy.keypoints(category) for category in counts}
    for category, (shared, own) in counts.items():
        others = {name for other in counts if other != category for name in names[other]}
        assert shared + own == len(names[category])
        assert shared == len(set(names[category]) & others)
    figure = plot_keypoints(folder)
    assert figure.get_size_inches()[0] == pytest.approx(3.3)
    heights = [sum(bar.get_height() for bar in bars) for bars in zip(*figure.axes[0].containers, strict=True)]
    assert heights == [sum(pair) for pair in counts.values()]
    wide = plot_keypoints({f"category {i}": (i, 1) for i in range(60)})
    assert wide.get_size_inches()[0] == pytest.approx(6.9)


@pytest.fixture
def toy() -> Iterator[type[Record]]:
    class ToyResult(Record):
        kind: ClassVar[str] = "toy_report"
        heading: ClassVar[str] = "Toys found"
        tasks: ClassVar[Mapping[str, RankedTask]] = {
            "toys": RankedTask("Toys", metric="rmse", unit="m", higher_is_better=False)
        }
        metrics: dict[str, dict[str, float]]

    yield ToyResult
    forget_type("toy_report")


def test_any_registered_kind_of_record_is_a_table(tmp_path: Path, toy: type[Record]) -> None:
    other = record(CATEGORIES)
    common = {name: getattr(other, name) for name in ("dataset", "versions", "device", "created", "counts")}
    for name, file, error in (("<b>one</b>", "a", 0.25), ("two", "b", 0.5)):
        toy(model={**other.model, "name": name}, metrics={"toys": {"rmse": error}}, **common).write(
            tmp_path / "toys" / f"{file}.json"
        )
    alone = write_report([tmp_path / "toys"], tmp_path / "alone")
    page = alone[0].read_text()
    assert "Records of kind toy_report" in page
    assert "&lt;b&gt;one&lt;/b&gt;" in page
    assert '<th scope="col" class="n">Toys rmse, m</th>' in page
    assert re.search(r'class="n best" data-v="0.25">0.250<', page)
    assert {path.name for path in alone[1:]} == {f"records_toy_report.{form}" for form in ("md", "csv", "tex")}
    both = write_report([written(tmp_path / "results"), tmp_path / "toys"], tmp_path / "both")[0].read_text()
    assert "Records of kind toy_report" in both
    assert "Score drop across tasks" in both
    assert both.index("Records of kind toy_report") < both.index("</main>")
