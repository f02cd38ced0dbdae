"""What the commands share: the data that they are given, and options in a common form."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from typer import Argument, Option

from ..errors import UsageError
from .completion import complete_data

if TYPE_CHECKING:
    from ..data.folder import DatasetFolder

_log = logging.getLogger(__name__)
_FOUND = "where load_dataset looks"

DataOption = Annotated[
    str | None,
    Option(
        "--data",
        metavar="DIR",
        help="a built folder, or mini",
        show_default=_FOUND,
        autocompletion=complete_data,
        rich_help_panel="Data",
    ),
]
DataArgument = Annotated[
    str | None,
    Argument(metavar="DIR", help="a built folder, or mini", show_default=_FOUND, autocompletion=complete_data),
]
JsonFlag = Annotated[bool, Option("--json", help="print JSON instead of a table", rich_help_panel="Output")]
FullFlag = Annotated[bool, Option("--full", help="print all reductions and thresholds", rich_help_panel="Output")]
RequiredOut = Annotated[Path, Option("--out", metavar="DIR", help="folder to make", rich_help_panel="Output")]
OverwriteFlag = Annotated[bool, Option("--overwrite", help="replace what is at --out", rich_help_panel="Output")]


@dataclass(frozen=True, kw_only=True)
class OutputOptions:
    """Where results are written."""

    PANEL: ClassVar[str] = "Output"

    out: Annotated[Path, Option(metavar="DIR", help="folder of records and predictions")] = Path("results")
    overwrite: Annotated[bool, Option(help="replace results of another run (data, settings, tasks, weights)")] = False


def open_dataset(name: str | None, option: str = "--data") -> DatasetFolder:
    """The dataset folder that an option names ("": an argument); None = where load_dataset looks."""
    from ..benchmarks.resolve import resolve_data
    from ..data.folder import open_folder

    folder = open_folder(resolve_data(name, option=option))
    configs = ", ".join(folder.configs)
    _log.info("data: %s, content hash %s; %s", folder.path, folder.content_hash[:12], configs)
    return folder


def numbers(option: str, text: str) -> tuple[float, ...]:
    """ "0.1,0.05" -> (0.1, 0.05). Raises `UsageError` naming the option."""
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise UsageError(f"{option} takes numbers separated by commas, such as 0.1,0.05; got {text!r}.") from None


def names(text: str | None) -> list[str]:
    """ "a, b" -> ["a", "b"]; none for None."""
    return [part.strip() for part in (text or "").split(",") if part.strip()]
