"""The record of a vision-language model: scores with everything needed to trust and repeat them, as versioned JSON."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from ..data.questions.generation import SETTINGS
from ..data.questions.prompts import DEFAULT_TEMPLATE, load_template
from ..errors import PredictionsError, SocoError
from ..records.header import check_provenance, is_counts
from ..records.intervals import LEVEL, RESAMPLES
from ..utils.files import atomic_write
from .answer_store import ANSWERED
from .answer_table import (
    answers_of,
    judged_of,
    questions_of,
    read_answers_header,
    write_answers,
)
from .circular_scores import (
    MEASURES,
    SCORES_VERSION,
    first_items,
    score_answers,
)
from .prompted import PromptedQuestions

_REPORT = ("questions_hash", "orderings", "left_out", "bootstrap", "parsers")  # fields that `score_answers` gives


@dataclass(frozen=True)
class LvlmResult:
    """What one vision-language model scored on the questions of one dataset.

    Attributes:
        model: name, and what else decides its answers (weights hash, decoding, pixel limits ...).
        dataset: id, revision, content_hash, and `questions`, the hash of all its question rows.
        protocol: `settings[setting]` says how it was asked: template and its hash, markers, image format ...; `judge`
            whose verdicts are the third parser, where there is one.
        versions: of the toolkit and the libraries that asked.
        device: provider, and device or endpoint.
        counts: `counts[setting]` has groups, rows and how many rows ended how.
        created: when the last question was answered, UTC, ISO 8601.
        questions_hash, orderings, left_out, bootstrap, parsers: see `scores.score_answers`; fractions, never percent.
        soco_lvlm_scores: version of this record.
    """

    model: dict[str, Any]
    dataset: dict[str, Any]
    protocol: dict[str, Any]
    versions: dict[str, str]
    device: dict[str, Any]
    counts: dict[str, dict[str, int]]
    created: str
    questions_hash: str
    orderings: int
    left_out: dict[str, int] | None
    bootstrap: dict[str, Any]
    parsers: dict[str, dict[str, Any]]
    soco_lvlm_scores: int = SCORES_VERSION

    def to_dict(self) -> dict[str, Any]:
        """The fields."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}

    def to_json(self) -> str:
        """The record as JSON, sorted and indented: equal records give equal bytes."""
        return json.dumps(self.to_dict(), indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> LvlmResult:
        """The record from its JSON.

        Raises:
            PredictionsError: not JSON, another version, a field missing, unknown or invalid, or scores in percent.
        """
        try:
            fields = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise PredictionsError(f"a record must be JSON: {error}") from None
        version = fields.get("soco_lvlm_scores") if isinstance(fields, dict) else None
        if version != SCORES_VERSION:
            raise PredictionsError(
                f"this is no record of a vision-language model of version {SCORES_VERSION} (soco_lvlm_scores is "
                f"{version!r}); make it with: soco lvlm score ANSWERS --out RECORD.json"
            )
        known = {field.name for field in dataclasses.fields(cls)}
        if set(fields) != known:
            raise PredictionsError(f"the record has unknown or lacks fields: {', '.join(sorted(known ^ set(fields)))}")
        check_provenance({**fields, "counts": {}})
        result = cls(**fields)
        try:
            _check(result)
        except (AttributeError, KeyError, TypeError, IndexError):
            raise PredictionsError("the record's counts, protocol or scores are malformed") from None
        return result

    def write(self, path: str | Path) -> None:
        """Write the JSON, whole or not at all. Raises `SocoError` when the place cannot be written."""
        atomic_write(Path(path), self.to_json())

    @classmethod
    def read(cls, path: str | Path) -> LvlmResult:
        """Read a record. Raises `PredictionsError`, naming the file, when it is missing or not valid."""
        try:
            return cls.from_json(Path(path).read_bytes())
        except OSError as error:
            raise PredictionsError(f"{path}: cannot be read ({error.strerror}). Give a record JSON.") from error
        except SocoError as error:
            raise PredictionsError(f"{path}: {error}") from error

    def overall(self, parser: str, setting: str) -> dict[str, Any]:
        """Shares and counts over all questions of a setting."""
        found: dict[str, Any] = self.parsers[parser]["settings"][setting]["overall"]
        return found


def record_from_answers(
    table: pa.Table, *, partial: bool = True, resamples: int = RESAMPLES, seed: int = 0, level: float = LEVEL
) -> LvlmResult:
    """The whole record from an answers table alone, the same to the last digit wherever it is computed.

    Args:
        table: see `answer_table.SCHEMA`.
        partial: leave out and count questions that are not answered in all orderings, instead of refusing.
        resamples, seed, level: of the bootstrap.

    Raises:
        PredictionsError: a question without its four orderings, an ordering without an answer, or answers to another
            wording than the one stated.
        UsageError: options of the bootstrap out of range.
    """
    header = read_answers_header(table)
    check_wording(table)
    report = score_answers(
        questions_of(table),
        answers_of(table),
        judged=judged_of(table),
        partial=partial and table["outcome"].null_count > 0,
        resamples=resamples,
        seed=seed,
        level=level,
    )
    return LvlmResult(
        model=header.model,
        dataset=header.dataset,
        protocol={"settings": header.settings} | ({"judge": header.judge} if header.judge else {}),
        versions=header.versions,
        device=header.device,
        counts=_counts(table),
        created=header.created,
        **{name: report[name] for name in _REPORT},
    )


def write_lvlm_evaluation(out: Path, table: pa.Table, result: LvlmResult) -> None:
    """Write `RECORD.json`, and `RECORD.answers.parquet` beside it. Raises `SocoError` when that is not possible."""
    write_answers(answers_beside(out), table)
    result.write(out)


def answers_beside(record: Path) -> Path:
    """The answers table of a record, as `soco lvlm score --out` names it."""
    return record.with_name(f"{record.stem}.answers.parquet")


def check_wording(table: pa.Table) -> None:
    """Check that rows which were asked in the default wording, as the header says, were: by the hash of each prompt.

    Raises:
        PredictionsError: naming rows for which the model saw something else.
    """
    header, rows = read_answers_header(table), questions_of(table)
    keys = dict(zip(((row["setting"], row["index"]) for row in rows), table["key"].to_pylist(), strict=True))
    wrong = []
    for setting, asked in header.settings.items():
        if asked.get("template_hash") != DEFAULT_TEMPLATE.hash:
            continue
        own = PromptedQuestions(
            setting,
            header.dataset["content_hash"],
            [row for row in rows if row["setting"] == setting],
            images=lambda place: {},
            template=load_template(),
            markers=asked.get("markers"),
        )
        for row, key in zip(own.rows, own.all_keys(), strict=True):
            if keys[setting, row["index"]] not in (None, key):
                wrong.append(f"{setting} index {row['index']}")
    if wrong:
        raise PredictionsError(
            f"{len(wrong)} answer(s) are to another wording or other markers than the header states, "
            f"{first_items(wrong)}"
        )


def unanswered(table: pa.Table) -> list[str]:
    """What lacks an answer, in words: one entry a question."""
    missing: dict[tuple[str, str], list[str]] = {}
    columns = (table[name].to_pylist() for name in ("setting", "g_index", "index", "outcome"))
    for setting, g_index, index, outcome in zip(*columns, strict=True):
        if outcome is None:
            missing.setdefault((setting, g_index), []).append(index)
    return [f"{setting} g_index {g_index} (index {', '.join(part)})" for (setting, g_index), part in missing.items()]


def _counts(table: pa.Table) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    columns = (table[name].to_pylist() for name in ("setting", "g_index", "outcome"))
    rows = list(zip(*columns, strict=True))
    for setting in dict.fromkeys(setting for setting, _, _ in rows):
        outcomes = Counter(outcome for s, _, outcome in rows if s == setting)
        found[setting] = {
            "groups": len({g_index for s, g_index, _ in rows if s == setting}),
            "rows": outcomes.total(),
            **{outcome: outcomes[outcome] for outcome in ANSWERED if outcome != "empty"},  # their text says that
            "unanswered": outcomes[None],
        }
    return found


def _check(result: LvlmResult) -> None:
    settings = set(result.protocol["settings"])
    if not settings or not settings <= set(SETTINGS) or set(result.counts) != settings:
        raise PredictionsError(f"the record must have scores of some of {', '.join(SETTINGS)} and count their rows")
    if not all(
        is_counts(counts) and {"groups", "rows", "unanswered"} <= set(counts) for counts in result.counts.values()
    ):
        raise PredictionsError(
            "the record's counts must be whole numbers from 0, groups, rows and unanswered among them"
        )
    optional = [result.left_out, *(asked.get("markers") for asked in result.protocol["settings"].values())]
    if not all(isinstance(part, dict | None) for part in optional) or not isinstance(result.bootstrap, dict):
        raise PredictionsError("the record's left_out, markers and bootstrap must be mappings")
    for parser, scores in result.parsers.items():
        if set(scores["settings"]) != settings:
            raise PredictionsError(f"parser {parser!r} must have scores of {', '.join(sorted(settings))}")
        for place, part in _parts(scores["settings"]):
            for measure in MEASURES:
                share = part[measure]
                if share is not None and (isinstance(share, bool) or not 0 <= share <= 1):
                    unit = ": it is in the wrong unit, percent is only shown" if 1 < share <= 100 else ""
                    raise PredictionsError(f"parser {parser}, {place}: {measure} {share!r} is no fraction{unit}")


def _parts(settings: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for setting, found in settings.items():
        yield setting, found["overall"]
        for breakdown in ("per_supercategory", "per_category"):
            for name, part in found[breakdown].items():
                yield f"{setting}/{name}", part
