"""`eval.yaml`: the tasks under which the Hub ranks models, one per number."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from ..registration import metric_script

FILE = "eval.yaml"
FRAMEWORK = "soco-datasets"  # `evaluation_framework` of eval.yaml and of submitted results


def eval_yaml_path() -> Path:
    """The file as it lies in this installation."""
    return metric_script().parent.parent / FILE


def benchmark(configs: Collection[str] | None = None) -> dict[str, Any]:
    """The content of `eval.yaml`, with only the tasks of these configs (None = all)."""
    import yaml

    content: dict[str, Any] = yaml.safe_load(eval_yaml_path().read_text(encoding="utf-8"))
    if configs is not None:
        content["tasks"] = [task for task in content["tasks"] if task["config"] in configs]
    return content


def render_eval_yaml(configs: Collection[str]) -> str:
    """The file for a dataset that holds these configs: as it is where all its tasks do, else without the others."""
    import yaml

    whole, part = benchmark(), benchmark(configs)
    if part == whole:
        return eval_yaml_path().read_text(encoding="utf-8")
    return yaml.safe_dump(part, sort_keys=False, allow_unicode=True, width=120)
