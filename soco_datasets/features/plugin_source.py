"""Where a plug-in comes from: its name to the object and the files it is written in, whose hash says what ran."""

from __future__ import annotations

import hashlib
import importlib
import inspect
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from ..errors import BackboneError, unknown_name
from ..utils.files import sha256_file
from ..utils.paths import local_path, real_path

_PACKAGE = Path(__file__).parent


def find_plugin(plugin: str | Callable[..., Any]) -> tuple[str, Any, tuple[Path, ...]]:
    """(what to call it, the object, its source files) of a plug-in by name, which is imported, or of an object.

    Raises:
        BackboneError: no such module, file or attribute, or an import that fails.
    """
    if not isinstance(plugin, str):
        return own_name(plugin), plugin, _files_of(plugin)
    place, _, attribute = plugin.rpartition(":")
    if not place or plugin.endswith(".py"):
        raise BackboneError(f"{plugin} names no function: write {plugin}:function.")
    module = _import_file(local_path(place)) if place.endswith(".py") else _import_module(place)
    found: Any = module
    for part in attribute.split("."):
        if not hasattr(found, part):
            public = [name for name in vars(found) if not name.startswith("_")]
            raise BackboneError(f"{place} has no {attribute!r}. {unknown_name('attribute', part, public)}")
        found = getattr(found, part)
    files = dict.fromkeys([*_module_files(module), *_files_of(found)])
    return plugin, found, tuple(files)


def _import_module(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:  # the user's code may raise anything
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        if missing and (name == missing or name.startswith(f"{missing}.")):
            raise BackboneError(
                f"There is no module {missing!r} to import {name} from. Install it, set PYTHONPATH to its folder, or "
                "name the file instead: path/to/file.py:function."
            ) from error
        raise BackboneError(f"Importing {name} failed: {reason_of(error)}") from error


def _import_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise BackboneError(f"There is no plug-in file {path}.")
    path = real_path(path)
    name = f"soco_plugin_{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    module = ModuleType(name)
    module.__file__ = str(path)
    sys.modules[name] = module  # where dataclasses and pickle look for it
    try:
        # Compiled here, so that what runs is what is hashed: cached bytecode can be older within the same second.
        exec(compile(path.read_bytes(), str(path), "exec"), module.__dict__)
    except (Exception, SystemExit) as error:  # the user's code may raise anything
        del sys.modules[name]
        raise BackboneError(f"Importing {path} failed: {reason_of(error)}") from error
    return module


def hash_files(files: tuple[Path, ...]) -> str | None:
    """Hex sha256 of a file; of several, of their hashes one after the other; None without files."""
    if len(files) <= 1:
        return sha256_file(files[0]) if files else None
    return hashlib.sha256("".join(sha256_file(path) for path in files).encode()).hexdigest()


def _module_files(module: ModuleType) -> tuple[Path, ...]:
    """The module's file; of a package, all its Python files in order."""
    file = getattr(module, "__file__", None)
    if file is None:
        return ()
    path = real_path(Path(file))
    return tuple(sorted(path.parent.rglob("*.py"))) if path.name == "__init__.py" else (path,)


def _files_of(found: Any) -> tuple[Path, ...]:
    """The file in which a function, or an object's class, is written; none for one typed into a console."""
    written = found if inspect.isclass(found) or inspect.isroutine(found) else type(found)
    try:
        path = Path(inspect.getsourcefile(written) or "")
    except (TypeError, OSError):
        return ()
    return (real_path(path),) if path.is_file() else ()


def own_name(found: Any) -> str:
    """The name of a function or class, or of an object's class."""
    return str(getattr(found, "__name__", type(found).__name__))


def reason_of(error: BaseException) -> str:
    """The error in a line, with the last line of the user's own code before it."""
    text = " ".join(str(error).split()) or "no message"
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if "site-packages" not in frame.filename
        and "<" not in frame.filename
        and _PACKAGE not in Path(frame.filename).parents
    ]
    where = f" ({frames[-1].filename}, line {frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {text[:400]}{where}"
