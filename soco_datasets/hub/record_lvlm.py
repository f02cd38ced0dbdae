"""Records of `soco lvlm score`: circular accuracy of a vision-language model, computed again from its answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from ..benchmarks.soco.source import HUB_RELEASE
from ..data.questions.generation import SETTINGS
from ..data.questions.prompts import DEFAULT_TEMPLATE
from ..errors import PredictionsError, UsageError
from ..lvlm.answer_table import check_questions, read_answers_table
from ..lvlm.answers import PARSERS
from ..lvlm.lvlm_record import LvlmResult, record_from_answers, unanswered
from ..lvlm.tsv import FILE_NAMES
from ..reporting.paper_lvlm import paper_rows
from .record_type import (
    OVERALL,
    PublishedScore,
    RecordType,
    bootstrap_of,
)
from .rules import Leaderboard

if TYPE_CHECKING:
    import pyarrow as pa

    from ..data.folder import DatasetFolder

_CONFIG = "lvlm"
_TASKS = {f"{_CONFIG}_{setting}": setting for setting in SETTINGS}
_QUESTIONS = 2000  # of a setting in the released TSVs
_BASELINE = "baseline"  # `kind` of a model that was not asked in words


@dataclass(frozen=True)
class LvlmRules:
    """The rules. The defaults are SOCO's.

    Attributes:
        tasks: that a submission must have; a setting that is there must be there whole.
        parser: whose circular accuracy is ranked: "paper", which reads as the paper's scorer does, or "strict".
        template_hash: of the wording; "" = any.
        marker, marker_color: of the source's marker.
    """

    tasks: tuple[str, ...] = ()
    parser: str = "paper"
    template_hash: str = DEFAULT_TEMPLATE.hash
    marker: str = "arrow"
    marker_color: str = "red"

    def __post_init__(self) -> None:
        if not set(self.tasks) <= set(_TASKS) or self.parser not in PARSERS:
            raise ValueError("tasks" if self.parser in PARSERS else "parser")

    @property
    def measure(self) -> str:
        return f"circular accuracy in percent (parser {self.parser})"

    @property
    def advice(self) -> str:
        return (
            f"Ask every question on that dataset with its markers: soco lvlm run --marker {self.marker} --marker-color "
            f"{self.marker_color}, the same command again until nothing is unanswered, then soco lvlm score --out"
        )

    def violations(self, record: LvlmResult) -> list[str]:
        """Why a record does not fit, one sentence a reason; empty where it does."""
        found = []
        settings = record.protocol["settings"]
        if missing := [task for task in self.tasks if _TASKS[task] not in settings]:
            found.append(f"it lacks the task(s) {', '.join(missing)}")
        for setting, counts in record.counts.items():
            if counts["unanswered"]:
                left_out = (record.left_out or {}).get(setting, 0)
                found.append(
                    f"{setting} is incomplete: {left_out:,} of {counts['groups']:,} questions lack an answer to an "
                    f"ordering ({counts['unanswered']:,} of {counts['rows']:,} rows)"
                )
        if record.model.get("kind") != _BASELINE:
            found += [reason for name, asked in settings.items() for reason in self._wording(name, asked)]
        if self.parser not in record.parsers:
            found.append(f"it lacks the parser {self.parser!r}")
        return found

    def _wording(self, setting: str, asked: Mapping[str, Any]) -> Iterable[str]:
        stated = asked.get("template_hash")
        if self.template_hash and stated != self.template_hash:
            yield (
                f"{setting} was asked in another wording (template {asked.get('template')!r}, hash "
                f"{str(stated)[:12]}), the leaderboard's has the hash {self.template_hash[:12]}"
            )
        markers = asked.get("markers")
        if markers is not None and markers != {"shape": self.marker, "color": self.marker_color}:
            yield (
                f"{setting} was asked with the marker {markers.get('color')} {markers.get('shape')}, the "
                f"leaderboard's is {self.marker_color} {self.marker}"
            )

    def percent(self, record: LvlmResult, task: str, subset: str) -> float | None:
        """The ranked number of a setting: circular accuracy in percent with four decimals."""
        found = record.parsers.get(self.parser, {}).get("settings", {}).get(_TASKS[task])
        if found is None:
            return None
        part = found[OVERALL] if subset == OVERALL else found["per_supercategory"].get(subset)
        return None if part is None or part["circular"] is None else round(100 * part["circular"], 4)


class LvlmRecordType(RecordType):
    """See the module."""

    name = "lvlm"
    tasks: ClassVar = dict(zip(_TASKS, ("LVLM Vis.", "LVLM Vis.+Desc.", "LVLM Desc."), strict=True))
    main_task = "lvlm_vis"
    heading = "circular accuracy in percent"
    yaml_file = ".eval_results/soco_lvlm.yaml"
    data = "answers"
    title = "SOCO results in questions for vision-language models"
    rules = LvlmRules
    remake = "soco lvlm score ANSWERS --out {record}"
    restore = "score again with `soco lvlm score --out`"

    def states(self, fields: Mapping[str, Any]) -> bool:
        return "soco_lvlm_scores" in fields

    def read(self, path: Path) -> LvlmResult:
        return LvlmResult.read(path)

    def read_data(self, path: Path) -> pa.Table:
        return read_answers_table(path)

    def recompute(self, record: LvlmResult, table: pa.Table) -> LvlmResult:
        resamples, seed = bootstrap_of(record.bootstrap)
        try:
            return record_from_answers(table, resamples=resamples, seed=seed, level=record.bootstrap.get("level", 0))
        except (UsageError, TypeError) as error:
            raise PredictionsError(f"the record's intervals cannot be computed again: {error}") from error

    def check_references(self, table: pa.Table, folder: DatasetFolder) -> None:
        """Question rows, their right letters included."""
        check_questions(table, folder)

    def missing(self, table: pa.Table) -> list[str]:
        return unanswered(table)

    def violations(self, record: LvlmResult, board: Leaderboard) -> list[str]:
        """Other data or rules, other questions, or not all of them."""
        found = super().violations(record, board)
        asked, rows = record.dataset.get("questions"), board.questions
        if asked != board.questions_hash:
            found.append(
                f"it was asked other questions, hash {str(asked)[:12]}; {board.repo} at {board.revision[:12]} has "
                f"{board.questions_hash[:12] or 'none'}"
            )
            return found
        for setting, counts in record.counts.items():
            if counts["rows"] != rows.get(setting):
                found.append(
                    f"{setting} is incomplete: it has {counts['rows']:,} of the {rows.get(setting, 0):,} rows (every "
                    "question in its four orderings)"
                )
        return found

    def notes(self, record: LvlmResult, rules: LvlmRules) -> str:
        model, asked = record.model, next(iter(record.protocol["settings"].values()))
        markers = asked.get("markers") or {}
        backbone = model.get("backbone") or {}
        parts = [
            f"{rules.measure} over {record.orderings} orderings",
            f"provider {record.device['provider']}",
            f"template {asked['template']} {str(asked.get('template_hash'))[:12]}" if "template" in asked else "",
            f"{markers.get('color')} {markers.get('shape')}" if markers else "",
            f"{asked['image_format']} images" if "image_format" in asked else "",
            f"at most {model['max_pixels']} pixels" if model.get("max_pixels") else "",
            f"{model['convention']} convention, {backbone['requested_size']} px, layer {backbone['layer']}"
            if backbone
            else "",
            str(backbone.get("dtype") or model.get("dtype") or ""),
            f"at most {asked['max_tokens']} tokens" if "max_tokens" in asked else "",
        ]
        return ", ".join(part for part in parts if part)

    def is_headline(self, leaf: str) -> bool:
        return leaf.startswith("parsers/") and leaf.endswith(("/overall/circular", "/overall/average"))

    def is_soco(self, dataset_id: str, record: LvlmResult | None = None) -> bool:
        if dataset_id == HUB_RELEASE:
            return True
        whole = record is None or all(counts["groups"] == _QUESTIONS for counts in record.counts.values())
        return whole and set(dataset_id.split(", ")) <= set(FILE_NAMES.values())

    def printed(self) -> Iterable[PublishedScore]:
        """Table 3; its questions are those of the released TSVs."""
        return [
            PublishedScore(
                row["model"],
                "SOCO paper, table 3, on the released questions",
                {(task, OVERALL): float(row[setting]) for task, setting in _TASKS.items()},
            )
            for row in paper_rows()
        ]
