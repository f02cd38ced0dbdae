"""What evaluations of one and of several benchmarks share: the options as values, and what they write."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, NamedTuple

from typer import Option

from ..errors import unknown_name
from ..utils.terminal import print_note
from .common import OutputOptions, numbers
from .completion import complete_protocols, complete_tasks
from .engine_options import EngineOptions
from .model_options import BackboneOptions

if TYPE_CHECKING:
    from ..benchmarks.base import Task
    from ..config import RunConfig, ScoringConfig
    from ..correspondence.engines import Extractor
    from ..correspondence.evaluate import Evaluation
    from ..correspondence.several import BenchmarkRun
    from ..data.folder import DatasetFolder

_PRESET = "the protocol's"
_PROTOCOLS = "standard, paper (all of its tables) or fast (soc at 0.1); options below override it"
_SPLIT = "test or another stored split; all: all pairs, streamed; gives a record but no predictions"
_STORE = "feature cache: auto, memory, disk (kept for the next run) or none (two passes, least memory)"
_TASKS = "comma-separated, such as cc,soc,soc_soft,soc_geo,cross_soc"


@dataclass(frozen=True, kw_only=True)
class ProtocolOptions:
    """What is evaluated and how it is scored."""

    PANEL: ClassVar[str] = "Protocol"

    protocol: Annotated[str, Option(metavar="NAME", help=_PROTOCOLS, autocompletion=complete_protocols)] = "standard"
    split: Annotated[str, Option(metavar="NAME", help=_SPLIT)] = "test"
    tasks: Annotated[
        str | None,
        Option(
            metavar="TASK,TASK",
            help=_TASKS,
            show_default="the protocol's: cc,soc,cross_cc,cross_soc",
            autocompletion=complete_tasks,
        ),
    ] = None
    no_probe: Annotated[bool, Option(help="with --protocol paper: without the linear probe")] = False
    convention: Annotated[
        str | None,
        Option(
            metavar="NAME",
            help="reference or centered: where cells lie in the image",
            show_default="the protocol's: reference",
        ),
    ] = None
    alphas: Annotated[
        str | None,
        Option(
            metavar="X,X,...",
            help="PCK thresholds, fractions of the normalizer",
            show_default="the protocol's: 0.1,0.05,0.02",
        ),
    ] = None
    reductions: Annotated[
        str | None,
        Option(
            metavar="NAME,NAME",
            help="comma-separated: pair, keypoint, image",
            show_default="the protocol's: pair,keypoint",
        ),
    ] = None
    normalizer: Annotated[str, Option(metavar="NAME", help="what errors are divided by: bbox or image")] = "bbox"
    valid_area: Annotated[bool, Option(help="never predict a cell that holds only padding")] = False
    soft_beta: Annotated[float, Option(help="temperature of soft tasks")] = 0.02
    soft_window: Annotated[
        int, Option(help="soft tasks: cells on each side of the best one (7: 15 x 15), 0 = whole map")
    ] = 7

    def qualifiers(self) -> list[str]:
        """What the names of results say of options that are not at their default: "centered" ..."""
        from ..config import FeatureConfig
        from ..records.result_files import qualifiers_of

        return qualifiers_of(FeatureConfig(), self.scoring())

    def scoring(self, folder: DatasetFolder | None = None) -> ScoringConfig:
        """The scoring options; where none is given the folder's benchmark's (not SOCO's), else the preset's."""
        from ..benchmarks.base import SOCO, benchmark_of, get_benchmark
        from ..config import check_thresholds
        from ..correspondence.presets import get_preset, preset_scoring

        benchmark = get_benchmark(SOCO) if folder is None else benchmark_of(folder)
        changed: dict[str, Any] = {
            "normalizer": self.normalizer,
            "valid_area": self.valid_area,
            "soft_beta": self.soft_beta,
            "soft_window": self.soft_window,
        }
        if self.convention is not None:
            changed["convention"] = self.convention
        if self.alphas is not None:
            changed["alphas"] = numbers("--alphas", self.alphas)
            check_thresholds(changed["alphas"], "--alphas")
        if self.reductions is not None:
            changed["reductions"] = tuple(self.reductions.split(","))
        return replace(preset_scoring(get_preset(self.protocol), benchmark), **changed)


@dataclass(frozen=True, kw_only=True)
class StorageOptions:
    """Where feature maps are kept, and what is done about damaged images."""

    PANEL: ClassVar[str] = "Run"

    store: Annotated[str, Option(metavar="NAME", help=_STORE)] = "auto"
    store_dir: Annotated[
        Path | None, Option(metavar="DIR", help="folder of the stores of --store disk", show_default="in SOCO_CACHE")
    ] = None
    skip_bad: Annotated[bool, Option(help="skip undecodable images and report how many")] = False


@dataclass(frozen=True)
class EvaluationPlan:
    """The options of one evaluation.

    Attributes:
        model: which model, and its input.
        protocol: what is evaluated and how it is scored.
        storage: where feature maps are kept.
        engine: where the work is done.
        output: where results are written.
    """

    model: BackboneOptions
    protocol: ProtocolOptions
    storage: StorageOptions
    engine: EngineOptions
    output: OutputOptions

    def qualifiers(self) -> list[str]:
        """What the names of results say of options that are not at their default."""
        return [*self.model.qualifiers(), *self.protocol.qualifiers()]

    def run_config(self) -> RunConfig:
        """The options of where and how the work is done."""
        from ..config import CachePolicy

        cache = CachePolicy(self.storage.store, self.model.budget(), self.storage.store_dir)
        return self.engine.config(cache=cache, workers=self.model.workers, skip_bad=self.storage.skip_bad)


class ResultNames(NamedTuple):
    """The stem of the files of an evaluation, whether those of the same run exist and will be replaced, and of any."""

    stem: str
    replaced: bool
    overwrite: bool


def result_names(plan: EvaluationPlan, out: Path, extractor: Extractor, run: BenchmarkRun) -> ResultNames:
    """How the results in `out` will be called. Raises `UsageError` where those of another run have the name.

    Args:
        plan: the options.
        out: folder of the results.
        extractor: of the model.
        run: the data, the tasks and how they are scored.
    """
    from ..correspondence.several import planned_run
    from ..records.evaluation import EvaluationResult
    from ..records.replacement import check_replaces_own
    from ..records.result_files import result_name

    planned = planned_run(extractor, run)
    kept = "" if run.split in ("test", "all") else run.split
    stem = result_name(planned.model, *plan.qualifiers(), kept)
    record = out / (f"{stem}.all.json" if run.split == "all" else f"{stem}.json")
    overwrite = plan.output.overwrite
    return ResultNames(stem, check_replaces_own(record, EvaluationResult, planned, overwrite=overwrite), overwrite)


def write(out: Path, evaluation: Evaluation, names: ResultNames) -> str:
    """Write the record and the predictions, where they were kept; which files these are, as text.

    `result_names` has checked what is replaced.
    """
    from ..records.evaluation import write_evaluation, write_record

    stem, replace = names.stem, {"overwrite": names.overwrite, "checked": True}
    if evaluation.predictions is None:
        record = write_record(out, evaluation.result, stem, **replace)
        kept = "none of all pairs: soco score, compare, submit need them"
    else:
        record, predictions = write_evaluation(out, evaluation.predictions, evaluation.result, stem, **replace)
        kept = str(predictions)
    kept_name = record.name.removesuffix(".json").removesuffix(".all") == stem
    replaced = "\nreplaced     those of an earlier run" if names.replaced and kept_name else ""
    following = f"\nnext         soco report {shlex.quote(str(record))}"
    return f"record       {record}\npredictions  {kept}{replaced}{following}"


def requested_tasks(
    protocol: ProtocolOptions, folder: DatasetFolder | None = None, *, several: bool = False
) -> tuple[Task, ...]:
    """The tasks of `--tasks`, else those of the preset, see `choose_tasks`; what is left out is reported on stderr.

    Without a folder the names are only checked.
    """
    from ..benchmarks.tasks import get_tasks
    from ..correspondence.presets import choose_tasks, get_preset

    preset = get_preset(protocol.protocol)
    if folder is None:
        return get_tasks(preset.tasks if protocol.tasks is None else protocol.tasks)
    stored = _configs_with(folder, protocol.split)
    tasks, note = choose_tasks(folder, preset, protocol.tasks, stored=stored, several=several)
    if note:
        print_note(note)
    return tasks


def _configs_with(folder: DatasetFolder, split: str) -> list[str]:
    """The configs of tasks that store a split; raises `UsageError` where none does."""
    from ..benchmarks.base import benchmark_of

    if split in ("test", "all"):
        return folder.configs
    names = dict.fromkeys(task.config for task in benchmark_of(folder).tasks if task.config in folder.configs)
    splits = {name: folder.splits(name) for name in names}
    stored = [name for name, own in splits.items() if split in own]
    if not stored:
        raise unknown_name("split", split, {"test", "all"}.union(*splits.values()))
    return stored
