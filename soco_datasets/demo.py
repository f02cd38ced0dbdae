"""`soco demo`: the main job, whole, on the built-in set. Needs no data, no weights and no network."""

from __future__ import annotations

import importlib.util
import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING

from .utils.progress import progress
from .utils.terminal import print_note, print_text

if TYPE_CHECKING:
    from .data.folder import DatasetFolder

PICTURED_TASKS = ("soc", "cross_soc")
_PAIRS = 4  # in a picture, so that every mark can be read
DEMO_TASKS = ("cc", "soc", "cross_cc", "cross_soc")


def run_demo(out: Path, model: str, image_size: int, *, overwrite: bool = False) -> None:
    """Build the mini set, evaluate a backbone on it, print the table, write record, predictions, pictures and a page.

    Args:
        out: folder for all of it; what an earlier demo of the same model and size wrote there is replaced.
        model: see `load_backbone`.
        image_size: requested network size, pixels.
        overwrite: replace results of another run, too.

    Raises:
        UsageError: a result of another run is there.
        SocoError: the folder cannot be written, or the model cannot be loaded.
    """
    from .benchmarks.resolve import resolve_data
    from .benchmarks.tasks import get_tasks
    from .config import ScoringConfig
    from .correspondence.evaluate import evaluate_backbone
    from .correspondence.several import BenchmarkRun, planned_run
    from .data.folder import open_folder
    from .features.backbones import load_backbone
    from .features.extractor import DenseFeatureExtractor
    from .records.evaluation import EvaluationResult, write_evaluation
    from .records.made_files import run_inputs, write_made
    from .records.replacement import check_replaces_own
    from .records.result_files import result_name
    from .reporting.drawing import drawing_bytes
    from .reporting.match_picture import draw_matches, pairs_to_show
    from .reporting.terminal_summary import print_summary

    started = time.monotonic()
    folder = open_folder(resolve_data("mini"))
    counts = folder.manifest["counts"]
    print_note(f"mini set: {counts['images']} images of {counts['categories']} categories at {folder.path}")
    backbone = load_backbone(model, device="auto")
    extractor, tasks = DenseFeatureExtractor(backbone, image_size), get_tasks(DEMO_TASKS)
    planned = planned_run(extractor, BenchmarkRun(folder, tasks, ScoringConfig()))
    place = out / f"{result_name(planned.model)}.json"
    check_replaces_own(place, EvaluationResult, planned, overwrite=overwrite)
    evaluation = evaluate_backbone(extractor, folder, tasks)
    record, predictions = write_evaluation(
        out, evaluation.predictions, evaluation.result, overwrite=overwrite, checked=True
    )
    print_summary(evaluation.result)
    print_text(f"\nrecord       {record}\npredictions  {predictions}")
    pictures: dict[str, bytes] = {}
    for task in progress(PICTURED_TASKS, "Drawing matches", len(PICTURED_TASKS), "picture"):
        chosen = pairs_to_show(evaluation.predictions, task, _PAIRS)
        drawing = draw_matches(evaluation.predictions, task, chosen, folder.images.decode)
        pictures[f"matches_{task}.png"] = drawing_bytes(drawing, "png")
    inputs = run_inputs([evaluation.result.to_dict()])
    for picture in write_made(out, pictures, inputs, overwrite=overwrite):
        print_text(f"picture      {picture}")
    page = _page(record, out / "report", folder, overwrite)
    if page is None:
        print_text('page         none: it needs pip install "soco-datasets[report]"')
    else:
        print_text(f"page         {page}")
    print_note(f"done in {time.monotonic() - started:.0f} s")
    follows = (
        f"soco report {shlex.quote(str(record))}" if page is None else f"open {shlex.quote(str(page))} in a browser"
    )
    print_text(f"next         {follows}; your own model: soco evaluate --model NAME --data mini")


def _page(record: Path, out: Path, folder: DatasetFolder, overwrite: bool) -> Path | None:
    """The report of a record; None where what draws its charts is not installed."""
    if importlib.util.find_spec("matplotlib") is None:
        return None
    from .errors import MissingExtraError
    from .reporting.write_report import write_report

    try:
        return write_report([record], out, folder, overwrite=overwrite)[0]
    except MissingExtraError:
        return None
