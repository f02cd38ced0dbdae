"""The marker study: the same questions asked with several markers of the source (table r11 of the paper)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..data.questions.markers import COLORS, SHAPES, MarkerStyle
from ..errors import UsageError
from ..records.replacement import check_replaces_json
from ..utils.files import atomic_write
from .answer_files import load_answers
from .ask_options import AskOptions
from .circular_scores import score_answers
from .model_choice import ModelOptions, folder_name, kept_loaded
from .prompted import PromptedQuestions
from .run import run_questions


@dataclass(frozen=True)
class MarkerStudyOptions:
    """Which markers are compared, and how scores get their intervals.

    Attributes:
        styles: the markers.
        parser: of the answers, "paper" or "strict".
        resamples, seed: of the bootstrap.
    """

    styles: tuple[MarkerStyle, ...]
    parser: str = "paper"
    resamples: int = 1000
    seed: int = 0

    @classmethod
    def of(cls, shapes: str | None, colors: str | None, parser: str = "paper") -> MarkerStudyOptions:
        """Every shape in every color, both separated by commas; None = all shapes, in red alone.

        Raises:
            UsageError: an unknown shape or color.
        """
        names = [[part.strip() for part in (text or "").split(",") if part.strip()] for text in (shapes, colors)]
        styles = [
            MarkerStyle(shape, color) for shape in names[0] or SHAPES for color in names[1] or (next(iter(COLORS)),)
        ]
        return cls(tuple(styles), parser)


def marker_study(
    questions: Callable[[MarkerStyle], Sequence[PromptedQuestions]],
    model: ModelOptions,
    out: Path,
    asking: AskOptions,
    study: MarkerStudyOptions,
    *,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Ask the questions with each marker, score them, and write `OUT/MODEL.markers.json`; resumes as a run does.

    A study of the same model, questions, markers and parser is replaced.

    Args:
        questions: marker -> the questions, one part per setting.
        model: which model; a local one is loaded once.
        out: gets a folder per marker.
        asking: how it is asked.
        study: the markers.
        overwrite: replace the file of another study, too.

    Returns:
        JSON values: `{"model", "parser", "dataset", "questions": {setting: {"groups", "sha256"}}, "styles": [[shape,
        color]], "markers": [{"shape", "color", "settings": {setting: {"circular",
        "circular_interval", "average", "average_interval", "groups", "parse_failures"}}}]}`; fractions.

    Raises:
        As `run.run_questions`; SocoError also where questions stay unanswered; UsageError also where the file is of
        another study, before anything is asked.
    """
    if not study.styles:
        raise UsageError("A marker study compares at least one marker.")
    found = _identity(questions(study.styles[0]), model, study)
    path = out / f"{found['model']}.markers.json"
    check_replaces_json(path, found, found, overwrite=overwrite)
    rows = []
    with kept_loaded(model):
        for style in study.styles:
            parts = questions(style)
            results = run_questions(parts, model, out / f"{style.shape}-{style.color}", asking)
            if not all(result.complete for result in results):
                raise UsageError(
                    f"Some questions with the marker {style.shape}, {style.color} got no answer. Run the same command "
                    "again to ask them."
                )
            _, answers = load_answers([result.answers for result in results])
            asked = {(row["setting"], row["index"]) for part in parts for row in part.rows}
            report = score_answers(
                [row for part in parts for row in part.rows],
                {key: answer for key, answer in answers.items() if key in asked},
                resamples=study.resamples,
                seed=study.seed,
            )
            settings = report["parsers"][study.parser]["settings"]
            rows.append({"shape": style.shape, "color": style.color, "settings": _shares(settings)})
    found["markers"] = rows
    atomic_write(path, json.dumps(found, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
    return found


def _identity(parts: Sequence[PromptedQuestions], model: ModelOptions, study: MarkerStudyOptions) -> dict[str, Any]:
    """What makes a study another one."""
    questions = {}
    for part in parts:
        ids = "\n".join(f"{row['g_index']} {row['index']}" for row in part.rows)
        groups = len({row["g_index"] for row in part.rows})
        questions[part.setting] = {"groups": groups, "sha256": hashlib.sha256(ids.encode()).hexdigest()}
    return {
        "model": folder_name(model.model),
        "parser": study.parser,
        "dataset": parts[0].dataset,
        "questions": questions,
        "styles": [[style.shape, style.color] for style in study.styles],
    }


def _shares(settings: Mapping[str, Any]) -> dict[str, Any]:
    names = ("circular", "circular_interval", "average", "average_interval", "groups")
    return {
        setting: {**{name: part["overall"][name] for name in names}, "parse_failures": part["parse_failures"]}
        for setting, part in settings.items()
    }


def format_marker_study(found: Mapping[str, Any]) -> str:
    """The study as a table, percent with intervals, a row per marker and setting."""
    header = f"{'marker':<16}{'setting':<10}{'circular':>22}{'average':>22}{'unread':>9}{'questions':>11}"
    lines = [f"model {found['model']}, parser {found['parser']}", header, "-" * len(header)]
    for row in found["markers"]:
        for setting, part in row["settings"].items():
            cells = [_percent(part, name) for name in ("circular", "average")]
            lines.append(
                f"{row['shape'] + ', ' + row['color']:<16}{setting:<10}{cells[0]:>22}{cells[1]:>22}"
                f"{100 * (part['parse_failures'] or 0):>9.1f}{part['groups']:>11,}"
            )
    return "\n".join(lines) + "\n"


def _percent(part: Mapping[str, Any], name: str) -> str:
    ends = part[f"{name}_interval"]
    shown = f" [{100 * ends[0]:.1f}, {100 * ends[1]:.1f}]" if ends else ""
    return f"{100 * part[name]:.1f}{shown}"
