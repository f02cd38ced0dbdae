"""Types of the fields that records and headers share, how JSON is read, and how pydantic's findings become messages."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    ValidationError,
)
from pydantic_core import CoreSchema, ErrorDetails, core_schema
from typing_extensions import TypedDict

from ..config import Protocol
from ..errors import PredictionsError
from ..utils import foreign

_SHOWN = 80  # characters of a wrong value in a message
_LONGEST_NAME = 1000  # characters of what a model or dataset is called
_FINDINGS = 3  # findings in a message
_PROTOCOL_ADDED = ("valid_area", "soft_beta", "soft_window")  # absent from older files, which had them at their default
_WORDS = (
    ("a valid dictionary", "a mapping"),
    ("a valid integer", "a whole number"),
    ("a valid ", "a "),
    ("greater than or equal to 0", "0 or more"),
    ("less than or equal to", "at most"),
)
STRICT = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False, protected_namespaces=())
OPEN = ConfigDict(strict=True, extra="allow", allow_inf_nan=False)  # of mappings that may hold more keys


class Shape:
    """Validates a value against a type but keeps the value itself: 1 stays 1, not 1.0, and keys keep their order.

    Use it as `Annotated[dict[str, Any], Shape(SomeTypedDict)]`.
    """

    def __init__(self, shape: Any) -> None:
        self.shape = shape

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        def keep(value: Any, validate: core_schema.ValidatorFunctionWrapHandler) -> Any:
            validate(value)
            return value

        return core_schema.no_info_wrap_validator_function(keep, handler.generate_schema(self.shape))


def _check_time(text: str) -> str:
    try:
        zone = datetime.fromisoformat(text).utcoffset()
    except ValueError:
        zone = None
    if zone is None or zone.total_seconds() != 0:
        raise ValueError("must be a UTC time such as 2026-01-31T12:00:00Z")
    return text


def _check_split(split: str) -> str:
    if not split:
        raise ValueError("must be the name of a split")
    return split


def _check_json(value: Any) -> Any:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"must hold only JSON values: {error}") from None
    return value


def _check_device(value: Any) -> Any:
    if not isinstance(value, str | dict):
        raise ValueError("must be a string or a mapping")
    return value


def read_protocol(stored: Any) -> Protocol:
    """The protocol of a predictions header or a record, also of one that is older than some of its fields.

    Raises:
        UsageError: a field that is unknown, missing or invalid.
    """
    if isinstance(stored, Protocol):
        return stored
    added = {name: value for name, value in Protocol().to_dict().items() if name in _PROTOCOL_ADDED}
    return Protocol.from_dict({**added, **stored} if isinstance(stored, dict) else stored)


def _check_protocol(stored: Any) -> Protocol:
    try:
        return read_protocol(stored)
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:  # UsageError is a ValueError
        raise ValueError(f"is invalid: {error}") from None


def _check_text(value: Any) -> Any:
    if not isinstance(value, str):  # any string, also one that holds half a character, as JSON may
        raise ValueError("must be a string")
    if len(value) > _LONGEST_NAME:
        raise ValueError(f"must have at most {_LONGEST_NAME:,} characters, not {len(value):,}")
    return value


_Text = Annotated[Any, AfterValidator(_check_text)]


class ModelFields(TypedDict):
    """What every `model` holds."""

    __pydantic_config__ = OPEN  # type: ignore[misc]  # pydantic's way to configure a TypedDict
    name: _Text


class _DatasetRequired(TypedDict):
    __pydantic_config__ = OPEN  # type: ignore[misc]
    id: _Text
    content_hash: _Text


class DatasetFields(_DatasetRequired, total=False):
    """What every `dataset` holds; "split" is "test" where it is absent."""

    split: Annotated[str, AfterValidator(_check_split)]


Count = Annotated[int, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Counts = Annotated[dict[str, int], Shape(dict[str, Count])]
Nested = Annotated[dict[str, Any], Shape(dict[str, Any])]
UtcTime = Annotated[str, AfterValidator(_check_time)]
ModelInfo = Annotated[dict[str, Any], Shape(ModelFields), AfterValidator(_check_json)]
DatasetInfo = Annotated[dict[str, Any], Shape(DatasetFields), AfterValidator(_check_json)]
Device = Annotated[Any, BeforeValidator(_check_device), AfterValidator(_check_json)]
StoredProtocol = Annotated[Protocol, BeforeValidator(_check_protocol)]


class Provenance(BaseModel):
    """Where numbers come from: the fields that headers of predictions or answers and result records share.

    Attributes:
        model: name, revision, weights hash and what else identifies it.
        dataset: id, revision, content_hash; "split" is "all" where every pair was evaluated.
        versions: of the toolkit and the libraries.
        device: what it ran on, a string or a mapping.
        created: UTC time, ISO 8601.

    Raises:
        PredictionsError: a field that is missing, unknown, or of another type or range.
    """

    model_config = STRICT | ConfigDict(arbitrary_types_allowed=True)

    model: ModelInfo
    dataset: DatasetInfo
    versions: dict[str, str]
    device: Device
    created: UtcTime

    def __init__(self, /, **fields: Any) -> None:
        try:
            super().__init__(**fields)
        except ValidationError as error:
            raise PredictionsError("; ".join(findings_of(error, self.name_of_file()))) from None

    @classmethod
    def name_of_file(cls) -> str:
        """What messages call it; "" where the caller says it."""
        return ""

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain values, in the order of their declaration."""
        return {name: plain_value(getattr(self, name)) for name in type(self).model_fields}


def plain_value(value: Any) -> Any:
    """A field as JSON values: a protocol or model becomes its mapping, everything else stays."""
    return value.to_dict() if hasattr(value, "to_dict") else value


def parse_json(text: str | bytes, what: str) -> Any:
    """`foreign.read_json_text` for what a record or header is read from.

    Args:
        text: to parse.
        what: it should be, for the message.

    Raises:
        PredictionsError: as `foreign.read_json_text`.
    """
    try:
        return foreign.read_json_text(text)
    except foreign.ForeignTextError as error:
        if "levels deep" in str(error):
            raise PredictionsError(f"{what} is {error}, so it was not written by soco") from None
        if isinstance(error, foreign.NotJsonError):
            raise PredictionsError(f"{error.sentence}, so it is not {what}") from None
        raise PredictionsError(f"{what} must be JSON: {error}") from None


def findings_of(error: ValidationError, what: str) -> list[str]:
    """What pydantic found, one sentence each: which field, what it must be, what it is. Fields of the top level that
    are unknown or absent come first, in one sentence. `what` names the file, such as "result record".
    """
    details = error.errors(include_url=False)
    shape = [e for e in details if e["type"] in ("missing", "extra_forbidden") and len(e["loc"]) == 1]
    names = sorted(str(e["loc"][0]) for e in shape)
    found = [f"{f'the {what} ' if what else ''}has unknown or lacks fields: {', '.join(names)}"] if names else []
    found += [_sentence(e, what) for e in details if e not in shape]
    more = [f"and {len(found) - _FINDINGS} more"] if len(found) > _FINDINGS else []
    return found[:_FINDINGS] + more


def _sentence(detail: ErrorDetails, what: str) -> str:
    path = "/".join(str(part) for part in detail["loc"] if part != "[key]")
    text, value = detail["msg"].removeprefix("Value error, "), detail["input"]
    if not path:
        return f"the {what}'s {text}" if what else text
    place = f"the {what}'s {path}" if what else path
    if detail["type"] == "missing":
        return f"{place} is missing"
    if detail["type"] == "extra_forbidden":
        return f"{place} is unknown"
    if detail["type"] == "less_than_equal" and detail.get("ctx", {}).get("le") == 1 and 1 < value <= 100:
        return f"{place} is {value!r}, in the wrong unit: a record holds fractions, 0 to 1 (percent is only shown)"
    if detail["type"] == "too_short":
        return f"{place} must be a mapping of at least one entry"
    text = text.replace("Input should be", "must be").replace("String should", "must")
    for theirs, ours in _WORDS:
        text = text.replace(theirs, ours)
    shown = repr(value)
    return f"{place} {text}, got {shown if len(shown) <= _SHOWN else shown[:_SHOWN] + '...'}"
