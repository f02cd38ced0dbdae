"""`evaluate(model, data, tasks)`: everything from a model to its results in one call."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias, overload

from ..benchmarks.base import Task, benchmark_of
from ..benchmarks.resolve import data_names, dataset_folder
from ..benchmarks.tasks import get_tasks
from ..config import FeatureConfig, RunConfig, ScoringConfig
from ..correspondence.engines import Extractor
from ..correspondence.evaluate import Evaluation, evaluate_backbone
from ..correspondence.presets import choose_tasks, get_preset, preset_scoring
from ..correspondence.several import BenchmarkRun, evaluate_several, planned_run, result_labels
from ..data.folder import DatasetFolder
from ..data.subset import FolderSubset
from ..errors import UsageError
from ..features.given_model import GivenModel, check_given_model, extractor_spec_of, opened_extractor
from ..records.evaluation import EvaluationResult
from ..records.replacement import check_replaces_own
from ..records.result_files import qualifiers_of, result_name
from ..utils.files import writable_folder
from .result import Result

_log = logging.getLogger(__name__)

GivenData: TypeAlias = str | os.PathLike[str] | DatasetFolder | None
GivenTasks: TypeAlias = str | Task | Sequence[str | Task] | None


@overload
def evaluate(
    model: GivenModel,
    data: GivenData = None,
    tasks: GivenTasks = None,
    *,
    image_size: int | None = None,
    features: FeatureConfig | None = None,
    scoring: ScoringConfig | None = None,
    run: RunConfig | None = None,
) -> Result: ...


@overload
def evaluate(
    model: list[GivenModel] | tuple[GivenModel, ...],
    data: GivenData = None,
    tasks: GivenTasks = None,
    *,
    image_size: int | None = None,
    features: FeatureConfig | None = None,
    scoring: ScoringConfig | None = None,
    run: RunConfig | None = None,
) -> list[Result]: ...


@overload
def evaluate(
    model: GivenModel,
    data: list[GivenData] | tuple[GivenData, ...],
    tasks: GivenTasks = None,
    *,
    image_size: int | None = None,
    features: FeatureConfig | None = None,
    scoring: ScoringConfig | None = None,
    run: RunConfig | None = None,
) -> list[Result]: ...


def evaluate(
    model: Any,
    data: Any = None,
    tasks: GivenTasks = None,
    *,
    image_size: int | None = None,
    features: FeatureConfig | None = None,
    scoring: ScoringConfig | None = None,
    run: RunConfig | None = None,
) -> Any:
    """Evaluate a model on the test pairs of a dataset.

    Args:
        model: a name of `soco models`, a Hub id, a folder with a checkpoint, an expression such as
            "dinov2_b14+dino_b16"; a backbone of `load_backbone`; a `DenseFeatureExtractor`; a `torch.nn.Module` or a
            function from images (B, 3, H, W) to maps (B, C, h, w), see docs/howto/plugins.md. A module is left as it
            was found. Or a list of these.
        data: a built folder or its path, the name of a benchmark, "mini", a published folder "ORG/NAME", or a subset of
            `subset`; None = where `load_dataset("soco")` looks. Or several: a list, or names separated by commas.
        tasks: "soc", "soc,cross_soc", names as tables print them ("SOC"), a list of names or tasks; None = CC, SOC and
            both across categories, or the benchmark's own standard tasks, as far as the data has pairs for them.
        image_size: side of the network input, pixels; short for `features=FeatureConfig(image_size=...)`. None = 800,
            or that of the extractor.
        features: image_size, layer, norm, statistics and dtype of a model that is not loaded yet; what is left at its
            default is as the model's recipe says.
        scoring: how predictions are made and scored; None = as the benchmark does it.
        run: where and how the work is done: `RunConfig(out="results")` also writes record and predictions there, as
            `soco evaluate` does.

    Returns:
        A `Result`. Of a list of models a list with one entry per model, of several data a list with one `Result` per
        data (of both, a list of lists). Written files of several data are in a folder each, named after the benchmark.

    Raises:
        UsageError: something that is no model, data or task, options that do not go together, or files of another run
            in `run.out` (see `RunConfig.overwrite`).
        BackboneError, DataNotFoundError, DatasetFolderError: what was named cannot be had, or is damaged.
        MissingExtraError: torch or transformers is not installed.
    """
    models = list(model) if isinstance(model, list | tuple) else [model]
    if not models:
        raise UsageError("The list of models is empty.")
    for one in models:
        check_given_model(one)
    for name, given, kind in (
        ("features", features, FeatureConfig),
        ("scoring", scoring, ScoringConfig),
        ("run", run, RunConfig),
    ):
        if not isinstance(given, kind | None):
            example = {"run": 'out="results"', "scoring": "alphas=(0.1, 0.05)", "features": "layer=9"}[name]
            raise UsageError(f"{name} must be a {kind.__name__}, such as {kind.__name__}({example}), got {given!r}.")
    call = _Call(*_opened(data), tasks, _features(image_size, features), scoring, RunConfig() if run is None else run)
    results = [call.results(one) for one in models]
    return results if isinstance(model, list | tuple) else results[0]


def subset(
    data: GivenData = None,
    tasks: GivenTasks = None,
    *,
    pairs: int | None = None,
    images: int | None = None,
    seed: int = 0,
) -> FolderSubset:
    """Some test pairs of a dataset, drawn evenly over the categories: data of its own for evaluations in seconds.

    Args:
        data: see `evaluate`; one.
        tasks: whose pairs are drawn; None = all that the data has.
        pairs: pairs of each kind of pairs; None = no limit.
        images: images of all of them together; None = no limit.
        seed: of the draw, which is the same on every machine.

    Raises:
        UsageError: no limit, or tasks without pairs.
    """
    folder = dataset_folder(data)
    configs = None if tasks is None else [task.config for task in get_tasks(tasks, benchmark_of(folder))]
    return FolderSubset(folder, configs, pairs=pairs, images=images, seed=seed)


@dataclass
class _Call:
    """What one call asks of each of its models.

    Attributes:
        folders: the data.
        is_one: whether a single `Result` is given back instead of a list.
        tasks, features, scoring, run: see `evaluate`.
        written: files that this call has written: two models of one name must not replace each other.
    """

    folders: list[DatasetFolder]
    is_one: bool
    tasks: GivenTasks
    features: FeatureConfig | None
    scoring: ScoringConfig | None
    run: RunConfig
    written: set[Path] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.runs = [self._run_on(folder) for folder in self.folders]
        if self.run.out is not None:
            writable_folder(self.run.out)
        self.outs: list[Path | None] = [None] * len(self.folders)
        if (out := self.run.out) is not None:
            self.outs = [Path(out) / label for label in ([""] if self.is_one else result_labels(self.folders))]

    def results(self, model: Any) -> Any:
        """The `Result` of one model, or one per data."""
        with _extractor(model, self.features, self.run) as extractor:
            names = [self._name(extractor, one, out) for one, out in zip(self.runs, self.outs, strict=True)]
            found = []
            for number, evaluation in enumerate(self._evaluations(extractor)):
                found.append(self._result(evaluation, number, names[number]))
        return found[0] if self.is_one else found

    def _evaluations(self, extractor: Extractor) -> Iterator[Evaluation]:
        if len(self.runs) > 1:
            yield from evaluate_several(extractor, self.runs, self.run)
        else:
            one = self.runs[0]
            yield evaluate_backbone(extractor, one.folder, one.tasks, scoring=one.scoring, run=self.run)

    def _run_on(self, folder: DatasetFolder) -> BenchmarkRun:
        preset = get_preset("standard")
        scoring = preset_scoring(preset, benchmark_of(folder)) if self.scoring is None else self.scoring
        tasks, note = choose_tasks(folder, preset, self.tasks, several=not self.is_one)
        if note and self.tasks is not None:
            _log.warning("%s", note)
        return BenchmarkRun(folder, tasks, scoring)

    def _name(self, extractor: Extractor, one: BenchmarkRun, out: Path | None) -> str:
        """The stem of a result's files; raises `UsageError` where those of another run have it."""
        planned = planned_run(extractor, one)
        wanted = FeatureConfig() if self.features is None else self.features
        asked = replace(wanted, image_size=planned.model.get("requested_size", wanted.image_size))
        label = one.folder.label if isinstance(one.folder, FolderSubset) else ""
        stem = result_name(planned.model, *qualifiers_of(asked, self.scoring or ScoringConfig()), label)
        if out is not None:
            record = out / f"{stem}.json"
            if record in self.written:
                raise UsageError(f"Two models of this call would write {record}: give one a `name` of its own.")
            there = check_replaces_own(record, EvaluationResult, planned, overwrite=self.run.overwrite)
            if there and not self.run.overwrite:
                _log.warning("%s: the result of the same run is replaced when this one is done", record)
            self.written.add(record)
        return stem

    def _result(self, evaluation: Evaluation, number: int, name: str) -> Result:
        result = Result(evaluation.result, evaluation.predictions, data=self.runs[number].folder, name=name)
        if (out := self.outs[number]) is not None:
            result.path = result._write(out, self.run.overwrite, checked=True)
        return result


def _opened(data: Any) -> tuple[list[DatasetFolder], bool]:
    """(the opened data, whether it is one and not a list)."""
    if isinstance(data, list | tuple):
        if not data:
            raise UsageError("The list of data is empty.")
        return [dataset_folder(one) for one in data], False
    names = data_names(data) if isinstance(data, str) else []
    return ([dataset_folder(name) for name in names], False) if len(names) > 1 else ([dataset_folder(data)], True)


def _features(image_size: int | None, features: FeatureConfig | None) -> FeatureConfig | None:
    if image_size is None:
        return features
    if features is not None and features.image_size not in (image_size, FeatureConfig().image_size):
        raise UsageError(
            f"image_size={image_size} and features.image_size={features.image_size} contradict each other."
        )
    return replace(features or FeatureConfig(), image_size=image_size)


@contextlib.contextmanager
def _extractor(model: Any, features: FeatureConfig | None, run: RunConfig) -> Iterator[Extractor]:
    """The model in this process, or on the workers of a cluster."""
    if run.engine == "local":
        with opened_extractor(model, features, device=run.device) as extractor:
            yield extractor
        return
    if not isinstance(model, str | Path):
        raise UsageError("On a cluster each worker loads the model itself: give its name, Hub id, folder or plug-in.")
    from ..distributed.ray_engine import RayExtractor

    spec = extractor_spec_of(model, features, run.device)
    with RayExtractor(spec, address=run.address, workers=run.cluster_workers) as remote:
        yield remote
