"""A copy of a data set on the Hub in Parquet: found, checked for access, and streamed row group by row group."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

from ...errors import SocoError, UsageError
from .base import DataOptions, DataReader
from .rows import ParquetRows

_CONVERTED = "refs/convert/parquet"  # the branch that the Hub itself makes of many data sets


class ParquetReader(DataReader):
    """A data set that can also be Parquet files, local or on the Hub.

    Class attributes:
        hub_splits: split -> its name on the Hub; None = the files are not told apart by split.
        hub_config: folder of the right configuration where the copy has several.
    """

    hub_splits: ClassVar[Mapping[str, str | None]] = {}
    hub_config: ClassVar[str] = ""

    @abstractmethod
    def take_rows(self, rows: Mapping[str, ParquetRows]) -> None:
        """Read the index from the rows of each split. Raises `DatasetFolderError` for columns that are missing."""

    @classmethod
    def from_hub(cls, repo: str, options: DataOptions | None = None) -> Self:
        """Open a copy on the Hub: the footers are read, images are fetched as they are asked for.

        Args:
            repo: "ORG/NAME" or "ORG/NAME@REVISION".
            options: see `DataOptions`.

        Raises:
            UsageError: gated, only a loading script, no such data set or split.
            SocoError: the Hub does not answer; files that are not this data set.
        """
        self = cls.__new__(cls)
        name, _, revision = repo.partition("@")
        self.options, self.root, self.layout = options or DataOptions(), Path(repo), f"Hub {name}"
        named = dict(zip(cls.hub_splits, self.options.split_names or (), strict=False))
        splits = {split: named.get(split, theirs) for split, theirs in cls.hub_splits.items()}
        rows, commit = hub_parquet(name, splits, cls.hub_config, revision or None)
        self._fingerprint, self.hub = commit, {"id": name, "revision": commit}
        self.take_rows(rows)
        return self


def hub_parquet(
    repo: str, splits: Mapping[str, str | None], config: str = "", revision: str | None = None
) -> tuple[dict[str, ParquetRows], str]:
    """The rows of some splits of a Hub data set, streamed, and the commit they are of.

    Args:
        repo: "ORG/NAME".
        splits: name -> split on the Hub, such as "validation"; None = all files.
        config: of the data set; files outside its folder are left out where there is such a folder.
        revision: commit, tag or branch; default: main, or the branch that the Hub converted where main has no Parquet.

    Raises:
        UsageError: a gated set without access, a set that is only a loading script, no such set or split.
        SocoError: the Hub does not answer.
    """
    from huggingface_hub import HfFileSystem

    at, names = _files_of(repo, revision)
    parquet = sorted(name for name in names if name.endswith(".parquet"))
    if not parquet and revision is None:
        converted = _converted(repo)
        if converted is None:
            script = any(name.endswith(".py") for name in names)
            why = "is only a loading script, which is never run" if script else "has no Parquet files"
            raise UsageError(
                f"{repo} {why}, and the Hub has no branch {_CONVERTED} of it. Give a local copy, or another repository."
            )
        at, parquet = converted
    elif not parquet:
        raise UsageError(f"{repo} has no Parquet files at {revision}. Give another revision, or a local copy.")
    if own := [name for name in parquet if f"/{config}/" in f"/{name}"]:
        parquet = own
    files, found = HfFileSystem(), {}
    for split, theirs in splits.items():
        chosen = [name for name in parquet if theirs is None or _is_of(name, theirs)]
        if not chosen:
            raise UsageError(f"{repo} has no Parquet files of a split {theirs!r}. Name the splits with --split-names.")
        paths = [f"datasets/{repo}@{at}/{name}" for name in chosen]
        found[split] = ParquetRows(paths, lambda path: files.open(path, "rb"))
    return found, at


def _is_of(name: str, split: str) -> bool:
    return Path(name).name.startswith(split) or f"/{split}/" in f"/{name}"


def _files_of(repo: str, revision: str | None) -> tuple[str, list[str]]:
    """The commit of a data set and the names of its files, all of which this user may read."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError

    hub = HfApi()
    try:
        info = hub.dataset_info(repo, revision=revision)
        if info.gated:  # its list of files is public, the files are not
            hub.auth_check(repo, repo_type="dataset")
    except GatedRepoError as error:
        raise UsageError(
            f"{repo} is gated, and this account has no access: accept its terms on its page on the Hub, then log in "
            "with `hf auth login`."
        ) from error
    except RevisionNotFoundError as error:
        raise UsageError(f"The Hub's data set {repo} has no revision {revision}.") from error
    except RepositoryNotFoundError as error:
        raise UsageError(f"The Hub has no data set {repo}, or it is private and you are not logged in.") from error
    except (HfHubHTTPError, OSError) as error:
        raise SocoError(f"The Hub does not answer for the data set {repo}: {error}") from error
    return str(info.sha or revision or "main"), [file.rfilename for file in info.siblings or []]


def _converted(repo: str) -> tuple[str, list[str]] | None:
    try:
        at, names = _files_of(repo, _CONVERTED)
    except UsageError:
        return None
    parquet: list[Any] = sorted(name for name in names if name.endswith(".parquet"))
    return (at, parquet) if parquet else None
