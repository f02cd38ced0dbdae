from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from helpers.command_lines import read_command_line

from soco_datasets.benchmarks.tasks import TASKS
from soco_datasets.commands import evaluate
from soco_datasets.commands.evaluate_options import ProtocolOptions
from soco_datasets.config import ScoringConfig
from soco_datasets.correspondence.presets import PRESETS, get_preset, tasks_for
from soco_datasets.data.schema import CONFIGS
from soco_datasets.errors import DatasetFolderError, UsageError


def parsed(*options: str) -> ProtocolOptions:
    protocol: ProtocolOptions = read_command_line(evaluate, "--model", "dense_sift", *options).protocol
    return protocol


def names(*options: str) -> list[str]:
    return [task.name for task in evaluate.requested_tasks(parsed(*options))]


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_a_protocol_of_known_tasks(name: str) -> None:
    preset = get_preset(name)
    assert set(preset.tasks) <= TASKS.keys()
    assert parsed("--protocol", name).scoring()
    there, absent = tasks_for(preset, CONFIGS)
    assert [task.name for task in there] == list(preset.tasks)
    assert absent == ()


def test_the_paper_needs_every_task_threshold_and_reduction() -> None:
    paper = get_preset("paper")
    assert {TASKS[name].matcher for name in paper.tasks} == {"argmax", "soft", "candidates"}
    assert paper.scoring == ScoringConfig()
    assert "soc_geo_multi" in paper.tasks


def test_the_default_is_the_plain_protocol() -> None:
    assert names() == ["cc", "soc", "cross_cc", "cross_soc"]
    assert parsed().scoring() == ScoringConfig()


def test_explicit_options_win_over_the_preset() -> None:
    assert names("--protocol", "fast") == ["soc"]
    assert names("--protocol", "fast", "--tasks", "cc,soc_geo") == ["cc", "soc_geo"]
    fast = parsed("--protocol", "fast").scoring()
    assert (fast.alphas, fast.reductions, fast.convention) == ((0.1,), ("pair",), "reference")
    options = ("--alphas", "0.2,0.1", "--reductions", "image,pair", "--convention", "centered", "--valid-area")
    changed = parsed("--protocol", "fast", *options, "--soft-window", "0").scoring()
    assert (changed.alphas, changed.reductions) == ((0.2, 0.1), ("image", "pair"))
    assert (changed.convention, changed.valid_area, changed.soft_window) == ("centered", True, 0)


def test_a_mistyped_protocol_is_answered_with_the_closest() -> None:
    with pytest.raises(UsageError, match=r"Unknown protocol 'papre'\. Did you mean 'paper'"):
        parsed("--protocol", "papre").scoring()


def test_tasks_without_pairs_are_named_and_left_out() -> None:
    there, absent = tasks_for(get_preset("paper"), ["images", "soc", "cc"])
    assert [task.name for task in there] == ["cc", "soc", "cc_soft", "soc_soft"]
    assert {task.config for task in absent} == {"cross_cc", "cross_soc", "soc_geo", "cross_soc_geo"}
    with pytest.raises(DatasetFolderError, match=r"no pairs for any task of the protocol fast .* configs soc"):
        tasks_for(get_preset("fast"), ["images", "cc"])


def test_what_is_left_out_is_said_and_what_was_asked_for_is_not_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    folder: Any = SimpleNamespace(path="/data/intra", configs=["images", "soc"], benchmark="soco")
    there = evaluate.requested_tasks(parsed("--protocol", "paper"), folder)
    assert [task.name for task in there] == ["soc", "soc_soft"]
    told = capsys.readouterr().err
    assert "/data/intra has no cc, cross_cc, cross_soc, soc_geo, cross_soc_geo: cc, cross_cc" in told
    asked = evaluate.requested_tasks(parsed("--protocol", "paper", "--tasks", "soc,cross_soc"), folder)
    assert [task.name for task in asked] == ["soc", "cross_soc"]
    assert capsys.readouterr().err == ""
