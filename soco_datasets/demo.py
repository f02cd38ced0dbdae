"""`soco demo`: the main job, whole, on the built-in set. Needs no data, no weights and no network."""

from __future__ import annotations

import sys
import time
from pathlib import Path

DEMO_TASKS = ("cc", "soc", "cross_cc", "cross_soc")


def run_demo(out: Path, model: str, image_size: int) -> None:
    """Build the mini set, evaluate a backbone on it, print the table, write record, predictions and a picture.

    Args:
        out: folder for all of it; what an earlier demo wrote there is replaced.
        model: see `load_backbone`.
        image_size: requested network size, pixels.

    Raises:
        SocoError: the folder cannot be written, or the model cannot be loaded.
    """
    from .benchmarks.resolve import resolve_data
    from .benchmarks.tasks import get_tasks
    from .correspondence.evaluate import evaluate_backbone
    from .data.folder import open_folder
    from .features.backbones import load_backbone
    from .features.extractor import DenseFeatureExtractor
    from .records.evaluation import write_evaluation
    from .reporting.drawing import save_drawing
    from .reporting.match_picture import draw_matches, pairs_to_show
    from .reporting.terminal_summary import print_summary

    started = time.monotonic()
    folder = open_folder(resolve_data("mini"))
    counts = folder.manifest["counts"]
    print(
        f"mini set: {counts['images']} images of {counts['categories']} categories at {folder.path}",
        file=sys.stderr,
    )
    backbone = load_backbone(model, device="auto")
    evaluation = evaluate_backbone(DenseFeatureExtractor(backbone, image_size), folder, get_tasks(DEMO_TASKS))
    record, predictions = write_evaluation(out, evaluation.predictions, evaluation.result, overwrite=True)
    print_summary(evaluation.result)
    print(f"\nrecord       {record}\npredictions  {predictions}")
    for task in ("soc", "cross_soc"):
        picture = out / f"matches_{task}.png"
        chosen = pairs_to_show(evaluation.predictions, task)
        sheet = draw_matches(evaluation.predictions, task, chosen, folder.images.decode)
        save_drawing(sheet, picture)
        print(f"picture      {picture}")
    print(f"done in {time.monotonic() - started:.0f} s", file=sys.stderr)
