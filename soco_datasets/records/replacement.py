"""What a finished result may be written over: an earlier result of the very same run, and nothing else unasked.

Long runs call `check_replaces_own` with their `PlannedRun` before they begin. A record that is computed from files in
seconds calls `check_replaces_record` just before it is written. Everything else that is made from results (reports,
tables, pictures, comparisons) is written by `write_made`.
"""

from __future__ import annotations

import contextlib
import glob
import hashlib
import itertools
import json
import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from ..config import Protocol
from ..errors import PredictionsError, UsageError
from ..utils.files import atomic_files, locked_folder, sha256_file
from ..utils.foreign import ForeignTextError, read_json_text
from ..utils.paths import local_path
from .base import Record

_IDENTITY = ("model", "dataset", "protocol", "questions_hash")  # fields that say which run a record is of
MADE_FROM = ".made_from.json"  # which inputs the files of a folder were made from
_MOST, _LONGEST = 4, 60  # differences that are named, characters of each value
_FIX = "Give another --out, move it, or replace it with --overwrite (overwrite=True in Python)."
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
            f"{name} {_short(theirs.get(name))}, not {_short(ours.get(name))}"
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
            f"{there} is not replaced: it is there without a record of this run ({error}) {_FIX}"
        ) from None
    planned = plan(before)
    if differ := planned.differences(before):
        raise UsageError(
            f"{path} holds a result of another run of {planned.model['name']}: {'; '.join(differ)}. {_FIX}"
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
        raise UsageError(f"{place} is not replaced: it is not a {record.noun} of this run ({error}) {_FIX}") from None
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
        raise UsageError(f"{place} is not replaced: it is not a file of this run ({error}) {_FIX}") from None
    if not isinstance(before, dict):
        raise UsageError(f"{place} is not replaced: it is not a file of this run. {_FIX}")
    _refuse_another(place, list(_differences(json.loads(json.dumps(dict(fields))), before, identity)))
    return True


def check_same_run(path: str | Path, ours: Mapping[str, Any], before: Mapping[str, Any]) -> None:
    """Refuse to replace a file of another identity than this run's. Raises `UsageError` that names what differs."""
    _refuse_another(local_path(path), list(_differences(json.loads(json.dumps(dict(ours))), before, ours)))


def write_made(
    out: str | Path,
    files: Mapping[str, str | bytes],
    inputs: Collection[str] | None = None,
    *,
    overwrite: bool = False,
) -> list[Path]:
    """Write files that are made from others (a report, tables, pictures), all or none, over nothing that would be lost.

    A file of the same name is replaced where it has the same content, or where it is as it was written here and was
    made from nothing else than these inputs: a report of two models replaces that of one of them. What is there under
    other names stays, except unchanged files of the work that is replaced.

    Args:
        out: the folder.
        files: name below the folder -> content; the first is the main one, of which there may be several in a folder.
        inputs: what the files are made from, one text each; they are stored in the folder, in `.made_from.json`.
            None: only the same content is replaced.
        overwrite: replace whatever is there.

    Returns:
        The files, in the order given.

    Raises:
        UsageError: another file is there, or one that was made from other inputs.
        SocoError: the folder cannot be written.
    """
    folder, contents = local_path(out), {name: _encoded(content) for name, content in files.items()}
    with locked_folder(folder):
        every = _made_before(folder / MADE_FROM) if inputs is not None else {}
        before = every.pop(next(iter(files)), {"inputs": [], "files": {}})
        own = {name for name, digest in before["files"].items() if _has_content(folder / name, digest)}
        digests = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
        there = {name for name in files if (folder / name).exists()}
        same = {name for name in there if _has_content(folder / name, digests[name])}
        if not overwrite:
            others = sorted(set(before["inputs"]) - set(inputs or ()))
            for name in sorted(there - same):
                if name not in own:
                    raise UsageError(f"{folder / name} is not replaced: it is there with other content. {_FIX}")
                if others:
                    raise UsageError(f"{folder / name} is not replaced: it was made from {_few(others)} too. {_FIX}")
            if there:
                which = "the same files" if there == same else "the earlier ones, made from these inputs,"
                _log.warning("%s: %s are replaced", folder / next(iter(files)), which)
        if inputs is not None:
            state = {**every, next(iter(files)): {"inputs": sorted(inputs), "files": digests}}
            contents[MADE_FROM] = (json.dumps(state, indent=1, ensure_ascii=False) + "\n").encode()
        with atomic_files(*(folder / name for name in contents)) as temporaries:
            for temporary, content in zip(temporaries, contents.values(), strict=True):
                temporary.write_bytes(content)
        for name in own - set(files):
            (folder / name).unlink(missing_ok=True)
    return [folder / name for name in files]


def run_inputs(records: Iterable[Mapping[str, Any]]) -> list[str]:
    """The runs that records are of, as `inputs` of `write_made`: their fields without what is measured."""
    found = []
    for fields in records:
        identity = {name: fields.get(name) for name in (*_IDENTITY, "task", "subset", "seed", "setting")}
        model = dict(identity["model"] or {}) if isinstance(identity["model"], dict) else {"name": identity["model"]}
        model.pop("device", None)
        if "plugin" in model and "in_memory" not in model:  # its author evaluates it again and again
            model.pop("weights_hash", None)
        text = json.dumps({**identity, "model": model}, sort_keys=True, default=str)
        found.append(f"{model.get('name')} {hashlib.sha256(text.encode()).hexdigest()[:12]}")
    return found


def _encoded(content: str | bytes) -> bytes:
    return content.encode("utf-8") if isinstance(content, str) else content


def _made_before(path: Path) -> dict[str, Any]:
    """Main file -> the inputs and files of earlier work in a folder; nothing where that is not stated."""
    try:
        state = read_json_text(path.read_bytes())
    except (OSError, ForeignTextError):
        return {}
    if not isinstance(state, dict):
        return {}
    return {name: made for name, made in state.items() if _is_made(made)}


def _is_made(made: Any) -> bool:
    if (
        not isinstance(made, dict)
        or not isinstance(made.get("inputs"), list)
        or not isinstance(made.get("files"), dict)
    ):
        return False
    names = made["files"]
    below = all(name and not Path(name).is_absolute() and ".." not in Path(name).parts for name in names)
    return below and all(isinstance(text, str) for text in (*made["inputs"], *names.values()))


def _has_content(path: Path, digest: str) -> bool:
    return path.is_file() and sha256_file(path) == digest


def _few(texts: list[str]) -> str:
    more = f" and {len(texts) - _MOST} more" if len(texts) > _MOST else ""
    return ", ".join(map(_short, texts[:_MOST])) + more


def _refuse_another(place: Path, differ: list[str]) -> None:
    if differ:
        more = f" and {len(differ) - _MOST} more" if len(differ) > _MOST else ""
        raise UsageError(f"{place} holds the result of another run: {'; '.join(differ[:_MOST])}{more}. {_FIX}")


def _differences(new: Mapping[str, Any], old: Mapping[str, Any], identity: Iterable[str] = _IDENTITY) -> Iterator[str]:
    for part in identity:
        ours, theirs = dict(_leaves(part, new.get(part))), dict(_leaves(part, old.get(part)))
        for name in dict.fromkeys((*ours, *theirs)):
            if ours.get(name) != theirs.get(name):
                yield f"{name} {_short(theirs.get(name))}, not {_short(ours.get(name))}"


def _leaves(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for key, part in value.items():
            yield from _leaves(f"{name}.{key}", part)
    else:
        yield name, value


def _short(value: Any) -> str:
    shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return shown if len(shown) <= _LONGEST else f"{shown[: _LONGEST - 3]}..."
