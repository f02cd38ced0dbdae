"""From a command's function to what Typer sees.

Options that several commands share are frozen dataclasses with annotated fields; a command takes them as parameters.
`command` flattens them into the signature that Typer reads, and puts them together again when the command runs:

    @dataclass(frozen=True, kw_only=True)
    class OutputOptions:
        PANEL: ClassVar[str] = "Output"
        out: Annotated[Path, Option(metavar="DIR", help="folder of results")] = Path("results")

    def run(output: OutputOptions, seed: Annotated[int, Option(help="random seed")] = 0) -> None: ...

What an annotation leaves out is filled in: the option's name (that of the field, with dashes), its metavar by its type,
its panel (that of the dataclass) and, for paths, `local_path` as the parser. The path of an option or argument `out` is
also checked before any work is done: a folder (metavar DIR) or a file (FILE) that cannot be written is refused.
"""

from __future__ import annotations

import copy
import inspect
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import typer
from typer import Option
from typer.models import OptionInfo, ParameterInfo

from ..errors import UsageError
from ..utils.details import stage
from ..utils.files import writable_file, writable_folder
from ..utils.paths import local_path
from ..utils.terminal import Verbosity, set_verbosity
from .parsing import SocoCommand, SocoGroup

_log = logging.getLogger(__name__)
Quiet = Annotated[bool, Option("--quiet", help="report no progress and no notes")]
Verbose = Annotated[bool, Option("--verbose", help="also report the data, the model, the cache, files and times")]
_METAVARS: dict[Any, str] = {int: "N", float: "X", Path: "PATH", str: "TEXT"}
_PANELS = ("Model", "Data", None, "Run", "Local models", "Output")  # order in the help; None: any other
_OUTPUTS = {"DIR": writable_folder, "FILE": writable_file}  # metavar of an output -> its parser
_GLOBAL = {"quiet": Quiet, "verbose": Verbose}


def command(
    app: typer.Typer, function: Callable[..., None], name: str, help: str, example: str, panel: str | None = None
) -> None:
    """Add a command.

    Args:
        app: where it is added.
        function: what is run; its parameters are annotated options and arguments, and dataclasses of them.
        name: of the command.
        help: one line, without a capital and a full stop.
        example: command lines that its help ends with.
        panel: the group of commands that it is listed in.
    """
    register = app.command(
        name,
        cls=SocoCommand,
        help=_sentence(help),
        short_help=help,
        epilog=_examples(example),
        rich_help_panel=panel,
    )
    register(flattened(function))


def group(app: typer.Typer, name: str, help: str, example: str, panel: str | None = None) -> typer.Typer:
    """Add a command that consists of commands, and return it; arguments as of `command`."""
    inner = typer.Typer(name=name, cls=SocoGroup, help=_sentence(help), short_help=help, epilog=_examples(example))
    app.add_typer(inner, rich_help_panel=panel)
    return inner


def flattened(function: Callable[..., None]) -> Callable[..., None]:
    """The function with the fields of its dataclasses of options as parameters of its own, and `--quiet`, `--verbose`.

    Raises:
        TypeError: two options have one name.
    """

    def call(**values: Any) -> None:
        apply_verbosity(values.pop("quiet"), values.pop("verbose"))
        with stage(_log, "the command"):
            function(**bundled(function, values))

    parameters = sorted((parameter for _, _, parameter in _parameters(function)), key=_rank)
    parameters += [_parameter(name, annotation, False, None) for name, annotation in _GLOBAL.items()]
    names = [parameter.name for parameter in parameters]
    if len(set(names)) < len(names):
        raise TypeError(f"{function.__module__}: options of one name: {sorted(names)}")
    call.__name__, call.__doc__ = function.__name__, function.__doc__
    call.__annotations__ = {}
    call.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return call


def bundled(function: Callable[..., None], values: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments for a command's function from the values of all options."""
    found: dict[str, Any] = {}
    members: dict[str, tuple[Any, dict[str, Any]]] = {}
    for slot, options, parameter in _parameters(function):
        if options is None:
            found[slot] = values[parameter.name]
        else:
            members.setdefault(slot, (options, {}))[1][parameter.name] = values[parameter.name]
    return found | {slot: options(**given) for slot, (options, given) in members.items()}


def apply_verbosity(quiet: bool, verbose: bool) -> None:
    """Follow `--quiet` and `--verbose`. Raises `UsageError` where both are given."""
    if quiet and verbose:
        raise UsageError("--quiet and --verbose exclude one another.")
    if quiet or verbose:
        set_verbosity(Verbosity.QUIET if quiet else Verbosity.VERBOSE)


def _parameters(function: Callable[..., None]) -> Iterator[tuple[str, Any, inspect.Parameter]]:
    """(parameter of the function, dataclass of options or None, parameter as Typer sees it)."""
    hints = get_type_hints(function, include_extras=True)
    for name, parameter in inspect.signature(function).parameters.items():
        hint = hints[name]
        if not is_dataclass(hint):
            yield name, None, _parameter(name, hint, parameter.default, None)
            continue
        panel = getattr(hint, "PANEL", None)
        inner = get_type_hints(hint, include_extras=True)
        for field in fields(hint):
            default = inspect.Parameter.empty if field.default is MISSING else field.default
            yield name, hint, _parameter(field.name, inner[field.name], default, panel)


def _parameter(name: str, annotation: Any, default: Any, panel: str | None) -> inspect.Parameter:
    if get_origin(annotation) is not Annotated:
        raise TypeError(f"{name} has no Option or Argument.")
    kind, *extras = get_args(annotation)
    info: ParameterInfo = copy.copy(next(extra for extra in extras if isinstance(extra, ParameterInfo)))
    element = next((part for part in _METAVARS if part in (kind, *get_args(kind), *_inner(kind))), None)
    if isinstance(info, OptionInfo):
        if info.default is ...:
            info.param_decls = (f"--{name.replace('_', '-')}",)
        info.rich_help_panel = info.rich_help_panel or panel
        info.metavar = info.metavar or (_METAVARS[element] if element else None)
    if element is Path and info.parser is None:
        info.parser = _OUTPUTS.get(info.metavar or "", local_path) if name == "out" else local_path
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, info])


def _inner(kind: Any) -> tuple[Any, ...]:
    """The type in `list[X] | None`."""
    return tuple(part for one in get_args(kind) for part in get_args(one))


def _rank(parameter: inspect.Parameter) -> int:
    info = get_args(parameter.annotation)[1]
    return _PANELS.index(info.rich_help_panel if info.rich_help_panel in _PANELS else None)


def _examples(lines: str) -> str:
    return f"{'examples' if chr(10) in lines else 'example'}:\n  {lines}"


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."
