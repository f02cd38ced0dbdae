"""What every result record is. A kind of record is one class that derives from `Record`.

Defining the class registers it (see `registry`), and the command line, the leaderboard and submissions handle it: its
class attributes say how it is ranked and named, its methods how it is computed again. The smallest kind:

    class DepthResult(Record):
        kind: ClassVar[str] = "depth"
        tasks: ClassVar = {"depth": RankedTask("Depth", metric="rmse", unit="m", higher_is_better=False)}

        metrics: dict[str, dict[str, float]]

        def recompute(self, data: pa.Table) -> DepthResult:
            return self.replace(metrics={"depth": {"rmse": ...}})

Types of fields are pydantic's business; a validator is only written for what a field means. Messages name the field,
what it must be and what it is.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

from ..errors import PredictionsError, SocoError, UsageError
from ..utils.files import atomic_write
from ..utils.foreign import ForeignTextError, is_version, read_bounded_bytes
from ..utils.paths import local_path
from .fields import Count, Provenance, Shape, parse_json
from .ranking import OVERALL, RECORD_FILE, Headline, Leaderboard, PublishedScore, RankedTask, Rules

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from ..data.folder import DatasetFolder


_PARQUET = b"PAR1"  # how such a file begins
LARGEST_RECORD = 64_000_000  # bytes of a JSON file; that of the full benchmark has less than 4 MB
DEFINED: dict[str, type[Record]] = {}  # by kind; `registry.record_types` first imports those of this package


class Record(Provenance):
    """One result: numbers with everything needed to trust and repeat them, as versioned JSON.

    Attributes:
        model, dataset, versions, device, created: see `fields.Provenance`.
        counts: of what was processed: images, pairs, forwards ...
        metrics: task -> numbers; every kind defines it, as a field or a property. Fractions, never percent.

    Class attributes:
        kind: its name; also of its rules in `leaderboard.json`, and "kind" of its JSON.
        version: of the JSON that is written.
        noun: what messages call it.
        indent: of the JSON.
        tasks: id in `eval.yaml` -> how it is ranked; empty for a kind that is never on a leaderboard.
        main_task: what tables are ranked by and the headline shows; "" = the first of `tasks`.
        heading: what the numbers of a table are; "" = the titles of the tasks.
        data: what the data is called that the record is computed from, a Parquet file beside it, such as
            "predictions"; "" = none is kept.
        yaml_file: in the model repository; "" = named after the kind.
        title: of a pull request; tells the pull requests of the kinds apart; "" = named after the kind.
        rules: of the leaderboard.
        optional: fields of the JSON that a record need not state to match its data.
        remake: the command that makes a record again, with {data} and {record}.
        restore: how to get data that is missing.
        headline_leaves: (start, ends) of the leaves that `soco verify` lists although they agree.

    Raises:
        PredictionsError: when made or read with a field that is missing, unknown or invalid.
    """

    kind: ClassVar[str] = ""
    version: ClassVar[int] = 1
    noun: ClassVar[str] = "result record"
    indent: ClassVar[int] = 2
    tasks: ClassVar[Mapping[str, RankedTask]] = {}
    main_task: ClassVar[str] = ""
    heading: ClassVar[str] = ""
    data: ClassVar[str] = "predictions"
    yaml_file: ClassVar[str] = ""
    title: ClassVar[str] = ""
    rules: ClassVar[type[Rules]] = Rules
    optional: ClassVar[tuple[str, ...]] = ()
    remake: ClassVar[str] = "the command that made it, from {data}"
    restore: ClassVar[str] = "evaluate again"
    headline_leaves: ClassVar[tuple[str, tuple[str, ...]]] = ("metrics/", ("",))

    counts: Annotated[dict[str, Any], Shape(dict[str, Count])]

    if TYPE_CHECKING:

        @property
        def metrics(self) -> Mapping[str, Any]: ...

    @classmethod
    def __pydantic_init_subclass__(cls, **options: Any) -> None:
        super().__pydantic_init_subclass__(**options)
        if "kind" not in cls.__dict__:
            return
        cls.main_task = cls.main_task or next(iter(cls.tasks), "")
        cls.heading = cls.heading or ", ".join(task.title for task in cls.tasks.values())
        cls.yaml_file = cls.yaml_file or f".eval_results/soco_{cls.kind}.yaml"
        cls.title = cls.title or f"SOCO results: {cls.kind}"
        _define(cls)

    # What it is in a file

    @classmethod
    def name_of_file(cls) -> str:
        return cls.noun

    @classmethod
    def mark(cls) -> dict[str, Any]:
        """The entries of the JSON that say its kind and version."""
        return {"kind": cls.kind, "schema_version": cls.version}

    @classmethod
    def matches(cls, fields: Mapping[str, Any]) -> bool:
        """Whether a JSON object says that it is a record of this kind, of whatever version."""
        return fields.get("kind") == cls.kind

    @classmethod
    def upgrade(cls, fields: dict[str, Any]) -> dict[str, Any]:
        """The JSON object as the present version has it. Raises `PredictionsError` for a version that is unknown."""
        if not is_version(version := fields.get("schema_version"), cls.version):
            raise PredictionsError(
                f"{cls.noun}s of schema version {version!r} cannot be read, only version {cls.version}; use the "
                "toolkit that wrote it, or make it again"
            )
        return fields

    @classmethod
    def no_match(cls, fields: Any) -> str:
        """Why something that does not match is not a record of this kind."""
        return f'not a {cls.noun} of kind {cls.kind}: "kind" is {fields.get("kind")!r}'

    def to_dict(self) -> dict[str, Any]:
        """The record as it is stored."""
        return {**self.mark(), **super().to_dict()}

    def to_json(self) -> str:
        """The record as JSON, sorted and indented: equal records give equal bytes."""
        return (
            json.dumps(self.to_dict(), indent=self.indent, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"
        )

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """The record from its JSON.

        Raises:
            PredictionsError: not JSON, another kind or version, a field that is missing, unknown or invalid.
        """
        fields = parse_json(text, f"a {cls.noun}")
        if not isinstance(fields, dict) or not cls.matches(fields):
            raise PredictionsError(cls.no_match(fields if isinstance(fields, dict) else {}))
        mark = cls.mark()
        return cls(**{name: value for name, value in cls.upgrade(fields).items() if name not in mark})

    def write(self, path: str | Path) -> None:
        """Write the JSON atomically. Raises `SocoError` when the file cannot be written."""
        atomic_write(local_path(path), self.to_json())

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """Read a record. Raises `PredictionsError`, naming the file, when it is missing or not valid."""
        try:
            text = read_bounded_bytes(local_path(path), LARGEST_RECORD)
            if text.startswith(_PARQUET):
                raise PredictionsError(cls._is_data(Path(path)))
            return cls.from_json(text)
        except ForeignTextError as error:
            raise PredictionsError(f"{path}: {error}, so it is not a {cls.noun}") from None
        except OSError as error:
            raise PredictionsError(f"{path}: cannot be read ({error.strerror}). Give a {cls.noun} (JSON).") from error
        except SocoError as error:
            raise PredictionsError(f"{path}: {error}") from error

    @classmethod
    def _is_data(cls, path: Path) -> str:
        """What to say of a Parquet file in place of a record."""
        stem = path.name.removesuffix(".parquet").removesuffix(f".{cls.data}")
        return f"a Parquet file of {cls.data or 'data'}, not a {cls.noun}; give {path.with_name(f'{stem}.json')}"

    def replace(self, **changes: Any) -> Self:
        """A copy with some fields changed, validated like any other record."""
        return type(self)(**{**{name: getattr(self, name) for name in type(self).model_fields}, **changes})

    # Its data

    @classmethod
    def is_headline_leaf(cls, leaf: str) -> bool:
        """Whether `soco verify` lists this leaf of the record although it agrees."""
        start, ends = cls.headline_leaves
        return leaf.startswith(start) and leaf.endswith(ends)

    @classmethod
    def data_file(cls) -> str:
        """The name of its data in a submission."""
        return f"{cls.data}.parquet"

    @classmethod
    def data_beside(cls, record: str) -> str:
        """The data file of a record: submissions have names of their own. `registry.record_beside` is the inverse."""
        folder, slash, file = record.rpartition("/")
        name = cls.data_file() if file == RECORD_FILE else f"{file.removesuffix('.json')}.{cls.data_file()}"
        return f"{folder}{slash}{name}"

    @classmethod
    def read_data(cls, path: Path) -> pa.Table:
        """Its data, checked. Raises `PredictionsError`, naming the file."""
        import pyarrow as pa

        from ..utils.parquet_files import BoundsError, read_bounded

        try:
            return read_bounded(path)
        except BoundsError as error:
            raise PredictionsError(f"{path}: {error}.") from None
        except (pa.ArrowException, OSError) as error:
            raise PredictionsError(f"{path}: not a whole Parquet file ({str(error).splitlines()[0]}).") from error

    def recompute(self, data: pa.Table) -> Record:
        """The record that the data gives, with the options that this one states. Raises `PredictionsError`."""
        raise PredictionsError(f"{self.noun}s of kind {self.kind} cannot be computed again")

    @classmethod
    def check_references(cls, data: pa.Table, folder: DatasetFolder) -> bool:
        """Check that what the data is scored against is the dataset's.

        Returns:
            Whether anything was compared; a kind without references says no.

        Raises:
            PredictionsError: naming what differs.
        """
        return False

    @classmethod
    def missing(cls, data: pa.Table) -> list[str]:
        """What the data lacks that a complete evaluation has, one entry per item."""
        return []

    def unstated(self) -> list[str]:
        """What this record does not state, so that nothing could be compared with it, one sentence per item."""
        return []

    # Its numbers

    @property
    def headline(self) -> Headline:
        """The number that a person asks for first: that of `main_task`, or of the first task there is."""
        scored = [name for name in (self.main_task, *self.tasks) if name in self.tasks and self.score(name) is not None]
        name = scored[0] if scored else self.main_task
        task = self.tasks.get(name, RankedTask(self.kind))
        return Headline(
            " ".join(filter(None, (task.title, task.metric))), self.score(name), task.unit, task.higher_is_better
        )

    def task_names(self) -> list[str]:
        """The tasks that may have a ranked number."""
        return list(self.tasks)

    def score(self, task: str, subset: str = OVERALL) -> float | None:
        """The ranked number of a task in its unit, None where there is none."""
        ranked, found = self.tasks.get(task), self.metrics.get(task)
        if ranked is None or subset != OVERALL:
            return None
        value = found.get(ranked.metric) if isinstance(found, Mapping) else found
        return ranked.shown(value)

    def flat(self, short: bool = False) -> dict[str, float]:
        """Dotted names -> numbers, for loggers.

        Args:
            short: only the ranked number of each task, in its unit; otherwise every number of `metrics`, as stored.
        """
        if short:
            return {task: value for task in self.task_names() if (value := self.score(task)) is not None}
        return {
            name.replace("/", "."): value
            for name, value in leaves(self.metrics)
            if isinstance(value, int | float) and not isinstance(value, bool)
        }

    def rows(self) -> Iterable[dict[str, Any]]:
        """The rows of `to_pandas`; a kind with a regular shape gives columns of its own."""
        return ({"name": name, "value": value} for name, value in self.flat().items())

    def to_pandas(self) -> pd.DataFrame:
        """The numbers as a table, one row per score, with the columns model and dataset first."""
        import pandas as pd

        place = {"model": self.model["name"], "dataset": self.dataset["id"]}
        return pd.DataFrame([{**place, **row} for row in self.rows()])

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.model['name']} on {self.dataset['id']}: {self.headline}>"

    __str__ = __repr__

    # The leaderboard

    def violations(self, board: Leaderboard) -> list[str]:
        """Why it cannot be on a leaderboard: other data, other rules."""
        found = board.rules_for(self).violations(self)
        if self.dataset["content_hash"] != board.content_hash:
            found.insert(
                0,
                f"it was evaluated on other data: {self.dataset['id']}, content hash "
                f"{self.dataset['content_hash'][:12]}; {board.repo} at {board.revision[:12]} has "
                f"{board.content_hash[:12]}",
            )
        return found

    def notes(self, rules: Any) -> str:
        """How the numbers were made that these rules rank, in one line."""
        return f"{self.noun} of kind {self.kind}, version {self.version}"

    @classmethod
    def is_benchmark(cls, dataset_id: str, record: Any | None = None) -> bool:
        """Whether data is the full benchmark of this kind, by its id or by a record of it; by default any data is.

        Published numbers compare with such data only, and only such local records are ranked without a leaderboard.
        """
        return True

    @classmethod
    def published(cls) -> Iterable[PublishedScore]:
        """The scores that papers print."""
        return ()


def _define(kind: type[Record]) -> None:
    """Make a kind of record known. Raises `UsageError` where another class has its name."""
    known = DEFINED.get(kind.kind)
    if known is not None and (known.__module__, known.__qualname__) != (kind.__module__, kind.__qualname__):
        raise UsageError(
            f"The kind of record {kind.kind!r} is {known.__module__}.{known.__qualname__}; give "
            f"{kind.__module__}.{kind.__qualname__} another `kind`."
        )
    DEFINED[kind.kind] = kind


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """(path with "/", value) of everything in JSON that holds nothing itself."""
    if isinstance(value, Mapping) and value:
        for key, part in value.items():
            yield from leaves(part, f"{path}/{key}" if path else str(key))
    elif isinstance(value, list) and value:
        for place, part in enumerate(value):
            yield from leaves(part, f"{path}/{place}")
    else:
        yield path, value
