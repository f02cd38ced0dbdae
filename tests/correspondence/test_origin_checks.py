"""Where predictions can come from: honest results have no finding, each kind of forgery is found, cheaply or by a rerun."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from helpers.hub_results import make_result
from helpers.shared_builds import built_mini
from helpers.tiny_map_models import make_map_model
from helpers.tiny_models import make

from soco_datasets.benchmarks.tasks import get_tasks
from soco_datasets.cli import main
from soco_datasets.config import FeatureConfig, ScoringConfig
from soco_datasets.correspondence.consistency import check_consistency
from soco_datasets.correspondence.evaluate import evaluate_backbone
from soco_datasets.correspondence.grid_positions import (
    best_positions,
    best_possible,
    cells_to_points,
    positions_on_grid,
    statement_problems,
    with_predictions,
)
from soco_datasets.correspondence.rerun import rerun_result, sample_pairs
from soco_datasets.correspondence.rerun_verdict import Rerun, tolerance_for
from soco_datasets.data.folder import DatasetFolder, open_folder
from soco_datasets.errors import PredictionsError, UsageError
from soco_datasets.features.backbones import load_backbone
from soco_datasets.features.compose import CompositeBackbone, UpsampledBackbone
from soco_datasets.features.extractor import DenseFeatureExtractor
from soco_datasets.features.stated_model import model_differences, stated_extractor
from soco_datasets.hub.recompute import ResultFiles
from soco_datasets.hub.verify import check_files, verify_file
from soco_datasets.records.annotated_points import IMAGES_KEY
from soco_datasets.records.evaluation import record_from_predictions, write_evaluation
from soco_datasets.records.fingerprint import Fingerprint
from soco_datasets.records.predictions import HEADER_KEY, read_header, read_predictions
from soco_datasets.records.validation import points_array, sizes_array

TASKS = ("cc", "soc", "soc_soft", "soc_geo")
SIZE = 112  # 14 cells of 8 px
Forgery = Callable[[pa.Table], pa.Table]


@pytest.fixture(scope="module")
def folder() -> DatasetFolder:
    return open_folder(built_mini())


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make("vit", tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture(scope="module")
def extractor(checkpoint: Path) -> DenseFeatureExtractor:
    return DenseFeatureExtractor(load_backbone(checkpoint), SIZE)


def predictions_of(extractor: DenseFeatureExtractor, folder: DatasetFolder, **scoring: Any) -> pa.Table:
    window = {"soft_window": 3, **scoring}
    found = evaluate_backbone(extractor, folder, get_tasks(TASKS), scoring=ScoringConfig(**window)).predictions
    assert found is not None
    return found


@pytest.fixture(scope="module")
def honest(extractor: DenseFeatureExtractor, folder: DatasetFolder) -> pa.Table:
    return predictions_of(extractor, folder)


@pytest.fixture(scope="module")
def other(checkpoint: Path, folder: DatasetFolder) -> pa.Table:
    """The predictions of another model: the first block instead of the last."""
    return predictions_of(DenseFeatureExtractor(load_backbone(checkpoint, layer=0), SIZE), folder)


def with_header(table: pa.Table, change: Callable[[dict[str, Any]], object]) -> pa.Table:
    fields = json.loads(table.schema.metadata[HEADER_KEY])
    change(fields)
    return table.replace_schema_metadata({**table.schema.metadata, HEADER_KEY: json.dumps(fields)})


def with_similarities(table: pa.Table, change: Callable[[np.ndarray], object]) -> pa.Table:
    values = table["similarity"].to_numpy().copy()
    change(values)
    place = table.column_names.index("similarity")
    column = pa.array(values, pa.float32(), from_pandas=True)
    return table.set_column(place, table.schema.field("similarity"), column)


def moved(table: pa.Table, task: str, cells: float, rows: int = 1) -> pa.Table:
    """The first predictions of a task some cells further, towards the middle of the map."""
    protocol, sizes = read_header(table).protocol, sizes_array(table["target_size"])
    positions = positions_on_grid(points_array(table["prediction"]), sizes, protocol)
    own = np.flatnonzero(pc.equal(table["task"], task).to_numpy())[:rows]
    positions[own, 0] += np.where(positions[own, 0] < 7, cells, -cells)
    return with_predictions(table, cells_to_points(positions, sizes, protocol))


def snapped(table: pa.Table) -> pa.Table:
    """The ground truth on the grid, as hard and soft answers alike."""
    protocol, sizes = read_header(table).protocol, sizes_array(table["target_size"])
    return with_predictions(table, cells_to_points(best_positions(table, protocol).cells, sizes, protocol))


def truth(table: pa.Table) -> pa.Table:
    starts = np.cumsum([0, *pc.list_value_length(table["target_points"]).to_pylist()])[:-1]
    return with_predictions(table, points_array(table["target_points"])[starts])


def finer_than_pixels(table: pa.Table, noise: float = 0.0) -> pa.Table:
    """The ground truth, a little off, on a grid so fine that it hides nothing and that no patch size belies."""

    def change(fields: dict[str, Any]) -> None:
        del fields["model"]["patch_size"]
        fields["protocol"].update(grid=1000)

    table = with_header(table, change)
    protocol, sizes = read_header(table).protocol, sizes_array(table["target_size"])
    cells = best_positions(table, protocol).cells
    shift = np.random.default_rng(0).uniform(-noise, noise, cells.shape)
    query = pc.binary_join_element_wise(table["source_image_id"], table["keypoint"], table["target_image_id"], " ")
    first = np.unique(query.to_numpy(zero_copy_only=False), return_index=True, return_inverse=True)
    shift = shift[first[1]][first[2]]  # one for all tasks
    cells = np.clip(np.rint(cells + shift), 0, 999)
    return with_predictions(table, cells_to_points(cells, sizes, protocol))


def out_of_range(values: np.ndarray) -> None:
    values[3] = 1.5


def absent(values: np.ndarray) -> None:
    values[:7] = np.nan


FORGERIES: dict[str, tuple[Forgery, str]] = {
    "ground truth": (truth, "predictions off the grid"),
    "ground truth on the grid": (snapped, "too good: 100.0 % of"),
    "ground truth on a finer grid": (partial(finer_than_pixels, noise=3), "too good: "),
    "three rows off the grid": (partial(moved, task="cc", cells=0.3, rows=3), "inconsistent: 3 of"),
    "outside": (partial(moved, task="soc", cells=40), "outside the padded square"),
    "a similarity above 1": (partial(with_similarities, change=out_of_range), "inconsistent: 1 of"),
    "no similarities": (partial(with_similarities, change=absent), "7 of"),
    "shuffled similarities": (
        partial(with_similarities, change=np.random.default_rng(0).shuffle),
        "a query that tasks or pairs share differ",
    ),
    "another answer in one task": (partial(moved, task="soc", cells=1), "a query that tasks or pairs share differ"),
    "no candidate": (partial(moved, task="soc_geo", cells=5, rows=40), "choices that are not candidate cells"),
    "out of the window": (partial(moved, task="soc_soft", cells=7), "soft positions not within 3 cells"),
    "another size": (
        partial(with_header, change=lambda fields: fields["model"].update(requested_size=800, effective_size=800)),
        "the protocol states the image size 112, the model 800",
    ),
    "made tomorrow": (
        partial(with_header, change=lambda fields: fields.update(created="2999-01-01T00:00:00Z")),
        "later than now",
    ),
    "another grid": (
        partial(with_header, change=lambda fields: fields["protocol"].update(grid=28)),
        "the model's patches make a grid of 14 cells, the protocol states 28",
    ),
}


@pytest.mark.parametrize(("forge", "words"), FORGERIES.values(), ids=FORGERIES)
def test_a_forgery_is_found(honest: pa.Table, forge: Forgery, words: str) -> None:
    found = check_consistency(forge(honest))
    assert found.state == "recomputed"
    assert words in found.line


@pytest.mark.parametrize("scoring", [{}, {"convention": "centered", "valid_area": True}, {"soft_window": 0}], ids=str)
def test_an_honest_result_has_no_findings(
    extractor: DenseFeatureExtractor, folder: DatasetFolder, honest: pa.Table, scoring: dict[str, Any]
) -> None:
    table = predictions_of(extractor, folder, **scoring) if scoring else honest
    found = check_consistency(table)
    assert (found.state, found.findings, found.notes) == ("consistent", (), ())
    assert "predictions on the 14 x 14 grid" in found.line


def test_no_predictions_on_the_grid_are_better_than_the_best_possible(honest: pa.Table) -> None:
    best = best_possible(honest, frozenset({"soc_soft"}))
    own = record_from_predictions(honest, resamples=0).metrics
    forged = record_from_predictions(snapped(honest), resamples=0).metrics
    for task in ("cc", "soc"):
        for alpha, pck in best[task].items():
            assert pck is not None
            assert own[task]["pair"][alpha]["overall"]["pck"] <= pck
            assert forged[task]["pair"][alpha]["overall"]["pck"] == pck
    assert best["soc_soft"]["0.1"] == 1


def test_what_cannot_be_looked_at_is_not_called_consistent(honest: pa.Table) -> None:
    """Leaving out what a check needs gains nothing: neither the patch size nor the candidates of choices."""
    without = {key: value for key, value in honest.schema.metadata.items() if key != IMAGES_KEY}
    chosen = check_consistency(moved(honest, "soc_geo", 5, rows=40).replace_schema_metadata(without))
    assert (chosen.state, chosen.findings) == ("recomputed", ())
    assert "choices were not checked" in chosen.notes[0]
    unsized = check_consistency(with_header(honest, lambda fields: fields["model"].pop("patch_size")))
    assert (unsized.state, unsized.findings) == ("recomputed", ())
    assert "no patch size" in unsized.notes[0]

    def ask_for_more(fields: dict[str, Any]) -> None:
        fields["protocol"]["image_size"] = fields["model"]["requested_size"] = 800

    (note,) = check_consistency(with_header(honest, ask_for_more)).notes
    assert "800 px were asked for and the network saw 112" in note
    for damaged in ("cells", ["cells"], {"grid": "many"}, {"grid": 14, "weights": None}):
        fields = {"parts": [{}, "part"], "composition": damaged, "upsampling": {"factor": "2"}}
        text = partial(with_header, change=lambda header, new=fields: header["model"].update(new))(honest)
        assert check_consistency(text).state == "recomputed"
    assert check_consistency(with_header(honest, lambda fields: fields.update(model={"name": "it"}))).notes


def test_a_file_that_states_no_grid_is_claimed(honest: pa.Table) -> None:
    table = with_header(honest, lambda fields: fields["protocol"].update(grid=None, size=None))
    found = check_consistency(truth(table))
    assert (found.state, found.findings) == ("claimed", ())


def a_hair_off(table: pa.Table) -> pa.Table:
    """Every point moved by less than the grid's tolerance."""
    protocol, sizes = read_header(table).protocol, sizes_array(table["target_size"])
    cells = positions_on_grid(points_array(table["prediction"]), sizes, protocol)
    return with_predictions(table, cells_to_points(cells + np.where(cells < 7, 9e-4, -9e-4), sizes, protocol))


def only(table: pa.Table, task: str) -> pa.Table:
    """One task of a file, as if nothing else had been evaluated."""
    rows = table.filter(pc.equal(table["task"], task))
    return with_header(rows, lambda fields: fields.update(tasks={task: fields["tasks"][task]}))


COPIES: dict[str, Forgery] = {
    "renamed": lambda table: table,
    "1 % of the rows": partial(moved, task="cc", cells=1, rows=27),
    "rows in another order": lambda table: table.take(np.random.default_rng(0).permutation(len(table))),
    "a hair off": a_hair_off,
    "one of four tasks": partial(only, task="soc"),
    "one task changed": partial(moved, task="cc", cells=1, rows=5000),
}


@pytest.mark.parametrize("change", COPIES.values(), ids=COPIES)
def test_copies_are_named(honest: pa.Table, change: Forgery) -> None:
    copied = with_header(change(honest), lambda fields: fields["model"].update(name="mine", weights_hash="ab" * 32))
    found = check_consistency(copied, [Fingerprint.of(honest)]).findings
    assert found[-1].kind == "copied"
    assert "of vit" in found[-1].text or "of tiny" in found[-1].text


def test_results_of_the_same_or_of_another_model_are_no_copies(honest: pa.Table, other: pa.Table) -> None:
    sketch = Fingerprint.of(honest)
    same = check_consistency(honest, [sketch])
    assert same.findings == ()
    assert "of the same weights" in same.notes[0]
    assert check_consistency(other, [sketch]).notes == ()


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


def one_pair_changed(table: pa.Table) -> pa.Table:
    """Every answer of one pair one cell off, so that all tasks still agree."""
    protocol, sizes = read_header(table).protocol, sizes_array(table["target_size"])
    positions = positions_on_grid(points_array(table["prediction"]), sizes, protocol)
    own = pc.equal(table["pair_id"], table["pair_id"][0]).to_numpy()
    positions[own, 1] += np.where(positions[own, 1] < 7, 1, -1)
    return with_predictions(table, cells_to_points(positions, sizes, protocol))


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


def written(table: pa.Table, out: Path) -> Path:
    return write_evaluation(out, table, record_from_predictions(table, resamples=0))[0]


def test_the_commands_say_what_was_found(
    honest: pa.Table, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mini = str(built_mini())
    record = written(honest, tmp_path / "honest")
    again = ["--rerun", "3", "--seed", "mine", "--model", str(checkpoint)]
    assert main(["verify", str(record), "--data", mini, *again]) == 0
    assert "verified: rerun" in capsys.readouterr().out
    alone = shutil.copytree(record.parent, tmp_path / "alone") / record.name
    assert verify_file(str(alone), mini).verification("ada").state == "consistent"
    assert check_files("it", ResultFiles.of(alone), None).verification().state == "recomputed"
    forged = written(moved(honest, "cc", 0.3, rows=3), tmp_path / "forged")
    found = verify_file(str(forged), mini).verification("ada", "2026-11-30T06:00:00Z")
    assert (found.state, found.by, found.when[:10]) == ("recomputed", "ada", "2026-11-30")
    assert "off the grid" in found.findings[0]
    words = f"inconsistent: 3 of {pc.sum(pc.not_equal(honest['task'], 'soc_soft')).as_py():,} predictions off the grid"
    assert main(["verify", str(forged), "--data", mini]) == 1
    assert words in capsys.readouterr().err
    assert main(["score", str(forged.with_name(forged.stem + ".predictions.parquet"))]) == 0
    assert words in capsys.readouterr().err
    exact = written(snapped(honest), tmp_path / "exact")
    assert main(["verify", str(exact), "--data", mini, "--against", str(tmp_path / "honest")]) == 1
    assert "too good" in capsys.readouterr().err


def test_a_claimed_result_matches(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = make_result(built_mini(), tmp_path)
    assert main(["verify", str(record), "--data", str(built_mini())]) == 0
    assert "verified: claimed" in capsys.readouterr().out
    assert main(["verify", str(record), "--data", str(built_mini()), "--rerun", "some"]) == 2
    table = read_predictions(record.with_name(record.stem + ".predictions.parquet"))
    with pytest.raises(PredictionsError, match="no patch grid"):
        rerun_result(table, 1, folder=open_folder(built_mini()))


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


@pytest.mark.parametrize(("kind", "build"), [("dinov2", make), ("swin", make_map_model), ("siglip", make)])
def test_a_models_grid_is_that_of_its_patches(kind: str, build: Callable[[str, Path], Path], tmp_path: Path) -> None:
    backbone = load_backbone(build(kind, tmp_path / "model"))
    finer = UpsampledBackbone(CompositeBackbone([backbone, backbone]), 2)
    padded = load_backbone(tmp_path / "model")
    padded.zero_padded = True
    for model in (backbone, finer, padded):
        extractor = DenseFeatureExtractor(model, 100)
        described = extractor.describe()
        features = FeatureConfig.of_model(described)
        assert statement_problems(described, features) == ([], [])
        wrong, _ = statement_problems(described, dataclasses.replace(features, grid=extractor.grid + 1))
        assert any("make a grid of" in text for text in wrong)
        (text,), _ = statement_problems(described, dataclasses.replace(features, size=extractor.size + 8))
        assert "states the size" in text
