"""Finding and downloading a submission. Only from the Hub that is configured, only files of bounded size."""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from ..errors import UsageError
from ..records.base import Record
from ..records.ranking import RECORD_FILE, Leaderboard
from ..records.registry import ranked_types, record_beside, record_type_of
from ..utils.hub_errors import RepoType
from ..utils.paths import local_path
from ..utils.text import public_url
from .client import retrying
from .downloads import download, largest
from .foreign_fetch import fetch
from .hosted_leaderboard import read_board
from .recompute import ResultFiles
from .submission import SubmissionError, parse_entries, place_of
from .verify import (
    NOTHING_FURTHER,
    FurtherChecks,
    Verdict,
    check_files,
    check_submission,
    combined_verdict,
    find_folder,
    stated_content,
    verify_file,
)

if TYPE_CHECKING:
    from huggingface_hub import EvalResultEntry, HfApi

_MODEL_URL = re.compile(
    r"/(?P<repo>[^/]+/[^/]+)(?:/(?:tree|blob|resolve)/(?P<revision>[^/]+).*|/discussions/(?P<pull>\d+)/?)?/?"
)
_DATASET_URL = re.compile(r"/datasets/(?P<repo>[^/]+/[^/]+)/(?:tree|blob|resolve)/(?P<revision>[^/]+)/(?P<path>.+)")
_REPO = re.compile(r"(?P<repo>[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(?:@(?P<revision>[\w./-]+))?")
_FORMS = (
    "Give a record or the predictions or answers beside it, a model repository (ORG/MODEL, or ORG/MODEL@refs/pr/N for "
    "a pull request), or the address of one, of its pull request, or of results in a dataset repository"
)


@dataclass(frozen=True)
class Address:
    """Something on the Hub: a model's submission (`path` empty), or a file or folder of a dataset repository."""

    repo: str
    repo_type: RepoType
    revision: str
    path: str = ""


def parse_address(text: str) -> Address:
    """What `soco verify` was given, when it is not a local file.

    >>> parse_address("lab/model@refs/pr/3")
    Address(repo='lab/model', repo_type='model', revision='refs/pr/3', path='')

    Raises:
        UsageError: not an address of this Hub.
    """
    from huggingface_hub.constants import ENDPOINT

    if "://" not in text:
        if found := _REPO.fullmatch(text):
            return Address(found["repo"], "model", found["revision"] or "main")
        raise UsageError(f"{text!r} is neither a local file nor a repository. {_FORMS}.")
    hub = public_url(ENDPOINT)
    url, here = urlsplit(text), urlsplit(hub)
    if (url.scheme, url.netloc) != (here.scheme, here.netloc):
        raise UsageError(f"{text} is not on {hub}, and nothing is downloaded from elsewhere. {_FORMS}.")
    if ".." in unquote(url.path).split("/"):
        raise UsageError(f"{text} is not an address of a submission: it leads out of its folder. {_FORMS}.")
    if found := _DATASET_URL.fullmatch(url.path):
        return Address(found["repo"], "dataset", unquote(found["revision"]), unquote(found["path"]).strip("/"))
    if not url.path.startswith(("/datasets/", "/spaces/")) and (found := _MODEL_URL.fullmatch(url.path)):
        revision = f"refs/pr/{found['pull']}" if found["pull"] else unquote(found["revision"] or "main")
        return Address(found["repo"], "model", revision)
    raise UsageError(f"{text} is not an address of a submission. {_FORMS}.")


def verify(
    what: str,
    data: str | None = None,
    dataset_repo: str | None = None,
    further: FurtherChecks = NOTHING_FURTHER,
) -> Verdict:
    """Verify a file here, or something on the Hub.

    Args:
        what: see `_FORMS`.
        data: dataset folder or "mini"; None = one that is here and has the right content.
        dataset_repo: the leaderboard's dataset; None = the one that the submission names.
        further: what is checked beyond numbers and consistency, such as a rerun.

    Raises:
        UsageError: no such form, or another leaderboard's submission.
        SubmissionError: there is no submission, or nothing that could be computed again.
        HubError: the Hub refuses or cannot be reached.
    """
    from huggingface_hub import HfApi

    if local_path(what).is_file():
        return verify_file(what, data, further)
    if local_path(what).is_dir() or (what.endswith((".json", ".parquet")) and "://" not in what):
        raise UsageError(f"{what} is not a file. {_FORMS}.")
    if "://" in what and urlsplit(what).netloc.lower() in map(str.lower, further.hosts.names):
        return _verify_elsewhere(what, data, further)
    address, api = parse_address(what), HfApi()
    if address.repo_type == "model":
        return _verify_model(api, what, address, (data, dataset_repo), further)
    is_file = address.path.endswith((".json", ".parquet"))
    record = record_beside(address.path) if is_file else f"{address.path}/{RECORD_FILE}"
    here = download(api, address.repo, "dataset", address.revision, record, first=True)
    kind = record_type_of(here)
    beside = download(api, address.repo, "dataset", address.revision, kind.data_beside(record))
    result = ResultFiles(kind, here, beside)
    return check_files(what, result, find_folder(data, stated_content(result)), further)


def _verify_elsewhere(what: str, data: str | None, further: FurtherChecks) -> Verdict:
    """A record with its data beside it on a host that the user allows."""
    url = urlsplit(what)
    record = record_beside(url.path)
    with tempfile.TemporaryDirectory(prefix="soco-verify-") as folder:
        here = Path(folder) / RECORD_FILE
        fetch(url._replace(path=record).geturl(), here, largest(RECORD_FILE), further.hosts)
        kind = record_type_of(here)
        if not kind.data:
            raise SubmissionError(f"{what} is a {kind.noun}: it keeps no data that it could be computed again from")
        beside = Path(folder) / kind.data_file()
        fetch(url._replace(path=kind.data_beside(record)).geturl(), beside, largest(beside.name), further.hosts)
        result = ResultFiles(kind, here, beside)
        return check_files(what, result, find_folder(data, stated_content(result)), further)


def entries_of(api: HfApi, kind: type[Record], model_repo: str, revision: str) -> list[EvalResultEntry]:
    """The entries of a model's file of a kind. Raises `SubmissionError`, `HubError`."""
    path = download(api, model_repo, "model", revision, kind.yaml_file)
    return parse_entries(path.read_bytes(), f"{kind.yaml_file} of {model_repo} at {revision}")


def _verify_model(
    api: HfApi, what: str, address: Address, against: tuple[str | None, str | None], further: FurtherChecks
) -> Verdict:
    """All that a model has submitted, of whatever kind."""
    files = [kind.yaml_file for kind in ranked_types()]
    infos = retrying(
        "read",
        lambda: api.get_paths_info(address.repo, files, repo_type="model", revision=address.revision),
        address.repo,
        "model",
        first=True,
    )
    there = [kind for kind in ranked_types() if kind.yaml_file in {info.path for info in infos}]
    if not there:
        raise SubmissionError(
            f"{address.repo} at {address.revision} has no {' and no '.join(files)}: there is nothing to compute again"
        )
    return combined_verdict([verify_kind(api, what, kind, address, *against, further) for kind in there])


def verify_kind(
    api: HfApi,
    what: str,
    kind: type[Record],
    address: Address,
    data: str | None,
    dataset_repo: str | None,
    further: FurtherChecks = NOTHING_FURTHER,
) -> Verdict:
    """What a model has submitted of one kind. Arguments and errors as `verify`."""
    entries = entries_of(api, kind, address.repo, address.revision)
    board = board_named(api, entries, dataset_repo, what)
    place = place_of(entries[0].source_url)
    files = [
        download(api, place.repo, "dataset", "main", f"{place.folder}/{name}")
        for name in (RECORD_FILE, kind.data_file())
    ]
    return check_submission(
        what,
        ResultFiles(kind, *files),
        entries,
        model_repo=address.repo,
        board=board,
        folder=find_folder(data, board.content_hash),
        further=further,
    )


def board_named(api: HfApi, entries: list[EvalResultEntry], dataset_repo: str | None, what: str) -> Leaderboard:
    """The leaderboard that entries are for, at the revision they name.

    Raises:
        SubmissionError: no entry, several datasets or revisions, or another leaderboard's.
        HubError: there is no such revision.
    """
    named = sorted({(str(entry.dataset_id), str(entry.dataset_revision)) for entry in entries})
    if len(named) != 1:
        listed = ", ".join(f"{repo} at {revision}" for repo, revision in named) or "none"
        raise SubmissionError(f"{what} must be of one dataset at one revision, it names {listed}")
    repo, revision = named[0]
    if dataset_repo is not None and repo != dataset_repo:
        raise SubmissionError(f"{what} is for the leaderboard of {repo}, not of {dataset_repo}")
    if not re.fullmatch(r"[0-9a-f]{40}", revision):
        raise SubmissionError(f"{what} names the revision {revision!r} of {repo}, which is not a commit")
    return read_board(api, repo, revision)
