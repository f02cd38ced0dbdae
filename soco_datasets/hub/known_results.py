"""Sketches of the predictions of other results, to name submissions that repeat them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import PredictionsError, UsageError
from ..records.evaluation import EvaluationResult
from ..records.fingerprint import Fingerprint
from ..records.predictions import read_predictions
from ..utils.paths import local_path, real_path
from .downloads import download
from .submission import place_of

if TYPE_CHECKING:
    from huggingface_hub import EvalResultEntry, HfApi

_ENDING = "predictions.parquet"


def fingerprints_of(places: Iterable[str | Path], own: str | Path | None = None) -> tuple[Fingerprint, ...]:
    """The sketches of predictions files, and of all predictions in folders and the folders below them.

    Args:
        places: files and folders.
        own: the result that is verified, which may be in one of these folders.

    Raises:
        UsageError: a place that is not there, or a folder without predictions.
        PredictionsError: a file that is named and cannot be read.
    """
    found = []
    skipped = None if own is None else real_path(local_path(own))
    for place in map(local_path, places):
        if not place.exists():
            raise UsageError(f"{place} does not exist: give predictions (*.{_ENDING}) or a folder of results.")
        files = sorted(place.rglob(f"*{_ENDING}")) if place.is_dir() else [place]
        if not files:
            raise UsageError(f"{place} holds no predictions (*.{_ENDING}).")
        for file in files:
            if skipped is not None and real_path(file) in (skipped, _data_of(skipped)):
                continue
            try:
                found.append(Fingerprint.of(read_predictions(file)))
            except PredictionsError:
                if not place.is_dir():
                    raise
    return tuple(found)


def submitted_fingerprint(api: HfApi, model: str, entry: EvalResultEntry) -> Fingerprint:
    """The sketch of a submission's predictions, called by its repository.

    Raises:
        SubmissionError, PredictionsError: no predictions, or what cannot be read.
        HubError: the Hub refuses or cannot be reached.
    """
    place = place_of(entry.source_url)
    file = download(api, place.repo, "dataset", "main", f"{place.folder}/{EvaluationResult.data_file()}")
    return replace(Fingerprint.of(read_predictions(file)), name=model)


def _data_of(record: Path) -> Path:
    return record.with_name(f"{record.name.removesuffix('.json')}.{_ENDING}")
