"""`soco report`: records in, one HTML page and its tables as Markdown, CSV and LaTeX out."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import pyarrow as pa

from .. import __version__
from ..benchmarks.base import SOCO, find_benchmark
from ..benchmarks.resolve import MINI, data_names, find_data, resolve_data
from ..data.folder import DatasetFolder, open_folder
from ..errors import DataNotFoundError, DatasetFolderError, UsageError
from ..records.compare import read_side
from ..records.evaluation import EvaluationResult, check_comparable
from ..records.probe import ProbeRecord
from ..records.registry import read_record, record_type_of
from ..utils.files import atomic_write
from ..utils.paths import local_path
from ..utils.progress import progress
from .attribute_tables import attribute_table
from .benchmark_tables import benchmark_table, group_by_benchmark
from .downstream_section import downstream_section, with_section, write_downstream_report
from .export import format_cell, write_tables
from .gallery import galleries
from .page import Gallery, page_style, page_template, render_page
from .paper_match import benchmark_name
from .photographs import Photographs
from .probe_records import find_probes, is_probe
from .report_tables import report_tables
from .score_access import model_names

GALLERY_TASKS = ("soc", "cross_soc")
_PAIRS = 4  # of a kind, fewer where many models share the page
_MOST = 96  # pairs on a page


def write_report(records: Sequence[str | Path], out: str | Path, data: str | Path | None = None) -> list[Path]:
    """Write `report.html` and `tables/` into a folder; what an earlier report wrote there is replaced.

    Records of several benchmarks give one table of them all, and each benchmark a page in a folder of its own. Two
    records of one benchmark whose pair lists differ are refused, since they are not of the same pairs.

    Pictures of matches need the predictions beside each record and the dataset: `data`, or else what `load_dataset`
    would find or the mini set, if its content hash is that of the records. The page says what is missing.

    The linear probe of a model is shown where `soco probe` left its record beside the model's.

    Args:
        records: paths of result records of comparable runs, of probe records of the same models, and of downstream
            records, which get a section at the end (or the page, where there are no others).
        out: the folder, made where it is missing.
        data: the built dataset folder, or "mini"; of several benchmarks, theirs separated by commas.

    Returns:
        The files written, the page first.

    Raises:
        UsageError: no record, records that cannot be compared (both are named), a probe of none of them, or `data` that
            is not their dataset.
        PredictionsError: a record that cannot be read, or predictions of another run beside it.
        MissingExtraError: the extra `report` is not installed.
        SocoError: the folder cannot be written.
    """
    given = [local_path(path) for path in records]
    downstream = [path for path in given if record_type_of(path).kind == "downstream"]
    given = [path for path in given if path not in downstream]
    if downstream and not given:
        return write_downstream_report([read_record(path) for path in downstream], downstream, local_path(out))
    paths = [path for path in given if not is_probe(path)]
    if not paths:
        raise UsageError("Give at least one result record, the JSON that `soco evaluate` wrote.")
    results = [EvaluationResult.read(path) for path in paths]
    groups = group_by_benchmark(results)
    if len(groups) == 1:
        written = _write_one(given, paths, local_path(out), data)
    else:
        written = _write_several(given, results, groups, local_path(out), data)
    if downstream:
        both = [*downstream, *paths]
        section = downstream_section([read_record(path) for path in both], both)
        atomic_write(written[0], with_section(written[0].read_text(encoding="utf-8"), section))
    return written


def _write_one(given: Sequence[Path], paths: Sequence[Path], out: Path, data: str | Path | None) -> list[Path]:
    """The page of one benchmark: `given` are all paths, `paths` those of result records."""
    results = [EvaluationResult.read(path) for path in paths]
    check_comparable(results)
    probes, probe_notes = find_probes(paths, results, [path for path in given if is_probe(path)])
    folder = _dataset_of(results[0], data)
    predictions, missing = _predictions(paths, results)
    found, photographs, notes = _galleries(results, predictions, folder)
    notes += [] if folder is None else missing
    by_attribute = None if folder is None else attribute_table(results, predictions, folder)
    tables = [*report_tables(results, probes), *([] if by_attribute is None else [by_attribute])]
    photos = photographs.data_uris() if photographs is not None else {}
    page = render_page(
        results, galleries=found, photos=photos, gallery_notes=notes, probe_notes=probe_notes, tables=tables
    )
    target = out / "report.html"
    atomic_write(target, page)
    return [target, *write_tables(tables, out / "tables")]


def _write_several(
    given: Sequence[Path],
    results: Sequence[EvaluationResult],
    groups: Mapping[str, Sequence[int]],
    out: Path,
    data: str | Path | None,
) -> list[Path]:
    """The table of all benchmarks, and a page each."""
    records = [path for path in given if not is_probe(path)]
    probes = {path: ProbeRecord.read(path) for path in given if is_probe(path)}
    pages, written = [], list[Path]()
    for title, members in groups.items():
        own = [records[number] for number in members]
        hashes = {results[number].dataset["content_hash"] for number in members}
        theirs = [path for path, probe in probes.items() if probe.dataset["content_hash"] in hashes]
        name = re.sub(r"[^\w.-]+", "_", title.lower())
        written += _write_one([*own, *theirs], own, out / name, _data_with(hashes, data))
        models = ", ".join(model_names([results[number] for number in members]))
        pages.append((title, f"{name}/report.html", models))
    table = benchmark_table(results)
    target = out / "report.html"
    page = page_template("benchmarks.html.j2").render(
        heading=f"{len(groups)} benchmarks", css=page_style(), table=table, cell_text=format_cell, pages=pages,
        version=__version__,
    )  # fmt: skip
    atomic_write(target, page)
    return [target, *write_tables([table], out / "tables"), *written]


def _data_with(hashes: Collection[str], data: str | Path | None) -> Path | None:
    """Of the data sets named by the user the one with this content hash, None where there is none."""
    for name in data_names(data):
        folder = open_folder(resolve_data(name))
        if folder.content_hash in hashes:
            return folder.path
    return None


def _dataset_of(result: EvaluationResult, data: str | Path | None) -> DatasetFolder | None:
    """The dataset of the records; None where none is available."""
    wanted = result.dataset["content_hash"]
    if data is not None:
        folder = open_folder(resolve_data(data))
        if folder.content_hash != wanted:
            raise UsageError(
                f"{folder.path} is not the dataset of these results: its content hash is "
                f"{folder.content_hash[:12]}, theirs is {str(wanted)[:12]} ({result.dataset['id']}). Give the "
                "folder they were evaluated on, or leave --data out."
            )
        return folder
    for place in (None, MINI, *benchmark_places(result)):
        try:
            path = find_data(place)
        except (DataNotFoundError, DatasetFolderError):
            continue  # a broken default is no reason to refuse a report that can do without pictures
        if path is not None and open_folder(path).content_hash == wanted:
            return open_folder(path)
    return None


def benchmark_places(result: EvaluationResult) -> list[str]:
    """The name by which the data of a record of another benchmark than SOCO is found."""
    benchmark = find_benchmark(benchmark_name(result))
    return [] if benchmark is None or benchmark.name == SOCO else [benchmark.name]


def _predictions(records: Sequence[Path], results: Sequence[EvaluationResult]) -> tuple[dict[int, pa.Table], list[str]]:
    """(position of a record -> the predictions beside it, why there are none of the others)."""
    tables: dict[int, pa.Table] = {}
    notes = []
    for index, (name, path) in enumerate(zip(model_names(results), records, strict=True)):
        if path.with_name(f"{path.stem}.predictions.parquet").is_file():
            tables[index] = read_side(path)
        elif results[index].split == "all":
            notes.append(f"No pictures of {name}: an evaluation of all pairs keeps no predictions.")
        else:
            notes.append(f"No pictures of {name}: {path.stem}.predictions.parquet is not beside {path.name}.")
    return tables, notes


def _galleries(
    results: Sequence[EvaluationResult], tables: Mapping[int, pa.Table], folder: DatasetFolder | None
) -> tuple[list[Gallery], Photographs | None, list[str]]:
    if folder is None:
        first = results[0].dataset
        note = (
            f"No pictures: the dataset {first['id']} (content hash {str(first['content_hash'])[:12]}) is not available."
        )
        return [], None, [f"{note} Give its folder with --data."]
    photographs = Photographs(folder.images.decode)
    each = max(1, min(_PAIRS, _MOST // max(1, len(tables) * len(GALLERY_TASKS) * 4)))
    found = []
    for index, table in progress(tables.items(), "galleries", total=len(tables)):
        for task, kinds in galleries(table, GALLERY_TASKS, photographs, each).items():
            found.append(Gallery(index, task, kinds))
    return found, photographs, []
