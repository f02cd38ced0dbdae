"""What a leaderboard asks of a result: its dataset, its tasks and its protocol."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..correspondence.protocol import alpha_key
from ..correspondence.results import EvaluationResult
from ..correspondence.tasks import TASKS
from ..data.categories import REAL_COUNTS
from ..data.folder import MANIFEST
from ..data.source import HUB_RELEASE
from ..errors import UsageError
from . import benchmark
from .client import check_repo_name, retrying
from .errors import HubError, repo_url

if TYPE_CHECKING:
    from huggingface_hub import HfApi

BOARD_FILE = "leaderboard.json"  # in the dataset repository; where it is absent, SOCO's rules hold
BOARD_VARIABLE = "SOCO_LEADERBOARD"
OVERALL = "overall"
SUBSETS = (OVERALL, *REAL_COUNTS.supercategories)


@dataclass(frozen=True)
class Leaderboard:
    """The rules. The defaults are SOCO's.

    Attributes:
        tasks: that a submission must have; the other tasks of `eval.yaml` go in where a record has them.
        convention, alpha, reduction, normaliser, matcher, padding, resize, valid_area: of the protocol; alpha and
            reduction are those of the ranked number, a record may have more.
        image_size: requested side of the network input, pixels. Size, grid, layer, norm, statistics and dtype are the
            submitter's.
    """

    tasks: tuple[str, ...] = ("cc", "soc", "cross_soc")
    convention: str = "reference"
    alpha: float = 0.1
    reduction: str = "pair"
    image_size: int = 800
    normaliser: str = "bbox"
    matcher: str = "cosine argmax"
    padding: str = "white, right and bottom"
    resize: str = "bicubic"
    valid_area: bool = False

    @classmethod
    def from_json(cls, text: str | bytes) -> Leaderboard:
        """The rules from `leaderboard.json`, where fields left out have SOCO's value. Raises `UsageError`."""
        try:
            fields = json.loads(text)
            known = {field.name: type(field.default) for field in dataclasses.fields(cls)}
            if isinstance(fields.get("tasks"), list):
                fields["tasks"] = tuple(fields["tasks"])
            wrong = [name for name, value in fields.items() if type(value) is not known.get(name)]
        except (ValueError, AttributeError) as error:
            raise UsageError(f"{BOARD_FILE} of the dataset repository is malformed: {error}") from None
        if wrong or not set(fields.get("tasks", ())) <= set(TASKS):
            raise UsageError(f"{BOARD_FILE} of the dataset repository is malformed: {', '.join(wrong) or 'tasks'}")
        return cls(**fields)

    def refusals(self, record: EvaluationResult) -> list[str]:
        """Why a record cannot stand on this leaderboard, one sentence a reason; empty where it can."""
        protocol, found = record.protocol, []
        for name in ("convention", "image_size", "normaliser", "matcher", "padding", "resize", "valid_area"):
            ours, theirs = getattr(self, name), getattr(protocol, name)
            if ours != theirs:
                found.append(f"the {name.replace('_', ' ')} is {theirs!r}, the leaderboard's is {ours!r}")
        if self.alpha not in protocol.alphas:
            found.append(f"it was not scored at alpha {self.alpha:g}, only at {', '.join(map(str, protocol.alphas))}")
        if self.reduction not in protocol.reductions:
            found.append(f"it lacks the reduction {self.reduction!r}")
        if missing := [task for task in self.tasks if task not in record.metrics]:
            found.append(f"the evaluation is incomplete: it lacks the task(s) {', '.join(missing)}")
        empty = [task for task in self.tasks if task not in missing and self.percent(record, task, OVERALL) is None]
        if empty and not found:
            found.append(f"the evaluation is incomplete: nothing was scored in {', '.join(empty)}")
        return found

    def percent(self, record: EvaluationResult, task: str, subset: str) -> float | None:
        """The ranked number of a task: PCK in percent with four decimals, None where the record has none."""
        breakdown = record.metrics.get(task, {}).get(self.reduction, {}).get(alpha_key(self.alpha), {})
        value = breakdown.get(OVERALL) if subset == OVERALL else breakdown.get("per_supercategory", {}).get(subset)
        pck = value["pck"] if value else None
        return None if pck is None else round(100 * pck, 4)


@dataclass(frozen=True)
class PublishedBoard:
    """A leaderboard as it stands on the Hub.

    Attributes:
        repo: of the dataset, "ORG/NAME".
        revision: commit, 40 hexadecimal digits.
        content_hash: of the data at that commit.
        source: what the data was built from, such as the id of the SOCO release.
        task_ids: of `eval.yaml`.
        rules: of the leaderboard.
    """

    repo: str
    revision: str
    content_hash: str
    source: str
    task_ids: tuple[str, ...]
    rules: Leaderboard

    @property
    def is_soco(self) -> bool:
        """Whether the data is the paper's, so that the paper's numbers mean the same."""
        return self.source == HUB_RELEASE and self.rules == Leaderboard()

    def refusals(self, record: EvaluationResult) -> list[str]:
        """As `Leaderboard.refusals`, and whether the record is of this data."""
        found = self.rules.refusals(record)
        if record.dataset["content_hash"] != self.content_hash:
            found.insert(
                0,
                f"it was evaluated on other data: {record.dataset['id']}, content hash "
                f"{record.dataset['content_hash'][:12]}; {self.repo} at {self.revision[:12]} has "
                f"{self.content_hash[:12]}",
            )
        return found


def task_of(task_id: str) -> tuple[str, str] | None:
    """(task, "overall" or supercategory) of an id of `eval.yaml`, None for one that this version does not know.

    >>> task_of("cross_soc"), task_of("soc_hand_held"), task_of("vqa")
    (('cross_soc', 'overall'), ('soc', 'hand_held'), None)
    """
    if task_id in TASKS:
        return task_id, OVERALL
    for subset in SUBSETS[1:]:
        task = task_id.removesuffix(f"_{subset}")
        if task != task_id and task in TASKS:
            return task, subset
    return None


def dataset_repo_of(given: str | None) -> str:
    """The leaderboard's dataset repository: the option, else the environment variable. Raises `UsageError`."""
    repo = given or os.environ.get(BOARD_VARIABLE)
    if not repo:
        raise UsageError(
            f"Which leaderboard? Give --dataset-repo ORG/NAME, the dataset that `soco publish` made, or set "
            f"{BOARD_VARIABLE}."
        )
    return check_repo_name(repo, "--dataset-repo")


def read_board(api: HfApi, repo: str, revision: str | None = None) -> PublishedBoard:
    """Ask the Hub for a leaderboard at a revision (default: main).

    Raises:
        UsageError: the repository is not a published SOCO dataset, or holds malformed rules.
        HubError: the Hub refuses or cannot be reached.
    """
    info = retrying("read", lambda: api.dataset_info(repo, revision=revision), repo)
    there = {item.rfilename for item in info.siblings or []}
    for needed in (MANIFEST, benchmark.FILE):
        if needed not in there:
            raise UsageError(
                f"{repo_url(repo)} is no SOCO leaderboard: it has no {needed}. Give a dataset that `soco publish` made."
            )
    texts = {
        name: _text(api, repo, str(info.sha), name) for name in (MANIFEST, benchmark.FILE, BOARD_FILE) if name in there
    }
    return board_of(repo, str(info.sha), texts)


def board_of(repo: str, revision: str, texts: Mapping[str, bytes]) -> PublishedBoard:
    """The leaderboard from the contents of `manifest.json`, `eval.yaml` and, where there is one, `leaderboard.json`.

    Raises:
        UsageError: one of them is malformed.
    """
    import yaml

    try:
        manifest = json.loads(texts[MANIFEST])
        content_hash, source = str(manifest["content_hash"]), str(manifest["source"]["id"])
        ids = _task_ids(yaml.safe_load(texts[benchmark.FILE]))
    except (ValueError, KeyError, TypeError, yaml.YAMLError):
        raise UsageError(f"{MANIFEST} or {benchmark.FILE} of {repo} at {revision[:12]} is malformed.") from None
    rules = Leaderboard.from_json(texts[BOARD_FILE]) if BOARD_FILE in texts else Leaderboard()
    if lacking := [task for task in rules.tasks if task not in ids]:
        raise UsageError(f"{benchmark.FILE} of {repo} at {revision[:12]} lacks the task(s) {', '.join(lacking)}.")
    return PublishedBoard(repo, revision, content_hash, source, ids, rules)


def _task_ids(content: Any) -> tuple[str, ...]:
    listed: Iterable[Mapping[str, Any]] = content["tasks"]
    return tuple(str(task["id"]) for task in listed)


def _text(api: HfApi, repo: str, revision: str, name: str) -> bytes:
    def load() -> bytes:
        return Path(api.hf_hub_download(repo, name, repo_type="dataset", revision=revision)).read_bytes()

    try:
        return retrying(f"read {name} of", load, repo)
    except OSError as error:
        raise HubError(f"{name} of {repo} cannot be kept in the Hugging Face cache: {error.strerror}") from error
