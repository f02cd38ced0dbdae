"""The header of a predictions table: what its rows must be, and everything else that goes into the result record."""

from __future__ import annotations

import json
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator

from ..errors import PredictionsError
from .fields import STRICT, Counts, Provenance, StoredProtocol, parse_json

PREDICTIONS_VERSION = 1
_ORDER = ("protocol", "model", "dataset", "tasks", "supercategories", "versions", "device", "counts", "created")


class TaskExpectation(BaseModel):
    """What the rows of one task must be.

    Attributes:
        pairs: number of pairs of each category, pairs without any query included.
        keypoints: number of queries of each category.
        keys_sha256: of the sorted (pair_id, keypoint) keys.
    """

    model_config = STRICT

    pairs: Counts
    keypoints: Counts
    keys_sha256: str

    def to_dict(self) -> dict[str, Any]:
        """The fields."""
        return dict(self)


def _expectation(stored: Any) -> TaskExpectation:
    return stored if isinstance(stored, TaskExpectation) else TaskExpectation.model_validate(stored)


class PredictionsOrigin(Provenance):
    """Where predictions come from; all but `supercategories` goes into the result record.

    Attributes:
        model, dataset, versions, device, created: see `fields.Provenance`.
        protocol: how the predictions were made and are to be scored.
        supercategories: category -> supercategory, None where it has none.
        counts: images, pairs, keypoints, forwards, decodes.

    Raises:
        PredictionsError: a field that is missing, unknown, or of another type or range.
    """

    protocol: StoredProtocol
    supercategories: dict[str, str | None]
    counts: Counts


class Header(PredictionsOrigin):
    """What a predictions table says about itself.

    Attributes:
        tasks: what rows each task must have. The other attributes are those of `PredictionsOrigin`.
    """

    tasks: dict[str, Annotated[TaskExpectation, BeforeValidator(_expectation)]]

    def to_json(self) -> str:
        """The header as one line of JSON."""
        fields = self.to_dict()
        fields["tasks"] = {name: expected.to_dict() for name, expected in self.tasks.items()}
        stored = {name: fields[name] for name in _ORDER} | {"format_version": PREDICTIONS_VERSION}
        return json.dumps(stored, ensure_ascii=False, allow_nan=False)

    @classmethod
    def from_json(cls, text: str | bytes) -> Header:
        """The header from its stored form. Raises `PredictionsError` on another version or a field that is wrong."""
        try:
            fields = parse_json(text, "the header")
            version = fields.pop("format_version")
        except (PredictionsError, KeyError, TypeError, AttributeError):
            raise PredictionsError("the predictions' header is damaged; evaluate the model again") from None
        if version != PREDICTIONS_VERSION:
            raise PredictionsError(
                f"predictions of format version {version!r} cannot be read, only version {PREDICTIONS_VERSION}; "
                "use the toolkit that wrote them, or evaluate the model again"
            )
        try:
            return cls(**fields)
        except PredictionsError as error:
            raise PredictionsError(f"the predictions' header is malformed: {error}") from None
