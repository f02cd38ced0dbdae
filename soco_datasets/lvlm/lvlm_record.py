"""The record of a vision-language model: scores with everything needed to trust and repeat them, as versioned JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

import pyarrow as pa
from pydantic import Field, model_validator
from typing_extensions import TypedDict

from ..benchmarks.soco.paper_lvlm import paper_rows
from ..benchmarks.soco.source import HUB_RELEASE
from ..data.questions.generation import SETTINGS
from ..data.questions.prompts import DEFAULT_TEMPLATE, load_template
from ..errors import PredictionsError, UsageError
from ..records.base import Record
from ..records.fields import OPEN, Count, Fraction, Nested, Shape
from ..records.intervals import LEVEL, RESAMPLES
from ..records.ranking import OVERALL, Leaderboard, PublishedScore, RankedTask, Rules, bootstrap_of
from ..records.replacement import check_replaces_record
from ..utils.files import atomic_files
from .answer_store import ANSWERED
from .answer_table import (
    answers_of,
    check_questions,
    judged_of,
    questions_of,
    read_answers_header,
    read_answers_table,
    write_answers,
)
from .circular_scores import SCORES_VERSION, first_items, score_answers
from .lvlm_rules import LVLM_TASKS, LvlmRules
from .prompted import PromptedQuestions
from .tsv import FILE_NAMES

if TYPE_CHECKING:
    from ..data.folder import DatasetFolder

_REPORT = ("questions_hash", "orderings", "left_out", "bootstrap", "parsers")  # fields that `score_answers` gives
_QUESTIONS = 2000  # of a setting in the released TSVs


class _SettingCounts(TypedDict):
    __pydantic_config__ = OPEN  # type: ignore[misc]  # pydantic's way to configure a TypedDict
    groups: Count
    rows: Count
    unanswered: Count


class _Asked(TypedDict, total=False):
    __pydantic_config__ = OPEN  # type: ignore[misc]
    markers: dict[str, Any] | None


class _Protocol(TypedDict):
    __pydantic_config__ = OPEN  # type: ignore[misc]
    settings: Annotated[dict[str, _Asked], Field(min_length=1)]


class _Shares(TypedDict):
    __pydantic_config__ = OPEN  # type: ignore[misc]
    average: Fraction | None
    circular: Fraction | None


class _SettingScores(TypedDict):
    __pydantic_config__ = OPEN  # type: ignore[misc]
    overall: _Shares
    per_supercategory: dict[str, _Shares]
    per_category: dict[str, _Shares]


class _ParserScores(TypedDict):
    __pydantic_config__ = OPEN  # type: ignore[misc]
    settings: dict[str, _SettingScores]


class LvlmResult(Record):
    """What one vision-language model scored on the questions of one dataset.

    Attributes:
        model: name, and what else decides its answers (weights hash, decoding, pixel limits ...).
        dataset: id, revision, content_hash, and `questions`, the hash of all its question rows.
        protocol: `settings[setting]` says how it was asked: template and its hash, markers, image format ...; `judge`
            whose verdicts are the third parser, where there is one.
        device: provider, and device or endpoint.
        counts: `counts[setting]` has groups, rows and how many rows ended how.
        created: when the last question was answered, UTC, ISO 8601.
        questions_hash, orderings, left_out, bootstrap, parsers: see `scores.score_answers`; fractions, never percent.
    """

    kind: ClassVar[str] = "lvlm"
    version: ClassVar[int] = SCORES_VERSION
    noun: ClassVar[str] = "record"
    indent: ClassVar[int] = 1
    tasks: ClassVar[Mapping[str, RankedTask]] = {
        task: RankedTask(title, "circular")
        for task, title in zip(LVLM_TASKS, ("LVLM Vis.", "LVLM Vis.+Desc.", "LVLM Desc."), strict=True)
    }
    main_task: ClassVar[str] = "lvlm_vis"
    heading: ClassVar[str] = "circular accuracy in percent"
    data: ClassVar[str] = "answers"
    title: ClassVar[str] = "SOCO results in questions for vision-language models"
    rules: ClassVar[type[Rules]] = LvlmRules
    remake: ClassVar[str] = "soco lvlm score ANSWERS --out {record}"
    restore: ClassVar[str] = "score again with `soco lvlm score --out`"
    headline_leaves: ClassVar[tuple[str, tuple[str, ...]]] = ("parsers/", ("/overall/circular", "/overall/average"))

    device: Nested
    counts: Annotated[dict[str, dict[str, int]], Shape(dict[str, _SettingCounts])]
    protocol: Annotated[dict[str, Any], Shape(_Protocol)]
    questions_hash: str
    orderings: int
    left_out: Annotated[dict[str, int], Shape(dict[str, Count])] | None
    bootstrap: Nested
    parsers: Annotated[dict[str, dict[str, Any]], Shape(dict[str, _ParserScores])]

    @model_validator(mode="after")
    def _check_settings(self) -> Self:
        settings = set(self.protocol["settings"])
        if not settings <= set(SETTINGS) or set(self.counts) != settings:
            raise ValueError(
                f"protocol must name some of the settings {', '.join(SETTINGS)}, and counts count their rows"
            )
        for parser, scores in self.parsers.items():
            if set(scores["settings"]) != settings:
                raise ValueError(f"parser {parser!r} must have scores of {', '.join(sorted(settings))}")
        return self

    @classmethod
    def mark(cls) -> dict[str, Any]:
        return {"soco_lvlm_scores": cls.version}

    @classmethod
    def matches(cls, fields: Mapping[str, Any]) -> bool:
        return "soco_lvlm_scores" in fields

    @classmethod
    def upgrade(cls, fields: dict[str, Any]) -> dict[str, Any]:
        if fields["soco_lvlm_scores"] != cls.version:
            raise PredictionsError(cls.no_match(fields))
        return fields

    @classmethod
    def no_match(cls, fields: Any) -> str:
        return (
            f"not a record of a vision-language model of version {cls.version} (soco_lvlm_scores is "
            f"{fields.get('soco_lvlm_scores')!r}); make it with: soco lvlm score ANSWERS --out RECORD.json"
        )

    @property
    def metrics(self) -> dict[str, Any]:
        """Parser -> setting -> scores."""
        return {parser: scores["settings"] for parser, scores in self.parsers.items()}

    def overall(self, parser: str, setting: str) -> dict[str, Any]:
        """Shares and counts over all questions of a setting."""
        found: dict[str, Any] = self.parsers[parser]["settings"][setting]["overall"]
        return found

    @classmethod
    def read_data(cls, path: Path) -> pa.Table:
        return read_answers_table(path)

    def recompute(self, data: pa.Table) -> LvlmResult:
        resamples, seed = bootstrap_of(self.bootstrap)
        try:
            return record_from_answers(data, resamples=resamples, seed=seed, level=self.bootstrap.get("level", 0))
        except (UsageError, TypeError) as error:
            raise PredictionsError(f"the record's intervals cannot be computed again: {error}") from error

    @classmethod
    def check_references(cls, data: pa.Table, folder: DatasetFolder) -> bool:
        """Question rows, their correct letters included."""
        check_questions(data, folder)
        return True

    @classmethod
    def missing(cls, data: pa.Table) -> list[str]:
        return unanswered(data)

    def score(self, task: str, subset: str = OVERALL) -> float | None:
        return LvlmRules().score(self, task, subset)

    def rows(self) -> Iterator[dict[str, Any]]:
        """One row per score: parser, setting, level ("overall", "supercategory", "category"), name, numbers."""
        for parser, settings in self.metrics.items():
            for setting, found in settings.items():
                place = {"parser": parser, "setting": setting}
                yield {**place, "level": OVERALL, "name": OVERALL, **found[OVERALL]}
                for level in ("supercategory", "category"):
                    for name, value in found[f"per_{level}"].items():
                        yield {**place, "level": level, "name": name, **value}

    def violations(self, board: Leaderboard) -> list[str]:
        """Other data or rules, other questions, or not all of them."""
        found = super().violations(board)
        asked, rows = self.dataset.get("questions"), board.questions
        if asked != board.questions_hash:
            found.append(
                f"it was asked other questions, hash {str(asked)[:12]}; {board.repo} at {board.revision[:12]} has "
                f"{board.questions_hash[:12] or 'none'}"
            )
            return found
        for setting, counts in self.counts.items():
            if counts["rows"] != rows.get(setting):
                found.append(
                    f"{setting} is incomplete: it has {counts['rows']:,} of the {rows.get(setting, 0):,} rows (every "
                    "question in its four orderings)"
                )
        return found

    def notes(self, rules: Any) -> str:
        model, asked = self.model, next(iter(self.protocol["settings"].values()))
        markers = asked.get("markers") or {}
        backbone = model["backbone"] if isinstance(model.get("backbone"), dict) else {}
        parts = [
            f"{rules.measure} over {self.orderings} orderings",
            f"provider {self.device.get('provider')}",
            f"template {asked['template']} {str(asked.get('template_hash'))[:12]}" if "template" in asked else "",
            f"{markers.get('color')} {markers.get('shape')}" if markers else "",
            f"{asked['image_format']} images" if "image_format" in asked else "",
            f"at most {model['max_pixels']} pixels" if model.get("max_pixels") else "",
            f"{model.get('convention')} convention, {backbone.get('requested_size')} px, layer {backbone.get('layer')}"
            if backbone
            else "",
            str(backbone.get("dtype") or model.get("dtype") or ""),
            f"at most {asked['max_tokens']} tokens" if "max_tokens" in asked else "",
        ]
        return ", ".join(part for part in parts if part)

    @classmethod
    def is_benchmark(cls, dataset_id: str, record: LvlmResult | None = None) -> bool:
        whole = record is None or all(counts["groups"] == _QUESTIONS for counts in record.counts.values())
        return whole and (dataset_id == HUB_RELEASE or set(dataset_id.split(", ")) <= set(FILE_NAMES.values()))

    @classmethod
    def published(cls) -> Iterable[PublishedScore]:
        """Table 3; its questions are those of the released TSVs."""
        return [
            PublishedScore(
                row["model"],
                "SOCO paper, table 3, on the released questions",
                {(task, OVERALL): float(row[setting]) for task, setting in LVLM_TASKS.items()},
            )
            for row in paper_rows()
        ]


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


def write_lvlm_evaluation(out: Path, table: pa.Table, result: LvlmResult, *, overwrite: bool = False) -> bool:
    """Write `RECORD.json`, and `RECORD.answers.parquet` beside it.

    Returns:
        Whether an earlier result of the same run was replaced.

    Raises:
        UsageError: there is a result of another model, data or protocol, and `overwrite` is false.
        SocoError: it cannot be written.
    """
    replaced = check_replaces_record(out, result, overwrite=overwrite)
    with atomic_files(out, answers_beside(out)) as (new_record, new_table):
        write_answers(new_table, table)
        result.write(new_record)
    return replaced


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
