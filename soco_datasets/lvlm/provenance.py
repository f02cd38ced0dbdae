"""Where answers come from, gathered from answers files and the records of their runs beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ..errors import PredictionsError
from ..utils.files import sha256_file
from ..utils.foreign import read_json_text
from ..utils.paths import real_path
from .answer_table import AnswersHeader

if TYPE_CHECKING:
    from ..data.folder import DatasetFolder

_ANSWERS, _RUN = ".answers.jsonl", ".run.json"
_OF_THE_FILE = ("soco_lvlm_answers", "model", "setting", "dataset")  # header fields that do not say how it was asked
_OF_THE_MACHINE = ("device", "base_url", "batch_size")
_UNNAMED = "unknown"


def run_record_path(answers: Path) -> Path:
    """The record of a run beside its answers.

    >>> run_record_path(Path("answers/tiny/vis.answers.jsonl")).name
    'vis.run.json'
    """
    return answers.with_name(answers.name.removesuffix(_ANSWERS) + _RUN)


def answers_header(
    paths: Sequence[Path],
    headers: Sequence[Mapping[str, Any]],
    folder: DatasetFolder,
    *,
    judge: dict[str, Any] | None = None,
) -> AnswersHeader:
    """What an answers table says of answers files of one model.

    What a run's record says is taken only where it is of exactly these answers; without one, the versions are unknown
    and the time is that of the file.

    Args:
        paths: of the answers files.
        headers: their first lines, see `answer_files.load_answers`.
        folder: the data they were asked from.
        judge: of the verdicts of a judge model, see `judged.Judged.record`; None = there are none.

    Raises:
        PredictionsError: a run's record that is damaged.
    """
    from ..correspondence.evaluate import dataset_provenance

    runs = [_run_record(path) for path in paths]
    model = {**headers[0]["model"], **runs[0].get("model", {})}
    model |= {name: _public(model[name]) for name in ("name", "model") if isinstance(model.get(name), str)}
    provider = _provider(model)
    machine = {name: model.pop(name) for name in _OF_THE_MACHINE if name in model}
    if isinstance(machine.get("base_url"), str):
        machine["base_url"] = urlsplit(machine["base_url"]).hostname
    model["name"] = model.pop("model", None) or model.get("name") or real_path(paths[0]).parent.name
    settings = {}
    for header, run in zip(headers, runs, strict=True):
        own = {name: value for name, value in header.items() if name not in _OF_THE_FILE}
        usage = {name: run[name] for name in ("tokens", "cost", "cut_at_limit") if run.get(name)}
        settings[str(header["setting"])] = {**run.get("asked", {}), **own, **usage}
    return AnswersHeader(
        model=model,
        dataset={**dataset_provenance(folder), "questions": folder.manifest["lvlm"]["hash"]},
        settings=settings,
        versions=runs[0].get("versions", {}),
        device={"provider": provider, **machine},
        created=max(run.get("created") or _time_of(path) for path, run in zip(paths, runs, strict=True)),
        judge=judge,
    )


def _run_record(answers: Path) -> dict[str, Any]:
    """The record of the run that wrote exactly these answers, {} where there is none."""
    path = run_record_path(answers)
    if not path.is_file():
        return {}
    try:
        record: dict[str, Any] = read_json_text(path.read_bytes())
        return record if record["answers"]["sha256"] == sha256_file(answers) else {}
    except (ValueError, KeyError, TypeError) as error:
        raise PredictionsError(
            f"{path} is not a record of a run ({error}). Run the model again, or remove it."
        ) from None


def _provider(model: Mapping[str, Any]) -> str:
    if "kind" in model:
        return str(model["kind"])
    name = str(model.get("name", ""))
    return name.partition("/")[0] if "/" in name else _UNNAMED


def _public(name: str) -> str:
    """A name without the folders of this machine.

    >>> _public("Qwen/Qwen2.5-VL-7B-Instruct"), _public("soco_hf//home/me/tiny"), _public("./models/tiny")
    ('Qwen/Qwen2.5-VL-7B-Instruct', 'soco_hf/tiny', 'tiny')
    """
    provider, slashes, path = name.partition("//")
    if slashes and "/" not in provider:
        return f"{provider}/{Path(path).name}"
    return Path(name).name if name.startswith(("/", ".", "~")) else name


def _time_of(path: Path) -> str:
    return datetime.fromtimestamp(int(path.stat().st_mtime), UTC).isoformat()
