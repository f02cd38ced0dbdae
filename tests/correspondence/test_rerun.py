"""A result run again: what the model gives is found again, what it does not give is found out, and nothing else is run."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from helpers.forgeries import (
    SIZE,
    Forgery,
    one_pair_changed,
    predictions_of,
    snapped,
    with_header,
    with_similarities,
)

from soco_datasets.correspondence.consistency import check_consistency
from soco_datasets.correspondence.grid_positions import with_predictions
from soco_datasets.correspondence.rerun import open_stated, rerun_result, sample_pairs
from soco_datasets.correspondence.rerun_verdict import Rerun, tolerance_for
from soco_datasets.data.folder import DatasetFolder
from soco_datasets.errors import PredictionsError, UsageError
from soco_datasets.features.backbones import load_backbone
from soco_datasets.features.extractor import DenseFeatureExtractor
from soco_datasets.features.preflight import Preflight
from soco_datasets.features.stated_model import model_differences, stated_extractor
from soco_datasets.records.predictions import read_header
from soco_datasets.records.scores import row_errors
from soco_datasets.records.validation import points_array


@pytest.fixture
def rerun(extractor: DenseFeatureExtractor, folder: DatasetFolder) -> Callable[..., Rerun]:
    return partial(rerun_result, folder=folder, extractor=extractor)


def test_a_rerun_finds_the_same(honest: pa.Table, rerun: Callable[..., Rerun]) -> None:
    said: list[str] = []
    found = rerun(honest, 5, "mine", announce=said.append)
    assert found.agrees
    assert not found.findings
    assert found.pairs == 5
    assert 0 < found.images <= 10
    assert found.compared >= found.decided > found.compared // 2
    assert "5 pairs" in said[0]
    assert "about" in said[0]
    assert found.missed(0.1) == pytest.approx(0.9**5)
    assert any("chance that made-up pairs were missed" in line and "59 %" in line for line in found.report())


@pytest.mark.parametrize(
    ("forge", "pairs"),
    [
        (snapped, 3),
        (partial(with_similarities, change=np.random.default_rng(0).shuffle), 3),
        (one_pair_changed, None),
    ],
    ids=["ground truth on the grid", "shuffled similarities", "a few rows"],
)
def test_a_rerun_finds_what_the_model_does_not_give(
    honest: pa.Table, rerun: Callable[..., Rerun], forge: Forgery, pairs: int | None
) -> None:
    found = rerun(forge(honest), pairs, "mine")
    assert not found.agrees
    assert any(text.startswith("rerun: ") for text in found.findings)


def test_a_looser_tolerance_does_not_hide_points_that_are_elsewhere(
    checkpoint: Path, folder: DatasetFolder, honest: pa.Table
) -> None:
    """In bfloat16 few margins decide; what is stated must still be one of the cells within the margin."""
    half = DenseFeatureExtractor(load_backbone(checkpoint, dtype="bfloat16"), SIZE)
    table = predictions_of(half, folder)
    again = rerun_result(table, 4, "mine", folder=folder, extractor=half)
    assert again.agrees
    assert again.decided < again.compared
    made_up = snapped(table)  # with the model's own similarities
    found = rerun_result(made_up, 4, "mine", folder=folder, extractor=half)
    assert not found.agrees
    assert found.moved > found.decided


def test_near_ties_may_not_be_settled_by_the_targets(checkpoint: Path, folder: DatasetFolder, honest: pa.Table) -> None:
    """Of two honest runs in two dtypes, each answer that is nearer to its target: within every margin, and too lucky."""
    half = DenseFeatureExtractor(load_backbone(checkpoint, dtype="bfloat16"), SIZE)
    table = predictions_of(half, folder)
    other = honest.replace_schema_metadata(table.schema.metadata)  # in float32, said to be in bfloat16
    again = rerun_result(other, None, "mine", folder=folder, extractor=half)
    assert again.agrees, again.findings
    assert 0 < again.nearer < again.ties
    hard = pc.equal(table["task"], "soc_soft").to_numpy() == 0
    better = hard & (row_errors(other) < row_errors(table))
    points = np.where(better[:, None], *(points_array(part["prediction"]) for part in (other, table)))
    lucky = rerun_result(with_predictions(table, points), None, "mine", folder=folder, extractor=half)
    assert lucky.wrong == 0
    assert lucky.nearer == lucky.ties > 18
    assert not lucky.agrees
    assert lucky.findings[0].startswith("rerun: of ")


@pytest.mark.parametrize("pairs", [5, 20])
def test_the_chance_to_miss_made_up_pairs_is_the_one_that_is_printed(honest: pa.Table, pairs: int) -> None:
    """A tenth of the pairs is made up: over 200 seeds as often unseen as (1 - f)^N says, or less."""
    ids = sorted(set(honest["pair_id"].to_pylist()))
    made_up = set(np.random.default_rng(1).choice(ids, len(ids) // 10, replace=False).tolist())
    draws = [set(sample_pairs(honest, pairs, str(seed))) for seed in range(200)]
    unseen = sum(not draw & made_up for draw in draws) / len(draws)
    limits = tolerance_for("float32", "float32", "cpu", "cpu")
    stated = Rerun("s", pairs, len(ids), 1, 1, 1, 0, 0, 0, 0, 0.0, limits).missed(len(made_up) / len(ids))
    assert stated == pytest.approx((1 - len(made_up) / len(ids)) ** pairs)
    assert unseen <= stated + 3 * (stated * (1 - stated) / len(draws)) ** 0.5


def test_a_rerun_finds_another_models_predictions(
    honest: pa.Table, other: pa.Table, rerun: Callable[..., Rerun]
) -> None:
    stated = read_header(honest)
    forged = with_header(other, lambda fields: fields.update(model=stated.model, protocol=stated.protocol.to_dict()))
    assert check_consistency(forged).state == "consistent"  # nothing cheap tells it apart
    assert not rerun(forged, 3, "mine").agrees
    weights = with_header(honest, lambda fields: fields["model"].update(weights_hash="ab" * 32))
    assert rerun(weights, 3, "mine").findings[0].startswith("another model: the weights hash is ")


def test_what_a_record_leaves_out_of_its_model_is_compared_all_the_same(
    honest: pa.Table, rerun: Callable[..., Rerun]
) -> None:
    def leave_out(fields: dict[str, Any]) -> None:
        del fields["model"]["grid"], fields["model"]["effective_size"]
        fields["protocol"].update(grid=7, size=56)

    found = rerun(with_header(honest, leave_out), 3, "mine")
    assert found.findings == (
        "another model: the size is 112, the protocol states 56",
        "another model: the grid is 14, the protocol states 7",
    )


def test_a_record_may_not_ask_for_maps_or_weights_of_any_size(
    honest: pa.Table, rerun: Callable[..., Rerun], monkeypatch: pytest.MonkeyPatch
) -> None:
    for change in ({"grid": 4000}, {"image_size": 100_000}, {"size": 100_000}):
        with pytest.raises(PredictionsError, match="not run again"):
            rerun(with_header(honest, lambda fields, change=change: fields["protocol"].update(change)), 3, "mine")
    giant = Preflight("lab/giant", "ab" * 20, ("model.safetensors",), 10**12)
    monkeypatch.setattr("soco_datasets.correspondence.rerun.preflight", lambda *_, **__: giant)
    table = with_header(honest, lambda fields: fields["model"].update(name="lab/giant"))
    with pytest.raises(PredictionsError, match=r"lab/giant has 1000\.0 GB to download"):
        open_stated(read_header(table))


def test_pairs_are_drawn_from_seed_and_predictions_over_all_categories(honest: pa.Table) -> None:
    drawn = sample_pairs(honest, 60, "mine")
    assert drawn == sample_pairs(honest, 60, "mine")
    assert len(set(drawn)) == 60
    assert set(drawn) != set(sample_pairs(honest, 60, "yours"))
    assert set(drawn) != set(sample_pairs(snapped(honest), 60, "mine"))
    group = dict(zip(honest["pair_id"].to_pylist(), honest["pair_group"].to_pylist(), strict=True))
    everywhere = {name: list(group.values()).count(name) * 60 / len(group) for name in set(group.values())}
    for name, share in everywhere.items():
        assert abs(sum(group[pair] == name for pair in drawn) - share) < 1 + 1e-9
    with pytest.raises(UsageError, match="at least one pair"):
        sample_pairs(honest, 0, "mine")


def test_tolerances_are_looser_where_arithmetic_is() -> None:
    strict, half = (tolerance_for(dtype, "float32", "cpu", "cpu") for dtype in ("float32", "bfloat16"))
    assert (strict.margin, strict.similarity, strict.strays) == (1e-4, 1e-3, 0)
    assert half.margin > strict.margin
    assert half.similarity > strict.similarity
    assert "bfloat16" in half.why
    assert "cuda" in tolerance_for("float32", "float32", "cuda:0", "cpu").why


@pytest.mark.parametrize(
    "change",
    [{"name": "./evil.py:features", "plugin": "./evil.py:features"}, {"name": "/tmp"}, {"name": "tests"}],
    ids=str,
)
def test_nothing_that_a_record_names_is_run_but_listed_and_hub_models(honest: pa.Table, change: dict[str, Any]) -> None:
    model = {**read_header(honest).model, **change}
    with pytest.raises(UsageError, match="--model"):
        stated_extractor(model)
    assert stated_extractor(model, "given").model == "given"


@pytest.mark.parametrize("name", ["norm", "dtype"])
def test_a_composition_that_is_stated_cannot_smuggle_in_a_plugin(tmp_path: Path, name: str) -> None:
    (tmp_path / "evil.py").write_text(f"open({str(tmp_path / 'run')!r}, 'w')\nfeatures = abs")
    part = {"name": "dense_sift", "norm": "none", "dtype": "float32", "statistics": {"source": "none"}, "layer": None}
    part[name] = f"none]+{tmp_path}/evil.py:features["
    model = {"dtype": "float32", "requested_size": 112, "composition": {"weights": [1.0], "grid": None}}
    with pytest.raises(UsageError, match="does not say how its model was loaded"):
        stated_extractor({**model, "parts": [part]}).load()
    assert not (tmp_path / "run").exists()


def test_compositions_of_any_weight_are_stated_in_full() -> None:
    part = {"name": "dense_sift", "norm": "none", "dtype": "float32", "statistics": {"source": "none"}, "layer": None}
    composition = {"weights": [1e-5, 3.0], "grid": 14}
    model = {"dtype": "float32", "requested_size": 112, "composition": composition, "parts": [part, part]}
    assert str(stated_extractor(model).model).startswith("0.00001*dense_sift[")
    for damaged in ({"weights": ["1"], "grid": None}, {"weights": [1.0, 1.0], "grid": "many"}, {"weights": [1.0]}):
        with pytest.raises(UsageError, match="does not say"):
            stated_extractor({**model, "composition": damaged})


def test_a_model_is_loaded_again_as_it_is_stated(checkpoint: Path) -> None:
    for options in ({"layer": 0, "norm": "final", "statistics": "half"}, {"dtype": "bfloat16"}, {"dtype": "auto"}):
        stated = DenseFeatureExtractor(load_backbone(checkpoint, **options), SIZE).describe()  # type: ignore[typeddict-item]
        again = stated_extractor(stated, checkpoint).load()
        assert model_differences(stated, again.describe()) == []
    hub = stated_extractor({**stated, "name": "lab/model", "revision": "ab" * 20})
    assert (hub.model, hub.options["revision"]) == ("lab/model", "ab" * 20)
    with pytest.raises(UsageError, match="does not say"):
        stated_extractor({"name": "lab/model"})


def test_the_verdict_of_a_rerun_counts_what_it_saw() -> None:
    found = Rerun("s", 20, 400, 36, 100, 90, 0, 0, 0, 0, 1e-7, tolerance_for("float32", "float32", "cpu", "cpu"))
    assert found.agrees
    assert not dataclasses.replace(found, moved=1, wrong=1).agrees
    assert not dataclasses.replace(found, compared=0).agrees
    assert dataclasses.replace(found, pairs=400).missed(0.01) == 0
    loose = dataclasses.replace(found, pairs=200, tolerance=tolerance_for("bfloat16", "float32", "cpu", "cpu"))
    assert loose.missed(0.05) > found.missed(0.05) ** 10
    assert dataclasses.replace(loose, pairs=400).missed(0.01) == 1
    assert dataclasses.replace(loose, pairs=400).missed(0.05) == 0
