"""Ask a model the questions: one answers file and one record per setting.

A run resumes where an earlier one stopped."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import sys
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import SocoError, UsageError, missing_extra
from ..utils.files import atomic_write
from ..utils.progress import progress_bar
from .answer_store import AnswerStore
from .ask_options import AskOptions
from .model_choice import ModelOptions, folder_name, is_local_name
from .prompted import PromptedQuestions
from .run_record import format_reasons, run_record

_BATCHES = 4  # of a provider's batch mode, under way at a time

if TYPE_CHECKING:
    from inspect_ai.log import EvalLog
    from inspect_ai.model import Model

    from .failures import Gate


@dataclass(frozen=True)
class RunResult:
    """The result of one setting.

    Attributes:
        answers: the JSON Lines file of its answers.
        record_path: the record as a file.
        record: see `run_record.run_record`.
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

    Args:
        questions: one part per setting.
        model: which model is asked.
        out: gets a folder of the model's name.
        options: how it is asked.

    Returns:
        One result per part.

    Raises:
        UsageError: no questions, an unknown option, or `out` holds answers of another run.
        BackboneError: a local model that cannot be loaded or takes no images.
        SocoError: nothing answers at the endpoint; or it refuses everything (no image input, no access, no such
            model, an empty account, a request it does not accept), or fails many times in a row: answers until then
            are kept and the record is written.
        MissingExtraError: inspect-ai is not installed.
    """
    if importlib.util.find_spec("inspect_ai") is None:
        raise missing_extra("Asking models", "lvlm", "inspect-ai")
    options = options or AskOptions()
    if not questions or not all(len(part) for part in questions):
        raise UsageError("There are no questions to ask. Check --setting and --limit.")
    folder = out / folder_name(model.model)
    if options.presence_penalty is not None and is_local_name(model):
        raise UsageError("--presence-penalty is for endpoints: transformers, which runs local models, has none.")
    for part in questions:  # before a model of many gigabytes is loaded
        _check_answers_file(folder / f"{part.setting}.answers.jsonl")
    from .model_choice import check_batch, open_model

    if options.batch is not None:
        check_batch(model)
    loaded = open_model(model)
    try:
        return [_run_setting(part, loaded, folder, options) for part in questions]
    finally:
        if _is_local(loaded):  # a remote model's client closes itself
            loaded.api.close()


def _check_answers_file(path: Path) -> None:
    from .answer_store import read_answers

    if path.is_file():
        read_answers(path)
    elif path.exists():
        raise SocoError(f"{path} is not a file, so no answers can be written there. Give another --out.")


def _is_local(model: Model) -> bool:
    return hasattr(type(model.api), "record")


def _run_setting(asked: PromptedQuestions, model: Model, folder: Path, options: AskOptions) -> RunResult:
    from .failures import Gate
    from .model_choice import model_identity

    image_format = options.image_format
    if image_format == "auto":
        image_format = "png" if _is_local(model) else "jpeg"
    identity = model_identity(model)
    if options.temperature > 0 and "decoding" in identity:
        identity["decoding"] = "sampling"
    header = {
        "model": identity,
        "setting": asked.setting,
        "dataset": asked.dataset,
        "template": asked.template.name,
        "template_hash": asked.template.hash,
        "markers": asked.markers,
        **options.asking(image_format),
    }
    answers = folder / f"{asked.setting}.answers.jsonl"
    record_path = folder / f"{asked.setting}.run.json"
    gate = Gate()
    with AnswerStore(answers, header, retry=("empty",) if options.retry_empty else ()) as store:
        pending = sum(store.get(key) is None for key in asked.all_keys())
        log = _evaluate(asked, model, store, gate, folder / "logs", options) if pending else None
        how = {**asdict(options), **header, "max_tokens": options.answer_tokens}
        how = {name: value for name, value in how.items() if name not in ("model", "setting", "dataset")}
        record = run_record(asked, model, store.lines(), how, answers)
    if identity.get("decoding") == "sampling":
        record["model"]["decoding"] = "sampling"
    atomic_write(record_path, json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
    _check(log, gate, record)
    return RunResult(answers, record_path, record)


def _evaluate(
    asked: PromptedQuestions, model: Model, store: AnswerStore, gate: Gate, logs: Path, options: AskOptions
) -> EvalLog:
    """One inspect-ai evaluation. Answered questions take part with their stored answer, so its log is complete."""
    from inspect_ai import eval as evaluate

    from .inspect_solver import SolverOptions
    from .inspect_task import make_task
    from .model_choice import check_endpoint

    local = _is_local(model)
    if model.api.base_url:
        check_endpoint(model.api.base_url)
    answered = sum(store.get(key) is not None for key in asked.all_keys())
    image_format = options.image_format
    if image_format == "auto":
        image_format = "png" if local else "jpeg"
    with (
        progress_bar(
            asked.setting, len(asked), "question", done=answered, interval=options.progress_interval, beat=True
        ) as advance,
        contextlib.redirect_stdout(sys.stderr),  # inspect-ai prints the state of batches
        warnings.catch_warnings(),
    ):
        warnings.filterwarnings("ignore", message="Pydantic serializer warnings")  # of replies, which are checked
        solving = SolverOptions(
            store, gate, image_format, options.image_detail, options.image_size, options.thinking, options.no_images,
            lambda: advance(1),
        )  # fmt: skip
        (log,) = evaluate(
            make_task(asked, solving),
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
            max_tokens=options.answer_tokens,
            max_connections=_connections(options, model),
            max_retries=options.max_retries,
            attempt_timeout=options.timeout,
            **_sampling(options, endpoint=str(model).startswith("openai-api/")),
        )
    return log


def _connections(options: AskOptions, model: Model) -> int:
    """Questions at a time: in batch mode enough for some batches to be under way while the next one fills."""
    if options.max_connections is not None:
        return options.max_connections
    if options.batch is not None:
        return _BATCHES * options.batch
    return int(model.api.max_connections()) if _is_local(model) else 10


def _sampling(options: AskOptions, endpoint: bool) -> dict[str, Any]:
    """inspect-ai's names of the sampling options that are given.

    An OpenAI-compatible endpoint gets what is not in OpenAI's interface as further fields of the request.
    """
    found: dict[str, Any] = {"temperature": options.temperature}
    further: dict[str, Any] = {}
    for name in ("top_p", "top_k", "seed", "presence_penalty", "batch"):
        if getattr(options, name) is not None:
            (further if endpoint and name == "top_k" else found)[name] = getattr(options, name)
    if options.repetition_penalty not in (None, 1.0):
        further["repetition_penalty"] = options.repetition_penalty
    return found | ({"extra_body": further} if further else {})


def _check(log: EvalLog | None, gate: Gate, record: dict[str, Any]) -> None:
    """Raise what ended an evaluation early, with the most frequent reasons."""
    counts, reasons = record["counts"], format_reasons(record["reasons"])
    if gate.stop is not None:
        raise SocoError(f"{gate.stop}\n{reasons}".rstrip()) if len(record["reasons"]) > 1 else gate.stop
    if counts["no_context"] and counts["no_context"] == record["questions"]["rows"]:
        raise SocoError(
            f"No question fits in the context of {record['model']['name']} together with "
            f"{record['asked']['max_tokens']} tokens of answer. Give a smaller --max-tokens or --max-pixels, or "
            "take another model."
        )
    if log is None or log.status == "success":
        return
    if log.status == "cancelled":
        raise SocoError("Interrupted. Answers so far are kept; run the same command again to resume.")
    raise SocoError(
        f"The run ended early: {log.error.message if log.error else log.status}. Its log is {log.location}. Answers so "
        "far are kept; run the same command again to resume."
    )
