"""`eval.yaml`: the tasks under which the Hub ranks models, one per number."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from ..loading.registration import metric_script

FILE = "eval.yaml"
FRAMEWORK = "soco-datasets"  # `evaluation_framework` of eval.yaml and of submitted results


def eval_yaml_path() -> Path:
    """The file as it is stored in this installation."""
    return metric_script().parent.parent / FILE


def benchmark(stored: Mapping[str, Collection[str]] | None = None) -> dict[str, Any]:
    """The content of `eval.yaml`, with only the tasks of these splits by config (None = all)."""
    import yaml

    content: dict[str, Any] = yaml.safe_load(eval_yaml_path().read_text(encoding="utf-8"))
    if stored is not None:
        content["tasks"] = [task for task in content["tasks"] if task["split"] in stored.get(task["config"], ())]
    return content


def render_eval_yaml(stored: Mapping[str, Collection[str]]) -> str:
    """The file for a dataset that holds these splits by config: as it is where all tasks do, else without others."""
    import yaml

    whole, part = benchmark(), benchmark(stored)
    if part == whole:
        return eval_yaml_path().read_text(encoding="utf-8")
    return yaml.safe_dump(part, sort_keys=False, allow_unicode=True, width=120)
