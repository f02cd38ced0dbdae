"""`soco lvlm report`: scores of vision-language models beside the paper's, and questions with pictures and answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from .. import __version__
from ..benchmarks.soco.paper_lvlm import paper_rows
from ..data.folder import DatasetFolder
from ..data.questions.generation import SETTINGS
from ..data.questions.markers import MarkerStyle
from ..data.questions.pictures import PICTURES, open_pictures
from ..errors import UsageError
from ..lvlm.answer_files import load_answers
from ..lvlm.circular_scores import (
    Answer,
    AnswerRow,
    Key,
    score_answers,
)
from ..lvlm.question_rows import read_rows
from ..records.made_files import run_inputs, write_made
from ..utils.colors import SERIES
from ..utils.paths import real_path
from .lvlm_gallery import LVLM_GALLERY_KINDS, choose_questions
from .page import page_style, page_template
from .photographs import Photographs

TITLES = {"vis": "Vis.", "vis_desc": "Vis.+Desc.", "desc": "Desc."}
_MOST = 180  # questions on a page
_EACH = 4  # of a kind, fewer where many models share the page


@dataclass(frozen=True)
class Scored:
    """The answers of one model with their scores."""

    name: str
    headers: Sequence[Mapping[str, Any]]
    rows: Sequence[AnswerRow]
    answers: Mapping[Key, Answer]
    report: Mapping[str, Any]


def write_lvlm_page(
    answers: Sequence[Sequence[Path]],
    folder: DatasetFolder,
    out: Path,
    *,
    partial: bool = False,
    seed: int = 0,
    overwrite: bool = False,
) -> Path:
    """Write `OUT/lvlm.html`; the same answers give the same page.

    Args:
        answers: per model its answers files, one per setting.
        folder: the data they were asked from.
        out: folder, made where it is missing.
        partial: leave out questions that are not answered in all orderings, instead of refusing.
        seed: of the questions that are shown and of the bootstrap.
        overwrite: replace a page of other answers.

    Raises:
        UsageError: no answers files, or a page of other answers in the folder.
        PredictionsError: answers of other data, of two models in one list, or not complete.
        MissingExtraError: the extra `report` is not installed.
        SocoError: a file that cannot be read or written.
    """
    if not answers:
        raise UsageError("Give at least one answers file, the .answers.jsonl that `soco lvlm run` wrote.")
    models = [_scored(paths, folder, partial, seed) for paths in answers]
    photographs = _photographs(models, folder)
    each = max(1, min(_EACH, _MOST // (len(models) * len(SETTINGS) * len(LVLM_GALLERY_KINDS))))
    galleries = [_gallery(number, model, photographs, each, seed) for number, model in enumerate(models)]
    page = page_template("lvlm.html.j2").render(
        heading=models[0].name if len(models) == 1 else f"{len(models)} vision-language models",
        facts=_facts(models, folder),
        css=page_style(),
        models=[_tiles(number, model) for number, model in enumerate(models)],
        settings=[(setting, TITLES[setting]) for setting in SETTINGS],
        paper=paper_rows(),
        gaps=[gap for model in models for gap in _gaps(model)],
        biases=[bias for model in models for bias in _biases(model)],
        galleries=galleries,
        kinds=LVLM_GALLERY_KINDS,
        photos=photographs.data_uris(),
        version=__version__,
    )
    inputs = run_inputs(header for model in models for header in model.headers)
    return write_made(out, {"lvlm.html": page}, inputs, overwrite=overwrite)[0]


def _scored(paths: Sequence[Path], folder: DatasetFolder, partial: bool, seed: int) -> Scored:
    headers, answers = load_answers(paths, folder.content_hash)
    rows = [row for header in headers for row in read_rows(folder, header["setting"])]
    report = score_answers(rows, answers, partial=partial, seed=seed)
    return Scored(real_path(paths[0]).parent.name, headers, rows, answers, report)


def _photographs(models: Sequence[Scored], folder: DatasetFolder) -> Photographs:
    """Pictures by "number of the model/setting/index/column", drawn with the markers the model saw."""
    rows = [{(row["setting"], row["index"]): row for row in model.rows} for model in models]
    styles = [{header["setting"]: _style(header) for header in model.headers} for model in models]

    def load(key: str) -> Image.Image:
        number, setting, index, name = key.split("/")
        row = rows[int(number)][setting, index]
        return open_pictures(folder, row, styles[int(number)][setting])[name]

    return Photographs(load)


def _style(header: Mapping[str, Any]) -> MarkerStyle:
    markers = header.get("markers")
    return MarkerStyle(**markers) if markers else MarkerStyle()


def _gallery(number: int, model: Scored, photographs: Photographs, each: int, seed: int) -> dict[str, Any]:
    sections = []
    for setting, kinds in choose_questions(model.rows, model.answers, each, seed).items():
        shown = {
            kind: [
                {
                    "question": question,
                    "pictures": [
                        photographs.add(f"{number}/{setting}/{question.index}/{name}")
                        for name in PICTURES[setting == "desc" :]
                    ],
                }
                for question in questions
            ]
            for kind, questions in kinds.items()
        }
        sections.append({"title": TITLES[setting], "kinds": shown})
    return {"name": model.name, "series": _series(number), "sections": sections}


def _facts(models: Sequence[Scored], folder: DatasetFolder) -> list[tuple[str, str]]:
    first = models[0].report
    asked = {s: part["overall"]["groups"] for s, part in first["parsers"]["strict"]["settings"].items()}
    return [
        ("data", folder.path.name),
        ("content", folder.content_hash[:12]),
        ("questions", ", ".join(f"{TITLES[setting]} {groups:,}" for setting, groups in asked.items())),
        ("orderings", str(first["orderings"])),
        ("questions’ hash", first["questions_hash"][:12]),
    ]


def _tiles(number: int, model: Scored) -> dict[str, Any]:
    settings = model.report["parsers"]["strict"]["settings"]
    paper = model.report["parsers"]["paper"]["settings"]
    tiles = [
        {
            "setting": setting,
            "title": TITLES[setting],
            "circular": _percent(part["overall"]["circular"]),
            "interval": _interval(part["overall"]["circular_interval"]),
            "average": _percent(part["overall"]["average"]),
            "paper_parser": _percent(paper[setting]["overall"]["circular"]),
            "unread": _percent(part["parse_failures"]),
            "groups": part["overall"]["groups"],
            "rows": part["overall"]["rows"],
        }
        for setting, part in settings.items()
    ]
    return {"name": model.name, "series": _series(number), "tiles": tiles, "left_out": model.report["left_out"]}


def _gaps(model: Scored) -> list[tuple[str, str, str, str, int]]:
    gaps = model.report["parsers"]["strict"]["gaps"]
    return [
        (
            model.name,
            " − ".join(TITLES[setting] for setting in name.split("-")),
            _percent(gap["circular"], "+"),
            _interval(gap["circular_interval"], "+"),
            gap["groups"],
        )
        for name, gap in gaps.items()
    ]


def _biases(model: Scored) -> list[tuple[str, ...]]:
    settings = model.report["parsers"]["strict"]["settings"]
    return [
        (
            model.name,
            TITLES[setting],
            *(_percent(share) for share in part["letters"]["shares"].values()),
            _percent(part["letters"]["distance_from_uniform"]),
        )
        for setting, part in settings.items()
    ]


def _percent(share: float | None, sign: str = "") -> str:
    return "–" if share is None else f"{100 * share:{sign}.1f}"


def _interval(ends: Sequence[float] | None, sign: str = "") -> str:
    return "" if ends is None else f"[{_percent(ends[0], sign)}, {_percent(ends[1], sign)}]"


def _series(number: int) -> int:
    return number % len(SERIES) + 1
