"""The record of a run in one setting: what asked, what was asked, how the questions ended and what it cost."""

from __future__ import annotations

import importlib.util
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import __version__
from ..utils.files import sha256_file
from .answer_store import ANSWERED, FAILED
from .model_choice import public_base
from .prompted import PromptedQuestions

if TYPE_CHECKING:
    from inspect_ai.model import Model

RECORD_VERSION = 1
_PACKAGES = ("inspect-ai", "transformers", "torch", "openai", "pillow")
_TOKENS = ("input_tokens", "output_tokens", "reasoning_tokens")
_REASONS = 5  # most frequent ones


def run_record(
    asked: PromptedQuestions,
    model: Model,
    lines: Mapping[str, Mapping[str, Any]],
    asking: Mapping[str, Any],
    answers: Path,
) -> dict[str, Any]:
    """The record of a setting; counts are of the questions of this run, whatever else the file holds.

    Args:
        asked: the questions.
        model: what answered.
        lines: key -> line of the answers file.
        asking: how they were asked.
        answers: the answers file, whole.

    Returns:
        JSON values. `cut_at_limit` counts answers that end at the token limit, `reasons` the most frequent reasons why
        questions have no answer, `tokens` the totals, `cost` US dollars where the provider's prices are known.
    """
    keys = list(asked.all_keys())
    own = [lines[key] for key in keys if key in lines]
    outcomes = Counter(line["outcome"] for line in own)
    counts = {outcome: outcomes[outcome] for outcome in (*ANSWERED, *FAILED)}
    counts["unanswered"] = len(keys) - sum(counts[outcome] for outcome in ANSWERED)
    costs = [line["cost"] for line in own if "cost" in line]
    api_record = getattr(model.api, "record", None)
    return {
        "soco_lvlm_run": RECORD_VERSION,
        "model": {"name": str(model), **(api_record or {"base_url": public_base(model)})},
        "setting": asked.setting,
        "dataset": asked.dataset,
        "asked": dict(asking),
        "questions": {"groups": len({row["g_index"] for row in asked.rows}), "rows": len(keys)},
        "counts": counts,
        "cut_at_limit": sum(line.get("stop") == "max_tokens" for line in own),
        "reasons": frequent_reasons(own),
        "tokens": {name: sum(line.get(name) or 0 for line in own) for name in _TOKENS},
        "cost": sum(costs) if costs else None,
        "answers": {"file": answers.name, "sha256": sha256_file(answers)},
        "versions": {"soco_datasets": __version__, **{name: version(name) for name in _PACKAGES if _installed(name)}},
        "created": datetime.fromtimestamp(int(answers.stat().st_mtime), UTC).isoformat(),  # of the last answer
    }


def frequent_reasons(lines: Iterable[Mapping[str, Any]]) -> list[list[Any]]:
    """[reason, number] of the most frequent reasons why questions have no answer, the most frequent first."""
    reasons = Counter(str(line["reason"]) for line in lines if line["outcome"] in FAILED and line.get("reason"))
    return [[reason, number] for reason, number in reasons.most_common(_REASONS)]


def format_reasons(reasons: Sequence[Sequence[Any]]) -> str:
    """The reasons as lines, "" for none.

    >>> format_reasons([["Server error.", 3]])
    '      3 x Server error.\\n'
    """
    return "".join(f"{number:>7,} x {reason}\n" for reason, number in reasons)


def _installed(package: str) -> bool:
    return importlib.util.find_spec({"inspect-ai": "inspect_ai", "pillow": "PIL"}.get(package, package)) is not None
