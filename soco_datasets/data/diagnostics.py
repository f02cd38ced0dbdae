"""What a build found in a release: errors, repairs and notes, collected over the whole run, never one per run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, fields
from typing import Literal

from ..errors import ReleaseError
from ..utils.text import clean

Severity = Literal["error", "repair", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "repair", "note")


@dataclass(frozen=True)
class Diagnostic:
    """One thing wrong or worth knowing in a release.

    Attributes:
        severity: "error" (cannot be built), "repair" (repaired as `message` says; an error under `--strict`) or "note".
        file: path inside the release, with "/" separators.
        field: the JSON field or keypoint it is about, "" for the file as a whole.
        rule: short stable name of the rule, for counting ("empty_box").
        message: what is wrong, and for a repair what was done.
        mend: how to put it right in the release.
    """

    severity: Severity
    file: str
    field: str
    rule: str
    message: str
    mend: str = ""

    @classmethod
    def from_dict(cls, stored: object) -> Diagnostic:
        """One of a manifest: fields of a later version are ignored, absent ones are empty.

        Raises:
            ValueError: not a mapping of texts, or of no known severity.
        """
        if not isinstance(stored, dict):
            raise ValueError(f"a finding must be a mapping, got {stored!r:.60}")
        names = [field.name for field in fields(cls)]
        found = {name: stored.get(name, "") for name in names}
        if not all(isinstance(value, str) for value in found.values()) or found["severity"] not in SEVERITIES:
            raise ValueError(f"a malformed finding: {found!r:.120}")
        return cls(**found)

    def __str__(self) -> str:
        where = f"{self.file}: {self.field}" if self.field else self.file
        return clean(f"{self.severity}: {where}: {self.message}" + (f" Fix: {self.mend}" if self.mend else ""))


class BuildReport:
    """An ordered collection of `Diagnostic`s.

    Attributes:
        blamed: the files that cannot be used: those of all errors, and those that an error counts but does not name.
    """

    def __init__(self, items: Iterable[Diagnostic] = ()) -> None:
        self._items: list[Diagnostic] = []
        self.blamed: set[str] = set()
        self.extend(items)

    def __iter__(self) -> Iterator[Diagnostic]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def error(self, file: str, field: str, rule: str, message: str, mend: str = "") -> None:
        self.extend([Diagnostic("error", file, field, rule, message, mend)])

    def blame(self, files: Iterable[str]) -> None:
        """Count further files to those that cannot be used, without an error of their own."""
        self.blamed.update(files)

    def repair(self, file: str, field: str, rule: str, message: str, mend: str = "") -> None:
        self._items.append(Diagnostic("repair", file, field, rule, message, mend))

    def note(self, file: str, field: str, rule: str, message: str, mend: str = "") -> None:
        self._items.append(Diagnostic("note", file, field, rule, message, mend))

    def extend(self, items: Iterable[Diagnostic]) -> None:
        for item in items:
            self._items.append(item)
            if item.severity == "error":
                self.blamed.add(item.file)

    def of(self, severity: Severity) -> list[Diagnostic]:
        return [item for item in self._items if item.severity == severity]

    def counts(self) -> dict[str, dict[str, int]]:
        """`{severity: {rule: number}}`, sorted, for the manifest."""
        counted = Counter((item.severity, item.rule) for item in self._items)
        return {
            severity: {rule: n for (s, rule), n in sorted(counted.items()) if s == severity} for severity in SEVERITIES
        }

    def as_dicts(self) -> list[dict[str, str]]:
        """All as plain values: errors, then repairs, then notes."""
        return [asdict(item) for severity in SEVERITIES for item in self.of(severity)]

    def check(self, source: str, strict: bool) -> None:
        """Raise `ReleaseError` naming every error (and under `strict` every repair); return when there is none."""
        bad = [item for item in self._items if item.severity == "error" or (strict and item.severity == "repair")]
        if not bad:
            return
        kind = "problem" if len(bad) == 1 else "problems"
        files = len({item.file for item in bad})
        strictly = " (--strict makes an error of every repair)" if strict else ""
        lines = "\n".join(f"  {item}" for item in bad)
        raise ReleaseError(
            f"{source} has {len(bad)} {kind} in {files} file(s){strictly}; nothing was written:\n{lines}"
        )
