"""What maintainers of a leaderboard have verified: a file in its dataset repository, by the hash of each data file.

It counts on main only, so that nobody but those who may write there can say that a result was verified.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..errors import PredictionsError
from ..records.verification import Verification
from ..utils.foreign import ForeignTextError, read_json_text
from .client import retrying
from .downloads import download
from .submission import SubmissionError

if TYPE_CHECKING:
    from huggingface_hub import HfApi

FILE = "verifications.json"


def parse_verifications(text: bytes, what: str) -> dict[str, Verification]:
    """sha256 of a data file -> what was verified of it. Raises `SubmissionError`, naming `what`, if malformed."""
    try:
        stored = read_json_text(text)
        found = [Verification.from_dict(entry) for entry in stored["verifications"]]
    except (ForeignTextError, KeyError, TypeError, PredictionsError) as error:
        raise SubmissionError(f"{what} is not a list of verifications: {error}") from None
    return {one.data_sha256: one for one in found if one.data_sha256}


def verifications_text(found: Mapping[str, Verification]) -> bytes:
    """The content of the file, the same for the same verifications."""
    entries = [found[key].to_dict() for key in sorted(found)]
    return (json.dumps({"verifications": entries}, indent=1, ensure_ascii=False) + "\n").encode()


def read_verifications(api: HfApi, repo: str, revision: str) -> dict[str, Verification]:
    """Those of a leaderboard at a commit of main; none where it has no such file.

    Raises:
        SubmissionError: the file is malformed or far too large.
        HubError: the Hub refuses or cannot be reached.
    """
    infos = retrying("read", lambda: api.get_paths_info(repo, [FILE], repo_type="dataset", revision=revision), repo)
    size = next((info.size for info in infos if info.path == FILE and hasattr(info, "size")), None)
    if size is None:
        return {}
    path = download(api, repo, "dataset", revision, FILE, size)
    return parse_verifications(path.read_bytes(), f"{FILE} of {repo}")
