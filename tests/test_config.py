from __future__ import annotations

import json

import pytest

from soco_datasets.benchmarks.base import benchmarks
from soco_datasets.benchmarks.tasks import TASKS, get_tasks
from soco_datasets.config import FeatureConfig, Protocol, ScoringConfig
from soco_datasets.errors import UsageError


def test_a_protocol_survives_json():
    statistics = {"mean": (0.5, 0.5, 0.5), "std": (0.2, 0.2, 0.2), "source": "checkpoint"}
    protocol = Protocol(
        ScoringConfig(convention="centered", alphas=(0.1,)),
        FeatureConfig(size=798, grid=57, norm=None, statistics=statistics),
    )
    assert Protocol.from_dict(json.loads(json.dumps(protocol.to_dict()))) == protocol
    assert protocol.to_dict().keys() == Protocol().to_dict().keys()


def test_the_default_is_the_released_protocol():
    protocol = Protocol()
    assert (protocol.scoring.convention, protocol.scoring.alphas, protocol.scoring.normalizer) == (
        "reference",
        (0.1, 0.05, 0.02),
        "bbox",
    )
    assert (protocol.features.image_size, protocol.features.layer, protocol.features.norm) == (800, -1, False)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("convention", "centred", "Did you mean 'centered'"),
        ("normaliser", "box", "Did you mean 'bbox'"),
        ("reductions", ("pairs",), "Did you mean 'pair'"),
        ("reductions", (), "one or more different reductions"),
        ("reductions", ("pair", "pair"), "one or more different reductions"),
        ("alphas", (), "alphas"),
        ("alphas", (0.1, 0.1), "alphas"),
        ("alphas", (0.0,), "alphas"),
        ("alphas", (float("nan"),), "alphas"),
        ("alphas", "0.1", "alphas"),
        ("alphas", None, "alphas"),
        ("image_size", 0, "image_size"),
        ("image_size", None, "image_size"),
        ("size", 2.5, "size"),
        ("grid", True, "grid"),
        ("layer", "last", "layer"),
        ("norm", "final", "norm"),
        ("dtype", None, "dtype"),
        ("statistics", {"mean": {1, 2}}, "statistics"),
        ("valid_area", 1, "valid_area"),
        ("soft_beta", 0, "soft-argmax"),
        ("soft_window", 7.0, "soft-argmax"),
    ],
)
def test_what_is_no_protocol_is_refused(field, value, message):
    with pytest.raises(UsageError, match=message):
        Protocol.from_dict({**Protocol().to_dict(), field: value})


def test_a_stored_protocol_with_other_fields_is_refused():
    stored = Protocol().to_dict()
    with pytest.raises(UsageError, match="Did you mean 'alphas'"):
        Protocol.from_dict({**stored, "alpha": 1})
    stored.pop("layer")
    with pytest.raises(UsageError, match="lacks layer"):
        Protocol.from_dict(stored)
    with pytest.raises(UsageError, match="mapping"):
        Protocol.from_dict(None)


def test_tasks_are_pair_configs_of_the_dataset():
    assert list(TASKS)[:4] == ["cc", "soc", "cross_cc", "cross_soc"]
    for benchmark in benchmarks().values():
        assert all(benchmark.configs[task.config].is_pairs for task in benchmark.tasks)
        assert all(
            benchmark.configs[task.config].kind == "geo" for task in benchmark.tasks if task.matcher == "candidates"
        )
    assert get_tasks() == benchmarks()["soco"].tasks
    assert [task.name for task in get_tasks(["cross_cc", "cc", "cross_cc"])] == ["cross_cc", "cc"]
    assert [task.name for task in get_tasks("soc")] == ["soc"]


def test_a_mistyped_task_is_answered_with_the_closest():
    with pytest.raises(UsageError, match="Did you mean 'cross_soc'"):
        get_tasks(["cros_soc"])
    with pytest.raises(UsageError, match="No task given"):
        get_tasks([])
