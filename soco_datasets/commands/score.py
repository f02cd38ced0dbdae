"""`soco score`: a record from its predictions alone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from typer import Argument, Option

from ..utils.terminal import print_note
from . import EVALUATE
from .common import FullFlag, JsonFlag, OverwriteFlag, open_dataset
from .options import command


def add(app: typer.Typer) -> None:
    """Add the command."""
    example = "soco score results/dinov2_b14.predictions.parquet --data soco"
    command(app, run, "score", "recompute a record from its predictions alone", example, EVALUATE)


def run(
    predictions: Annotated[Path, Argument(metavar="FILE", help="the Parquet file that `soco evaluate` wrote")],
    data: Annotated[
        str | None, Option(metavar="DIR", help="also check the predictions against this dataset folder, row by row")
    ] = None,
    out: Annotated[Path | None, Option(metavar="FILE", help="write the record here as JSON")] = None,
    overwrite: OverwriteFlag = False,
    full: FullFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Score predictions."""
    from ..correspondence.consistency import check_consistency
    from ..records.evaluation import record_from_predictions
    from ..records.predictions import read_predictions
    from ..records.replacement import check_replaces_record
    from ..reporting.terminal_summary import print_summary
    from ..utils.text import clean

    table = read_predictions(predictions)
    if data is not None:
        from ..errors import PredictionsError
        from ..records.evaluation import EvaluationResult

        try:
            EvaluationResult.check_references(table, open_dataset(data))
        except PredictionsError as error:
            raise PredictionsError(f"{predictions}: {error}") from None
    result = record_from_predictions(table)
    print_note(clean(check_consistency(table).line))
    if out is not None:
        if check_replaces_record(out, result, overwrite=overwrite):
            print_note(f"replaced {out}")
        result.write(out)
    if as_json:
        print(result.to_json())
    else:
        print_summary(result, full=full)
