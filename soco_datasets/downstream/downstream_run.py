"""Run tasks: open the data, merge what all tasks want, extract once, score, and write one record per task."""

from __future__ import annotations

import contextlib
import json
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import BackboneError, MissingExtraError, PredictionsError, SocoError, UsageError, unknown_name
from ..features.requests import merge_requests
from ..records.evaluation import library_versions
from ..records.replacement import check_same_run
from ..records.result_files import result_name
from ..utils.files import atomic_file, writable_folder
from .base import DownstreamTask, Outcome, TaskJob, TaskRun
from .extraction import Extraction, distinct_wants, stored_bytes
from .extraction_shards import ShardSource
from .precision import PRECISIONS
from .readers.base import DataReader
from .readers.known_readers import open_data
from .record import DownstreamResult, identity_of
from .run_options import RunOptions
from .shared_batches import SharedBatches, run_together
from .synthetic_data import SYNTH, embedded
from .task_registry import chosen_protocol

if TYPE_CHECKING:
    from ..features.extractor import DenseFeatureExtractor
    from ..features.spec import ExtractorSpec
    from ..utils.chunks import Mapper

_ANY_SIZE = (512, 512)


@dataclass
class PlannedTask:
    """A task that is to run.

    Attributes:
        task: it.
        protocol: name.
        data: its data, None where it cannot be opened.
        job: None where the model cannot do it.
        reason: why there is no job.
        stem: of its files.
    """

    task: DownstreamTask
    protocol: str
    data: DataReader | None
    job: TaskJob | None
    reason: str
    stem: str


@dataclass
class Report:
    """What a run did.

    Attributes:
        records: task -> its record.
        paths: task -> file.
        kept: tasks whose finished record was kept.
        seconds: "extract KIND", "train TASK" (with its validation) or "score TASK" -> wall time.
    """

    records: dict[str, DownstreamResult] = field(default_factory=dict)
    paths: dict[str, Path] = field(default_factory=dict)
    kept: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)


class DownstreamRun:
    """Tasks of one model."""

    def __init__(
        self,
        extractor: DenseFeatureExtractor,
        tasks: Sequence[DownstreamTask],
        data: Mapping[str, str | Path],
        options: RunOptions,
    ) -> None:
        """Open the data and plan; nothing is forwarded.

        Args:
            extractor: the model.
            tasks: to run; those whose data is not given are left out.
            data: kind -> place.
            options: see `RunOptions`.

        Raises:
            UsageError: no task has its data; a record of another run is in the place of one that will be written.
            SocoError: data that cannot be read, or that the check finds errors in.
        """
        self.extractor, self.options = extractor, options
        self._cluster: tuple[Mapper, ExtractorSpec] | None = None
        if options.precision not in PRECISIONS:
            raise unknown_name("precision", options.precision, PRECISIONS)
        writable_folder(options.out)
        self.folder = options.out / result_name(extractor.describe())
        self.skipped = [task.name for task in tasks if task.data not in data]
        chosen = [task for task in tasks if task.data in data]
        if not chosen:
            kinds = sorted({task.data for task in tasks})
            raise UsageError(f"No task has its data. Give --data {kinds[0]}=DIR, of: {', '.join(kinds)}; or synth.")
        self._readers: dict[str, DataReader | MissingExtraError] = {}
        self.warnings: list[str] = []  # about the data, to be printed before the run
        for kind in dict.fromkeys(task.data for task in chosen):
            self._readers[kind] = self._open(kind, data[kind])
        self.tasks = [self._named(task) for task in chosen]
        for one in self.tasks:
            self._check_replaced(one)
        for one in self.tasks:
            if not options.resume:
                shutil.rmtree(self._work(one.task), ignore_errors=True)
            self._open_job(one)

    def _open(self, kind: str, place: str | Path) -> DataReader | MissingExtraError:
        try:
            place = embedded(kind) if place == SYNTH else place
            reader = open_data(kind, place, self.options.data_options)
            findings = reader.check(deep=False) if self.options.checked else []
        except MissingExtraError as error:
            return error
        errors = [str(one) for one in findings if one.severity == "error"]
        self.warnings += [str(one) for one in findings if one.severity == "warning"]
        if errors:
            shown = "\n  ".join(errors[:10])
            more = f"\n  and {len(errors) - 10} more" if len(errors) > 10 else ""
            raise SocoError(
                f"{place} has {len(errors)} errors, found before any forward:\n  {shown}{more}\n"
                f"Fix them (soco downstream check {kind} {place} lists all), or run with --unchecked."
            )
        return reader

    def _work(self, task: DownstreamTask) -> Path:
        return self.folder / ".work" / f"{task.name}.{self._protocol(task)}"

    def _protocol(self, task: DownstreamTask) -> str:
        protocols = self.options.protocols
        return chosen_protocol(task, protocols.get(task.name, protocols.get("")))

    def _named(self, task: DownstreamTask) -> PlannedTask:
        """A task with its data and the name of its files; its job is not opened yet."""
        protocol, reader = self._protocol(task), self._readers[task.data]
        stem = task.name if protocol == task.default else f"{task.name}.{protocol}"
        if isinstance(reader, MissingExtraError):
            return PlannedTask(task, protocol, None, None, str(reader), stem)
        return PlannedTask(task, protocol, reader, None, "", stem)

    def _open_job(self, one: PlannedTask) -> None:
        """Open the job of a task that has its data; where the model cannot do it, say why."""
        if one.data is None:
            return
        work = self._work(one.task)
        work.mkdir(parents=True, exist_ok=True)
        try:
            job = one.task.open(one.data, self.extractor.backbone, one.task.protocols[one.protocol], work)
            for want in job.wanted():
                plan = merge_requests([want.request], self.extractor.backbone)[0][0]
                if len(want.images):
                    self.extractor.map_shape(plan, want.images.size(0) if want.images.size else _ANY_SIZE)
        except (BackboneError, MissingExtraError) as error:
            one.reason = str(error)
        else:
            one.job = job

    def describe(self) -> list[dict[str, Any]]:
        """What will be read, forwarded and stored, one row per task and one per data set: the dry run."""
        rows: list[dict[str, Any]] = []
        for kind in self._readers:
            own = [one for one in self.tasks if one.task.data == kind and one.job is not None]
            wanted = [want for one in own if one.job for want in one.job.wanted()]
            planned = Extraction(self.extractor, None).planned(wanted)
            stored = sum(stored_bytes(self.extractor, want) for want in distinct_wants(wanted, self.extractor))
            rows.append({"data": kind, **planned, "stored": stored})
        drawn: set[Any] = set()
        for one in self.tasks:
            views = one.job.drawn_views() if one.job else None
            forwards = one.job.online_forwards() if one.job and views not in drawn else 0  # made once for all
            drawn |= set() if views is None else {views}
            rows.append({"task": one.task.name, "protocol": one.protocol, "reason": one.reason, "online": forwards})
        return rows

    def run(self, cluster: tuple[Mapper, ExtractorSpec] | None = None) -> Report:
        """Run all tasks.

        Args:
            cluster: what applies functions on a cluster, and how its workers load the model: extraction and the search
                of neighbors go by shards, heads train here. None = all in this process.

        Raises:
            SocoError: a task fails; records of finished ones stay.
        """
        report, self._cluster = Report(), cluster
        self.folder.mkdir(parents=True, exist_ok=True)
        for kind in self._readers:
            own = [one for one in self.tasks if one.task.data == kind]
            todo = [one for one in own if not self._kept(one, report)]
            # A folder for each data set: runs on others may be at work beside this one.
            self._run_data(kind, todo, self.options.store or self.folder / ".features" / kind, report)
            if self.options.store is None:
                shutil.rmtree(self.folder / ".features" / kind, ignore_errors=True)
            for one in own:
                shutil.rmtree(self._work(one.task), ignore_errors=True)
        for name in (".features", ".work"):
            with contextlib.suppress(OSError):  # not empty: another run's
                (self.folder / name).rmdir()
        return report

    def _run_data(self, kind: str, todo: Sequence[PlannedTask], store: Path, report: Report) -> None:
        able = [one for one in todo if one.job is not None]
        for one in todo:
            if one.job is None:
                self._write(one, Outcome({}), {}, report)
        if not able:
            return
        extraction = Extraction(self.extractor, store, self.options.workers, self.options.memory_budget)
        if self._cluster is not None and able[0].data is not None:
            named = tuple((one.task.name, one.protocol) for one in able)
            options, place = self.options.data_options, str(able[0].data.root)
            extraction.mapper = self._cluster[0]
            extraction.source = ShardSource(self._cluster[1], kind, place, options, named)
        parts = [list(one.job.wanted()) for one in able if one.job]
        wanted = [want for part in parts for want in part]
        started = time.perf_counter()
        sinks = extraction.open(wanted)
        try:
            extraction.run(wanted, sinks, f"Features of {kind}")
            report.seconds[f"extract {kind}"] = time.perf_counter() - started
            first, ready = 0, []
            for one, part in zip(able, parts, strict=True):
                own = sinks[first : first + len(part)]
                first += len(part)
                given = [None if want.sink is not None else sink for want, sink in zip(part, own, strict=True)]
                ready.append((one, given))
            for group in _side_by_side(ready):
                self._score(group, extraction.counts, report)
        finally:
            for sink in {id(one): one for one in sinks}.values():
                if hasattr(sink, "close"):
                    sink.close()

    def _score(
        self, group: Sequence[tuple[PlannedTask, Sequence[Any]]], extracted: Mapping[str, int], report: Report
    ) -> None:
        """Score tasks that share the forwards of their training, or one task, and write the records."""
        shared = SharedBatches([one.stem for one, _ in group]) if len(group) > 1 else None
        runs = {one.stem: self._task_run(one, dict(extracted), shared) for one, _ in group}
        started = time.perf_counter()
        work = {one.stem: partial(_job(one).score, stored, runs[one.stem]) for one, stored in group}
        found = {stem: one() for stem, one in work.items()} if shared is None else run_together(work, shared)
        seconds = time.perf_counter() - started
        counts = {name: 0 for run in runs.values() for name in run.counts}
        for name in counts:  # what was forwarded for one was forwarded for all
            counts[name] = sum(run.counts.get(name, 0) for run in runs.values())
            counts[name] -= (len(runs) - 1) * extracted.get(name, 0)
        for one, _ in group:
            trained = runs[one.stem].seconds.get("train", 0.0)
            report.seconds[f"train {one.task.name}"] = trained / len(group)  # side by side
            report.seconds[f"score {one.task.name}"] = (seconds - trained) / len(group)
            steps = {name: runs[one.stem].counts[name] for name in ("steps",) if name in runs[one.stem].counts}
            images = sum(len(want.images) for want in {w.images.name: w for w in _job(one).wanted()}.values())
            scored = {"images": images, "scored": _job(one).samples_scored()}
            self._write(one, found[one.stem], {**scored, **counts, **steps}, report)
            shutil.rmtree(runs[one.stem].work, ignore_errors=True)

    def _task_run(self, one: PlannedTask, counts: dict[str, int], shared: SharedBatches | None) -> TaskRun:
        run = TaskRun(
            extractor=self.extractor,
            work=self._work(one.task),
            out=self.folder,
            stem=one.stem,
            seed=self.options.seed,
            device=self.extractor.backbone.device,
            counts=counts,
            workers=self.options.workers,
            mapper=None if self._cluster is None else self._cluster[0],
            precision=self.options.precision if self.extractor.backbone.device.startswith("cuda") else "float32",
            shared=shared,
            identity=identity_of(self._fields(one)),
        )
        run.work.mkdir(parents=True, exist_ok=True)
        return run

    def _fields(self, one: PlannedTask) -> dict[str, Any]:
        task, options = one.task, self.options
        model = {
            k: v for k, v in self.extractor.describe().items() if k not in ("requested_size", "effective_size", "grid")
        }
        subset = None if options.subset is None else {"images": options.subset, "seed": options.seed}
        choices = dict(task.protocols[one.protocol])
        protocol = {"name": one.protocol, "default": one.protocol == task.default, "choices": choices}
        described = one.data.describe() if one.data else {"id": task.data, "content_hash": ""}
        return {
            "task": task.name, "model": model, "dataset": described, "protocol": protocol, "subset": subset,
            "seed": options.seed,
        }  # fmt: skip

    def _path(self, one: PlannedTask) -> Path:
        return self.folder / f"{one.stem}.json"

    def _kept(self, one: PlannedTask, report: Report) -> bool:
        if not self.options.resume or not self._path(one).is_file():
            return False
        try:
            record = DownstreamResult.read(self._path(one))
        except PredictionsError:
            return False
        mine = json.loads(json.dumps(identity_of(self._fields(one))))
        if json.loads(json.dumps(identity_of(record.to_dict()))) != mine:
            return False
        report.records[one.task.name], report.paths[one.task.name] = record, self._path(one)
        report.kept.append(one.task.name)
        return True

    def _check_replaced(self, one: PlannedTask) -> None:
        """Refuse to replace the number of another model, data set, subset or seed."""
        path = self._path(one)
        if not path.exists() or self.options.overwrite:
            return
        try:
            before = DownstreamResult.read(path)
        except PredictionsError as error:
            raise UsageError(f"{path} is not replaced: {error} Move it, or give --overwrite.") from error
        if before.value is not None:
            check_same_run(path, identity_of(self._fields(one)), identity_of(before.to_dict()))

    def _write(self, one: PlannedTask, outcome: Outcome, counts: dict[str, int], report: Report) -> None:
        import numpy as np

        record = DownstreamResult(
            **self._fields(one),
            headline_metric=one.task.headline,
            metrics=outcome.metrics,
            reason=one.reason or _nothing(outcome, one.task.headline),
            left_out=outcome.left_out,
            training=outcome.training,
            details=outcome.details,
            remarks=outcome.notes,
            counts=counts,
            versions=library_versions(),
            device=self.extractor.backbone.device,
            created=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        )
        if outcome.samples:
            with atomic_file(self.folder / f"{one.stem}.samples.npz") as temporary, open(temporary, "wb") as file:
                np.savez_compressed(file, allow_pickle=False, **outcome.samples)
        record.write(self._path(one))
        report.records[one.task.name], report.paths[one.task.name] = record, self._path(one)


def _job(one: PlannedTask) -> TaskJob:
    assert one.job is not None
    return one.job


def _side_by_side(ready: Sequence[Any]) -> list[list[Any]]:
    """Groups of (task, features) to score at once: those whose training forwards the same views."""
    groups: dict[Any, list[Any]] = {}
    for number, (one, stored) in enumerate(ready):
        views = _job(one).drawn_views()
        groups.setdefault(number if views is None else views, []).append((one, stored))
    return list(groups.values())


def _nothing(outcome: Outcome, headline: str) -> str:
    value = outcome.metrics.get(headline, {"value": None})["value"]
    return "" if value is not None else "nothing to score"
