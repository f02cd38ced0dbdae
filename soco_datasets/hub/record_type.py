"""What the Hub side asks of a kind of record: how it is read, computed again, ranked and described. See `kinds`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from ..benchmarks.soco.benchmark import BENCHMARK
from ..errors import PredictionsError
from .rules import Leaderboard

if TYPE_CHECKING:
    import pyarrow as pa

    from ..data.folder import DatasetFolder

OVERALL = "overall"
RANKED_SUBSETS = (OVERALL, *BENCHMARK.subsets)
RECORD_FILE = "record.json"  # its name in a submission
_MOST_RESAMPLES = 100_000


class Record(Protocol):
    """What every record has, beside what its own kind reads."""

    @property
    def model(self) -> dict[str, Any]:
        """`name` and what else says which model it was."""

    @property
    def dataset(self) -> dict[str, Any]:
        """`id`, `revision`, `content_hash`."""

    @property
    def created(self) -> str:
        """UTC time, ISO 8601."""

    def to_json(self) -> str:
        """The record as it is stored."""


@dataclass(frozen=True)
class PublishedScore:
    """A model of the paper: (task, "overall" or supercategory) -> percent."""

    model: str
    notes: str
    scores: dict[tuple[str, str], float]


class RecordType(ABC):
    """A kind of record. A record lies beside the data (a Parquet file) from which all of it can be computed again.

    Attributes:
        name: of the kind; also of its rules in `leaderboard.json`.
        tasks: id in `eval.yaml` -> title in tables.
        main_task: what tables are ranked by.
        heading: what the numbers of a table are.
        yaml_file: in the model repository.
        data: what its data is called, "predictions"; `data_file` is its name in a submission, `data_suffix` follows the
            record's stem elsewhere.
        title: of a pull request; tells the pull requests of the kinds apart.
        rules: a dataclass, see `Rules`.
        optional: fields of the record that it need not state.
        remake: the command that makes a record again, with {data} and {record}.
        restore: how to get data that is not there.
    """

    name: ClassVar[str]
    tasks: ClassVar[Mapping[str, str]]
    main_task: ClassVar[str]
    heading: ClassVar[str]
    yaml_file: ClassVar[str]
    data: ClassVar[str]
    title: ClassVar[str]
    rules: ClassVar[type[Any]]
    optional: ClassVar[tuple[str, ...]] = ()
    remake: ClassVar[str]
    restore: ClassVar[str]

    @property
    def data_file(self) -> str:
        return f"{self.data}.parquet"

    @property
    def data_suffix(self) -> str:
        return f".{self.data}.parquet"

    def data_beside(self, record: str) -> str:
        """The data file of a record: submissions have names of their own. `kinds.record_beside` is the way back."""
        folder, slash, file = record.rpartition("/")
        name = self.data_file if file == RECORD_FILE else file.removesuffix(".json") + self.data_suffix
        return f"{folder}{slash}{name}"

    @abstractmethod
    def states(self, fields: Mapping[str, Any]) -> bool:
        """Whether a JSON object says that it is a record of this kind."""

    @abstractmethod
    def read(self, path: Path) -> Any:
        """The record. Raises `PredictionsError`: it cannot be read, is malformed, or its scores are in percent."""

    @abstractmethod
    def read_data(self, path: Path) -> pa.Table:
        """Its data, checked against their own header. Raises `PredictionsError`."""

    @abstractmethod
    def recompute(self, record: Any, table: pa.Table) -> Any:
        """The record that the data gives, with the intervals that `record` has. Raises `PredictionsError`."""

    @abstractmethod
    def check_references(self, table: pa.Table, folder: DatasetFolder) -> None:
        """Check that what the data is scored against is the dataset's. Raises `PredictionsError` naming what is not."""

    def missing(self, table: pa.Table) -> list[str]:
        """What the data lacks that a whole evaluation has, one entry an item."""
        return []

    def violations(self, record: Any, board: Leaderboard) -> list[str]:
        """Why a record cannot stand on a leaderboard: other data, other rules."""
        found = board.rules[self.name].violations(record)
        if record.dataset["content_hash"] != board.content_hash:
            found.insert(
                0,
                f"it was evaluated on other data: {record.dataset['id']}, content hash "
                f"{record.dataset['content_hash'][:12]}; {board.repo} at {board.revision[:12]} has "
                f"{board.content_hash[:12]}",
            )
        return found

    @abstractmethod
    def notes(self, record: Any, rules: Any) -> str:
        """How the numbers were made that these rules rank, in a line."""

    @abstractmethod
    def is_headline(self, leaf: str) -> bool:
        """Whether `soco verify` lists this leaf of the record although it agrees."""

    @abstractmethod
    def is_soco(self, dataset_id: str, record: Any | None = None) -> bool:
        """Whether data is SOCO, so that the paper's numbers mean the same: by its id, or by a record of it."""

    def is_papers(self, board: Leaderboard) -> bool:
        """Whether data and rules of a leaderboard are the paper's, so that the paper's numbers mean the same."""
        return self.is_soco(board.source) and board.rules[self.name] == self.rules()

    @abstractmethod
    def printed(self) -> Iterable[PublishedScore]:
        """The paper's models."""


def bootstrap_of(stated: Mapping[str, Any]) -> tuple[int, int]:
    """(resamples, seed) that a record states. Raises `PredictionsError` where they cannot be meant."""
    resamples, seed = stated.get("resamples"), stated.get("seed")
    whole = all(isinstance(value, int) and not isinstance(value, bool) for value in (resamples, seed))
    if not whole or not 0 <= resamples <= _MOST_RESAMPLES:  # type: ignore[operator]  # `whole` says it is a number
        raise PredictionsError(f"the record's intervals state {resamples!r} resamples with seed {seed!r}")
    return int(resamples or 0), int(seed or 0)


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """(path with "/", value) of everything in JSON that holds nothing itself."""
    if isinstance(value, dict) and value:
        for key, part in value.items():
            yield from leaves(part, f"{path}/{key}" if path else str(key))
    elif isinstance(value, list) and value:
        for place, part in enumerate(value):
            yield from leaves(part, f"{path}/{place}")
    else:
        yield path, value
