"""What the commands share: how one is declared, and options in a common form."""

from __future__ import annotations

import argparse
from typing import TypeAlias

from ..errors import UsageError

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def command(commands: Commands, name: str, help: str, example: str) -> argparse.ArgumentParser:
    """Declare a command; its `--help` ends with the example."""
    return commands.add_parser(
        name,
        help=help,
        description=help[0].upper() + help[1:] + ".",
        epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


def numbers(option: str, text: str) -> tuple[float, ...]:
    """ "0.1,0.05" -> (0.1, 0.05). Raises `UsageError` naming the option."""
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise UsageError(f"{option} takes numbers separated by commas, such as 0.1,0.05; got {text!r}.") from None
