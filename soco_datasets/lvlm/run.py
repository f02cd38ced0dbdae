"""Ask a model the questions: one answers file and one record a setting, gone on with where an earlier run stopped."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import __version__
from ..errors import SocoError, UsageError, missing_extra
from ..utils.files import atomic_write, sha256_file
from .answer_store import ANSWERED, FAILED, AnswerStore
from .model_choice import ModelOptions, folder_name, public_base
from .prompted import PromptedQuestions

if TYPE_CHECKING:
    from inspect_ai.log import EvalLog
    from inspect_ai.model import Model

RECORD_VERSION = 1
MAX_TOKENS = 512  # a letter, or a chain of thought that ends in one
_PACKAGES = ("inspect-ai", "transformers", "torch", "openai", "pillow")


@dataclass(frozen=True)
class AskOptions:
    """How questions are asked.

    Attributes:
        max_tokens: most new tokens of an answer.
        temperature: 0 = greedy, for remote models; local ones are always greedy.
        image_format: "png", "jpeg", or "auto" = png for a local model, jpeg for a remote one.
        max_connections: requests at a time; None = two batches for a local model, 10 for a remote one.
        max_retries: of one question, for rate limits, time-outs and server errors.
        timeout: seconds one attempt may take; None = as long as it takes.

    Raises:
        UsageError: a number out of range.
    """

    max_tokens: int = MAX_TOKENS
    temperature: float = 0.0
    image_format: str = "auto"
    max_connections: int | None = None
    max_retries: int = 5
    timeout: int | None = None

    def __post_init__(self) -> None:
        least = {"max_tokens": 1, "temperature": 0, "max_connections": 1, "max_retries": 0, "timeout": 1}
        for name, least_value in least.items():
            value = getattr(self, name)
            if value is not None and not value >= least_value:
                raise UsageError(f"--{name.replace('_', '-')} is at least {least_value}; got {value}.")


@dataclass(frozen=True)
class RunResult:
    """What came out of one setting.

    Attributes:
        answers: the JSON Lines file of its answers.
        record_path: the record as a file.
        record: what asked, what was asked and how many questions ended how.
    """

    answers: Path
    record_path: Path
    record: dict[str, Any]

    @property
    def complete(self) -> bool:
        """Whether every question has its final answer."""
        return bool(self.record["counts"]["unanswered"] == 0)


def run_questions(
    questions: Sequence[PromptedQuestions], model: ModelOptions, out: Path, options: AskOptions | None = None
) -> list[RunResult]:
    """Ask every question that has no final answer in `out` yet; write answers, logs and a record per setting.

    A question that fails (rate limit, time-out, server error after all retries) is counted and asked again by the next
    run. Results are in the order of `questions`.

    Raises:
        UsageError: no questions, an unknown option, or `out` holds answers of another run.
        BackboneError: a local model that cannot be loaded or takes no images.
        SocoError: nothing answers at the endpoint; or it refuses everything (no image input, no access, no such
            model), or fails many times in a row: answers until then are kept and the record is written.
        MissingExtraError: inspect-ai is not installed.
    """
    if importlib.util.find_spec("inspect_ai") is None:
        raise missing_extra("Asking models", "lvlm", "inspect-ai")
    options = options or AskOptions()
    if not questions or not all(len(part) for part in questions):
        raise UsageError("There are no questions to ask. Check --setting and --limit.")
    from .model_choice import open_model

    loaded = open_model(model)
    folder = out / folder_name(model.model)
    try:
        return [_run_setting(part, loaded, folder, options) for part in questions]
    finally:
        _close(loaded)


def _run_setting(asked: PromptedQuestions, model: Model, folder: Path, options: AskOptions) -> RunResult:
    from .failures import Gate
    from .model_choice import model_identity

    local = hasattr(model.api, "record")
    image_format = options.image_format
    if image_format == "auto":
        image_format = "png" if local else "jpeg"
    asking = {"max_tokens": options.max_tokens, "temperature": 0.0 if local else options.temperature}
    header = {
        "model": model_identity(model),
        "setting": asked.setting,
        "dataset": asked.dataset,
        "image_format": image_format,
        "template": asked.template.name,
        "template_hash": asked.template.hash,
        "markers": asked.markers,
        **asking,
    }
    answers = folder / f"{asked.setting}.answers.jsonl"
    record_path = folder / f"{asked.setting}.run.json"
    gate = Gate()
    with AnswerStore(answers, header) as store:
        pending = sum(store.get(key) is None for key in asked.all_keys())
        log = _evaluate(asked, model, store, gate, folder / "logs", image_format, options) if pending else None
        record = _record(asked, model, store, {**header, **asdict(options), "image_format": image_format}, answers)
    atomic_write(record_path, json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
    _check(log, gate, record)
    return RunResult(answers, record_path, record)


def _evaluate(
    asked: PromptedQuestions,
    model: Model,
    store: AnswerStore,
    gate: Any,
    logs: Path,
    image_format: str,
    options: AskOptions,
) -> EvalLog:
    """One inspect-ai evaluation. Answered questions take part with their stored answer, so its log is whole."""
    from inspect_ai import eval as evaluate
    from tqdm import tqdm

    from .inspect_task import make_task
    from .model_choice import check_endpoint

    local = hasattr(model.api, "record")
    if model.api.base_url:
        check_endpoint(model.api.base_url)
    answered = sum(store.get(key) is not None for key in asked.all_keys())
    bar = tqdm(
        total=len(asked),
        initial=answered,
        desc=f"{asked.setting}",
        unit="q",
        file=sys.stderr,
        disable=not sys.stderr.isatty(),
        dynamic_ncols=True,
    )
    with bar:
        task = make_task(asked, store=store, gate=gate, image_format=image_format, told=bar.update)
        (log,) = evaluate(
            task,
            model=model,
            log_dir=str(logs),
            log_format="eval",
            log_images=False,  # they can be drawn again; a run would log gigabytes
            log_realtime=False,
            log_header_only=True,
            fail_on_error=True,  # what the solver lets through ends the run
            display="none",
            ctl_server=False,
            acp_server=False,
            max_tokens=options.max_tokens,
            max_connections=options.max_connections or (model.api.max_connections() if local else 10),
            max_retries=options.max_retries,
            attempt_timeout=options.timeout,
            temperature=options.temperature,
        )
    return log


def _record(
    asked: PromptedQuestions, model: Model, store: AnswerStore, asking: dict[str, Any], answers: Path
) -> dict[str, Any]:
    """The record of a setting: counts are of the questions of this run, whatever else the file holds."""
    keys = list(asked.all_keys())
    lines = store.lines()
    outcomes = [lines[key]["outcome"] for key in keys if key in lines]
    counts = {outcome: outcomes.count(outcome) for outcome in (*ANSWERED, *FAILED)}
    counts["unanswered"] = len(keys) - sum(counts[outcome] for outcome in ANSWERED)
    api_record = getattr(model.api, "record", None)
    return {
        "soco_lvlm_run": RECORD_VERSION,
        "model": {
            "name": str(model),
            **(api_record or {"base_url": public_base(model)}),
        },
        "setting": asked.setting,
        "dataset": asked.dataset,
        "asked": {name: value for name, value in asking.items() if name not in ("model", "setting", "dataset")},
        "questions": {"groups": len({row["g_index"] for row in asked.rows}), "rows": len(keys)},
        "counts": counts,
        "answers": {"file": answers.name, "sha256": sha256_file(answers)},
        "versions": {"soco_datasets": __version__, **{name: version(name) for name in _PACKAGES if _installed(name)}},
        "created": datetime.fromtimestamp(int(answers.stat().st_mtime), UTC).isoformat(),  # of the last answer
    }


def _check(log: EvalLog | None, gate: Any, record: dict[str, Any]) -> None:
    """Raise what ended an evaluation early."""
    if gate.stop is not None:
        raise gate.stop
    counts = record["counts"]
    if counts["no_context"] and counts["no_context"] == record["questions"]["rows"]:
        raise SocoError(
            f"No question fits in the context of {record['model']['name']} together with "
            f"{record['asked']['max_tokens']} tokens of answer. Give a smaller --max-tokens or --max-pixels, or "
            "take another model."
        )
    if log is None or log.status == "success":
        return
    if log.status == "cancelled":
        raise SocoError("Interrupted. Answers so far are kept; run the same command again to go on.")
    raise SocoError(
        f"The run ended early: {log.error.message if log.error else log.status}. Its log is {log.location}. Answers so "
        "far are kept; run the same command again to go on."
    )


def _close(model: Model) -> None:
    if hasattr(model.api, "record"):  # a remote model's client closes itself
        model.api.close()


def _installed(package: str) -> bool:
    return importlib.util.find_spec({"inspect-ai": "inspect_ai", "pillow": "PIL"}.get(package, package)) is not None
