"""A memory budget: what it must hold at least, what it leaves for feature maps, and that it moves no number."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest
from helpers.pair_tables import run_config
from helpers.shared_builds import built_mini
from helpers.shared_data import ORACLE

from soco_datasets.benchmarks.task_pairs import task_pairs
from soco_datasets.benchmarks.tasks import get_tasks
from soco_datasets.config import CachePolicy, ScoringConfig
from soco_datasets.correspondence import local_engine as pipeline
from soco_datasets.correspondence.evaluate import evaluate_backbone, protocol_of
from soco_datasets.correspondence.memory_needs import Needs, memory_needs
from soco_datasets.correspondence.released_pairs import make_plan
from soco_datasets.data.folder import DatasetFolder, open_folder
from soco_datasets.errors import UsageError
from soco_datasets.features.backbones import load_backbone
from soco_datasets.features.extractor import DenseFeatureExtractor

TASKS = get_tasks(["soc", "cc"])


@pytest.fixture(scope="module")
def folder() -> DatasetFolder:
    return open_folder(built_mini())


def extractor(size: int = 112) -> DenseFeatureExtractor:
    return DenseFeatureExtractor(load_backbone(ORACLE / "models" / "dinov2_tiny_p14"), image_size=size)


def needs(folder: DatasetFolder, size: int = 112, names: tuple[str, ...] = ("soc", "cc"), workers: int = 2) -> Needs:
    made, tasks = extractor(size), get_tasks(names)
    protocol = protocol_of(made.describe(), ScoringConfig())
    pairs = {task.name: task_pairs(folder, task) for task in tasks}
    return memory_needs(made, make_plan(tasks, pairs, folder, protocol), pairs, protocol, workers)


def test_the_least_budget_works_and_one_byte_less_is_refused(folder: DatasetFolder) -> None:
    least = max(needs(folder).matching, needs(folder).scoring)
    usual = evaluate_backbone(extractor(), folder, TASKS)
    tight = evaluate_backbone(extractor(), folder, TASKS, run=run_config(memory=least))
    assert tight.predictions.replace_schema_metadata(None).equals(usual.predictions.replace_schema_metadata(None))
    assert tight.result.metrics == usual.result.metrics
    with pytest.raises(UsageError, match=rf"takes about {-(-least // 2**20)} MiB .*Raise memory_budget"):
        evaluate_backbone(extractor(), folder, TASKS, run=run_config(memory=least - 1))


def test_maps_get_what_the_rest_leaves(folder: DatasetFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[CachePolicy] = []

    def look(choice: CachePolicy, *given: Any) -> None:
        seen.append(choice)  # and so there are two passes

    monkeypatch.setattr(pipeline, "open_store", look)
    evaluate_backbone(extractor(), folder, TASKS, run=run_config(memory=10**9))
    evaluate_backbone(extractor(), folder, TASKS)
    assert [choice.memory_budget for choice in seen] == [10**9 - needs(folder).matching, None]


def test_needs_grow_with_what_costs_memory(folder: DatasetFolder) -> None:
    usual = needs(folder)
    assert needs(folder, workers=8).matching > usual.matching
    assert needs(folder, size=448).matching > usual.matching
    assert needs(folder, names=("soc", "cc", "soc_geo")).scoring > usual.scoring
    table = evaluate_backbone(extractor(), folder, TASKS).predictions
    assert table.nbytes < usual.scoring < 4 * table.nbytes
    assert replace(usual, scoring=0).room_for_maps(usual.matching) == 0


def test_arrow_has_its_own_allocator_again_afterwards(folder: DatasetFolder) -> None:
    before = pa.default_memory_pool().backend_name
    evaluate_backbone(extractor(), folder, TASKS)
    assert pa.default_memory_pool().backend_name == before
