"""Names of result files, and what may be replaced: the very same run again, and nothing else without being asked."""

from __future__ import annotations

import logging
import re
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..config import FeatureConfig, Protocol, ScoringConfig
from ..errors import PredictionsError, UsageError
from ..utils.paths import local_path
from .base import Record

_SHOWN = 60
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PlannedRun:
    """What makes a result another one.

    Attributes:
        model: as `DenseFeatureExtractor.describe()` gives it: name, weights hash, plug-in.
        protocol: how features are made and scored.
        content_hash: of the dataset.
        tasks: names; of a probe, its variants.
        split: "test" or "all".
        recipe: of a probe, how it is trained.
    """

    model: Mapping[str, Any]
    protocol: Protocol
    content_hash: str
    tasks: Collection[str]
    split: str = "test"
    recipe: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of_record(cls, record: Any) -> PlannedRun:
        """The run that an `EvaluationResult` or a `ProbeRecord` is of."""
        is_probe = hasattr(record, "variants")
        return cls(
            record.model,
            record.protocol,
            str(record.dataset["content_hash"]),
            tuple(record.variants if is_probe else record.metrics),
            str(record.dataset.get("split", "test")),
            asdict(record.recipe) if is_probe else {},
        )

    def differences(self, other: PlannedRun) -> list[str]:
        """What differs in `other`, in words: "image_size 140, not 800"."""
        found = []
        own, before = (str(model.get("weights_hash")) for model in (self.model, other.model))
        is_file = "plugin" in self.model and "in_memory" not in self.model  # its author evaluates it again and again
        if not is_file and own != before:
            found.append(f"weights {before[:16]}, not {own[:16]}")
        if self.content_hash != other.content_hash:
            found.append(f"data with the content hash {other.content_hash[:12]}, not {self.content_hash[:12]}")
        if self.split != other.split:
            found.append(f"the split {other.split}, not {self.split}")
        if set(self.tasks) != set(other.tasks):
            found.append(f"{', '.join(sorted(other.tasks))}, not {', '.join(sorted(self.tasks))}")
        ours = {**self.protocol.to_dict(), **self.recipe}
        theirs = {**other.protocol.to_dict(), **other.recipe}
        found += [
            f"{name} {_short(theirs.get(name))}, not {_short(ours.get(name))}"
            for name in dict.fromkeys((*ours, *theirs))
            if ours.get(name) != theirs.get(name)
        ]
        return found


def result_name(model: Mapping[str, Any], *qualifiers: str) -> str:
    """The stem of the files of a result: the model's name, and what is not the default.

    >>> result_name({"name": "facebook/dinov2-base"}, "size140", "layer5")
    'facebook_dinov2-base.size140.layer5'
    """
    return ".".join([_plain(model["name"]) or "model", *filter(None, map(_plain, qualifiers))])


def qualifiers_of(features: FeatureConfig, scoring: ScoringConfig) -> list[str]:
    """What names of files say of options that are not at their default: "size140", "layer5", "centered" ...

    >>> qualifiers_of(FeatureConfig(image_size=140), ScoringConfig(convention="centered"))
    ['size140', 'centered']
    """
    usual = FeatureConfig(), ScoringConfig()
    named = [
        ("image_size", "size"), ("layer", "layer"), ("norm", "norm-final"), ("statistics", "statistics"), ("dtype", ""),
        ("convention", ""), ("normalizer", "normalizer-"), ("soft_beta", "beta"), ("soft_window", "window"),
        ("valid_area", "valid-area"),
    ]  # fmt: skip
    found = []
    for name, label in named:
        given, default = (next(part for part in pair if hasattr(part, name)) for pair in ((features, scoring), usual))
        value = getattr(given, name)
        if value != getattr(default, name):
            found.append(label if isinstance(value, bool | Mapping) else f"{label}{value}")
    return found


def check_replaces_own(record: Path, kind: type[Record], planned: PlannedRun, *, overwrite: bool = False) -> bool:
    """Refuse, before work is done for it, to replace a result of another run.

    Args:
        record: the file that will be written.
        kind: of record that is written there.
        planned: the run.
        overwrite: replace whatever is there.

    Returns:
        Whether the file is there, and will be replaced.

    Raises:
        UsageError: it holds a result of other weights, data, settings or tasks, or something else.
    """
    path = local_path(record)
    data = path.with_name(f"{path.stem}.{kind.data_file()}") if kind.data else path
    there = next((one for one in (path, data) if one.exists()), None)
    if there is None or overwrite:
        return there is not None
    fix = "Give another --out, move it, or replace it with --overwrite (overwrite=True in Python)."
    try:
        before = kind.read(path)
    except PredictionsError as error:
        raise UsageError(f"{there} is not replaced: it is there without a record of this run ({error}) {fix}") from None
    differ = planned.differences(PlannedRun.of_record(before))
    if differ:
        raise UsageError(f"{path} holds a result of another run of {planned.model['name']}: {'; '.join(differ)}. {fix}")
    return True


def check_replaced(path: Path, record: Record, *, overwrite: bool = False) -> None:
    """Before a record is written: `check_replaces_own`, which logs where the result of the same run is replaced."""
    there = check_replaces_own(path, type(record), PlannedRun.of_record(record), overwrite=overwrite)
    if there and not overwrite:
        _log.warning("%s: the result of the same run is replaced", path)


def _plain(text: object) -> str:
    return re.sub(r"[^\w.-]+", "_", str(text)).strip("._")


def _short(value: object) -> str:
    shown = str(value)
    return shown if len(shown) <= _SHOWN else f"{shown[: _SHOWN - 3]}..."
