"""Altered predictions and records: refused by name, or scored as a plain loop scores them, and never verified."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers import reference_pck
from helpers.fuzzing import ODD, Campaign, damage, mutate_json, near
from helpers.pair_tables import small_table

from soco_datasets.config import alpha_key
from soco_datasets.errors import PredictionsError, SocoError
from soco_datasets.hub.local_entries import local_entries
from soco_datasets.hub.verify import verify_file
from soco_datasets.records.evaluation import EvaluationResult, record_from_predictions, write_evaluation
from soco_datasets.records.predictions import HEADER_KEY, read_header, read_predictions

Change = Callable[[Random, pa.Table], pa.Table]


def change_header(random: Random, table: pa.Table) -> pa.Table:
    text = mutate_json(random, table.schema.metadata[HEADER_KEY].decode())
    return table.replace_schema_metadata({HEADER_KEY: text.encode("utf-8", "surrogatepass")})


def change_cell(random: Random, table: pa.Table) -> pa.Table:
    rows = table.to_pylist()
    name = random.choice(table.column_names)
    row = random.choice(rows)
    row[name] = near(random, row[name]) if random.random() < 0.7 else random.choice(ODD)
    try:
        return pa.Table.from_pylist(rows, schema=table.schema)
    except (pa.ArrowException, TypeError, OverflowError):
        return table.drop_columns([name])


def change_rows(random: Random, table: pa.Table) -> pa.Table:
    row = random.randrange(len(table))
    order = list(range(len(table)))
    return table.take(random.choice((order[:row], [*order, row], order[::-1], order[row:], [row] * len(order))))


def change_column(random: Random, table: pa.Table) -> pa.Table:
    name = random.choice(table.column_names)
    place = table.column_names.index(name)
    values = random.choice(([None] * len(table), list(range(len(table))), ["x" * 3000] * len(table)))
    kind = random.choice(("replace", "remove", "more", "encode"))
    if kind == "remove":
        return table.drop_columns([name])
    if kind == "more":
        return table.append_column(f"{name} 2", pa.array(values))
    if kind == "encode" and pa.types.is_string(table.schema.field(name).type):
        return table.set_column(place, name, table[name].dictionary_encode())
    return table.set_column(place, name, pa.array(values))


def check_score(table: pa.Table, record: EvaluationResult) -> None:
    """Hold the scores over pairs at every threshold against a plain loop over the rows."""
    scoring = read_header(table).protocol.scoring
    features = read_header(table).protocol.features
    for task, by_reduction in record.metrics.items():
        pairs: dict[str, dict[str, Any]] = {}
        for row in table.to_pylist():
            if row["task"] == task:
                place = {"group": row["pair_group"], "image": row["target_size"], "box": row["target_bbox"]}
                kept = pairs.setdefault(row["pair_id"], {**place, "queries": []})
                kept["queries"].append((row["prediction"], row["target_points"]))
        for alpha in scoring.alphas if "pair" in by_reduction else ():
            expected = reference_pck.pck(
                list(pairs.values()),
                alpha,
                "pair",
                convention=scoring.convention,
                size=features.size,
                normaliser=scoring.normalizer,
            )
            found = by_reduction["pair"][alpha_key(alpha)]["per_category"]
            for name, value in expected.items():
                assert not name or found[name]["pck"] == pytest.approx(value), (task, alpha, name)


def test_predictions(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    table = small_table()
    record, predictions = write_evaluation(tmp_path, table, record_from_predictions(table, resamples=5))
    changes: tuple[Change, ...] = (change_header, change_header, change_cell, change_cell, change_rows, change_column)

    def trial(random: Random, place: Path) -> str:
        files = [Path(shutil.copy(path, place / path.name)) for path in (record, predictions)]
        if random.random() < 0.25:
            files[1].write_bytes(damage(random, predictions.read_bytes()))
        else:
            altered = table
            for _ in range(random.choice((1, 1, 2))):
                try:
                    altered = random.choice(changes)(random, altered)
                except (IndexError, ValueError, KeyError, pa.ArrowException):  # nothing left to alter
                    continue
            try:
                pq.write_table(altered, files[1], compression="zstd")
            except pa.ArrowException:  # nulls where the schema has none
                return "cannot be written"
        verdict = verify_file(str(files[0]))
        try:
            read = read_predictions(files[1])
            found = record_from_predictions(read, resamples=0)
        except (PredictionsError, SocoError):
            assert not verdict.matches
            return "refused"
        check_score(read, found)
        stated = EvaluationResult.read(record)
        same = found.metrics == stated.metrics and found.predictions_sha256 == stated.predictions_sha256
        assert same or not verdict.matches
        return "verified" if verdict.matches else "mismatch"

    assert Campaign("predictions", request.config, 60).run(trial, tmp_path)


def test_records(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    table = small_table()
    record, predictions = write_evaluation(tmp_path, table, record_from_predictions(table, resamples=5))
    original = EvaluationResult.read(record)

    def trial(random: Random, place: Path) -> str:
        files = [Path(shutil.copy(path, place / path.name)) for path in (record, predictions)]
        text = record.read_text(encoding="utf-8")
        for _ in range(random.choice((1, 1, 2))):
            try:
                text = mutate_json(random, text)
            except ValueError:  # no JSON any more
                break
        if random.random() < 0.1:
            files[0].write_bytes(damage(random, record.read_bytes()))
        else:
            files[0].write_bytes(text.encode("utf-8", "surrogatepass"))
        found = local_entries(place, None)
        assert len(found.entries) + len(found.remarks) >= 1
        verdict = verify_file(str(files[0]))
        try:
            read = EvaluationResult.read(files[0])
        except PredictionsError:
            assert not verdict.matches
            return "refused"
        read.to_json()
        if read == original:
            return "unchanged"
        left_out = ("intervals", "anatomy", "curves", "baselines", "predictions_sha256")
        only_optional = all(
            getattr(read, name) in (getattr(original, name), *((None,) if name in left_out else ()))
            for name in type(original).model_fields
        )
        if verdict.matches and not only_optional:  # another bootstrap, computed as it is stated, is honest
            stated = read.intervals or {"resamples": 0, "seed": 0}
            assert read == record_from_predictions(table, resamples=stated["resamples"], seed=stated["seed"])
        return "mismatch" if not verdict.matches else "verified without optional parts"

    assert Campaign("records", request.config, 60).run(trial, tmp_path)


def test_a_campaign_is_resumed_where_it_stopped(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    campaign = Campaign("resumed", pytestconfig, 3)
    campaign.seconds, campaign.seed, campaign.journal = 0.2, None, tmp_path / "journal" / "resumed.jsonl"
    seen: list[float] = []

    def trial(random: Random, place: Path) -> str:
        seen.append(random.random())
        return "fine"

    first = campaign.run(trial, tmp_path)
    with campaign.journal.open("a") as file:
        file.write('{"seed": 99')
    second = campaign.run(trial, tmp_path)
    assert second["fine"] > first["fine"] > 0
    assert second["fine"] == len(seen) == len(set(seen))
    seeds = [json.loads(line)["seed"] for line in campaign.journal.read_text().splitlines()]
    assert seeds == list(range(second["fine"]))
