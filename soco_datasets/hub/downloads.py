"""Files of others on the Hub: the one way to fetch one, after a look at its size."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ..records.base import LARGEST_RECORD
from ..utils.files import parse_size
from ..utils.hub_errors import HubError, RepoType
from .client import retrying
from .submission import SubmissionError

if TYPE_CHECKING:
    from huggingface_hub import HfApi

_OF_THE_HUB = ("huggingface.co", "hf.co", "xethub.hf.co")  # and what is below them: where huggingface.co keeps files
_LARGEST = {".yaml": parse_size("1MB"), ".json": LARGEST_RECORD, ".parquet": parse_size("20GB")}


def largest(name: str) -> int:
    """Bytes that a file of this name may have."""
    return _LARGEST[Path(name).suffix]


def download(
    api: HfApi, repo: str, repo_type: RepoType, revision: str, name: str, size: int | None = None, first: bool = False
) -> Path:
    """One file, after a look at its size, which is asked for where it is not given; `first` as of `retrying`.

    Raises:
        SubmissionError: there is no such file, it is far too large, or the Hub sends elsewhere for it.
        HubError: the Hub refuses or cannot be reached.
    """
    if size is None:
        infos = retrying(
            "read",
            lambda: api.get_paths_info(repo, [name], repo_type=repo_type, revision=revision),
            repo,
            repo_type,
            first=first,
        )
        size = next((info.size for info in infos if info.path == name and hasattr(info, "size")), None)
    if size is None:
        raise SubmissionError(f"{repo} at {revision} has no {name}, so there is nothing to compute again")
    most = largest(name)
    if size > most:
        raise SubmissionError(f"{name} of {repo} has {size:,} bytes, more than the {most:,} that are downloaded")

    check_origin(api, repo, repo_type, revision, name)

    def load() -> str:
        return api.hf_hub_download(repo, name, repo_type=repo_type, revision=revision)

    try:
        return Path(retrying(f"download {name} of", load, repo, repo_type))
    except OSError as error:
        if isinstance(error, HubError):
            raise
        raise HubError(f"{name} of {repo} cannot be kept in the Hugging Face cache: {error.strerror}") from error


def check_origin(api: HfApi, repo: str, repo_type: RepoType, revision: str, name: str) -> None:
    """Refuse a file that the Hub would have us fetch from a host that is not one of its own, or not encrypted.

    Raises:
        SubmissionError: naming the host.
        HubError: the Hub refuses or cannot be reached.
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_url

    url = hf_hub_url(repo, name, repo_type=repo_type, revision=revision, endpoint=api.endpoint)
    location = retrying("find a file of", lambda: get_hf_file_metadata(url).location, repo, repo_type)
    there, hub = urlsplit(location), urlsplit(api.endpoint)
    if (there.scheme, there.netloc) == (hub.scheme, hub.netloc):
        return
    host = (there.hostname or "").lower()
    own = any(host == name or host.endswith(f".{name}") for name in (hub.hostname, *_OF_THE_HUB))
    if there.scheme != "https" or not own:
        raise SubmissionError(
            f"{name} of {repo} is not stored on the Hub: it leads to {there.scheme}://{host}, and nothing is "
            "downloaded from there"
        )
