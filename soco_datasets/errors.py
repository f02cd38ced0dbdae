"""Errors for people: what is wrong, where, and how to fix it.

Every error a user can cause derives from `SocoError`; the command line prints its message without a traceback and
exits with `exit_code`. Leaves also subclass the builtin a library user would catch (`ValueError`, `FileNotFoundError`).
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from contextvars import ContextVar

_LISTED = 40  # names an error lists; a taxonomy has hundreds
speaks_options: ContextVar[bool] = ContextVar("soco_speaks_options", default=False)
"""Whether errors name options (`--device`), as the command line sets it, or arguments (`device=`)."""


class SocoError(Exception):
    """Root of all errors raised on purpose. `exit_code` is the exit code (1 = not done)."""

    exit_code = 1


class UsageError(SocoError, ValueError):
    """A wrong argument or option (exit code 2)."""

    exit_code = 2


class DataNotFoundError(SocoError, FileNotFoundError):
    """No SOCO data at the places where it was looked for."""


class ReleaseError(SocoError, ValueError):
    """A release that cannot be built: every finding is in the message."""


class DatasetFolderError(SocoError, ValueError):
    """A built dataset folder that is damaged, incomplete or of an unknown version."""


class ChangedDataError(DatasetFolderError):
    """A file of a built dataset folder that is not what was built. No evaluation continues with it."""


class BackboneError(SocoError, ValueError):
    """A model that cannot be loaded or does not give the features it promises."""


class PredictionsError(SocoError, ValueError):
    """Predictions that are incomplete, doubled, malformed or belong to another dataset."""


class MissingExtraError(SocoError, ImportError):
    """An optional dependency is not installed."""


def worded(option: str, argument: str) -> str:
    """A setting in the words of who reads the error: an option of the command line, or an argument in Python.

    >>> worded("--device cpu", "device='cpu'")
    "device='cpu'"
    """
    return option if speaks_options.get() else argument


def missing_extra(feature: str, extra: str, package: str) -> MissingExtraError:
    """The error for a missing optional package, with the command that installs it."""
    return MissingExtraError(
        f"{feature} needs the package '{package}', which is not installed. "
        f'Install it with: pip install "soco-datasets[{extra}]"'
    )


def unknown_name(what: str, name: object, known: Iterable[str], *, lister: str = "") -> UsageError:
    """The error for a mistyped name, with the closest known names first, whatever their case.

    Args:
        what: is named, such as "task".
        name: that is not known.
        known: all names.
        lister: a command that lists them; without one the error does.
    """
    names = sorted(known)
    lower = {one.lower(): one for one in names}
    close = [lower[one] for one in difflib.get_close_matches(str(name).lower(), lower, n=3, cutoff=0.5)]
    hint = f"Did you mean {' or '.join(repr(c) for c in close)}? " if close else ""
    listed = ", ".join(names[:_LISTED]) + (f" and {len(names) - _LISTED} more" if len(names) > _LISTED else "")
    all_of_them = f"`{lister}` lists all." if lister else f"Known: {listed or 'none'}."
    return UsageError(f"Unknown {what} {str(name)!r}. {hint}{all_of_them}")
