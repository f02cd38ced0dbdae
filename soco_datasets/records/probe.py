"""The probe record: what was trained on what, how the epoch was selected, and the scores, as versioned JSON."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..config import Protocol
from ..errors import PredictionsError, UsageError
from ..features.linear_probe import ProbeRecipe
from ..utils.files import atomic_write
from ..utils.paths import local_path

PROBE_FORMAT = "soco_probe"
PROBE_SCHEMA_VERSION = 1


@dataclass(frozen=True)
class ProbeRecord:
    """One probe of one model on one dataset. All scores are fractions, 0..1, or None where there is nothing to score.

    Attributes:
        model: `DenseFeatureExtractor.describe()` of the frozen backbone.
        dataset: id, revision, content_hash.
        protocol: how features were made and scores computed.
        recipe: how the layer was trained.
        versions: of the toolkit and the libraries.
        device: what it ran on.
        counts: images, forwards, decodes, train_pairs, test_pairs.
        created: UTC time, ISO 8601.
        before: scores on the test split before training, those of the backbone alone.
        variants: name -> result:
            title: what to call it in a table.
            selected_on: the pairs whose (SOC + CC) / 2 selected the epoch.
            selected_epoch: from 1.
            epochs: number, learning_rate, loss, batch_losses and selection (score, soc, cc) of each.
            batch_size, drop_last: as used; a split smaller than the recipe's batch is one batch.
            pairs: number of pairs trained on, without_query among them, selection, left_out (used for neither).
            images: number of images trained on, selection, and of each how many the test split shows too.
            holdout: fraction, seed and image ids held out; None for a variant without.
            metrics: split (train, selection, test) -> task -> reduction -> alpha, see `SplitScorer.metrics`, all with
                the selected layer.
            head: file and sha256 of its safetensors; None before it was written.
        schema_version: of this record.
    """

    model: dict[str, Any]
    dataset: dict[str, Any]
    protocol: Protocol
    recipe: ProbeRecipe
    versions: dict[str, str]
    device: str
    counts: dict[str, int]
    created: str
    before: dict[str, Any]
    variants: dict[str, dict[str, Any]]
    schema_version: int = PROBE_SCHEMA_VERSION

    def to_json(self) -> str:
        """The record as JSON, sorted and indented: equal records give equal bytes."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        fields |= {
            "format": PROBE_FORMAT,
            "protocol": self.protocol.to_dict(),
            "recipe": dataclasses.asdict(self.recipe),
        }
        return json.dumps(fields, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> ProbeRecord:
        """The record from its JSON.

        Raises:
            PredictionsError: not JSON, no probe record, another schema version, a field missing, unknown or invalid.
        """
        try:
            fields = json.loads(text)
        except ValueError as error:
            raise PredictionsError(f"a probe record must be JSON: {error}") from None
        if not isinstance(fields, dict) or fields.pop("format", None) != PROBE_FORMAT:
            raise PredictionsError(f'this is no probe record: it does not say "format": "{PROBE_FORMAT}"')
        if fields.get("schema_version") != PROBE_SCHEMA_VERSION:
            raise PredictionsError(
                f"probe records of schema version {fields.get('schema_version')!r} cannot be read, only version "
                f"{PROBE_SCHEMA_VERSION}; use the toolkit that wrote it, or train the probe again"
            )
        known = {field.name for field in dataclasses.fields(cls)}
        if set(fields) != known:
            raise PredictionsError(
                f"the probe record has unknown or lacks fields: {', '.join(sorted(known ^ set(fields)))}"
            )
        for name in ("model", "dataset", "before", "variants"):
            if not isinstance(fields[name], dict):
                raise PredictionsError(f"the probe record's {name} must be a mapping")
        try:
            fields["protocol"] = Protocol.from_dict(fields["protocol"])
            fields["recipe"] = ProbeRecipe(**fields["recipe"])
        except (UsageError, TypeError) as error:
            raise PredictionsError(f"the probe record's protocol or recipe is invalid: {error}") from None
        return cls(**fields)

    def write(self, path: str | Path) -> None:
        """Write the JSON, whole or not at all. Raises `SocoError` when the place cannot be written."""
        atomic_write(local_path(path), self.to_json())

    @classmethod
    def read(cls, path: str | Path) -> ProbeRecord:
        """Read a record. Raises `PredictionsError`, naming the file, when it is missing or not valid."""
        try:
            return cls.from_json(local_path(path).read_bytes())
        except OSError as error:
            raise PredictionsError(f"{path}: cannot be read ({error.strerror}). Give a probe JSON.") from error
        except PredictionsError as error:
            raise PredictionsError(f"{path}: {error}") from error
