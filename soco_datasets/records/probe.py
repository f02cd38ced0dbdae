"""The probe record: what was trained on what, how the epoch was selected, and the scores, as versioned JSON."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field

from ..config import alpha_key
from ..errors import PredictionsError
from ..features.linear_probe import ProbeRecipe
from .base import Record
from .fields import Nested, Shape, StoredProtocol
from .ranking import Headline

PROBE_FORMAT = "soco_probe"
OLD_VARIANT_NAMES = {"honest": "heldout"}  # name in older records and commands -> name now


def _check_recipe(stored: Any) -> ProbeRecipe:
    if isinstance(stored, ProbeRecipe):
        return stored
    try:
        return ProbeRecipe(**stored)
    except (ValueError, TypeError) as error:  # UsageError is a ValueError
        raise ValueError(f"is invalid: {error}") from None


class ProbeRecord(Record):
    """One probe of one model on one dataset. All scores are fractions, 0..1, or None where there is nothing to score.

    Attributes:
        model: `DenseFeatureExtractor.describe()` of the frozen backbone.
        protocol: how features were made and scores computed.
        recipe: how the layer was trained.
        counts: images, forwards, decodes, train_pairs, test_pairs.
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

    The other attributes are those of `base.Record`.
    """

    kind: ClassVar[str] = "probe"
    noun: ClassVar[str] = "probe record"
    data: ClassVar[str] = ""
    restore: ClassVar[str] = "train the probe again"

    protocol: StoredProtocol
    recipe: Annotated[ProbeRecipe, BeforeValidator(_check_recipe)]
    before: Nested
    variants: Annotated[dict[str, dict[str, Any]], Shape(dict[str, Annotated[dict[str, Any], Field(min_length=1)]])]

    @classmethod
    def mark(cls) -> dict[str, Any]:
        return {"format": PROBE_FORMAT, "schema_version": cls.version}

    @classmethod
    def matches(cls, fields: Mapping[str, Any]) -> bool:
        return fields.get("format") == PROBE_FORMAT

    @classmethod
    def no_match(cls, fields: Any) -> str:
        return f'not a probe record: it does not say "format": "{PROBE_FORMAT}"'

    @classmethod
    def upgrade(cls, fields: dict[str, Any]) -> dict[str, Any]:
        if (version := fields.get("schema_version")) != cls.version:
            raise PredictionsError(
                f"probe records of schema version {version!r} cannot be read, only version {cls.version}; use the "
                "toolkit that wrote it, or train the probe again"
            )
        if isinstance(variants := fields.get("variants"), dict):
            fields["variants"] = {OLD_VARIANT_NAMES.get(name, name): found for name, found in variants.items()}
        return fields

    def to_dict(self) -> dict[str, Any]:
        return super().to_dict() | {"recipe": dataclasses.asdict(self.recipe)}

    @property
    def metrics(self) -> dict[str, Any]:
        """ "before" and variant -> split -> task -> reduction -> alpha."""
        return {"before": self.before, **{name: found["metrics"] for name, found in self.variants.items()}}

    @property
    def headline(self) -> Headline:
        """SOC of the first variant on the test split, the mean over categories, at the threshold of the recipe."""
        alphas = self.protocol.scoring.alphas
        alpha = alpha_key(self.recipe.alpha if self.recipe.alpha in alphas else alphas[0])
        found: Any = next(iter(self.variants.values()), {"metrics": {}})["metrics"]
        for key in ("test", "soc_probe", "keypoint", alpha, "overall", "pck"):
            found = found.get(key) if isinstance(found, Mapping) else None
        return Headline(f"SOC linear PCK@{alpha}", None if found is None else round(100 * found, 4))
