"""The header of a predictions table: what its rows must be, and everything else that goes into the result record."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ..config import Protocol
from ..errors import PredictionsError, UsageError

PREDICTIONS_VERSION = 1
_PROTOCOL_ADDED = ("valid_area", "soft_beta", "soft_window")  # absent from older files, which had them at their default


@dataclass(frozen=True)
class TaskExpectation:
    """What the rows of one task must be.

    Attributes:
        pairs: number of pairs of each category, pairs without any query included.
        keypoints: number of queries of each category.
        keys_sha256: of the sorted (pair_id, keypoint) keys.
    """

    pairs: dict[str, int]
    keypoints: dict[str, int]
    keys_sha256: str


@dataclass(frozen=True)
class Header:
    """What a predictions table says about itself; all but `tasks` and `supercategories` goes into the result record.

    Attributes:
        protocol: how the predictions were made and are to be scored.
        model: name, revision, weights hash and what else says which model it was.
        dataset: id, revision, content_hash.
        tasks: what rows each task must have.
        supercategories: category -> supercategory, None where it has none.
        versions: of the toolkit and the libraries.
        device: what it ran on.
        counts: images, pairs, keypoints, forwards, decodes.
        created: UTC time, ISO 8601.
    """

    protocol: Protocol
    model: dict[str, Any]
    dataset: dict[str, Any]
    tasks: dict[str, TaskExpectation]
    supercategories: dict[str, str | None]
    versions: dict[str, str]
    device: str | dict[str, Any]
    counts: dict[str, int]
    created: str
    format_version: int = PREDICTIONS_VERSION

    def to_json(self) -> str:
        """The header as one line of JSON. Raises `PredictionsError` where a field holds something else."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        fields["protocol"] = self.protocol.to_dict()
        fields["tasks"] = {name: dataclasses.asdict(expected) for name, expected in self.tasks.items()}
        check_provenance(fields)
        return json.dumps(fields, ensure_ascii=False, allow_nan=False)

    @classmethod
    def from_json(cls, text: str | bytes) -> Header:
        """The header from its stored form. Raises `PredictionsError` on another version or a field that is wrong."""
        try:
            fields = json.loads(text)
            version = fields["format_version"]
        except (ValueError, KeyError, TypeError):
            raise PredictionsError("the predictions' header is damaged; evaluate the model again") from None
        if version != PREDICTIONS_VERSION:
            raise PredictionsError(
                f"predictions of format version {version!r} cannot be read, only version {PREDICTIONS_VERSION}; "
                "use the toolkit that wrote them, or evaluate the model again"
            )
        try:
            check_provenance(fields)
            _check_tasks(fields)
            if unknown := sorted(set(fields) - {field.name for field in dataclasses.fields(cls)}):
                raise PredictionsError(f"unknown field(s) {', '.join(unknown)}")
            fields["protocol"] = read_protocol(fields.get("protocol"))
            fields["tasks"] = {name: TaskExpectation(**task) for name, task in fields["tasks"].items()}
            return cls(**fields)
        except (UsageError, PredictionsError, TypeError) as error:
            raise PredictionsError(f"the predictions' header is malformed: {error}") from None


def read_protocol(stored: Any) -> Protocol:
    """The protocol of a predictions header or a record, also of one that is older than some of its fields.

    Raises:
        UsageError: a field that is unknown, missing or invalid.
    """
    added = {name: value for name, value in Protocol().to_dict().items() if name in _PROTOCOL_ADDED}
    return Protocol.from_dict({**added, **stored} if isinstance(stored, dict) else stored)


def check_provenance(fields: Mapping[str, Any]) -> None:
    """Check where numbers come from: the fields a predictions header and a result record share.

    Raises:
        PredictionsError: naming the first field that is missing or of the wrong kind.
    """
    for name, keys in (("model", ("name",)), ("dataset", ("id", "content_hash"))):
        value = fields.get(name)
        if not isinstance(value, dict) or not all(isinstance(value.get(key), str) for key in keys):
            raise PredictionsError(f"{name} must be a mapping with {' and '.join(keys)}, got {value!r}")
    if not isinstance(split := fields["dataset"].get("split", "test"), str):
        raise PredictionsError(f"dataset must name its split, got {split!r}")
    if not _is_mapping(fields.get("versions"), str):
        raise PredictionsError(f"versions must map names to strings, got {fields.get('versions')!r}")
    if not isinstance(fields.get("device"), str | dict):
        raise PredictionsError(f"device must be a string or a mapping, got {fields.get('device')!r}")
    if not is_counts(fields.get("counts")):
        raise PredictionsError(f"counts must map names to whole numbers from 0, got {fields.get('counts')!r}")
    try:
        zone = datetime.fromisoformat(fields["created"]).utcoffset()
    except (KeyError, TypeError, ValueError):
        zone = None
    if zone is None or zone.total_seconds() != 0:
        raise PredictionsError(
            f"created must be a UTC time such as 2026-01-31T12:00:00Z, got {fields.get('created')!r}"
        )
    try:
        json.dumps([fields["model"], fields["dataset"], fields["device"]], allow_nan=False)
    except (TypeError, ValueError) as error:
        raise PredictionsError(f"model, dataset and device must hold only JSON values: {error}") from None


def is_counts(value: object) -> bool:
    """Whether `value` maps strings to whole numbers from 0."""
    whole = _is_mapping(value, int)
    return isinstance(value, dict) and whole and all(n >= 0 and not isinstance(n, bool) for n in value.values())


def _is_mapping(value: object, *kinds: type) -> bool:
    return isinstance(value, dict) and all(isinstance(k, str) and isinstance(v, kinds) for k, v in value.items())


def _check_tasks(fields: Mapping[str, Any]) -> None:
    tasks, parents = fields.get("tasks"), fields.get("supercategories")
    if not _is_mapping(tasks, dict):
        raise PredictionsError("tasks must map names to what their rows must be")
    for name, task in fields["tasks"].items():
        if not is_counts(task.get("pairs")) or not is_counts(task.get("keypoints")):
            raise PredictionsError(f"task {name!r} must count pairs and keypoints by category")
    if not _is_mapping(parents, str, type(None)):
        raise PredictionsError("supercategories must map categories to names or null")
