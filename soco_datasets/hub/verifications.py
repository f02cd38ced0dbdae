"""What maintainers of a leaderboard have verified: a file in its dataset repository, one entry per submission.

It counts on main only, so that nobody but those who may write there can say that a result was verified.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import PredictionsError
from ..records.registry import find_ranked_task
from ..records.verification import Verification
from ..utils.foreign import read_json_text
from ..utils.text import clean
from .client import retrying
from .downloads import download
from .submission import SubmissionError

if TYPE_CHECKING:
    from huggingface_hub import HfApi

FILE = "verifications.json"


@dataclass(frozen=True)
class Verified:
    """What was verified of one submission.

    It holds for these numbers of this model alone: notes, which name the data file, can be copied by anybody.

    Attributes:
        model: repository.
        values: id of a task -> the number that the data file gives.
        verification: of the data file.
    """

    model: str
    values: Mapping[str, float]
    verification: Verification

    @property
    def key(self) -> tuple[str, str]:
        """(model, sha256 of the data file)."""
        return self.model, self.verification.data_sha256

    def covers(self, model: str, scores: Mapping[tuple[str, str], float]) -> bool:
        """Whether every one of these numbers is among those that were verified."""
        known = {find_ranked_task(name): value for name, value in self.values.items()}
        return model == self.model and all(known.get(key) == value for key, value in scores.items())

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {"model": self.model, "values": dict(self.values), "verification": self.verification.to_dict()}


Verifications = dict[tuple[str, str], Verified]


def parse_verifications(text: bytes, what: str, board: str | None = None) -> Verifications:
    """Those of a file's content. Raises `SubmissionError`, naming `what`, where it is malformed or of another board."""
    try:
        fields = read_json_text(text)
        if board is not None and fields.get("leaderboard", board) != board:
            raise SubmissionError(
                f"{what} is of another leaderboard, {clean(fields['leaderboard'])}: give another file"
            )
        found = [_parse(entry) for entry in fields["verifications"]]
    except SubmissionError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, PredictionsError) as error:
        raise SubmissionError(f"{what} is not a list of verifications: {type(error).__name__}: {error}") from None
    return {one.key: one for one in found}


def _parse(entry: Any) -> Verified:
    values = {str(name): float(value) for name, value in entry["values"].items()}
    return Verified(str(entry["model"]), values, Verification.from_dict(entry["verification"]))


def verifications_text(found: Verifications, board: str | None = None) -> bytes:
    """The content of the file, the same for the same verifications; `board`: the leaderboard, of a file elsewhere."""
    fields: dict[str, Any] = {} if board is None else {"leaderboard": board}
    fields["verifications"] = [found[key].to_dict() for key in sorted(found)]
    return (json.dumps(fields, indent=1, ensure_ascii=False) + "\n").encode()


def read_verifications(api: HfApi, repo: str, revision: str) -> Verifications:
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
