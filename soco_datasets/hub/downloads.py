"""Files of others on the Hub: the one way to fetch one, after a look at its size."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..records.base import LARGEST_RECORD
from ..utils.files import parse_size
from ..utils.hub_errors import HubError, RepoType
from .client import retrying
from .submission import SubmissionError

if TYPE_CHECKING:
    from huggingface_hub import HfApi

_LARGEST = {".yaml": parse_size("1MB"), ".json": LARGEST_RECORD, ".parquet": parse_size("20GB")}


def download(api: HfApi, repo: str, repo_type: RepoType, revision: str, name: str, size: int | None = None) -> Path:
    """One file, after a look at its size, which is asked for where it is not given.

    Raises:
        SubmissionError: there is no such file, or it is far too large.
        HubError: the Hub refuses or cannot be reached.
    """
    if size is None:
        infos = retrying(
            "read", lambda: api.get_paths_info(repo, [name], repo_type=repo_type, revision=revision), repo, repo_type
        )
        size = next((info.size for info in infos if info.path == name and hasattr(info, "size")), None)
    if size is None:
        raise SubmissionError(f"{repo} at {revision} has no {name}, so there is nothing to compute again")
    most = _LARGEST[Path(name).suffix]
    if size > most:
        raise SubmissionError(f"{name} of {repo} has {size:,} bytes, more than the {most:,} that are downloaded")

    def load() -> str:
        return api.hf_hub_download(repo, name, repo_type=repo_type, revision=revision)

    try:
        return Path(retrying(f"download {name} of", load, repo, repo_type))
    except OSError as error:
        if isinstance(error, HubError):
            raise
        raise HubError(f"{name} of {repo} cannot be kept in the Hugging Face cache: {error.strerror}") from error
