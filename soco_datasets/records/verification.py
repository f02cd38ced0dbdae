"""How far a result was verified, as one value that commands, leaderboards and files share.

rerun       a sample of the images was forwarded again with the named model, and the predictions came out
consistent  the numbers follow from the predictions, and these can come from the stated protocol
recomputed  the numbers follow from the predictions, of which it is not known whether they can
claimed     nothing was checked, or the file does not state what a check needs
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import Field, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from ..errors import PredictionsError
from .fields import STRICT, Count, UtcTime, findings_of
from .pck_fields import Sha256

State = Literal["rerun", "consistent", "recomputed", "claimed"]
STATES: tuple[State, ...] = get_args(State)  # from the strongest to the weakest
MOST_FINDINGS = 100
_LONGEST = 1000  # characters of one finding


@dataclass(frozen=True)
class Verification:
    """What was verified, by whom and when.

    Attributes:
        state: one of `STATES`.
        by: the account or person that verified, "" where nobody did.
        when: UTC time, ISO 8601, "" where nobody did.
        images: how many distinct images were forwarded again.
        pairs: how many pairs were compared with predictions made again.
        findings: what speaks against the result, one sentence each; with findings the state is at most "recomputed",
            also where images were forwarded again.
        data_sha256: hash of the data file that was verified, "" where unknown. Of another file this says nothing.

    Raises:
        PredictionsError: a field of another type or range, or fields that contradict each other.
    """

    state: State = "claimed"
    by: str = ""
    when: str = ""
    images: int = 0
    pairs: int = 0
    findings: tuple[str, ...] = ()
    data_sha256: str = ""

    def __post_init__(self) -> None:
        try:
            _STORED.validate_python(self.to_dict())
        except ValidationError as error:
            raise PredictionsError("; ".join(findings_of(error, "verification"))) from None
        if self.state == "rerun" and not (self.images and self.pairs):
            raise PredictionsError("a verification that is `rerun` must say how many images and pairs were compared")
        if self.findings and self.state in STATES[:2]:
            raise PredictionsError(f"a verification with findings cannot be {self.state!r}")

    @property
    def strength(self) -> int:
        """3 for `rerun`, down to 0 for `claimed`."""
        return len(STATES) - 1 - STATES.index(self.state)

    def to_dict(self) -> dict[str, Any]:
        """As JSON values, without what is empty."""
        found = {**vars(self), "findings": list(self.findings)}
        return {name: value for name, value in found.items() if name == "state" or value}

    @classmethod
    def from_dict(cls, stored: Any) -> Self:
        """The inverse of `to_dict`. Raises `PredictionsError` for a field that is unknown or invalid."""
        try:
            fields: dict[str, Any] = {**_STORED.validate_python(stored)}
        except ValidationError as error:
            raise PredictionsError("; ".join(findings_of(error, "verification"))) from None
        return cls(**{**fields, "findings": tuple(fields.get("findings", ()))})

    def __str__(self) -> str:
        """One line, such as "rerun (36 images, 40 pairs) by ada on 2026-11-30"."""
        counted = f" ({self.images:,} images, {self.pairs:,} pairs)" if self.images else ""
        by, on = f" by {self.by}" if self.by else "", f" on {self.when[:10]}" if self.when else ""
        return f"{self.state}{counted}{by}{on}"


class _Stored(TypedDict, total=False):
    __pydantic_config__ = STRICT  # type: ignore[misc]  # pydantic's way to configure a TypedDict
    state: State
    by: Annotated[str, Field(max_length=200)]
    when: UtcTime
    images: Count
    pairs: Count
    findings: Annotated[list[Annotated[str, Field(max_length=_LONGEST)]], Field(max_length=MOST_FINDINGS)]
    data_sha256: Sha256


_STORED: TypeAdapter[_Stored] = TypeAdapter(_Stored)
