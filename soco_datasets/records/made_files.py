"""Writing what is made from results or data (reports, tables, pictures, exports) so that nothing is lost."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ..data.json_values import first_names
from ..errors import UsageError
from ..utils.files import atomic_files, explain_write_errors, locked_folder, sha256_file
from ..utils.foreign import ForeignTextError, read_json_text
from ..utils.paths import local_path
from .replacement import IDENTITY, replace_hint, shortened

MADE_FROM = ".made_from.json"  # which inputs the files of a folder were made from
_PIECE = 2**20  # bytes compared at a time
_log = logging.getLogger(__name__)


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
            for name in sorted(there - same):
                _refuse(folder / name, name in own, before["inputs"], inputs)
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


def check_made(out: str | Path, main: str, inputs: Collection[str], *, overwrite: bool = False) -> None:
    """Refuse, before work is done for it, what `write_made` would refuse for its main file.

    Args:
        out, main, inputs, overwrite: as there, of the first of its files.

    Raises:
        UsageError: another file is there, or one that was made from other inputs.
    """
    folder = local_path(out)
    if not overwrite and (folder / main).exists():
        before = _made_before(folder / MADE_FROM).get(main, {"inputs": [], "files": {}})
        is_own = _has_content(folder / main, before["files"].get(main, ""))
        _refuse(folder / main, is_own, before["inputs"], inputs)


def run_inputs(records: Iterable[Mapping[str, Any]]) -> list[str]:
    """The runs that records are of, as `inputs` of `write_made`: their fields without what is measured."""
    found = []
    for fields in records:
        identity = {name: fields.get(name) for name in (*IDENTITY, "task", "subset", "seed", "setting")}
        model = dict(identity["model"] or {}) if isinstance(identity["model"], dict) else {"name": identity["model"]}
        model.pop("device", None)
        if "plugin" in model and "in_memory" not in model:  # its author evaluates it again and again
            model.pop("weights_hash", None)
        text = json.dumps({**identity, "model": model}, sort_keys=True, default=str)
        found.append(f"{model.get('name')} {hashlib.sha256(text.encode()).hexdigest()[:12]}")
    return found


def check_same_content(path: Path, new: Path, *, overwrite: bool = False, begun: bool = False) -> None:
    """Refuse to replace a file by one with another content.

    Args:
        path: the file that will be written.
        new: what will be moved over it.
        overwrite: replace whatever is there.
        begun: `new` is not written to its end: compare as much as there is.

    Raises:
        UsageError: `path` is there and differs.
    """
    place = local_path(path)
    if overwrite or not place.exists():
        return
    with explain_write_errors(place), open(place, "rb") as before, open(new, "rb") as after:
        while piece := after.read(_PIECE):
            if before.read(len(piece)) != piece:
                break
        else:
            if begun or not before.read(1):
                return
    raise UsageError(
        f"{place} is not replaced: it holds other data, or the same written in another way. {replace_hint()}"
    )


@contextlib.contextmanager
def same_or_new_files(*paths: Path, overwrite: bool = False) -> Iterator[tuple[Path, ...]]:
    """As `atomic_files`, but none of the files replaces one with another content unless `overwrite` is given.

    Raises:
        UsageError: a file is there and differs; all files are left as they were.
    """
    with atomic_files(*paths) as temporaries:
        yield temporaries
        for path, temporary in zip(paths, temporaries, strict=True):
            check_same_content(path, temporary, overwrite=overwrite)


def _refuse(path: Path, is_own: bool, before: Iterable[str], inputs: Collection[str] | None) -> None:
    if not is_own:
        raise UsageError(f"{path} is not replaced: it is there with other content. {replace_hint()}")
    if others := sorted(set(before) - set(inputs or ())):
        named = first_names(list(map(shortened, others)))
        raise UsageError(f"{path} is not replaced: it was made from {named} too. {replace_hint()}")


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
