from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from helpers.shared_data import DATA
from hypothesis import given, settings
from hypothesis import strategies as st

from soco_datasets.cli import main
from soco_datasets.errors import UsageError
from soco_datasets.metrics.correlation import ModelBootstrap, correlate, pearson
from soco_datasets.metrics.model_table import ModelTable, read_model_table

PAPER = DATA / "paper"
needs_paper = pytest.mark.skipif(not PAPER.is_dir(), reason=f"no tables of the paper at {PAPER}")


def table(**columns: list[float]) -> ModelTable:
    number = len(next(iter(columns.values())))
    values = {name: np.array(column, dtype=float) for name, column in columns.items()}
    return ModelTable(tuple(f"m{i}" for i in range(number)), values)


def slow_r(x: list[float], y: list[float]) -> float:
    n = len(x)
    mx, my = sum(x) / n, sum(y) / n
    top = sum((a - mx) * (b - my) for a, b in zip(x, y, strict=True))
    return top / (sum((a - mx) ** 2 for a in x) * sum((b - my) ** 2 for b in y)) ** 0.5


@given(st.lists(st.tuples(st.integers(-99, 99), st.integers(-99, 99)), min_size=3, max_size=9))
def test_pearson_is_the_textbook_formula_and_nan_where_constant(points: list[tuple[int, int]]) -> None:
    x, y = (np.array(column, dtype=float) for column in zip(*points, strict=True))
    if len(set(x)) == 1 or len(set(y)) == 1:
        assert np.isnan(pearson(x, y))
    else:
        assert float(pearson(x, y)) == pytest.approx(slow_r(list(x), list(y)), abs=1e-12)


@settings(max_examples=20)
@given(st.integers(4, 12), st.integers(0, 5))
def test_the_bootstrap_is_the_one_described(models: int, seed: int) -> None:
    random = np.random.default_rng(models)
    data = table(
        x=list(random.normal(size=models)), b=list(random.normal(size=models)), y=list(random.normal(size=models))
    )
    found = correlate(data, "x", "b", bootstrap=ModelBootstrap(0.8, 200, seed)).tasks[0]
    rows = (np.random.Generator(np.random.PCG64(seed)).random((200, models)) * models).astype(int)
    x, b, y = (data.columns[name] for name in "xby")
    with np.errstate(invalid="ignore", divide="ignore"):
        ours = np.array([np.corrcoef(x[r], y[r])[0, 1] if len(set(r)) > 1 else np.nan for r in rows])
        theirs = np.array([np.corrcoef(b[r], y[r])[0, 1] if len(set(r)) > 1 else np.nan for r in rows])
    np.testing.assert_allclose([found.x.low, found.x.high], np.nanquantile(ours, [0.1, 0.9]), atol=1e-9)
    assert found.x.degenerate == np.isnan(ours).sum()
    assert found.difference is not None
    expected = np.nanquantile(abs(ours) - abs(theirs), [0.1, 0.9])
    np.testing.assert_allclose([found.difference.strength_low, found.difference.strength_high], expected, atol=1e-9)
    left = [np.corrcoef(np.delete(x, i), np.delete(y, i))[0, 1] for i in range(models)]
    assert found.x.leave_one_out is not None
    assert found.x.leave_one_out[0] == (pytest.approx(min(left)), f"m{int(np.argmin(left))}")
    assert found.x.leave_one_out[1] == (pytest.approx(max(left)), f"m{int(np.argmax(left))}")


def test_missing_values_are_left_out_pairwise_and_said_so() -> None:
    nan = float("nan")
    data = table(x=[1, 2, 3, 4, nan], b=[nan, 1, 3, 2, 5], y=[1, 3, 2, 5, 4], z=[2, 1, 4, 3, 9])
    study = correlate(data, "x", "b", bootstrap=ModelBootstrap(resamples=100))
    first = study.tasks[0]
    assert first.x.models == ("m0", "m1", "m2", "m3")
    assert first.baseline is not None
    assert first.baseline.models == ("m1", "m2", "m3", "m4")
    assert first.difference is not None
    assert first.difference.models == ("m1", "m2", "m3")
    assert "Missing values, left out pairwise: 1 of 5 models (m4) in x." in study.notes
    assert "Missing values, left out pairwise: 1 of 5 models (m0) in b." in study.notes


@pytest.mark.parametrize("factor", [1e-300, 1e300])
def test_scale_does_not_matter(factor: float) -> None:
    plain = correlate(table(x=[1, 2, 4, 3], y=[1, 3, 2, 5]), "x", bootstrap=ModelBootstrap(resamples=100)).tasks[0].x
    scaled = (
        correlate(
            table(x=[v * factor for v in (1, 2, 4, 3)], y=[1, 3, 2, 5]), "x", bootstrap=ModelBootstrap(resamples=100)
        )
        .tasks[0]
        .x
    )
    assert scaled.r == pytest.approx(plain.r, abs=1e-12)
    assert (scaled.low, scaled.high) == pytest.approx((plain.low, plain.high), abs=1e-12)


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        (table(x=[1], y=[2]), {}, "needs at least 3 models with all of these values; there is 1 (m0)"),
        (table(x=[1, 2], y=[2, 1]), {}, "there are 2 (m0, m1)"),
        (table(x=[1, 1, 1], y=[2, 1, 3]), {}, "'x' is 1 for all 3 models"),
        (table(x=[1, 2, 3], y=[2, 2, 2]), {}, "'y' is 2 for all 3 models"),
        (table(x=[1, 2, 3], y=[1, float("nan"), 2]), {}, "there are 2 (m0, m2)"),
        (table(x=[1, 2, 3]), {}, "no task to correlate with"),
        (table(x=[1, 2, 3], y=[3, 1, 2]), {"baseline": "x"}, "same column"),
        (table(x=[1, 2, 3], y=[3, 1, 2]), {"models": ["m9"]}, "Unknown model 'm9'"),
        (table(x=[1, 2, 3], y=[3, 1, 2]), {"bootstrap": {"level": 95}}, "between 0 and 1"),
        (table(x=[1, 2, 3], y=[3, 1, 2]), {"bootstrap": {"resamples": 5}}, "at least 100"),
    ],
)
def test_no_correlation_is_an_error_not_a_nan(data: ModelTable, options: dict, message: str) -> None:
    with pytest.raises(UsageError) as error:
        correlate(data, "x", **{**options, "bootstrap": ModelBootstrap(**options.get("bootstrap", {}))})
    assert message in str(error.value)


@needs_paper
def test_the_papers_table_r8() -> None:
    """r9 was made of more models than r8 lists, so of its numbers only what does not hang on them can be checked."""
    data = read_model_table([PAPER / "table_r8_downstream.csv", PAPER / "table2_main_results.csv"])
    with (PAPER / "table_r8_downstream.csv").open() as file:
        tasks = next(csv.reader(file))[2:]
    study = correlate(data, "soc", "imagenet_knn", tasks=tasks)
    with (PAPER / "table_r9_correlations.csv").open() as file:
        printed = list(csv.DictReader(file))
    assert len(printed) == len(study.tasks) == 7
    for row, found in zip(printed, study.tasks, strict=True):
        assert found.baseline is not None
        assert len(found.x.models) == 13
        assert np.sign(found.x.r) == np.sign(float(row["soc_r"]))
        assert abs(found.x.r) > abs(found.baseline.r)
        assert abs(found.x.r - float(row["soc_r"])) < 0.18
        assert found.x.low < float(row["soc_r"]) < found.x.high
        assert found.baseline.low < float(row["knn_r"]) < found.baseline.high
    detection = study.tasks[1]
    assert detection.x.r == pytest.approx(float(printed[1]["soc_r"]), abs=0.01)
    assert [round(task.x.r, 3) for task in study.tasks] == [0.762, 0.891, 0.523, 0.925, 0.85, -0.722, -0.808]


def test_the_command_writes_what_it_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "t.csv"
    path.write_text('model,soc,knn,"a<b>,$x$"\na,1,4,2\nb,2,2,3\n"c, d",3,3,5\ne,4,1,4\nf,,2,1\n')
    arguments = ["correlate", str(path), "--x", "soc", "--baseline", "knn", "--resamples", "200"]
    assert main([*arguments, "--out", str(tmp_path / "out")]) == 0
    out = capsys.readouterr().out
    assert "+0.800" in out
    assert "left out pairwise: 1 of 5 models (f) in soc" in out
    names = {p.name for p in (tmp_path / "out").iterdir()}
    assert names == {f"correlations.{e}" for e in ("md", "csv", "tex", "json", "svg", "pdf", "png")} | {
        "scatters.svg",
        "scatters.pdf",
        "scatters.png",
        ".made_from.json",
    }
    assert main([*arguments, "--json", "--models", 'a,b,e,"c, d"']) == 0
    study = json.loads(capsys.readouterr().out)
    assert study["models"] == ["a", "b", "c, d", "e"]
    assert study["tasks"][0]["x"]["r"] == pytest.approx(0.8)
    assert study == json.loads(json.dumps(study, allow_nan=False))
    assert main([*arguments, "--models", "a,b"]) == 2
    assert "at least 3 models" in capsys.readouterr().err
