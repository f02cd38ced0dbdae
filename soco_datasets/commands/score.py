"""`soco score`: a record from its predictions alone."""

from __future__ import annotations

import argparse
import sys

from ..utils.paths import local_path
from .common import Commands, command


def add(commands: Commands) -> None:
    """Add the command to the parser."""
    example = "soco score results/dinov2_b14.predictions.parquet --data soco-data"
    parser = command(commands, "score", "recompute a record from its predictions alone", example)
    parser.add_argument("predictions", type=local_path, help="the Parquet file that `soco evaluate` wrote")
    parser.add_argument("--data", help="also check the predictions against this dataset folder, row by row")
    parser.add_argument("--out", type=local_path, help="write the record here as JSON")
    parser.add_argument("--json", action="store_true", help="print the record as JSON instead of a table")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Run it."""
    from ..correspondence.consistency import check_consistency
    from ..records.evaluation import record_from_predictions
    from ..records.predictions import read_predictions
    from ..reporting.terminal_tables import format_metrics_table
    from ..utils.text import clean

    table = read_predictions(arguments.predictions)
    if arguments.data is not None:
        from ..benchmarks.resolve import resolve_data
        from ..benchmarks.task_pairs import task_pairs
        from ..benchmarks.tasks import get_tasks
        from ..data.folder import open_folder
        from ..errors import PredictionsError
        from ..records.annotated_points import image_annotations
        from ..records.predictions import check_against_dataset, read_header

        folder = open_folder(resolve_data(arguments.data))
        tasks = get_tasks(read_header(table).tasks)
        pairs = {task.name: task_pairs(folder, task) for task in tasks}
        try:
            check_against_dataset(table, pairs, folder.content_hash, image_annotations(folder), folder.supercategories)
        except PredictionsError as error:
            raise PredictionsError(f"{arguments.predictions}: {error}") from None
    result = record_from_predictions(table)
    print(clean(check_consistency(table).line), file=sys.stderr)
    if arguments.out is not None:
        result.write(arguments.out)
    print(result.to_json() if arguments.json else format_metrics_table(result))
