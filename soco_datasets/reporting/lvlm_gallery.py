"""Which questions a page shows of a vision-language model, and what the model said to them."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..data.questions.generation import LETTERS
from ..lvlm.answers import PARSERS, status_of
from ..lvlm.circular_scores import (
    Answer,
    AnswerRow,
    Key,
    group_rows,
)
from ..utils.text import clean

LVLM_GALLERY_KINDS = {
    "right": "right in all four orderings",
    "wrong": "the same wrong point in all four orderings",
    "inconsistent": "not one point in all four orderings",
}
_LONGEST = 240  # characters of an answer that a page shows


@dataclass(frozen=True)
class Said:
    """One ordering of a question: what the model said, the letter read from it and the right one."""

    text: str
    letter: str
    right: str
    status: str


@dataclass(frozen=True)
class Shown:
    """One question as the page shows it.

    Attributes:
        setting, index: of its first row, whose pictures are shown.
        title: category and images.
        keypoint: in words, "" where that is not known (imported questions).
        orderings: four.
    """

    setting: str
    index: str
    title: str
    keypoint: str
    orderings: tuple[Said, ...]


def choose_questions(
    rows: Sequence[AnswerRow], answers: Mapping[Key, Answer], number: int = 4, seed: int = 0, parser: str = "strict"
) -> dict[str, dict[str, list[Shown]]]:
    """Questions of each of `LVLM_GALLERY_KINDS`, drawn at random, while they last each of another category.

    Args:
        rows: of the config `lvlm`.
        answers: (setting, index) -> what the model said; questions without all four are passed over.
        number: questions of a kind.
        seed: of the draw.
        parser: how letters are read.

    Returns:
        setting -> kind -> questions; a kind that nothing fits is left out.
    """
    chosen: dict[str, dict[str, list[Shown]]] = {}
    for setting, groups in group_rows(rows).items():
        kinds: dict[str, list[tuple[str, Shown]]] = {kind: [] for kind in LVLM_GALLERY_KINDS}
        for part in groups.values():
            if all((setting, row["index"]) in answers for row in part):
                shown = _shown(setting, part, answers, parser)
                kinds[_kind(part, shown)].append((str(part[0]["category"]), shown))
        chosen[setting] = {kind: _spread(found, number, seed) for kind, found in kinds.items() if found}
    return chosen


def _shown(setting: str, part: Sequence[AnswerRow], answers: Mapping[Key, Answer], parser: str) -> Shown:
    first: dict[str, Any] = dict(part[0])
    images = [clean(str(first[name])) for name in ("source_image_id", "target_image_id") if first[name] is not None]
    said = []
    for row in part:
        answer = answers[setting, row["index"]]
        letter = PARSERS[parser](answer.text) if answer.outcome == "answered" else None
        text = clean(answer.text or "")
        said.append(
            Said(
                text=text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…",
                letter=letter or "–",
                right=row["answer"],
                status=status_of(answer.text, letter) if answer.outcome == "answered" else answer.outcome,
            )
        )
    title = f"{first['category']}: {' → '.join(images)}"
    return Shown(setting, first["index"], title, clean(str(first["description"] or "")), tuple(said))


def _kind(part: Sequence[AnswerRow], shown: Shown) -> str:
    """The letters as the candidates they stand for: ordering k begins with candidate k."""
    candidates = {
        (LETTERS.index(said.letter) + int(row["ordering"])) % len(LETTERS) if said.letter in LETTERS else None
        for row, said in zip(part, shown.orderings, strict=True)
    }
    if all(said.letter == said.right for said in shown.orderings):
        return "right"
    return "wrong" if len(candidates) == 1 and None not in candidates else "inconsistent"


def _spread(found: Sequence[tuple[str, Shown]], number: int, seed: int) -> list[Shown]:
    """`number` of them, one of each category before a second of any."""
    drawn = list(found)
    random.Random(seed).shuffle(drawn)
    seen: dict[str, int] = {}
    ranked = []
    for category, shown in drawn:
        seen[category] = seen.get(category, 0) + 1
        ranked.append((seen[category], shown))
    return [shown for _, shown in sorted(ranked, key=lambda pair: pair[0])[:number]]
