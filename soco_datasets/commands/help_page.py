"""The help of a command: plain text off a terminal, and texts made ready for Typer's boxes on one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

_COLUMN = 30  # widest name that help stands beside


def plain_help(command: Any, ctx: Any) -> str:
    """The help of a command or group: one line per option and command, in its panels, never wrapped."""
    usage = " ".join([ctx.command_path, *command.collect_usage_pieces(ctx)])
    parts = [f"usage: {usage}", command.help]
    panels: dict[str, list[tuple[str, str]]] = {}
    for panel, row in (*_parameter_rows(command, ctx), *_command_rows(command, ctx)):
        panels.setdefault(panel, []).append(row)
    parts += [f"{panel}:\n{_lines(rows)}" for panel, rows in panels.items()]
    return "\n\n".join(part for part in (*parts, command.epilog) if part) + "\n"


def _parameter_rows(command: Any, ctx: Any) -> Iterator[tuple[str, tuple[str, str]]]:
    """(panel, (name, help)); those without a panel last, as the help itself is."""
    parameters = [one for one in command.get_params(ctx) if not getattr(one, "hidden", False)]
    arguments = [one for one in parameters if one.param_type_name == "argument"]
    options = [one for one in parameters if one.param_type_name == "option"]
    for one in arguments:
        yield "Arguments", (one.metavar or one.name.upper(), _described(one, ctx))
    for one in sorted(options, key=lambda option: option.rich_help_panel is None):
        name = ", ".join(sorted((*one.opts, *one.secondary_opts), key=len))
        metavar = "" if one.is_flag else f" {one.metavar}"
        yield one.rich_help_panel or "Options", (name + metavar, _described(one, ctx))


def _command_rows(command: Any, ctx: Any) -> Iterator[tuple[str, tuple[str, str]]]:
    for name in command.list_commands(ctx) if _is_group(command) else ():
        inner = command.get_command(ctx, name)
        yield inner.rich_help_panel or "Commands", (name, inner.short_help or "")


def _described(parameter: Any, ctx: Any) -> str:
    """Help, default and whether it has to be given."""
    default = parameter.show_default if isinstance(parameter.show_default, str) else _default(parameter, ctx)
    notes = [f"[default: {default}]"] if default else []
    if parameter.required:
        notes.append("[required]")
    return " ".join(filter(None, (parameter.help, *notes)))


def _default(parameter: Any, ctx: Any) -> str:
    default = parameter.get_default(ctx, call=False)
    if default is None or not parameter.show_default or isinstance(default, bool):
        return ""
    return ", ".join(map(str, default)) if isinstance(default, list | tuple) else str(default)


def _lines(rows: Iterable[tuple[str, str]]) -> str:
    rows = list(rows)
    width = max((len(name) for name, _ in rows if len(name) <= _COLUMN), default=0)
    return "\n".join(f"  {name:{width}}  {text}".rstrip() for name, text in rows)


def prepare_boxes(command: Any, ctx: Any) -> None:
    """Have Typer show the texts of a command, and of those in it, as `plain_help` does: "[" opens no markup."""
    inner = [command.get_command(ctx, name) for name in command.list_commands(ctx)] if _is_group(command) else []
    for one in (command, *command.get_params(ctx), *inner):
        if getattr(one, "is_flag", False):
            one.metavar = ""
        if getattr(one, "param_type_name", "") == "argument":
            one.display_type_rich = _no_type  # Typer's "<str>" beside the name
        if isinstance(getattr(one, "show_default", None), str):
            one.help, one.show_default = f"{one.help} [default: {one.show_default}]", False
        for name in ("help", "short_help", "epilog"):
            text = getattr(one, name, None)
            if text and "\\[" not in text:
                setattr(one, name, text.replace("[", "\\["))


def _no_type(ctx: Any) -> None:
    """What Typer shows as the type of an argument."""


def _is_group(command: Any) -> bool:
    return hasattr(command, "list_commands")
