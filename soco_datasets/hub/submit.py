"""`soco submit`: a result as a pull request on its model's repository, checked and recomputable.

Files first, the file of `.eval_results` last: whatever fails in between leaves nothing on any leaderboard, and the same
command resumes where it stopped.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UsageError
from ..records.base import Record
from ..records.ranking import OVERALL, RECORD_FILE, Leaderboard
from ..utils.files import sha256_file
from ..utils.hub_errors import HubError, repo_url
from ..utils.paths import local_path
from ..utils.text import clean
from .client import (
    check_repo_name,
    connect,
    hub_progress_on_terminals,
    make_repo,
    retrying,
)
from .hosted_leaderboard import read_board
from .recompute import check_result
from .submission import (
    ArtifactLocation,
    Checksums,
    SubmissionError,
    artifact_location,
    check_model_name,
    entries_yaml,
    make_entries,
)
from .sync import Content, Target

if TYPE_CHECKING:
    from huggingface_hub import HfApi

_LISTED = 5  # missing answers that a refusal names
ARTIFACTS_NAME = "soco-submissions"  # of the dataset repository, below the submitter's own name, where none is given


@dataclass(frozen=True)
class Submission:
    """Everything that is sent.

    Attributes:
        record, data: files that go to `place`, by their bytes.
        description: of the pull request.
        yaml: content of the file of `.eval_results`.
    """

    result: Record
    model_repo: str
    place: ArtifactLocation
    record: Path
    data: Path
    pins: Checksums
    description: str
    yaml: str

    @property
    def artifacts(self) -> dict[str, Content]:
        """Path in the dataset repository -> file."""
        folder = self.place.folder
        return {
            f"{folder}/{self.result.data_file()}": Content(self.data),
            f"{folder}/{RECORD_FILE}": Content(self.record),
        }


@dataclass(frozen=True)
class Submitted:
    """What became of it. `state` is "opened", "updated", "open already" or "merged already"."""

    state: str
    pull_request: str | None
    artifacts: str


def prepare(path: str | Path, model_repo: str, artifacts_repo: str, board: Leaderboard) -> Submission:
    """Check a result and put together what is to be sent. No network.

    Args:
        path: a record JSON with its data (predictions, answers) beside it.
        model_repo: "ORG/MODEL".
        artifacts_repo: "ORG/NAME" of the dataset repository for the files.
        board: the leaderboard.

    Raises:
        PredictionsError: see `check_result`.
        SubmissionError: the record is not of the leaderboard's dataset and protocol, or incomplete.
    """
    path = local_path(path)
    found = check_result(path)
    result, rules = found.record, board.rules_for(found.record)
    if reasons := [*result.violations(board), *result.missing(found.table)[:_LISTED]]:
        listed = "".join(f"\n  {reason}" for reason in reasons)
        raise SubmissionError(f"{path} cannot stand on the leaderboard of {board.repo}:{listed}\n{rules.advice}")
    pins = Checksums(sha256_file(path), sha256_file(found.files.data))
    place = artifact_location(artifacts_repo, model_repo, board, pins)
    entries = make_entries(result, board, model_repo, artifacts_repo, pins)
    if not entries:
        raise SubmissionError(f"{path} has no number for any task of the leaderboard of {board.repo}.")
    values = [f"| {entry.task_id} | {entry.value} |" for entry in entries]
    description = "\n".join(
        [
            f"Results on [{board.repo}]({repo_url(board.repo)}): {rules.measure}, for "
            f"`{_code(result.model['name'])}`, weights `{_code(result.model.get('weights_hash') or 'unknown')[:16]}`.",
            f"{result.data.capitalize()} and record: {place.url}",
            "",
            "| task | value |",
            "|---|--:|",
            *values,
            "",
            "Anyone can recompute them: `pip install soco-datasets`, then "
            f"`soco verify {model_repo} --dataset-repo {board.repo}` (before the merge: `{model_repo}@refs/pr/N`).",
        ]
    )
    return Submission(result, model_repo, place, path, found.files.data, pins, description, entries_yaml(entries))


def describe_submission(submission: Submission) -> str:
    """Exactly what would be sent, as text."""
    lines = [f"1. to the dataset repository {submission.place.repo} (public; made if it does not exist):"]
    shas = (submission.pins.data, submission.pins.record)
    for (name, content), sha in zip(submission.artifacts.items(), shas, strict=True):
        lines.append(f"   {name}  {content.size:,} bytes  sha256 {sha}")
    lines += [
        f"2. to the model repository {submission.model_repo}, as a pull request:",
        f"   title: {submission.result.title}",
    ]
    lines += ["   description:", *(f"   | {line}" for line in submission.description.splitlines())]
    return "\n".join([*lines, f"   file {submission.result.yaml_file}:", "", submission.yaml])


@hub_progress_on_terminals()
def submit(
    path: str | Path,
    model_repo: str,
    dataset_repo: str,
    *,
    artifacts_repo: str | None = None,
    create_model_repo: bool = False,
) -> tuple[Submission, Submitted]:
    """Check a result, upload its files and open (or update) the pull request.

    Args:
        path: a record JSON with its data (predictions, answers) beside it.
        model_repo: "ORG/MODEL", where the pull request goes.
        dataset_repo: the leaderboard's.
        artifacts_repo: dataset repository for the files; None = `soco-submissions` of the token's account.
        create_model_repo: make a model repository that only describes the model where there is none.

    Raises:
        PredictionsError, SubmissionError: see `prepare`; nothing was sent.
        UsageError: no token, one that can only read, or a wrong name; nothing was sent.
        HubError: the Hub refuses or cannot be reached. A partial submission is never visible; run it again to resume.
    """
    check_names(model_repo, dataset_repo, artifacts_repo)
    check_result(local_path(path))
    api, me = connect()
    board = read_board(api, dataset_repo)
    submission = prepare(path, model_repo, artifacts_repo or f"{me}/{ARTIFACTS_NAME}", board)
    missing = _check_model_repo(api, model_repo, create_model_repo)
    _upload(api, submission)
    if missing:
        _create_model_repo(api, submission)
    return submission, _proposed(api, submission, me)


def plan(path: str | Path, model_repo: str, dataset_repo: str, artifacts_repo: str | None = None) -> Submission:
    """What `submit` would send; sends nothing. Errors as `submit`.

    Without a token the account is not known: a default `artifacts_repo` then begins with "YOU".
    """
    from huggingface_hub import HfApi, get_token

    check_names(model_repo, dataset_repo, artifacts_repo)
    if artifacts_repo is None and not get_token():
        artifacts_repo = f"YOU/{ARTIFACTS_NAME}"
    if artifacts_repo is None:
        api, me = connect(write=False)
        return prepare(path, model_repo, f"{me}/{ARTIFACTS_NAME}", read_board(api, dataset_repo))
    return prepare(path, model_repo, artifacts_repo, read_board(HfApi(), dataset_repo))


def preview_submission(
    path: str | Path, model_repo: str, dataset_repo: str, artifacts_repo: str | None = None
) -> tuple[str, HubError | None]:
    """What `submit` would send, as text, and why a part of it is not known.

    Where the Hub cannot be asked, the text is the half that is known here: the files and their checksums, the numbers
    under SOCO's rules, and what of the record those rules refuse.

    Raises:
        PredictionsError, SubmissionError, UsageError: as `submit`; nothing is sent in any case.
    """
    try:
        return describe_submission(plan(path, model_repo, dataset_repo, artifacts_repo)), None
    except HubError as error:
        return _local_half(local_path(path), model_repo), error


def _local_half(path: Path, model_repo: str) -> str:
    found = check_result(path)
    result, rules = found.record, found.record.rules()
    lines = [f"The record is what its {result.data} give. Without the Hub, this much is known:"]
    for name, file in ((RECORD_FILE, path), (result.data_file(), found.files.data)):
        lines.append(f"   {name}  {file.stat().st_size:,} bytes  sha256 {sha256_file(file)}")
    lines.append(f"to the model repository {model_repo}, as a pull request titled {result.title}, {rules.measure}:")
    for task in result.tasks:
        value = rules.score(result, task, OVERALL)
        if value is not None:
            lines.append(f"   {task}  {value}")
    reasons = [*rules.violations(result), *result.missing(found.table)[:_LISTED]]
    lines += [f"   refused under SOCO's rules: {reason}" for reason in reasons]
    return "\n".join([*lines, ""])


def check_names(model_repo: str, dataset_repo: str, artifacts_repo: str | None) -> None:
    """Raise `UsageError` where a name cannot be one, or the files would go into the benchmark itself."""
    check_model_name(model_repo)
    check_repo_name(dataset_repo, "--dataset-repo")
    if artifacts_repo is not None:
        check_repo_name(artifacts_repo, "--artifacts")
        if artifacts_repo == dataset_repo:
            raise UsageError(
                f"--artifacts {artifacts_repo} is the benchmark itself; give a dataset repository of your own."
            )


def _check_model_repo(api: HfApi, model_repo: str, create: bool) -> bool:
    """Whether the model repository is still to be made."""
    try:
        info = retrying("submit to", lambda: api.repo_info(model_repo, repo_type="model"), model_repo, "model")
    except HubError as error:
        if error.status not in (401, 404):
            raise
        if create:
            return True
        raise HubError(
            f"{error} Nothing was sent. For a model that is not on the Hub, --create-model-repo makes a repository "
            "that only describes it.",
            error.status,
        ) from error
    if info.private:
        raise UsageError(
            f"{repo_url(model_repo, 'model')} is private, so the results would not be visible. Make it public first."
        )
    return False


def _upload(api: HfApi, submission: Submission) -> None:
    """The files, into a public dataset repository."""
    repo = submission.place.repo
    try:
        if not _public_dataset(api, repo):
            raise UsageError(
                f"{repo_url(repo)} is private, so the numbers could not be recomputed. Make it public, or give another "
                "--artifacts. Nothing was sent."
            )
        Target(api, repo, "dataset").sync(
            submission.artifacts,
            _none_of_ours,
            f"SOCO {submission.result.data} of {clean(submission.result.model['name'])}",
        )
    except HubError as error:
        if error.status != 403:
            raise
        raise HubError(
            f"Cannot upload to {repo}: the token may not write there. Give --artifacts YOU/NAME, a dataset repository "
            "of your own (it is made if it does not exist), or a token with write access. Nothing was submitted.",
            403,
        ) from error


def _public_dataset(api: HfApi, repo: str) -> bool:
    """Whether the dataset repository is public; makes it where there is none."""

    def is_public() -> bool:
        return not api.repo_info(repo, repo_type="dataset").private

    try:
        return retrying("use", is_public, repo)
    except HubError as error:
        if error.status not in (401, 404):
            raise
    make_repo(api, repo, "dataset", private=False)
    return retrying("use", is_public, repo)


def _none_of_ours(path: str) -> bool:
    return False  # no file of an earlier submission is ever deleted


def _create_model_repo(api: HfApi, submission: Submission) -> None:
    name = _code(submission.result.model["name"])
    card = (
        f"---\ntags:\n- soco\n---\n\n# {submission.model_repo}\n\nThis repository holds evaluation results of a model "
        f"whose weights are elsewhere: `{name}`, weights hash "
        f"`{_code(submission.result.model.get('weights_hash') or 'unknown')}`.\n"
    )
    repo = submission.model_repo
    make_repo(api, repo, "model")
    Target(api, repo, "model").sync({"README.md": Content(card.encode())}, _none_of_ours, "Describe the model")


def _proposed(api: HfApi, submission: Submission, me: str) -> Submitted:
    """`_propose`, tried again where that helps."""
    from huggingface_hub.errors import GatedRepoError

    repo = submission.model_repo
    try:
        return retrying("propose the results to", lambda: _propose(api, submission, me), repo, "model")
    except HubError as error:
        if error.status != 403 or isinstance(error.__cause__, GatedRepoError):
            raise
        raise HubError(
            f"{error} Or it takes no pull requests, or the token may not open them. The files are at "
            f"{submission.place.url}, on no leaderboard; run the command again when the pull request is allowed.",
            403,
        ) from error


def _propose(api: HfApi, submission: Submission, me: str) -> Submitted:
    """Open the pull request, or bring ours that is open up to date. May run twice: it looks before it writes."""
    from huggingface_hub import CommitOperationAdd

    repo, text = submission.model_repo, submission.yaml.encode()
    file = submission.result.yaml_file
    target, wanted = Target(api, repo, "model"), {file: Content(text)}
    artifacts = submission.place.url
    changes = target.compare(wanted, _none_of_ours)
    if changes.is_empty:
        return Submitted("merged already", None, artifacts)
    addition = CommitOperationAdd(path_in_repo=file, path_or_fileobj=text)
    title, text_below = submission.result.title, submission.description
    ours = _open_proposal(api, repo, me, title)
    if ours is None:
        made = api.create_commit(
            repo,
            [addition],
            commit_message=title,
            commit_description=text_below,
            create_pr=True,
            parent_commit=changes.head,
        )
        _check_conflicts(api, repo, made.pr_num, file)
        return Submitted("opened", made.pr_url, artifacts)
    num, url = ours
    there = target.compare(wanted, _none_of_ours, revision=f"refs/pr/{num}")
    if there.is_empty:
        _check_conflicts(api, repo, num, file)
        return Submitted("open already", url, artifacts)
    api.create_commit(
        repo,
        [addition],
        commit_message=title,
        commit_description=text_below,
        revision=f"refs/pr/{num}",
        parent_commit=there.head,
    )
    _check_conflicts(api, repo, num, file)
    return Submitted("updated", url, artifacts)


def _open_proposal(api: HfApi, repo: str, me: str, title: str) -> tuple[int, str] | None:
    """(number, address) of our open pull request of this title, None where there is none."""
    found = api.get_repo_discussions(repo, author=me, discussion_type="pull_request", discussion_status="open")
    return next(((pull.num, pull.url) for pull in found if pull.title == title), None)


def _check_conflicts(api: HfApi, repo: str, num: int | None, file: str) -> None:
    if num is None:
        return
    details = api.get_discussion_details(repo, num)
    if details.conflicting_files:
        raise HubError(
            f"The pull request {details.url} conflicts with what is on main ({file} was changed there). Close it "
            "and run the same command again: a new one starts from the present state."
        )


def _code(text: object) -> str:
    """Text for a Markdown code span."""
    return clean(text).replace("`", "'").replace("|", "/")


def summary(submission: Submission, submitted: Submitted) -> Mapping[str, str]:
    """What to tell the submitter."""
    return {
        f"{submission.result.data} and record": submitted.artifacts,
        "pull request": submitted.pull_request or f"none needed: {submission.model_repo} has exactly these results",
        "state": submitted.state,
    }
