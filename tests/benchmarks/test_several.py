"""Several benchmarks in one run: shared features, one record each, one table, reports and correlations of them."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.shared_data import DATA, ORACLE

from soco_datasets import cli
from soco_datasets.benchmarks.build import build_dataset
from soco_datasets.errors import UsageError
from soco_datasets.records.comparable import check_comparable
from soco_datasets.records.evaluation import EvaluationResult

pytest.importorskip("torch")
MINIATURES = DATA / "benchmarks" / "miniatures"
MODEL = ["--model", str(ORACLE / "models" / "dinov2_tiny_p14"), "--image-size", "285", "--device", "cpu"]
EXPECTED = {"spair71k": ("soc", 17.2716), "ap10k": ("soc", 39.4396), "misc210k": ("soc", 26.5170)}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SOCO_HOME with built benchmarks by name (one by its alias), and a second copy of SPair-71k."""
    root = tmp_path_factory.mktemp("home")
    for source, name in {"SPair-71k": "spair", "ap-10k": "ap10k", "MISC210K": "misc210k"}.items():
        build_dataset(MINIATURES / source, root / name)
    return root


@pytest.fixture(scope="module")
def evaluated(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("results")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOCO_HOME", str(home))
        command = ["evaluate", *MODEL, "--data", "spair,ap10k,misc210k", "--out", str(out), "--no-probe"]
        assert cli.main(command) in (0, None)
    return out


def record_of(out: Path, benchmark: str) -> Path:
    (found,) = (out / benchmark).glob("*.json")
    return found


def test_one_record_per_benchmark_with_the_expected_scores(evaluated: Path) -> None:
    for benchmark, (task, percent) in EXPECTED.items():
        record = EvaluationResult.read(record_of(evaluated, benchmark))
        found = record.metrics[task]["keypoint"]["0.1"]["overall"]["pck"]
        assert 100 * found == pytest.approx(percent, abs=1e-4)
        assert record.dataset["benchmark"] == benchmark
        assert record.counts["forwards"] + record.counts["reused"] == record.counts["images"]
    spair = EvaluationResult.read(record_of(evaluated, "spair71k"))
    assert spair.counts["reused"] == 1  # the picture that dog and cat both have


def test_pictures_of_an_earlier_benchmark_are_not_forwarded_again(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "copy"
    build_dataset(MINIATURES / "SPair-71k", copy)
    data = f"{home / 'spair'},{copy}"
    assert cli.main(["evaluate", *MODEL, "--data", data, "--out", str(tmp_path / "out")]) in (0, None)
    records = [EvaluationResult.read(path) for path in sorted((tmp_path / "out").glob("*/*.json"))]
    assert sorted(record.counts["forwards"] for record in records)[0] == 0
    assert records[0].metrics == records[1].metrics
    head, *rows = capsys.readouterr().out.partition("Benchmarks\n")[2].splitlines()[:3]
    assert head.split() == ["model", "SPair-71k"]
    assert [row.split()[-1] for row in rows] == ["17.27", "17.27"]


def test_names_that_cannot_be_meant(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOCO_HOME", str(home))
    for data, said in (("spair,spair71k", "twice"), ("spair,,ap10k", "commas"), ("spair,nosuch", "nosuch")):
        assert cli.main(["evaluate", *MODEL, "--data", data, "--out", str(tmp_path)]) not in (0, None), said
    options = ["--data", "spair,ap10k", "--tasks", "cross_family", "--out", str(tmp_path)]
    assert cli.main(["evaluate", *MODEL, *options]) not in (0, None)
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def report(evaluated: Path, home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of the three records."""
    out = tmp_path_factory.mktemp("report")
    records = [str(record_of(evaluated, benchmark)) for benchmark in EXPECTED]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOCO_HOME", str(home))
        assert cli.main(["report", *records, "--out", str(out)]) in (0, None)
    return out


def table_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_report_of_several_benchmarks(report: Path) -> None:
    (row,) = table_of(report / "tables" / "benchmarks.csv")
    found = {"SPair-71k": 17.27, "AP-10K": 39.44, "MISC210K (single instance)": 26.52}
    assert {title: float(row[title]) for title in found} == pytest.approx(found, abs=0.005)
    page = (report / "report.html").read_text()
    for title, folder in (
        ("SPair-71k", "spair-71k"),
        ("AP-10K", "ap-10k"),
        ("MISC210K (single instance)", "misc210k_single_instance_"),
    ):
        assert f'href="{folder}/report.html">{title}' in page
        assert (report / folder / "report.html").is_file()
    assert "By attribute of the pairs" in (report / "spair-71k" / "report.html").read_text()
    assert "By attribute of the pairs" not in (report / "ap-10k" / "report.html").read_text()


def test_scores_by_attribute_are_those_of_the_slow_reference(report: Path) -> None:
    pairs = {}
    for path in (MINIATURES / "SPair-71k" / "PairAnnotation" / "test").glob("*.json"):
        fields = json.loads(path.read_bytes())
        pairs[fields["filename"]] = fields
    expected = json.loads((DATA / "benchmarks" / "expected" / "SPair-71k.json").read_text())["pairs"]
    tests = [pair for pair in expected if pair["split"] == "test"]
    words = {"viewpoint variation": ("easy", "medium", "hard"), "occlusion": ("none", "source", "target", "both")}
    rows = {
        (row["attribute"], row["value"]): row for row in table_of(report / "spair-71k" / "tables" / "attributes.csv")
    }
    assert len(rows) == 14
    for attribute, values in words.items():
        for value, word in enumerate(values):
            own = [p for p in tests if pairs[p["pair"]][attribute.replace(" ", "_")] == value]
            row = rows[attribute, word]
            listed = [fields for fields in pairs.values() if fields[attribute.replace(" ", "_")] == value]
            assert (int(row["pairs"]), int(row["keypoints"])) == (len(listed), sum(len(p["ids"]) for p in own))
            by_category: dict[str, list[float]] = {}
            for p in own:
                hits = [error < 0.1 * p["scale_bbox"] for error in p["error"]]
                if hits:
                    by_category.setdefault(p["category"], []).append(sum(hits) / len(hits))
            means = [sum(part) / len(part) for part in by_category.values()]
            (percent,) = [row[name] for name in list(row)[5:]]
            assert (percent == "") is not bool(means)
            assert not means or float(percent) == pytest.approx(100 * sum(means) / len(means), abs=1e-9)


def test_correlations_take_records(evaluated: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    records = []
    for number in range(4):  # four models: the same record under other names and scores
        for benchmark in ("spair71k", "ap10k"):
            fields = json.loads(record_of(evaluated, benchmark).read_text())
            fields["model"]["name"] = f"model {number}"
            overall = fields["metrics"]["soc"]["keypoint"]["0.1"]["overall"]
            overall["pck"] = [0.1, 0.3, 0.2, 0.5][number] + (0.1 if benchmark == "ap10k" else 0)
            records.append(tmp_path / f"{number}-{benchmark}.json")
            records[-1].write_text(json.dumps(fields))
    options = ["--x", "SPair-71k soc", "--tasks", "AP-10K soc", "--json", "--resamples", "100"]
    assert cli.main(["correlate", *map(str, records), *options]) in (0, None)
    study = json.loads(capsys.readouterr().out)
    assert "AP-10K soc" in json.dumps(study)
    assert any(value == pytest.approx(1) for value in _numbers(study))


def _numbers(value: object) -> Iterator[float]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for part in value:
            yield from _numbers(part)
    elif isinstance(value, float):
        yield value


def test_two_copies_of_a_benchmark_are_never_one(evaluated: Path, tmp_path: Path) -> None:
    record = record_of(evaluated, "ap10k")
    fields = json.loads(record.read_text())
    fields["dataset"]["pair_lists"]["soc/test"] = "0" * 64
    fields["model"]["name"] = "other"
    other = tmp_path / "other.json"
    other.write_text(json.dumps(fields))
    results = [EvaluationResult.read(path) for path in (record, other)]
    with pytest.raises(UsageError, match="pair lists soc/test differ"):
        check_comparable(results)
    third = record_of(evaluated, "spair71k")
    for command in (["report"], ["correlate", "--x", "AP-10K soc"]):
        arguments = [command[0], str(third), str(record), str(other), *command[1:], "--out", str(tmp_path / "out")]
        assert cli.main(arguments) not in (0, None)
    assert not (tmp_path / "out").exists()
