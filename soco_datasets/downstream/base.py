"""What a downstream task is. A task is one file in `tasks/`: a class with what it needs and a method that scores."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from ..errors import BackboneError
from ..features.requests import FeatureRequest
from ..utils.chunks import Mapper
from .readers.base import DataReader, ImageSet
from .shared_batches import SharedBatches

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from ..features.extractor import DenseFeatureExtractor
    from ..features.families.base import Backbone
    from ..features.requests import PlannedFeatures


@dataclass(frozen=True)
class TableColumn:
    """A column of table r8.

    Attributes:
        key: in CSV files.
        title: in printed tables.
        unit: "percent", "share", "m" or "degrees".
        decimals: printed.
        higher_is_better: the direction.
    """

    key: str
    title: str
    unit: str
    decimals: int = 2
    higher_is_better: bool = True


class Sink(Protocol):
    """Where the features of a set of images go as they are made."""

    def missing(self) -> list[int]:
        """Positions whose features are still wanted."""

    def put(self, index: int, features: PlannedFeatures) -> None:
        """Take the features of one image."""


@dataclass(frozen=True)
class Wanted:
    """Features that a task wants of a set of images.

    Attributes:
        images: the set; sets of one name within a data set are the same.
        request: view, layers, maps or global vectors.
        sink: where they go; None = they are stored, and given to `TaskJob.score`.
    """

    images: ImageSet
    request: FeatureRequest
    sink: Sink | None = None


class Stored(Protocol):
    """Stored features of one `Wanted`."""

    def maps(self, index: int) -> Tensor:
        """(layers, C, rows, columns) of an image."""

    def vectors(self) -> NDArray[Any]:
        """(N, layers, C) global vectors of all images."""


@dataclass(frozen=True)
class TaskRun:
    """What scoring may use besides features.

    Attributes:
        extractor: the model, for tasks that forward while they train.
        work: folder for checkpoints, kept while the task is not done.
        out: folder of the record; heads and samples are written beside it.
        stem: of the files beside the record.
        seed: of everything that is drawn.
        device: where heads are trained.
        counts: "decodes", "forwards" and "steps" are added to.
        workers: decoding threads.
        samples: how many sample predictions to keep for the report.
        mapper: applies functions to shards on a cluster; None = in this process.
        shared: batches that tasks scored side by side take together; None = the task is scored alone.
        precision: of training heads, see `precision.PRECISIONS`.
        seconds: "train" is added to.
        identity: of the run, see `record.identity_of`; a checkpoint of another one is refused.
    """

    extractor: DenseFeatureExtractor
    work: Path
    out: Path
    stem: str
    seed: int
    device: str
    counts: dict[str, int]
    workers: int | None = None
    samples: int = 4
    mapper: Mapper | None = None
    shared: SharedBatches | None = None
    precision: str = "float32"
    seconds: dict[str, float] = field(default_factory=dict)
    identity: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class Outcome:
    """What a task found.

    Attributes:
        metrics: name -> {"value": number or None, "count": what it rests on, "unit"}.
        left_out: why -> how many samples.
        training: losses per epoch, last and best, head; None for tasks without training.
        details: per class, per bin ... for the report.
        samples: arrays for pictures, by name.
        notes: to be said with the number.
    """

    metrics: dict[str, dict[str, Any]]
    left_out: dict[str, int] = field(default_factory=dict)
    training: dict[str, Any] | None = None
    details: dict[str, Any] = field(default_factory=dict)
    samples: dict[str, NDArray[Any]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def measured_number(value: float | None, count: int, unit: str) -> dict[str, Any]:
    """One entry of `Outcome.metrics`; a value without anything behind it is None."""
    return {"value": None if value is None or not count else float(value), "count": int(count), "unit": unit}


class TaskJob(ABC):
    """A task on one data set under one protocol."""

    @abstractmethod
    def wanted(self) -> Sequence[Wanted]:
        """The features to extract before scoring."""

    @abstractmethod
    def score(self, stored: Sequence[Stored | None], run: TaskRun) -> Outcome:
        """The outcome, given the stored features in the order of `wanted` (None where they went to a sink)."""

    def online_forwards(self) -> int:
        """Forwards that training does beyond `wanted`."""
        return 0

    def drawn_views(self) -> Hashable:
        """What training forwards as it goes; jobs of one data set with equal ones do it together. None = nothing."""
        return None

    def samples_scored(self) -> int:
        """What the headline rests on at most."""
        return sum(len(one.images) for one in self.wanted())


class DownstreamTask(ABC):
    """A task.

    Class attributes:
        name: on the command line.
        title: in tables.
        data: kind of data set, see `readers.known_readers`.
        column: its column of r8; None for a task of its own.
        headline: the metric in tables.
        own_column: column of a task that r8 does not have.
        protocols: name -> its choices.
        default: name of the default protocol.
        layers: "last", or "four" for blocks N/4 - 1, N/2 - 1, 3N/4 - 1 and N - 1.
        trained: whether a head is trained.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    data: ClassVar[str]
    headline: ClassVar[str]
    column: ClassVar[TableColumn | None] = None
    own_column: ClassVar[TableColumn | None] = None
    protocols: ClassVar[Mapping[str, Mapping[str, Any]]]
    default: ClassVar[str] = "reference"
    layers: ClassVar[str] = "last"
    trained: ClassVar[bool] = False

    @abstractmethod
    def open(self, data: DataReader, backbone: Backbone, protocol: Mapping[str, Any], work: Path) -> TaskJob:
        """The job on a data set for a model. Raises `BackboneError` where the model cannot do it."""


def four_layers(backbone: Backbone) -> tuple[int, ...]:
    """Blocks N/4 - 1, N/2 - 1, 3N/4 - 1 and N - 1 of a model with N blocks.

    Raises:
        BackboneError: fewer than four blocks of one shape.
    """
    depth = backbone.depth
    if depth < 4:
        raise BackboneError(f"{backbone.name} ({backbone.family}) does not give four layers; it gives {depth or 1}.")
    return depth // 4 - 1, depth // 2 - 1, 3 * depth // 4 - 1, depth - 1


def last_layer(backbone: Backbone) -> tuple[int, ...]:
    """The last block, or the model's own layer where it has no blocks."""
    return (backbone.depth - 1,) if backbone.depth else ()
