"""The linear probes that belong to result records: `<model>.probe.json` of the same model, data and features."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..errors import UsageError
from ..records.evaluation import EvaluationResult
from ..records.probe import ProbeRecord

SUFFIX = ".probe.json"

Probes = dict[int, ProbeRecord]  # number of the result -> its probe


def is_probe(path: Path) -> bool:
    """Whether a path has the name that `soco probe` gives to its record."""
    return path.name.endswith(SUFFIX)


def belongs(probe: ProbeRecord, result: EvaluationResult) -> bool:
    """Whether a probe was trained on the features that a result scores, wherever either ran."""
    models = [{key: value for key, value in of.model.items() if key != "device"} for of in (probe, result)]
    return (
        models[0] == models[1]
        and probe.dataset["content_hash"] == result.dataset["content_hash"]
        and probe.protocol.features == result.protocol.features
        and probe.protocol.scoring.convention == result.protocol.scoring.convention
    )


def find_probes(
    records: Sequence[Path], results: Sequence[EvaluationResult], given: Sequence[Path]
) -> tuple[Probes, list[str]]:
    """(probes of the results, why a probe beside a record is not shown).

    Args:
        records: the paths of the results; a probe's record beside one is taken where it is of the same features.
        results: what was read from them.
        given: paths of probe records that were asked for.

    Raises:
        UsageError: a probe that was asked for is of none of the results.
        PredictionsError: a probe record that cannot be read.
    """
    found: Probes = {}
    for path in given:
        probe = ProbeRecord.read(path)
        owners = [index for index, result in enumerate(results) if belongs(probe, result)]
        if not owners:
            raise UsageError(
                f"{path}: this linear probe of {probe.model['name']} on {probe.dataset['id']} is of other features or "
                f"other data than {', '.join(str(record) for record in records)}. Give the result record of the same "
                "model, options and data too, or leave the probe out."
            )
        found.update(dict.fromkeys(owners, probe))
    notes = []
    for index, (path, result) in enumerate(zip(records, results, strict=True)):
        beside = path.with_name(path.stem + SUFFIX)
        if index in found or not beside.is_file():
            continue
        probe = ProbeRecord.read(beside)
        if belongs(probe, result):
            found[index] = probe
        else:
            notes.append(f"{beside.name} is left out: it is of other features or other data than {path.name}.")
    return found, notes
