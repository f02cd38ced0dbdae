"""`soco report`: records in, one HTML page, its tables as Markdown, CSV and LaTeX, its charts as SVG and PDF out."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from .. import __version__
from ..benchmarks.resolve import data_names, resolve_data
from ..data.folder import DatasetFolder, open_folder
from ..errors import UsageError, worded
from ..records.comparable import check_comparable
from ..records.compare import read_side
from ..records.evaluation import EvaluationResult
from ..records.made_files import run_inputs, write_made
from ..records.probe import ProbeRecord
from ..records.registry import read_record
from ..utils.files import writable_folder
from ..utils.paths import local_path
from ..utils.progress import progress
from ..utils.terminal import print_note
from .attribute_tables import attribute_table
from .benchmark_tables import benchmark_table, group_by_benchmark
from .downstream_section import downstream_files, downstream_section, with_section
from .export import format_cell, table_files
from .gallery import GALLERY_KINDS, galleries
from .given_results import dataset_of
from .page import Kinds, PageParts, page_style, page_template, render_page
from .photographs import Photographs
from .plots_data import keypoint_counts, keypoint_table
from .probe_records import find_probes, is_probe
from .record_tables import record_tables
from .report_charts import ReportCharts, figure_files
from .report_inputs import ReportInputs, choose_results, sort_inputs
from .report_tables import report_tables
from .score_access import model_names, ranking

PAGE = "report.html"
GALLERY_TASKS = ("soc", "cross_soc")
_PAIRS = 4  # of a kind, fewer where many models share the page
_VIEWS = 200  # of sources and targets on a page


def write_report(
    records: Sequence[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    data: DatasetFolder | str | Path | None = None,
    *,
    overwrite: bool = False,
) -> list[Path]:
    """Write `report.html`, `tables/` and `figures/` into a folder, where a report of these or fewer results may be.

    Records of several benchmarks give one table of them all, and each benchmark a page in a folder of its own. Two
    records of one benchmark whose pair lists differ are refused, since they are not of the same pairs. Several image
    sizes or layers of one model are shown together, named by what differs; the page says so on top.

    Pictures of matches need the predictions beside each record and the dataset: `data`, or else what `load_dataset`
    would find or the mini set, if its content hash is that of the records. The page says what is missing.

    The linear probe of a model is shown where `soco probe` left its record beside the model's.

    Args:
        records: result records of comparable runs, or folders of records, of which those that belong together are
            shown and the others are named on stderr. Probe records of the same models are shown in
            the same page, downstream records in a section at the end, records of any other registered kind as tables.
        out: the folder, made where it is missing.
        data: the built dataset folder, or "mini"; of several benchmarks, theirs separated by commas.
        overwrite: replace a report of other results, and whatever else is in the way.

    Returns:
        The files written, the page first.

    Raises:
        UsageError: no record, records that cannot be compared (both are named), a probe of none of them, `data` that is
            not their dataset, or a folder with a report of other results.
        PredictionsError: a record that cannot be read, or predictions of another run beside it.
        MissingExtraError: the extra `report` is not installed.
        SocoError: the folder cannot be written.
    """
    given, target = sort_inputs([local_path(path) for path in records]), writable_folder(out)
    for note in given.notes:
        print_note(f"soco report: {note}")
    for path in given.skipped:
        print_note(f"soco report: {path} is not a record and is left out")
    for path, why in choose_results(given, _hashes(data)).items():
        print_note(f"soco report: {path} is left out. It cannot be shown {why}")
    named = () if data is None else ("--data", str(data.path if isinstance(data, DatasetFolder) else data))
    command = shlex.join(["soco", "report", *map(str, records), *named])
    if given.results:
        files = _result_files(given, data, command)
    elif given.probes:
        raise UsageError(
            "Give at least one result record too, the JSON that `soco evaluate` wrote: a probe belongs to one."
        )
    elif given.downstream:
        files = {**downstream_files([read_record(path) for path in given.downstream], given.downstream)}
    else:
        files = {PAGE: _plain_page("Records", command)}
    if given.downstream and given.results:
        both = [*given.downstream, *given.results]
        files[PAGE] = with_section(files[PAGE], downstream_section([read_record(path) for path in both], both))
    if given.others:
        tables = record_tables([read_record(path) for path in given.others])
        section = page_template("records.html.j2").render(tables=tables, cell_text=format_cell)
        files[PAGE] = with_section(files[PAGE], section)
        files |= table_files(tables, "tables/")
    every = (*given.results, *given.probes, *given.downstream, *given.others)
    inputs = run_inputs(read_record(path).to_dict() for path in every)
    return write_made(target, files, inputs, overwrite=overwrite)


def _result_files(given: ReportInputs, data: DatasetFolder | str | Path | None, command: str) -> dict[str, Any]:
    results = [EvaluationResult.read(path) for path in given.results]
    groups = group_by_benchmark(results)
    if len(groups) == 1:
        return _files_of_one([*given.results, *given.probes], given.results, data, command)
    return _files_of_several(given, results, groups, data, command)


def _plain_page(heading: str, command: str) -> str:
    return page_template("plain.html.j2").render(
        heading=heading, css=page_style(), command=command, version=__version__
    )


def _files_of_one(
    given: Sequence[Path], paths: Sequence[Path], data: DatasetFolder | str | Path | None, command: str
) -> dict[str, Any]:
    """The page of one benchmark: `given` are all paths, `paths` those of result records."""
    results = [EvaluationResult.read(path) for path in paths]
    check_comparable(results, sizes=True)
    order = ranking(results)
    results, paths = [results[i] for i in order], [paths[i] for i in order]
    probes, probe_notes = find_probes(paths, results, [path for path in given if is_probe(path)])
    folder = dataset_of(results[0], data)
    predictions, missing = _predictions(paths, results)
    found, photographs, notes = _galleries(results, predictions, folder)
    notes += [] if folder is None else missing
    counts = {} if folder is None else keypoint_counts(folder)
    by_attribute = None if folder is None else attribute_table(results, predictions, folder)
    tables = [*report_tables(results, probes), *filter(None, (by_attribute, keypoint_table(counts)))]
    charts = ReportCharts.of(results, counts)
    photos = photographs.data_uris() if photographs is not None else {}
    parts = PageParts(found, photos, notes, probe_notes, tables, charts, command, "figures")
    page, every = render_page(results, parts), charts.all()
    drawn = figure_files(progress(every, "Drawing figures", total=len(every), unit="figure"), "figures/")
    return {PAGE: page, **table_files(tables, "tables/"), **drawn}


def _files_of_several(
    given: ReportInputs,
    results: Sequence[EvaluationResult],
    groups: Mapping[str, Sequence[int]],
    data: DatasetFolder | str | Path | None,
    command: str,
) -> dict[str, Any]:
    """The table of all benchmarks, and a page each."""
    probes = {path: ProbeRecord.read(path) for path in given.probes}
    pages, files = [], dict[str, Any]()
    for title, members in groups.items():
        own = [given.results[number] for number in members]
        hashes = {results[number].dataset["content_hash"] for number in members}
        theirs = [path for path, probe in probes.items() if probe.dataset["content_hash"] in hashes]
        name = re.sub(r"[^\w.-]+", "_", title.lower())
        alone = _files_of_one([*own, *theirs], own, _data_with(hashes, data), command)
        files |= {f"{name}/{file}": content for file, content in alone.items()}
        models = ", ".join(model_names([results[number] for number in members]))
        pages.append((title, f"{name}/report.html", models))
    table = benchmark_table(results)
    page = page_template("benchmarks.html.j2").render(
        heading=f"{len(groups)} benchmarks", css=page_style(), table=table, cell_text=format_cell, pages=pages,
        command=command, version=__version__,
    )  # fmt: skip
    return {PAGE: page, **table_files([table], "tables/"), **files}


def _hashes(data: DatasetFolder | str | Path | None) -> list[str]:
    """The content hashes of the data named by the user."""
    if isinstance(data, DatasetFolder):
        return [data.content_hash]
    return [open_folder(resolve_data(name)).content_hash for name in data_names(data)]


def _data_with(hashes: Collection[str], data: DatasetFolder | str | Path | None) -> Path | None:
    """Of the data sets named by the user the one with this content hash, None where there is none."""
    for name in data_names(data):
        folder = open_folder(resolve_data(name))
        if folder.content_hash in hashes:
            return folder.path
    return None


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
) -> tuple[dict[str, Kinds], Photographs | None, list[str]]:
    if folder is None:
        first = results[0].dataset
        note = (
            f"No pictures: the dataset {first['id']} (content hash {str(first['content_hash'])[:12]}) is not available."
        )
        return {}, None, [f"{note} Give its folder with {worded('--data', 'data=')}."]
    photographs = Photographs(folder.images.decode)
    views = (len(tables) + 1) * len(GALLERY_TASKS) * len(GALLERY_KINDS)
    each = max(1, min(_PAIRS, _VIEWS // views))
    found: dict[str, Kinds] = {**galleries(tables, GALLERY_TASKS, photographs, each)} if tables else {}
    return found, photographs, []
