"""How a command line is read: Typer's commands with what this one does differently, and errors in one line."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from ..errors import SocoError
from ..utils.terminal import is_terminal
from .help_page import plain_help, prepare_boxes

COMMAND_PATH = "soco_datasets.command_path"  # in the context's `meta`: the command whose options were read last
_RENAMED = {"--normaliser": "--normalizer"}  # earlier spellings of options; the help does not name them


class _Described:
    """What commands and groups of commands share: help that is plain off a terminal."""

    def format_help(self: Any, ctx: Any, formatter: Any) -> None:
        """Typer's boxes on a terminal; else plain text that is not wrapped."""
        if is_terminal():
            prepare_boxes(self, ctx)
            super().format_help(ctx, formatter)  # type: ignore[misc]
        else:
            formatter.write(plain_help(self, ctx))


class SocoCommand(_Described, TyperCommand):
    """A command."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the options; remembers which command it is for errors that are reported later."""
        ctx.meta[COMMAND_PATH] = ctx.command_path
        return super().parse_args(ctx, self._prepared(ctx, args))

    def _prepared(self, ctx: Any, args: list[str]) -> list[str]:
        """The arguments with today's names of options, and one option for each of several values of it.

        Raises:
            typer.BadParameter: an option without its value.
        """
        options = {name: option for option in self.params for name in option.opts if name.startswith("-")}
        prepared: list[str] = []
        rest = list(args)
        while rest:
            token = rest.pop(0)
            if token == "--":
                return [*prepared, token, *rest]
            name, sign, value = token.partition("=")
            name = _RENAMED.get(name, name)
            option: Any = options.get(name)
            prepared.append(f"{name}{sign}{value}" if option is not None else token)
            if option is None or option.is_flag or sign:
                continue
            if ctx.resilient_parsing and not rest:  # the shell asks for values of the option
                break
            if not rest or rest[0].partition("=")[0] in options:
                raise typer.BadParameter("needs a value", ctx=ctx, param_hint=name)
            prepared.append(rest.pop(0))
            while option.multiple and option.metavar.endswith("...") and rest and not rest[0].startswith("-"):
                prepared += [name, rest.pop(0)]
        return prepared


class SocoGroup(_Described, TyperGroup):
    """A command that consists of commands."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the options that stand before the command."""
        ctx.meta[COMMAND_PATH] = ctx.command_path
        return super().parse_args(ctx, args)


def usage_message(error: Any) -> str:
    """What is wrong with a command line, in one line.

    Args:
        error: Typer's exception; its classes are private, so it is told by what it holds.
    """
    ctx: Any = getattr(error, "ctx", None)
    kind = type(error).__name__
    if kind == "NoSuchOption":
        return f"No such option {error.option_name}.{_suggestion(error.option_name, _option_names(ctx))}"
    if kind == "MissingParameter":
        return _missing(error.param)
    if kind == "BadParameter":
        return _bad_value(error)
    if kind == "BadOptionUsage":
        return f"{error.option_name} takes no value."
    message = str(error.message)
    if message.startswith("Missing command"):
        return f"Name a command: {', '.join(ctx.command.list_commands(ctx))}."
    extra = re.fullmatch(r"Got unexpected extra argument\(s\) \((.*)\)", message, re.DOTALL)
    return f"Unexpected argument: {extra[1]}" if extra else message


def _option_names(ctx: Any) -> list[str]:
    if ctx is None:
        return []
    shown = [option for option in ctx.command.get_params(ctx) if not getattr(option, "hidden", False)]
    return [name for option in shown for name in (*option.opts, *option.secondary_opts) if name.startswith("-")]


def _suggestion(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=2, cutoff=0.6)
    return f" Did you mean {' or '.join(close)}?" if close else ""


def _missing(parameter: Any) -> str:
    name = parameter.opts[0] if parameter.opts[0].startswith("-") else _label(parameter)
    about = f": {parameter.help}" if parameter.help else ""
    return f"{name} is missing{about}."


def _label(parameter: Any) -> str:
    return str(parameter.metavar or parameter.name.upper())


def _bad_value(error: Any) -> str:
    """A value that its option does not take: `--image-size must be a whole number, got '28o'`."""
    if error.param is None:
        return f"{error.param_hint} {error.message}."
    name = error.param.opts[0] if error.param.opts[0].startswith("-") else _label(error.param)
    details = error.__cause__.errors() if hasattr(error.__cause__, "errors") else []
    if not details:
        return f"{name}: {error.message}"
    found, reason = details[0]["input"], details[0].get("ctx", {}).get("error")
    if isinstance(reason, SocoError):
        return f"{name}: {reason}"
    for prefix, wanted in (("int", "a whole number"), ("float", "a number"), ("finite", "a number")):
        if details[0]["type"].startswith(prefix):
            return f"{name} must be {wanted}, got {found!r}"
    choices = [str(choice) for choice in error.param.type_descriptor.choices or ()]
    if choices:
        listed = choices[0] if len(choices) == 1 else f"{', '.join(choices[:-1])} or {choices[-1]}"
        return f"{name} must be {listed}, got {found!r}.{_suggestion(str(found), choices)}"
    return f"{name}: {error.message}"
