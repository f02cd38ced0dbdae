from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from helpers.feature_worlds import world_pairs, world_table
from helpers.pair_tables import PAIRS_SOC, POINTS_SOC, build, pairs_table, small_table

from soco_datasets.cli import main
from soco_datasets.config import Protocol, ScoringConfig
from soco_datasets.errors import PredictionsError, UsageError
from soco_datasets.records.compare import compare_predictions, read_side
from soco_datasets.records.evaluation import record_from_predictions, write_evaluation
from soco_datasets.records.intervals import bootstrap_intervals
from soco_datasets.records.predictions import TaskPredictions, write_predictions

SIZE = {"per_category": 8, "pairs": 40}


def differences(comparison):
    for task, by_reduction in comparison["tasks"].items():
        for reduction, by_alpha in by_reduction.items():
            for alpha, breakdown in by_alpha.items():
                yield (task, reduction, alpha, "overall"), breakdown["overall"]
                for level in ("per_supercategory", "per_category"):
                    for name, value in breakdown[level].items():
                        yield (task, reduction, alpha, level, name), value


def test_a_result_does_not_differ_from_itself():
    table = world_table(1)
    found = dict(differences(compare_predictions(table, table, resamples=100)))
    assert len(found) == 4 * 3 * 3 * (1 + 2 + 3)
    for value in found.values():
        assert (value["difference"], value["interval"], value["sign"]) == (0.0, [0.0, 0.0], 0)


def test_every_difference_is_that_of_the_records_and_lies_in_its_interval():
    a, b = world_table(2, **SIZE), world_table(2, model=1, spread=15.0, **SIZE)
    first, second = (record_from_predictions(table, resamples=0).metrics for table in (a, b))
    compared = 0
    for place, value in differences(compare_predictions(a, b, resamples=300)):
        one, other = first, second
        for key in place:
            one, other = one[key], other[key]
        assert (value["a"], value["b"], value["pairs"]) == (one["pck"], other["pck"], one["pairs"])
        assert value["difference"] == other["pck"] - one["pck"]
        low, high = value["interval"]
        assert low <= value["difference"] <= high
        assert value["sign"] == (1 if low > 0 else -1 if high < 0 else 0)
        compared += 1
    assert compared == 4 * 3 * 3 * (1 + 2 + 3)


def test_a_much_better_model_is_better_and_the_other_way_round():
    a, b = world_table(3, spread=60.0, **SIZE), world_table(3, model=1, spread=8.0, **SIZE)
    forth, back = compare_predictions(a, b, resamples=200), compare_predictions(b, a, resamples=200)
    assert (forth["a"], forth["b"]) == ("model 0", "model 1")
    assert forth["tasks"]["soc"]["pair"]["0.1"]["overall"]["sign"] == 1
    for (place, one), (same, other) in zip(differences(forth), differences(back), strict=True):
        assert place == same
        assert one["difference"] == -other["difference"]
        assert one["interval"] == [-end for end in reversed(other["interval"])]
        assert one["sign"] == -other["sign"]


def test_the_paired_interval_is_narrower_than_that_of_either_score():
    """Two models that fail on the same images: what is common to them cancels."""
    tables, images = world_pairs(4, **SIZE)
    pairs = tables["soc"]
    generator = np.random.default_rng(0)
    spread = {name: generator.choice([2.0, 100.0]) for name in images}
    targets = [point[0] for row in pairs["target_points"].to_pylist() for point in row]
    scale = np.repeat(
        [spread[name] for name in pairs["target_image_id"].to_pylist()],
        [len(names) for names in pairs["keypoints"].to_pylist()],
    )
    points = np.array(targets) + generator.normal(size=(len(targets), 2)) * scale[:, None]
    nearly = points + generator.normal(scale=1.0, size=points.shape)
    a, b = (build({"soc": TaskPredictions(pairs, some)}, images=images) for some in (points, nearly))
    apart = compare_predictions(a, b)["tasks"]["soc"]["pair"]["0.1"]["overall"]["interval"]
    for table in (a, b):
        alone = bootstrap_intervals(table)["tasks"]["soc"]["pair"]["0.1"]["overall"]
        assert apart[1] - apart[0] < (alone[1] - alone[0]) / 3


def test_the_same_seed_gives_the_same_bytes_whatever_the_order_of_rows():
    a, b = world_table(5), world_table(5, model=1)
    want = json.dumps(compare_predictions(a, b, resamples=100, seed=1), allow_nan=False)
    shuffled = b.take(np.random.default_rng(0).permutation(len(b)))
    assert json.dumps(compare_predictions(a, shuffled, resamples=100, seed=1)) == want
    assert json.dumps(compare_predictions(a, b, resamples=100, seed=2)) != want


def test_what_cannot_be_scored_or_varied_is_null():
    found = compare_predictions(small_table(), small_table(), resamples=20)["tasks"]
    nothing = {"a": None, "b": None, "difference": None, "interval": None, "sign": None, "pairs": 0}
    categories = found["soc"]["pair"]["0.1"]["per_category"]
    assert categories["cup"] == nothing
    assert categories["ピアノ"] == {"a": 1.0, "b": 1.0, "difference": 0.0, "interval": None, "sign": None, "pairs": 1}
    assert found["soc"]["pair"]["0.1"]["per_supercategory"]["hand-held"] == nothing


def test_only_common_tasks_are_compared_and_the_others_are_named():
    a, b = world_table(6, tasks=("cc", "soc")), world_table(6, tasks=("soc", "cross_soc"), model=1)
    found = compare_predictions(a, b, resamples=10)
    assert (list(found["tasks"]), found["only_in_a"], found["only_in_b"]) == (["soc"], ["cc"], ["cross_soc"])
    with pytest.raises(UsageError, match=r"model 0 .* and model 1 .*no task in common: cc and soc"):
        compare_predictions(world_table(6, tasks=("cc",)), world_table(6, tasks=("soc",), model=1))


def test_other_data_protocols_and_queries_are_refused_with_both_sides_named():
    a = small_table(model={"name": "first"})
    other = {"model": {"name": "second"}}
    with pytest.raises(UsageError, match=r"first and second .*different data \(made-up.* and else"):
        compare_predictions(a, small_table(**other, dataset={"id": "else", "content_hash": "1"}))
    with pytest.raises(UsageError, match=r"first and second .*convention centered and reference"):
        compare_predictions(a, small_table(**other, protocol=Protocol()))
    with pytest.raises(UsageError, match=r"first and second .*alphas"):
        compare_predictions(
            a, small_table(**other, protocol=Protocol(ScoringConfig(convention="centered", alphas=(0.1,))))
        )
    fewer = build({"soc": TaskPredictions(pairs_table(PAIRS_SOC[:2]), POINTS_SOC[:3])}, **other)
    with pytest.raises(UsageError, match=r"first .* and second .*task soc they answer different queries \(4 and 3\)"):
        compare_predictions(a, fewer)
    with pytest.raises(UsageError, match=r"first .* and second .*supercategories"):
        compare_predictions(a, small_table(**other, supercategories={"car": "else"}))
    with pytest.raises(UsageError, match="1 resample or more"):
        compare_predictions(a, a, resamples=0)
    with pytest.raises(PredictionsError, match="missing"):
        compare_predictions(a, a.slice(1))


# --- the command ------------------------------------------------------------------------------------------------------


@pytest.fixture
def results(tmp_path):
    """(record, predictions) of two models."""
    written = []
    for model, spread in ((0, 40.0), (1, 12.0)):
        table = world_table(7, model=model, spread=spread, tasks=("cc", "soc"))
        written.append(write_evaluation(tmp_path, table, record_from_predictions(table, resamples=20)))
    return written


def test_the_command_compares_records_and_predictions_alike(results, capsys, tmp_path):
    (record_a, table_a), (record_b, table_b) = results
    outputs = []
    for sides in ((record_a, record_b), (table_a, record_b), (record_a, table_b)):
        assert main(["compare", *map(str, sides), "--json", "--resamples", "50"]) == 0
        outputs.append(capsys.readouterr().out)
    assert outputs[0] == outputs[1] == outputs[2]
    found = json.loads(outputs[0])
    assert found == compare_predictions(read_side(table_a), read_side(table_b), resamples=50)
    out = tmp_path / "new" / "comparison.json"
    assert main(["compare", str(record_a), str(record_b), "--out", str(out), "--resamples", "50"]) == 0
    assert out.read_text(encoding="utf-8") == outputs[0]


def test_the_table_has_a_row_per_score(results, capsys):
    sides = [str(record) for record, _ in results]
    assert main(["compare", *sides, "--resamples", "50", "--seed", "3", "--full"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == [f"A model 0 ({sides[0]})", f"B model 1 ({sides[1]})"]
    assert "50 resamples of the images, seed 3" in lines[2]
    rows = [line for line in lines if "overall" in line]
    assert len(rows) == 2 * 3 * 3
    value = compare_predictions(*map(read_side, sides), resamples=50, seed=3)["tasks"]["soc"]["pair"]["0.1"]["overall"]
    (row,) = [row for row in rows if row.startswith("SOC pair @0.1 ")]
    for number in (f"{100 * value['a']:.2f}", f"{100 * value['difference']:+.2f}", str(value["pairs"])):
        assert number in row.split()
    parts = ["--resamples", "5", "--per-category", "--per-supercategory"]
    assert main(["compare", *sides, *parts, "--full"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 5 + 2 * 3 * 3 * (1 + 2 + 3)
    assert main(["compare", *sides, *parts]) == 0
    short = capsys.readouterr().out.splitlines()
    assert len(short) == 5 + 2 * (1 + 2 + 3)
    assert all(" pair @0.1 " in line for line in short[5:])
    assert main(["compare", sides[0], sides[0], "--resamples", "5"]) == 0
    assert "A and B are the same result." in capsys.readouterr().out


def test_a_comparison_is_never_written_over_a_result(results, capsys, tmp_path):
    sides = [str(record) for record, _ in results]
    before = Path(sides[0]).read_bytes()
    assert main(["compare", *sides, "--resamples", "5", "--out", sides[0]]) == 2
    assert "is not replaced" in capsys.readouterr().err
    other = tmp_path / "other.json"
    other.write_bytes(before)
    assert main(["compare", *sides, "--resamples", "5", "--out", str(other)]) == 2
    assert "is not replaced" in capsys.readouterr().err
    assert other.read_bytes() == Path(sides[0]).read_bytes() == before


def test_a_task_that_only_one_side_has_is_told(results, capsys, tmp_path):
    table = world_table(7, model=2, tasks=("soc",))
    write_predictions(tmp_path / "other.parquet", table)
    assert main(["compare", str(results[0][0]), str(tmp_path / "other.parquet"), "--resamples", "5"]) == 0
    assert "only in A, not compared: cc" in capsys.readouterr().out


def test_a_record_without_its_predictions_or_with_others_is_refused(results, capsys, tmp_path):
    (record, table), (_, other) = results
    table.write_bytes(other.read_bytes())
    assert main(["compare", str(record), str(record)]) == 1
    error = capsys.readouterr().err
    assert "is of another evaluation than" in error
    assert "model differs" in error
    table.unlink()
    assert main(["compare", str(record), str(record)]) == 1
    assert f"{table.name} is not beside it" in capsys.readouterr().err
    assert main(["compare", str(tmp_path / "absent.json"), str(record)]) == 1
    assert "absent.json" in capsys.readouterr().err
    other_record = results[1][0]
    assert main(["compare", str(other_record), str(other_record), "--resamples", "0"]) == 2
    assert "1 resample or more" in capsys.readouterr().err
