"""`soco publish-metric`: `eval/soco_pck` as a Space, which is where `evaluate.load("ORG/NAME")` looks."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ..errors import UsageError
from ..loading.registration import METRIC, metric_script
from ..utils.hub_errors import HubError, repo_url
from .client import (
    check_repo_name,
    connect,
    hub_progress_on_terminals,
    make_repo,
    retrying,
)
from .sync import Content, Synced, Target

if TYPE_CHECKING:
    from huggingface_hub import HfApi

_ALWAYS_THERE = (".gitattributes", "README.md", "app.py", "requirements.txt")


@hub_progress_on_terminals()
def publish_metric(repo: str, *, private: bool = False, create_pr: bool = False) -> tuple[str, Synced]:
    """Create or update the Space of the metric; gives its address and what was sent.

    Args:
        repo: "ORG/NAME". `evaluate` looks for a module called as the Space, so NAME must be a Python name.
        private: make the Space private when it is created.
        create_pr: propose the change to an existing Space.

    Raises:
        UsageError: a wrong name, no token, or a Space that holds something else.
        HubError: the Hub refuses or cannot be reached.
    """
    name = check_repo_name(repo).split("/")[1]
    if not name.isidentifier():
        raise UsageError(f"--repo {repo!r}: evaluate loads {name}.py from it, so NAME must be a Python name: {METRIC}.")
    api, _ = connect()
    if not create_pr:
        _ensure_space(api, repo, private)
    target = Target(api, repo, "space")
    files = metric_files(repo)
    changes = target.compare(files, _is_ours)
    others = sorted(path for path in changes.there if path not in files and path not in _ALWAYS_THERE)
    if others and f"{name}.py" not in changes.there:
        raise UsageError(
            f"The name is taken: {repo_url(repo, 'space')} holds something else ({', '.join(others[:3])}). "
            f"Nothing was sent. Choose another --repo."
        )
    synced = target.sync(files, _is_ours, "SOCO PCK", changes=changes, create_pr=create_pr)
    return repo_url(repo, "space"), synced


def metric_files(repo: str) -> dict[str, Content]:
    """The files of the Space: the module under the Space's name, the card with examples that load it from there."""
    folder = metric_script().parent
    name = repo.split("/")[1]
    files = {}
    for path in sorted(folder.iterdir()):
        if path.suffix not in (".py", ".md", ".txt"):
            continue
        data = path.read_bytes()
        if path.name in ("README.md", f"{METRIC}.py"):
            data = re.sub(rf'evaluate\.load\("{METRIC}"\)', f'evaluate.load("{repo}")', data.decode()).encode()
        files[f"{name}.py" if path.stem == METRIC else path.name] = Content(data)
    return files


def _is_ours(path: str) -> bool:
    """Nothing is left over: the Space has the same files in every version."""
    return False


def _ensure_space(api: HfApi, repo: str, private: bool) -> None:
    try:
        retrying("publish to", lambda: api.repo_info(repo, repo_type="space"), repo, "space")
    except HubError as error:
        if error.status not in (401, 404):
            raise
        make_repo(api, repo, "space", space_sdk="gradio", private=private)
