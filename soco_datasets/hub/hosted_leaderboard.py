"""A leaderboard on the Hub: its dataset, its tasks and its rules."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ..data.manifest import MANIFEST
from ..errors import UsageError
from ..records.ranking import Leaderboard, Rules, read_rules
from ..records.registry import ranked_types
from ..utils.foreign import read_json_text, read_yaml_text
from ..utils.hub_errors import repo_url
from . import eval_yaml as benchmark
from .client import check_repo_name, retrying
from .downloads import download
from .submission import SubmissionError

if TYPE_CHECKING:
    from huggingface_hub import HfApi

BOARD_FILE = "leaderboard.json"  # in the dataset repository; where it is absent, SOCO's rules hold
BOARD_VARIABLE = "SOCO_LEADERBOARD"


def dataset_repo_of(given: str | None) -> str:
    """The leaderboard's dataset repository: the option, else the environment variable. Raises `UsageError`."""
    repo = given or os.environ.get(BOARD_VARIABLE)
    if not repo:
        raise UsageError(
            f"Which leaderboard? Give --dataset-repo ORG/NAME, the dataset that `soco publish` made, or set "
            f"{BOARD_VARIABLE}."
        )
    return check_repo_name(repo, "--dataset-repo")


def read_board(api: HfApi, repo: str, revision: str | None = None) -> Leaderboard:
    """Ask the Hub for a leaderboard at a revision (default: main).

    Raises:
        UsageError: the repository is not a published SOCO dataset, or holds malformed rules.
        HubError: the Hub refuses or cannot be reached.
    """
    info = retrying(
        "read",
        lambda: api.dataset_info(repo, revision=revision, files_metadata=True),
        repo,
        first=revision is None,
    )
    there = {item.rfilename: item.size for item in info.siblings or []}
    for needed in (MANIFEST, benchmark.FILE):
        if needed not in there:
            raise UsageError(
                f"{repo_url(repo)} is not a SOCO leaderboard: it has no {needed}. Give a dataset that `soco publish` "
                "made."
            )
    texts = {
        name: _text(api, repo, str(info.sha), name, there[name])
        for name in (MANIFEST, benchmark.FILE, BOARD_FILE)
        if name in there
    }
    return board_of(repo, str(info.sha), texts)


def board_of(repo: str, revision: str, texts: Mapping[str, bytes]) -> Leaderboard:
    """The leaderboard from the contents of `manifest.json`, `eval.yaml` and, where there is one, `leaderboard.json`.

    Raises:
        UsageError: one of them is malformed.
    """
    try:
        manifest = read_json_text(texts[MANIFEST])
        content_hash, source = str(manifest["content_hash"]), str(manifest["source"]["id"])
        questions = {str(name): int(rows) for name, rows in manifest["counts"]["rows"].get("lvlm", {}).items()}
        questions_hash = str(manifest["lvlm"]["hash"]) if questions else ""
        ids = _task_ids(read_yaml_text(texts[benchmark.FILE]))
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UsageError(f"{MANIFEST} or {benchmark.FILE} of {repo} at {revision[:12]} is malformed.") from None
    rules = rules_of(texts.get(BOARD_FILE, b"{}"))
    if lacking := [task for own in rules.values() for task in own.tasks if task not in ids]:
        raise UsageError(f"{benchmark.FILE} of {repo} at {revision[:12]} lacks the task(s) {', '.join(lacking)}.")
    return Leaderboard(repo, revision, content_hash, source, ids, rules, questions, questions_hash)


def rules_of(text: str | bytes) -> dict[str, Rules]:
    """The rules from `leaderboard.json`: those of the first kind stand in it openly, of others under the kind's name.

    Raises:
        UsageError: it is malformed.
    """
    try:
        fields = read_json_text(text)
        first, *further = ranked_types()
        named = {kind.kind: read_rules(kind.rules, fields.pop(kind.kind, {})) for kind in further}
        return {first.kind: read_rules(first.rules, fields), **named}
    except (ValueError, AttributeError, TypeError) as error:
        raise UsageError(f"{BOARD_FILE} of the dataset repository is malformed: {error}") from None


def _task_ids(content: Any) -> tuple[str, ...]:
    listed: Iterable[Mapping[str, Any]] = content["tasks"]
    return tuple(str(task["id"]) for task in listed)


def _text(api: HfApi, repo: str, revision: str, name: str, size: int | None) -> bytes:
    try:
        return download(api, repo, "dataset", revision, name, size).read_bytes()
    except SubmissionError as error:
        raise UsageError(f"{repo_url(repo)} is not a SOCO leaderboard: {error}.") from None
