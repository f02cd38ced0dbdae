"""The counterparts of the paper's tables 2 (average), r2 (protocols) and r6 (categories at every threshold)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from helpers.report_records import predictions, record

from soco_datasets.config import FeatureConfig, Protocol, ScoringConfig
from soco_datasets.errors import PredictionsError, UsageError
from soco_datasets.features.linear_probe import ProbeRecipe
from soco_datasets.records.evaluation import EvaluationResult, record_from_predictions, write_evaluation
from soco_datasets.records.probe import ProbeRecord
from soco_datasets.reporting.export import ReportTable
from soco_datasets.reporting.report_tables import report_tables
from soco_datasets.reporting.write_report import write_report

ALPHAS = ScoringConfig().alphas


def scores(pck: float) -> dict[str, Any]:
    return {"soc_probe": {"pooled": {str(alpha): {"pck": pck * alpha * 10} for alpha in ALPHAS}}}


def probe_of(result: EvaluationResult, **changes: Any) -> ProbeRecord:
    """A probe of the features of a result, trained on another device: 0.2 before, 0.4 and 0.3 after."""
    variants = {name: {"metrics": {"test": scores(pck)}} for name, pck in (("reference", 0.4), ("heldout", 0.3))}
    fields: dict[str, Any] = {
        "model": {**result.model, "device": "elsewhere"},
        "dataset": result.dataset,
        "protocol": result.protocol,
        "recipe": ProbeRecipe(),
        "versions": {},
        "device": "elsewhere",
        "counts": {},
        "created": "2026-01-31T12:00:00+00:00",
        "before": {"test": scores(0.2)},
        "variants": variants,
    }
    return ProbeRecord(**{**fields, **changes})


def rows_of(table: ReportTable) -> list[dict[str, Any]]:
    names = [column.name for column in table.columns]
    return [dict(zip(names, row, strict=True)) for row in table.rows]


def tables_of(*results: EvaluationResult, **options: Any) -> dict[str, ReportTable]:
    return {table.key: table for table in report_tables(results, **options)}


def written(folder: Path, model: str) -> Path:
    table = predictions(["car", "bus"], model)
    return write_evaluation(folder, table, record_from_predictions(table, resamples=20))[0]


def test_the_protocols_of_a_model_stand_in_one_row() -> None:
    plain = record(["car", "bus"], "facebook/dinov2-base")
    geo = {
        reduction: {
            alpha: {**part, "overall": {**part["overall"], "pck": 0.7, "random_pck": 0.25}}
            for alpha, part in by_alpha.items()
        }
        for reduction, by_alpha in plain.metrics["soc"].items()
    }
    metrics = {**plain.metrics, "soc_soft": plain.metrics["cc"], "soc_geo": geo}
    ours, other = plain.replace(metrics=metrics), record(["car", "bus"], "other", seed=1)
    table = tables_of(ours, other, probes={0: probe_of(ours)})["protocols"]
    first, second = rows_of(table)
    assert first["SOC"] == 100 * plain.metrics["soc"]["pair"]["0.1"]["overall"]["pck"]
    assert first["SOC soft"] == 100 * plain.metrics["cc"]["pair"]["0.1"]["overall"]["pck"]
    linear = [first[name] for name in ("SOC linear (untrained)", "SOC linear", "SOC linear (held out)")]
    assert linear == pytest.approx([20, 40, 30])
    assert (first["SOC-geo"], first["SOC-geo: random"]) == (70, 25)
    printed = [first[f"{title} in the paper"] for title in ("SOC", "SOC soft", "SOC linear", "SOC-geo")]
    assert printed == [60.43, 62.71, 63.26, 60.97]
    assert (second["SOC linear"], second["SOC-geo"], second["SOC in the paper"]) == (None, None, None)
    assert "SOC by pair" in table.note
    assert "SOC-geo by keypoint" in table.note
    assert "another setting: the data is made-up" in table.note


def test_with_soc_alone_there_is_no_table_of_protocols() -> None:
    assert "protocols" not in tables_of(record(["car"]))


def test_the_summary_has_the_average_of_the_three_tasks() -> None:
    ours, lacking = record(["car", "bus"], "dinov2_b14"), record(["car", "bus"], "less", seed=1)
    parts = [ours.metrics[task]["pair"]["0.1"]["overall"]["pck"] for task in ("cc", "soc", "cross_soc")]
    lacking = lacking.replace(metrics={"soc": lacking.metrics["soc"]})
    table = tables_of(ours, lacking)["summary"]
    first, second = rows_of(table)
    assert first["average"] == pytest.approx(100 * sum(parts) / 3)
    assert first["average in the paper"] == 64.8
    assert second["average"] is None
    assert "average" in table.note
    alone = tables_of(lacking)["summary"]
    assert "average" not in alone.note
    assert "average" not in [column.name for column in alone.columns]


def test_every_category_has_every_threshold() -> None:
    results = [record(["car", "bus"], name, seed=i) for i, name in enumerate("ab")]
    rows = rows_of(tables_of(*results)["category_thresholds"])
    assert [(row["category"], row["model"]) for row in rows] == [("bus", "a"), ("bus", "b"), ("car", "a"), ("car", "b")]
    for task, title in (("cc", "CC"), ("soc", "SOC"), ("cross_soc", "Cross-SOC")):
        for alpha in ALPHAS:
            value = results[1].metrics[task]["pair"][str(alpha)]["per_category"]["car"]["pck"]
            assert rows[3][f"{title} @{alpha:g}"] == 100 * value


def test_a_probe_beside_its_record_is_shown_and_one_of_other_features_is_not(tmp_path: Path) -> None:
    path = written(tmp_path, "m")
    result = EvaluationResult.read(path)
    probe_of(result).write(tmp_path / "m.probe.json")
    page = write_report([path], tmp_path / "out")[0].read_text()
    assert '<section id="protocols"' in page
    assert "SOC linear (held out)" in page
    assert "| 40.00 |" in (tmp_path / "out" / "tables" / "protocols.md").read_text()
    changes = (
        {"model": {**result.model, "layer": 3}},
        {"dataset": {**result.dataset, "content_hash": "0" * 64}},
        {"protocol": Protocol(result.protocol.scoring, FeatureConfig(image_size=77))},
    )
    for change in changes:
        probe_of(result, **change).write(tmp_path / "m.probe.json")
        page = write_report([path], tmp_path / "out")[0].read_text()
        assert "m.probe.json is left out" in page
        assert "SOC linear (held out)" not in page


def test_probes_may_be_named_too(tmp_path: Path) -> None:
    """`soco report results/*.json` gives both kinds of record."""
    paths = [written(tmp_path, name) for name in ("a", "b")]
    probe_of(EvaluationResult.read(paths[0])).write(tmp_path / "a.probe.json")
    write_report(sorted(tmp_path.glob("*.json")), tmp_path / "out")
    lines = (tmp_path / "out" / "tables" / "protocols.csv").read_text().splitlines()
    heading, linear, none = (line.split(",")[3] for line in lines)
    assert (heading, float(linear), none) == ("SOC linear", pytest.approx(40), "")
    with pytest.raises(UsageError, match=r"a\.probe\.json: this linear probe of a on .* than .*b\.json"):
        write_report([paths[1], tmp_path / "a.probe.json"], tmp_path / "out")
    with pytest.raises(UsageError, match="at least one result record"):
        write_report([tmp_path / "a.probe.json"], tmp_path / "out")


def test_a_damaged_probe_is_named(tmp_path: Path) -> None:
    path = written(tmp_path, "a")
    whole = probe_of(EvaluationResult.read(path))
    damaged = tmp_path / "a.probe.json"
    for text, message in (
        ("{}", "not a probe record"),
        (whole.model_copy(update={"model": []}).to_json(), "the probe record's model must be a mapping"),
    ):
        damaged.write_text(text)
        with pytest.raises(PredictionsError, match=rf"a\.probe\.json: {message}"):
            write_report([path], tmp_path / "out")
    damaged.write_text(whole.replace(variants={"heldout": {"metrics": None}}).to_json())
    page = write_report([path], tmp_path / "out")[0].read_text()
    assert "SOC linear (untrained)" in page
    assert "SOC linear (held out)" not in page
