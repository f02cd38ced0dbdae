"""What a finished result may be written over: an earlier result of the very same run, and nothing else unasked.

Long runs call `check_replaces_own` with their `PlannedRun` before they begin. A record that is computed from files in
seconds calls `check_replaces_record` just before it is written. Everything else that is made from results (reports,
tables, pictures, comparisons, exports) is written by `made_files`.
"""

from __future__ import annotations

import contextlib
import glob
import itertools
import json
import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from ..config import Protocol
from ..errors import PredictionsError, UsageError, worded
from ..utils.files import locked_folder
from ..utils.foreign import ForeignTextError, read_json_text
from ..utils.paths import local_path
from .base import Record

IDENTITY = ("model", "dataset", "protocol", "questions_hash")  # fields that say which run a record is of
_MOST, _LONGEST = 4, 60  # differences that are named, characters of each value
_log = logging.getLogger(__name__)


def replace_hint() -> str:
    """What to do where a file is not replaced."""
    return worded(
        "Give another --out, move it, or replace it with --overwrite.",
        "Give another folder, move it, or replace it with overwrite=True.",
    )


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
        questions: hash of the ids of the questions, where only a part of them was asked (pointing).
    """

    model: Mapping[str, Any]
    protocol: Protocol
    content_hash: str
    tasks: Collection[str]
    split: str = "test"
    recipe: Mapping[str, Any] = field(default_factory=dict)
    questions: str = ""

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
            str(record.model.get("questions_sha256", "")),
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
            found.append(f"the tasks {', '.join(sorted(other.tasks))}, not {', '.join(sorted(self.tasks))}")
        if self.questions != other.questions:
            which = [one.questions and f"the questions {one.questions[:12]}" for one in (other, self)]
            found.append(", not ".join(part or "all questions" for part in which))
        ours = {**self.protocol.to_dict(), **self.recipe}
        theirs = {**other.protocol.to_dict(), **other.recipe}
        found += [
            f"{name} {shortened(theirs.get(name))}, not {shortened(ours.get(name))}"
            for name in dict.fromkeys((*ours, *theirs))
            if ours.get(name) != theirs.get(name)
        ]
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
    return _check_replaces(record, kind, lambda before: planned, overwrite)


def check_replaces_part(record: Path, kind: type[Record], known: Mapping[str, Any], *, overwrite: bool = False) -> bool:
    """As `check_replaces_own`, before the model is loaded: of a run of which not all is known yet.

    Args:
        record, kind, overwrite: as there.
        known: fields of `PlannedRun`; the others are taken to be those of the record that is there.
    """
    return _check_replaces(record, kind, lambda before: replace(before, **known), overwrite)


def _check_replaces(
    record: Path, kind: type[Record], plan: Callable[[PlannedRun], PlannedRun], overwrite: bool
) -> bool:
    path = local_path(record)
    data = path.with_name(f"{path.stem}.{kind.data_file()}") if kind.data else path
    there = next((one for one in (path, data) if one.exists()), None)
    if there is None or overwrite:
        return there is not None
    try:
        before = PlannedRun.of_record(kind.read(path))
    except PredictionsError as error:
        raise UsageError(
            f"{there} is not replaced: it is there without a record of this run ({error}) {replace_hint()}"
        ) from None
    planned = plan(before)
    if differ := planned.differences(before):
        raise UsageError(
            f"{path} holds a result of another run of {planned.model['name']}: {'; '.join(differ)}. {replace_hint()}"
        )
    return True


@contextlib.contextmanager
def settled_stem(
    record: Record, folder: Path, stem: str, suffix: str = ".json", *, overwrite: bool = False, checked: bool = False
) -> Iterator[str]:
    """The stem under which a finished record is written in the body, which no other process writes meanwhile.

    Args:
        record: what will be written, to `folder / f"{stem}{suffix}"`.
        folder, stem, suffix: where.
        overwrite: replace whatever is there.
        checked: `check_replaces_own` has passed before the work. Where another run has taken the name since then, the
            result of the work gets the next free one, "NAME.2", and that is logged. Else it is refused.

    Raises:
        UsageError: a result of another run has the name, and `checked` is false.
    """
    with locked_folder(folder):
        path, chosen = folder / f"{stem}{suffix}", stem
        try:
            there = check_replaces_own(path, type(record), PlannedRun.of_record(record), overwrite=overwrite)
            if there and not overwrite and not checked:
                _log.warning("%s: the result of the same run is replaced", path)
        except UsageError:
            if not checked:
                raise
            names = (f"{stem}.{number}" for number in itertools.count(2))
            chosen = next(name for name in names if not any(folder.glob(f"{glob.escape(name)}.*")))
            _log.warning("%s was written by another run meanwhile; this one is called %s", path, f"{chosen}{suffix}")
        yield chosen


def check_replaces_record(path: str | Path, record: Record, *, overwrite: bool = False) -> bool:
    """Refuse to write a record over one of another model, data or protocol, or over anything else.

    Args:
        path: the file that will be written.
        record: what will be written.
        overwrite: replace whatever is there.

    Returns:
        Whether the file is there, and will be replaced.

    Raises:
        UsageError: it is something else; what differs is named.
    """
    place = local_path(path)
    if not place.exists() or overwrite:
        return place.exists()
    try:
        before = type(record).read(place)
    except PredictionsError as error:
        raise UsageError(
            f"{place} is not replaced: it is not a {record.noun} of this run ({error}) {replace_hint()}"
        ) from None
    _refuse_another(place, list(_differences(record.to_dict(), before.to_dict())))
    return True


def check_replaces_json(
    path: str | Path,
    fields: Mapping[str, Any],
    identity: Iterable[str],
    *,
    overwrite: bool = False,
    lines: bool = False,
) -> bool:
    """Refuse to write JSON that is no record over that of another run, or over anything else.

    Args:
        path: the file that will be written.
        fields: what will be written, or as much of it as is known.
        identity: names of the fields that say which run it is of.
        overwrite: replace whatever is there.
        lines: of a JSON Lines file: its first line is compared.

    Returns:
        Whether the file is there, and will be replaced.

    Raises:
        UsageError: it is something else; what differs is named.
    """
    place = local_path(path)
    if not place.exists() or overwrite:
        return place.exists()
    try:
        content = place.read_bytes()
        before = read_json_text(content.split(b"\n", 1)[0] if lines else content)
    except (OSError, ForeignTextError) as error:
        raise UsageError(f"{place} is not replaced: it is not a file of this run ({error}) {replace_hint()}") from None
    if not isinstance(before, dict):
        raise UsageError(f"{place} is not replaced: it is not a file of this run. {replace_hint()}")
    _refuse_another(place, list(_differences(json.loads(json.dumps(dict(fields))), before, identity)))
    return True


def check_same_run(path: str | Path, ours: Mapping[str, Any], before: Mapping[str, Any]) -> None:
    """Refuse to replace a file of another identity than this run's. Raises `UsageError` that names what differs."""
    _refuse_another(local_path(path), list(_differences(json.loads(json.dumps(dict(ours))), before, ours)))


def _refuse_another(place: Path, differ: list[str]) -> None:
    if differ:
        more = f" and {len(differ) - _MOST} more" if len(differ) > _MOST else ""
        raise UsageError(
            f"{place} holds the result of another run: {'; '.join(differ[:_MOST])}{more}. {replace_hint()}"
        )


def _differences(new: Mapping[str, Any], old: Mapping[str, Any], identity: Iterable[str] = IDENTITY) -> Iterator[str]:
    for part in identity:
        ours, theirs = dict(_leaves(part, new.get(part))), dict(_leaves(part, old.get(part)))
        for name in dict.fromkeys((*ours, *theirs)):
            if ours.get(name) != theirs.get(name):
                yield f"{name} {shortened(theirs.get(name))}, not {shortened(ours.get(name))}"


def _leaves(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for key, part in value.items():
            yield from _leaves(f"{name}.{key}", part)
    else:
        yield name, value


def shortened(value: Any) -> str:
    """A value as text of at most 60 characters."""
    shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return shown if len(shown) <= _LONGEST else f"{shown[: _LONGEST - 3]}..."
