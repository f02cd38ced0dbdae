"""What a submission is made of: record and data in a dataset repository, a file of `.eval_results` in the model's, and
how the second pins the first.

The entries of the YAML are a function of the record, the leaderboard's state, the two repositories and the sha256 of
both files, so that `soco verify` can make them again and compare. The notes hold the sha256 of both files; the folder
they are in is named after a digest of everything the entries are made from, the dataset's revision included.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urlsplit

from ..errors import SocoError, UsageError
from ..records.base import Record
from ..records.ranking import Leaderboard, Rules
from ..records.registry import find_ranked_task
from ..utils.hub_errors import repo_url

if TYPE_CHECKING:
    from huggingface_hub import EvalResultEntry

_DIGEST = 16  # hexadecimal digits of the folder's name
_PINNED = re.compile(r"record sha256 ([0-9a-f]{64}), \w+ sha256 ([0-9a-f]{64})")
_SOURCE = re.compile(r"/datasets/([^/]+/[^/]+)/tree/([^/]+)/(.+)")


class SubmissionError(SocoError, ValueError):
    """A submission that is malformed, or does not hold what the leaderboard asks for."""


@dataclass(frozen=True)
class Checksums:
    """sha256 of both files, hexadecimal."""

    record: str
    data: str


@dataclass(frozen=True)
class ArtifactLocation:
    """A folder of a dataset repository."""

    repo: str
    folder: str

    @property
    def url(self) -> str:
        return f"{repo_url(self.repo)}/tree/main/{quote(self.folder)}"


def artifact_location(artifacts_repo: str, model_repo: str, board: Leaderboard, pins: Checksums) -> ArtifactLocation:
    """Where the files of a submission are stored: one folder per submission, so that none is ever overwritten."""
    pinned = [board.repo, board.revision, model_repo, pins.record, pins.data]
    digest = hashlib.sha256(json.dumps(pinned).encode()).hexdigest()[:_DIGEST]
    return ArtifactLocation(artifacts_repo, f"{model_repo.replace('/', '--')}/{digest}")


def notes_of(record: Record, rules: Rules, pins: Checksums) -> str:
    """How the numbers were made, and which files they were made from."""
    return f"{record.notes(rules)}; record sha256 {pins.record}, {record.data} sha256 {pins.data}"


def pins_of(notes: str | None) -> Checksums | None:
    """The sha256s that notes hold, None where they hold none."""
    found = _PINNED.search(notes or "")
    return Checksums(found[1], found[2]) if found else None


def make_entries(
    record: Record, board: Leaderboard, model_repo: str, artifacts_repo: str, pins: Checksums
) -> list[EvalResultEntry]:
    """One entry for each task of the leaderboard that the record has a number for, in the order of `eval.yaml`."""
    from huggingface_hub import EvalResultEntry

    rules, place = board.rules_for(record), artifact_location(artifacts_repo, model_repo, board, pins)
    notes = notes_of(record, rules, pins)
    entries = []
    for task_id in board.task_ids:
        known = find_ranked_task(task_id)
        if known is None or known[0] not in record.tasks:
            continue
        value = rules.score(record, *known)
        if value is not None:
            entries.append(
                EvalResultEntry(
                    dataset_id=board.repo,
                    task_id=task_id,
                    value=value,
                    dataset_revision=board.revision,
                    date=record.created,
                    source_url=place.url,
                    source_name=f"SOCO {record.data} and record",
                    notes=notes,
                )
            )
    return entries


def entries_yaml(entries: Sequence[EvalResultEntry]) -> str:
    """The content of a file of `.eval_results`."""
    import yaml
    from huggingface_hub import eval_result_entries_to_yaml

    return yaml.safe_dump(eval_result_entries_to_yaml(list(entries)), sort_keys=False, allow_unicode=True, width=1000)


def parse_entries(text: bytes, what: str) -> list[EvalResultEntry]:
    """The entries of such a file. Raises `SubmissionError` naming it."""
    import yaml
    from huggingface_hub import parse_eval_result_entries

    try:
        content: Any = yaml.safe_load(text)
        if not isinstance(content, list) or not all(isinstance(item, dict) and "error" not in item for item in content):
            raise TypeError("not a list of entries")
        return parse_eval_result_entries(content)
    except (yaml.YAMLError, KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise SubmissionError(f"{what} is not a file of evaluation results: {first}") from None


def place_of(source_url: object) -> ArtifactLocation:
    """The folder of the artifacts that an entry links to. Only folders on main of a dataset repository of this Hub.

    Raises:
        SubmissionError: the link leads elsewhere; nothing is ever fetched from there.
    """
    from huggingface_hub.constants import ENDPOINT

    url, here = urlsplit(str(source_url)), urlsplit(ENDPOINT)
    found = _SOURCE.fullmatch(url.path)
    folder = unquote(found[3]) if found else ""
    same = (url.scheme, url.netloc) == (here.scheme, here.netloc)
    if not same or found is None or found[2] != "main" or ".." in folder.split("/"):
        raise SubmissionError(
            f"the source {source_url!r} is not a folder of results in a dataset repository on {ENDPOINT}, so this "
            "result cannot be recomputed"
        )
    return ArtifactLocation(unquote(found[1]), folder)


def check_model_name(model_repo: str) -> str:
    """`model_repo` if it has the form ORG/MODEL; raises `UsageError` otherwise."""
    from .client import check_repo_name

    try:
        return check_repo_name(model_repo, "--model-repo")
    except UsageError as error:
        raise UsageError(
            f"{error} A model that is not on the Hub gets a repository that only describes it: --create-model-repo."
        ) from None
