"""What a benchmark is, as one value, and the registry of all of them.

A benchmark is a module of this package that defines `BENCHMARK` (a folder defines it in its `benchmark.py`), or an
entry point of the group `soco_datasets.benchmarks` of another installed package:

    [project.entry-points."soco_datasets.benchmarks"]
    toy = "toy_package.toy:BENCHMARK"

Nothing else has to be edited: `soco build` recognizes its files, the built folder states its tables, and evaluation,
reports and leaderboards ask this object for tasks, protocol, counts and published scores.
"""

from __future__ import annotations

import importlib
import logging
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from ..data.checked_release import Release
from ..data.diagnostics import BuildReport
from ..data.schema import CONFIGS, TableSpec
from ..data.shards import Format
from ..errors import UsageError, unknown_name
from ..utils.chunks import Mapper
from ..utils.paths import local_path
from .published import PaperScore

if TYPE_CHECKING:
    from ..data.folder import DatasetFolder

ENTRY_POINTS = "soco_datasets.benchmarks"
SOCO = "soco"  # the benchmark of a folder whose manifest names none
MatcherName = Literal["argmax", "soft", "candidates"]
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Task:
    """One task: a pair config of the dataset and a matcher.

    The config decides which pairs there are and which target points are valid, the matcher how a query finds its place
    in the target.

    Attributes:
        name: what users type and the key of its metrics in a result record.
        config: the dataset config whose rows are the task's pairs.
        title: the name in tables.
        matcher: "argmax" = the best cell of the target; "soft" = the window soft-argmax around it; "candidates" = the
            best of the candidate points, which the config must have.
        min_candidates: queries with fewer candidate points than this are left out (matcher "candidates" only).
    """

    name: str
    config: str
    title: str
    matcher: MatcherName = "argmax"
    min_candidates: int = 0


@dataclass(frozen=True)
class BuildOptions:
    """How a source is read and written.

    Attributes:
        benchmark: name of the benchmark; None = recognize it by its files.
        revision: commit, tag or branch of a Hub source.
        format: "arrow" or "parquet".
        max_shard_size: bytes of data in one shard, such as "500MB".
        strict: make an error of every repair.
        skip_bad: leave out the images and pairs that have errors, instead of refusing the source.
        overwrite: replace the output folder when it is not empty.
        test_pairs: number of fixed pairs to draw, only where the source brings none.
        min_shared: keypoints that a drawn or generated pair shares at least.
        seed: of that draw.
        draw_pairs: accept a source without any pair file, and draw or generate pairs.
        preview: add the config `preview`, drawn pairs for the Hub's viewer, which is no part of the content hash.
        points: for SPair-71k, "image" (ImageAnnotation, the reference) or "pair" (the points of the pair files).
        pair_list: for COCO keypoint files, a CSV or JSON file of pairs.
        fields: for COCO keypoint files, name of a field of the format -> its name in this file.
    """

    benchmark: str | None = None
    revision: str | None = None
    format: Format = "arrow"
    max_shard_size: str | int = "500MB"
    strict: bool = False
    skip_bad: bool = False
    overwrite: bool = False
    test_pairs: int = 20_000
    min_shared: int = 3
    seed: int = 0
    draw_pairs: bool = False
    preview: bool = True
    points: str = "image"
    pair_list: Path | None = None
    fields: Mapping[str, str] = field(default_factory=dict)


class Reader(Protocol):
    """Opens and checks a source; the release's image files stay readable inside the context."""

    def __call__(
        self, source: str, options: BuildOptions, findings: BuildReport, mapper: Mapper, /
    ) -> AbstractContextManager[Release]:
        """Errors and repairs go into `findings`; raises `SocoError` where there is nothing to read."""


@dataclass(frozen=True)
class CountRow:
    """One count of a built folder beside the full benchmark's. `tolerance` is relative; 0 means exactly."""

    name: str
    here: int
    real: int | None
    tolerance: float = 0.0

    @property
    def agrees(self) -> bool:
        return self.real is None or abs(self.here - self.real) <= self.tolerance * self.real


@dataclass(frozen=True)
class PointRule:
    """How the `reference` protocol of a benchmark turns pixels into network coordinates.

    Attributes:
        centered: whether the image sits in the middle of the white square instead of at its top left.
        truncated: whether points are truncated to whole pixels before and after scaling.
        points: which annotated points are scored, in words, for the record.
        scale: what an error is divided by under the normalizer "bbox", in words, for the record.
    """

    centered: bool = False
    truncated: bool = True
    points: str = "visible in both images"
    scale: str = "longest side of the target box"


def _no_scores() -> tuple[PaperScore, ...]:
    return ()


def _no_origins(release: Release, options: BuildOptions) -> dict[str, str]:
    return {name: "released" for name, pairs in release.pairs.items() if pairs}


def _no_remarks(folder: DatasetFolder) -> list[str]:
    return []


def _no_counts(folder: DatasetFolder, all_pairs: bool) -> list[CountRow]:
    return []


@dataclass(frozen=True)
class Benchmark:
    """One benchmark.

    Attributes:
        name: what users type and manifests state, lower case.
        title: the name in tables and cards.
        about: one sentence.
        reader: opens a source.
        find_root: the folder of the benchmark at or directly below a path, None where the path holds none.
        looked_for: the files by which `find_root` knows it, for error messages.
        tasks: what can be evaluated, in the order of tables.
        default_tasks: names of those that a run without `--tasks` evaluates.
        configs: config name -> its table.
        aliases: other names that users may type.
        scoring: default fields of `config.ScoringConfig` (convention, normalizer, alphas, reductions).
        point_rule: of the `reference` protocol.
        has_questions: whether multiple-choice questions for language models are made of the annotations.
        is_general: whether it reads a format that other benchmarks use too, so that these win where both fit.
        settle_pairs: adds missing pairs to a checked release; returns pair list -> where it came from.
        counts: the counts of a built folder, each beside the full benchmark's.
        remarks: lines that `soco info` adds about a built folder.
        splits: split -> number of pairs of the full benchmark, for `soco benchmarks`.
        pair_attributes: column of the pair tables -> the word for each of its values 0, 1, ..., by which reports break
            scores down.
        published: scores from papers.
        is_full_record: whether a record's (dataset id, number of categories) is of the full benchmark.
        subsets: supercategories that a leaderboard ranks beside the overall score.
        card: text of the card template; None = the general one.
        license, citation, homepage, get_data: as stated by the benchmark's authors.
        notes: what to know before comparing scores, such as overlapping splits; `soco info` prints them.
    """

    name: str
    title: str
    about: str
    reader: Reader
    find_root: Callable[[Path], Path | None]
    looked_for: str
    tasks: tuple[Task, ...]
    default_tasks: tuple[str, ...] = ()
    configs: Mapping[str, TableSpec] = field(default_factory=lambda: CONFIGS)
    aliases: tuple[str, ...] = ()
    scoring: Mapping[str, Any] = field(default_factory=dict)
    point_rule: PointRule = PointRule()
    has_questions: bool = False
    is_general: bool = False
    settle_pairs: Callable[[Release, BuildOptions], dict[str, str]] = _no_origins
    counts: Callable[[DatasetFolder, bool], list[CountRow]] = _no_counts
    remarks: Callable[[DatasetFolder], list[str]] = _no_remarks
    splits: Mapping[str, int] = field(default_factory=dict)
    pair_attributes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    published: Callable[[], Sequence[PaperScore]] = _no_scores
    is_full_record: Callable[[str, int], bool] = lambda dataset_id, categories: False
    subsets: tuple[str, ...] = ()
    card: Callable[[], str] | None = None
    license: str = "not stated"
    citation: str = ""
    homepage: str = ""
    get_data: str = ""
    notes: tuple[str, ...] = ()

    def task(self, name: str) -> Task:
        """The task of this name; raises `UsageError` for an unknown one."""
        found = {task.name: task for task in self.tasks}
        if name not in found:
            raise unknown_name(f"task of {self.title}", name, found)
        return found[name]


@lru_cache(maxsize=1)
def benchmarks() -> Mapping[str, Benchmark]:
    """Every benchmark by name: SOCO, the other built-in ones in alphabetical order, then those of other packages.

    An entry point that cannot be imported, is not a `Benchmark` or takes a name that is in use is skipped with a
    warning, so that another package's defect does not stop this one. `benchmarks.cache_clear()` looks again.
    """
    found: dict[str, Benchmark] = {}
    modules = sorted(pkgutil.iter_modules([str(Path(__file__).parent)]), key=lambda m: (m.name != SOCO, m.name))
    for module in modules:
        name = f"{__package__}.{module.name}" + (".benchmark" if module.ispkg else "")
        value = getattr(importlib.import_module(name), "BENCHMARK", None)
        if isinstance(value, Benchmark):
            found[value.name] = value
    for entry in sorted(metadata.entry_points(group=ENTRY_POINTS), key=lambda entry: entry.name):
        try:
            value = entry.load()
        except Exception as error:  # whatever somebody else's module raises when it is imported
            _log.warning("benchmark %s (%s) cannot be loaded: %s", entry.name, entry.value, error)
            continue
        names = {name for known in found.values() for name in (known.name, *known.aliases)}
        if not isinstance(value, Benchmark):
            _log.warning("benchmark %s (%s) is not a soco_datasets.Benchmark: skipped", entry.name, entry.value)
        elif taken := names & {value.name, *value.aliases}:
            _log.warning("benchmark %s (%s): the name %s is in use: skipped", entry.name, entry.value, min(taken))
        else:
            found[value.name] = value
    return found


def find_benchmark(name: str) -> Benchmark | None:
    """The benchmark of this name or alias, None where there is none."""
    wanted = name.casefold()
    return next((found for found in benchmarks().values() if wanted in (found.name, *found.aliases)), None)


def get_benchmark(name: str) -> Benchmark:
    """The benchmark of this name or alias; raises `UsageError` for an unknown one (the closest are named)."""
    found = find_benchmark(name)
    if found is None:
        known = [alias for known in benchmarks().values() for alias in (known.name, *known.aliases)]
        raise unknown_name("benchmark", name, known)
    return found


def benchmark_of(folder: DatasetFolder) -> Benchmark:
    """The benchmark of a built folder: its manifest names it, and a manifest that names none is SOCO's.

    Raises:
        UsageError: a benchmark of a package that is not installed.
    """
    name = folder.benchmark
    found = find_benchmark(name)
    if found is None:
        raise UsageError(
            f"{folder.path} was built for the benchmark {name!r}, which is not installed here. Install the package "
            f"that provides it, or take one of {', '.join(benchmarks())}."
        )
    return found


def recognize(source: str, name: str | None = None) -> Benchmark:
    """The benchmark that a source of `soco build` belongs to.

    Args:
        source: a path, "mini" or a Hub dataset id; what is not an existing folder is SOCO's.
        name: what `--benchmark` says; None = recognize it by its files.

    Raises:
        UsageError: an unknown name, a layout that no benchmark has (with the list of what was looked for), or one that
            fits several.
    """
    if name is not None:
        return get_benchmark(name)
    path = local_path(source)
    if source == "mini" or not path.is_dir() or (path / "manifest.json").is_file():
        return get_benchmark(SOCO)
    fitting = [found for found in benchmarks().values() if _has_root(found, path)]
    fitting = [found for found in fitting if not found.is_general] or fitting
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise UsageError(
            f"{source} can be read as {' and as '.join(found.name for found in fitting)}. "
            f"Choose with --benchmark, for example --benchmark {fitting[0].name}."
        )
    looked = "".join(f"\n  {found.name:15} {found.looked_for}" for found in benchmarks().values())
    raise UsageError(
        f"{source} holds no SOCO release and no other known benchmark. What was looked for, in it and in its folders:"
        f"{looked}\nGive the folder that holds these, or choose with --benchmark NAME to see what is missing."
    )


def _has_root(benchmark: Benchmark, path: Path) -> bool:
    try:
        return benchmark.find_root(path) is not None
    except OSError:
        return benchmark.name == SOCO  # its reader reports what cannot be read
