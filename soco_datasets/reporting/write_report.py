"""`soco report`: records in, one HTML page and its tables as Markdown, CSV and LaTeX out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from ..benchmarks.resolve import MINI, find_data, resolve_data
from ..data.folder import DatasetFolder, open_folder
from ..errors import DataNotFoundError, DatasetFolderError, UsageError
from ..records.compare import read_side
from ..records.evaluation import EvaluationResult, check_comparable
from ..records.registry import read_record, record_type_of
from ..utils.files import atomic_write, progress
from ..utils.paths import local_path
from .downstream_section import downstream_section, with_section, write_downstream_report
from .export import write_tables
from .gallery import galleries
from .page import Gallery, render_page
from .photographs import Photographs
from .probe_records import find_probes, is_probe
from .report_tables import report_tables
from .score_access import model_names

GALLERY_TASKS = ("soc", "cross_soc")
_PAIRS = 4  # of a kind, fewer where many models share the page
_MOST = 96  # pairs on a page


def write_report(records: Sequence[str | Path], out: str | Path, data: str | Path | None = None) -> list[Path]:
    """Write `report.html` and `tables/` into a folder; what an earlier report wrote there is replaced.

    Pictures of matches need the predictions beside each record and the dataset: `data`, or else what `load_dataset`
    would find or the mini set, if its content hash is that of the records. The page says what is missing.

    The linear probe of a model is shown where `soco probe` left its record beside the model's.

    Args:
        records: paths of result records of comparable runs, of probe records of the same models, and of downstream
            records, which get a section at the end (or the page, where there are no others).
        out: the folder, made where it is missing.
        data: the built dataset folder, or "mini".

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
        return write_downstream_report([read_record(path) for path in downstream], downstream, Path(out))
    paths = [path for path in given if not is_probe(path)]
    if not paths:
        raise UsageError("Give at least one result record, the JSON that `soco evaluate` wrote.")
    results = [EvaluationResult.read(path) for path in paths]
    check_comparable(results)
    probes, probe_notes = find_probes(paths, results, [path for path in given if is_probe(path)])
    folder = _dataset_of(results[0], data)
    found, photographs, notes = _galleries(paths, results, folder)
    tables = report_tables(results, probes)
    photos = photographs.data_uris() if photographs is not None else {}
    page = render_page(
        results, galleries=found, photos=photos, gallery_notes=notes, probe_notes=probe_notes, tables=tables
    )
    if downstream:
        both = [*downstream, *paths]
        page = with_section(page, downstream_section([read_record(path) for path in both], both))
    target = Path(out) / "report.html"
    atomic_write(target, page)
    return [target, *write_tables(tables, local_path(out) / "tables")]


def _dataset_of(result: EvaluationResult, data: str | Path | None) -> DatasetFolder | None:
    """The dataset of the records; None where none is available."""
    wanted = result.dataset["content_hash"]
    if data is not None:
        folder = open_folder(resolve_data(data))
        if folder.content_hash != wanted:
            raise UsageError(
                f"{folder.path} is not the dataset of these results: its content hash is {folder.content_hash}, theirs "
                f"is {wanted} ({result.dataset['id']}). Give the folder they were evaluated on, or leave --data out."
            )
        return folder
    for place in (None, MINI):
        try:
            path = find_data(place)
        except (DataNotFoundError, DatasetFolderError):
            continue  # a broken default is no reason to refuse a report that can do without pictures
        if path is not None and open_folder(path).content_hash == wanted:
            return open_folder(path)
    return None


def _galleries(
    records: Sequence[Path], results: Sequence[EvaluationResult], folder: DatasetFolder | None
) -> tuple[list[Gallery], Photographs | None, list[str]]:
    if folder is None:
        first = results[0].dataset
        note = (
            f"No pictures: the dataset {first['id']} (content hash {str(first['content_hash'])[:12]}) is not available."
        )
        return [], None, [f"{note} Give its folder with --data."]
    photographs = Photographs(folder.images.decode)
    notes = []
    tables: dict[int, pa.Table] = {}
    for index, (name, path) in enumerate(zip(model_names(results), records, strict=True)):
        if path.with_name(f"{path.stem}.predictions.parquet").is_file():
            tables[index] = read_side(path)
        elif results[index].split == "all":
            notes.append(f"No pictures of {name}: an evaluation of all pairs keeps no predictions.")
        else:
            notes.append(f"No pictures of {name}: {path.stem}.predictions.parquet is not beside {path.name}.")
    each = max(1, min(_PAIRS, _MOST // max(1, len(tables) * len(GALLERY_TASKS) * 4)))
    found = []
    for index, table in progress(tables.items(), "galleries", total=len(tables)):
        for task, kinds in galleries(table, GALLERY_TASKS, photographs, each).items():
            found.append(Gallery(index, task, kinds))
    return found, photographs, notes
