"""The split `all` against the usual evaluation of the same pairs as rows; what it forwards, loads and holds."""

from __future__ import annotations

import tracemalloc
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from helpers.pair_tables import run_config
from helpers.shared_data import ORACLE, REAL_SAMPLE, needs_photographs
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from soco_datasets.benchmarks.build import build_dataset
from soco_datasets.benchmarks.tasks import get_tasks
from soco_datasets.cli import main
from soco_datasets.config import RunConfig, ScoringConfig
from soco_datasets.correspondence.evaluate import evaluate_backbone
from soco_datasets.correspondence.local_engine import LocalEngine
from soco_datasets.correspondence.pair_stream import CategoryPairs, PairStream
from soco_datasets.correspondence.plan import Plan
from soco_datasets.data.all_pairs import AllPairs
from soco_datasets.data.folder import DatasetFolder, open_folder
from soco_datasets.data.images import ImageStore
from soco_datasets.data.schema import CONFIGS, KEYPOINTS
from soco_datasets.errors import DatasetFolderError, PredictionsError, UsageError
from soco_datasets.features.backbones import load_backbone
from soco_datasets.features.cache.memory import MemoryFeatureCache
from soco_datasets.features.extractor import DenseFeatureExtractor
from soco_datasets.metrics.aggregation import PairGroups, aggregate, join_categories
from soco_datasets.records.azimuth import CurveSums, azimuth_curve
from soco_datasets.records.comparable import check_comparable
from soco_datasets.records.evaluation import EvaluationResult

MODEL = ORACLE / "models" / "dinov2_tiny_p14"
EVERY = ScoringConfig(reductions=("pair", "keypoint", "image"))


class RowsOfAll(DatasetFolder):
    """A folder whose pair configs hold all pairs as rows."""

    def table(self, config: str, split: str = "test", columns: Sequence[str] | None = None) -> pa.Table:
        if not CONFIGS[config].is_pairs:
            return super().table(config, split, columns)
        pairs, features = AllPairs(self, config, 3), CONFIGS[config].features
        rows = [{column: pairs.value(number, column) for column in features} for number in range(len(pairs))]
        return pa.Table.from_pylist(rows, schema=features.arrow_schema)


def extractor(size: int = 112) -> DenseFeatureExtractor:
    return DenseFeatureExtractor(load_backbone(MODEL), image_size=size, batch_size=4)


@pytest.fixture(scope="module")
def oracle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_dataset(str(ORACLE / "SOCOv1"), tmp_path_factory.mktemp("oracle") / "built").path


@pytest.fixture(scope="module")
def by_rows(oracle: Path) -> EvaluationResult:
    return evaluate_backbone(extractor(), RowsOfAll(oracle), get_tasks(), scoring=EVERY).result


def evaluate_all(*arguments: Any, **options: Any) -> EvaluationResult:
    evaluation = evaluate_backbone(*arguments, **options, split="all")
    assert evaluation.predictions is None
    return evaluation.result


def assert_same(found: EvaluationResult, wanted: EvaluationResult) -> None:
    assert found.metrics == wanted.metrics
    assert found.intervals == wanted.intervals
    for name in ("images", "pairs", "keypoints"):
        assert found.counts[name] == wanted.counts[name]


# --- the same numbers -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options", [{}, {"block_points": 1}, {"block_points": 300, "store": "none", "workers": 0}], ids=str
)
def test_every_task_has_the_numbers_of_its_rows(
    oracle: Path, by_rows: EvaluationResult, options: dict[str, Any]
) -> None:
    found = evaluate_all(extractor(), open_folder(oracle), get_tasks(), scoring=EVERY, run=run_config(**options))
    assert_same(found, by_rows)
    assert found.counts["keypoints"] > 5000
    scores = [part["image"]["0.1"]["overall"]["pck"] for part in found.metrics.values()]
    assert len(set(scores)) > 6
    assert (found.dataset["split"], found.anatomy) == ("all", None)
    assert EvaluationResult.from_json(found.to_json()) == found


@needs_photographs
def test_other_choices_of_the_protocol_have_the_numbers_of_their_rows(tmp_path: Path) -> None:
    path = build_dataset(str(REAL_SAMPLE), tmp_path / "built").path
    choices = ScoringConfig("centered", (0.3, 0.15), "image", valid_area=True, soft_window=1)
    tasks = get_tasks(["cross_soc_geo_multi", "cc_soft", "cross_cc"])
    found = evaluate_all(extractor(), open_folder(path), tasks, scoring=choices, run=RunConfig(block_points=40))
    assert_same(found, evaluate_backbone(extractor(), RowsOfAll(path), tasks, scoring=choices).result)


def test_bad_images_are_left_out_as_by_rows(
    oracle: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    bad, whole = list(open_folder(oracle).images)[3], ImageStore.decode

    def decode(self: ImageStore, image_id: str) -> Image.Image:
        if image_id == bad:
            raise DatasetFolderError(f"{bad} does not decode")
        return whole(self, image_id)

    monkeypatch.setattr(ImageStore, "decode", decode)
    tasks = get_tasks(["soc", "cross_cc"])
    with pytest.raises(DatasetFolderError, match="does not decode"):
        evaluate_all(extractor(), open_folder(oracle), tasks)
    found = evaluate_all(extractor(), open_folder(oracle), tasks, run=RunConfig(skip_bad=True))
    assert bad in caplog.text
    wanted = evaluate_backbone(extractor(), RowsOfAll(oracle), tasks, run=RunConfig(skip_bad=True)).result
    assert_same(found, wanted)
    for name in ("bad_images", "skipped_pairs"):
        assert found.counts[name] == wanted.counts[name] > 0


QUERY = st.tuples(st.integers(0, 11), st.sampled_from([0.01, 0.03, 0.07, 0.2, float("nan")]), st.floats(0, 1))


@settings(max_examples=60)
@given(st.lists(QUERY, max_size=40), st.permutations("abc"))
def test_categories_joined_are_all_together(queries: list[tuple[int, float, float]], order: list[str]) -> None:
    category = ["a"] * 5 + ["b"] * 4 + ["c"] * 3
    targets, parents = [str(pair // 2) for pair in range(12)], {"a": "x", "b": "y", "c": None}
    pair = np.array([pair for pair, _, _ in queries], dtype=np.int64)
    errors = np.array([error for _, error, _ in queries], dtype=np.float32)
    chance = np.array([number for _, _, number in queries])
    options: dict[str, Any] = {"alphas": (0.1, 0.05), "reductions": EVERY.reductions}
    together = aggregate(
        errors, pair, PairGroups(category, targets, supercategories=parents), beside={"chance": chance}, **options
    )
    parts = []
    for name in order:
        own = np.array(category)[pair] == name if len(pair) else np.zeros(0, dtype=bool)
        parts.append(
            aggregate(
                errors[own],
                pair[own] - category.index(name),
                PairGroups(
                    [name] * category.count(name), [targets[number] for number in range(12) if category[number] == name]
                ),
                beside={"chance": chance[own]},
                **options,
            )
        )
    assert join_categories(parts, parents) == together


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.lists(st.booleans(), min_size=1, max_size=5), st.sampled_from([0, 30, 31, 180, np.nan]))),
    st.integers(0, 5),
)
def test_a_curve_of_parts_is_the_curve_of_all(pairs: list[tuple[list[bool], float]], cut: int) -> None:
    owner = np.repeat(np.arange(len(pairs)), [len(hit) for hit, _ in pairs])
    hit = np.array([one for hit, _ in pairs for one in hit], dtype=bool)
    apart = np.array([degrees for _, degrees in pairs], dtype=np.float64)
    sums = CurveSums((0.1,))
    for some in (np.arange(len(pairs))[:cut], np.arange(len(pairs))[cut:]):
        queries = np.array([len(pairs[number][0]) for number in some], dtype=np.int64)
        found = np.array([[sum(pairs[number][0]) for number in some]], dtype=np.int64)
        sums.add(queries, found, apart[some])
    wanted = azimuth_curve(np.where(hit, 0.0, 1.0), apart[owner], (0.1,), pair=owner)
    curve = sums.curve()
    if np.isnan(apart).all():
        assert curve is None
        return
    assert curve is not None
    means, expected = curve["pck"].pop("pair"), wanted["pck"].pop("pair")
    assert curve == wanted
    for ours, theirs in zip(means["0.1"], expected["0.1"], strict=True):
        assert ours == theirs if theirs is None else ours == pytest.approx(theirs, rel=1e-12)


# --- what it costs ----------------------------------------------------------------------------------------------------


def test_each_map_is_made_once_and_loaded_once(oracle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: Counter[int] = Counter()
    whole = MemoryFeatureCache.get

    def get(self: MemoryFeatureCache, index: int) -> Any:
        loaded[index] += 1
        return whole(self, index)

    monkeypatch.setattr(MemoryFeatureCache, "get", get)
    tasks = get_tasks(["soc", "cc", "cross_soc", "cross_cc"])
    counts = evaluate_all(extractor(), open_folder(oracle), tasks, run=run_config("memory", block_points=50)).counts
    assert counts["forwards"] == counts["decodes"] == counts["images"]
    assert len(loaded) > 20
    assert set(loaded.values()) == {1}
    counts = evaluate_all(extractor(), open_folder(oracle), tasks, run=run_config("none", block_points=50)).counts
    assert counts["images"] < counts["forwards"] == counts["decodes"] <= 2 * counts["images"]


def test_no_more_queries_are_planned_at_a_time_than_a_block_has(oracle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    planned: list[tuple[int, int]] = []
    whole = LocalEngine.match

    def match(self: LocalEngine, plan: Plan) -> Any:
        planned.append((len(np.unique(plan.match_target)), len(plan.query_match)))
        return whole(self, plan)

    monkeypatch.setattr(LocalEngine, "match", match)
    tasks, block = get_tasks(["soc"]), 120  # of one way of asking: a source point is one query at most
    counts = evaluate_all(extractor(), open_folder(oracle), tasks, run=RunConfig(block_points=block)).counts
    assert sum(queries for _, queries in planned) == counts["keypoints"] > 4 * block
    assert all(queries <= block or targets == 1 for targets, queries in planned)


@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, unique=True),
    st.lists(st.integers(0, 9), max_size=20),
    st.integers(1, 60),
)
def test_blocks_are_whole_targets_within_their_bound(intra: list[tuple[int, int]], cross: list[int], most: int) -> None:
    shown = np.arange(10) * 3 % 7 + 1
    ordered = np.array(sorted(intra, key=lambda pair: pair[1]), dtype=np.int32)
    kinds = {
        "intra": (ordered[:, 0], ordered[:, 1]),
        "cross": (np.zeros(len(cross), dtype=np.int32), np.array(sorted(cross), dtype=np.int32)),
    }
    seen: dict[str, list[int]] = {"intra": [], "cross": []}
    of_block = []
    for block in CategoryPairs("car", kinds).blocks(shown, most):
        targets, points = set(), 0
        for kind, places in block.items():
            seen[kind] += kinds[kind][1][places].tolist()
            targets |= set(kinds[kind][1][places].tolist())
            points += int(shown[kinds[kind][0][places]].sum())
        assert points <= most or len(targets) == 1
        of_block.append(targets)
    assert seen == {kind: targets.tolist() for kind, (_, targets) in kinds.items()}
    assert sum(map(len, of_block)) == len(set().union(*of_block))


class Shown:
    """What `PairStream` needs of a folder, with so many images of one category that all show the same points."""

    path, configs = Path("made-up"), ("soc", "cc")

    def __init__(self, images: int) -> None:
        names = [f"part_{number}" for number in range(10)]
        rows = {
            "image_id": [f"car/{number}" for number in range(images)],
            "category": ["car"] * images,
            "keypoint_ids": [list(range(10))] * images,
            "keypoints": [names] * images,
            "concepts": [[name[:5] for name in names]] * images,
            "points": [[[float(place), 0.0] for place in range(10)]] * images,
        }
        self._table = pa.table(rows, schema=KEYPOINTS.arrow_schema)

    def table(self, config: str, split: str, columns: list[str]) -> pa.Table:
        return self._table.select(columns)


def test_memory_takes_a_few_bytes_a_pair() -> None:
    def peak(images: int) -> int:
        stream = PairStream(Shown(images), get_tasks(["soc", "cc"]), 5000)  # type: ignore[arg-type]
        tracemalloc.start()
        usage = stream.usage()
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        pairs = images * (images - 1) // 2
        assert [(part.pairs, part.queries) for part in usage.values()] == [(pairs, 10 * pairs)] * 2
        return most

    few, many = peak(150), peak(450)
    pairs = 450 * 449 // 2 - 150 * 149 // 2
    assert (many - few) / pairs < 50  # rows take kilobytes a pair, the queries alone some hundred bytes


# --- what does not apply to it ----------------------------------------------------------------------------------------


def test_the_command_writes_a_record_and_says_that_there_are_no_predictions(
    oracle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    common = ["evaluate", "--model", str(MODEL), "--data", str(oracle), "--image-size", "56", "--tasks", "soc"]
    assert main([*common, "--split", "all", "--out", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "all pairs" in printed
    assert "predictions  none" in printed
    record = tmp_path / "dinov2_tiny_p14.size56.all.json"
    assert [path.name for path in tmp_path.iterdir()] == [record.name]
    result = EvaluationResult.read(record)
    assert result.split == "all"
    assert main(["compare", str(record), str(record)]) == 1
    assert "keeps none" in capsys.readouterr().err
    assert main(["report", str(record), "--data", str(oracle), "--out", str(tmp_path / "report")]) == 0
    assert main([*common, "--out", str(tmp_path)]) == 0
    usual = EvaluationResult.read(tmp_path / "dinov2_tiny_p14.size56.json")
    assert usual.split == "test"
    with pytest.raises(UsageError, match="split all, the other of test"):
        check_comparable([result, usual])
    assert main([*common, "--split", "train"]) == 2
    assert "all, test" in capsys.readouterr().err


def test_a_split_without_a_name_is_refused(by_rows: EvaluationResult) -> None:
    other = by_rows.model_copy(update={"dataset": {**by_rows.dataset, "split": ""}})
    with pytest.raises(PredictionsError, match="name of a split"):
        EvaluationResult.from_json(other.to_json())
