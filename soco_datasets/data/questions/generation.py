"""The multiple-choice questions: which pairs, which keypoint, which distractors, in which orderings. Seeded, no I/O.

A question shows a marked (or described) keypoint of the source image and four lettered points of the target image, one
of which is the same keypoint. Its four rows are the cyclic orderings of the letters: CircularEval counts the question
as right only if all four are. Every choice is made by the SHA-256 of what is chosen from, so that the same annotations
always give the same questions, and adding or removing an image changes only the questions it is in.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import UsageError, unknown_name
from ..checked_release import Release
from ..pairs import PairIndex
from .prompts import DEFAULT_TEMPLATE, PromptTemplate

SETTINGS = ("vis", "vis_desc", "desc")
LETTERS = "ABCD"
PER_CATEGORY = 20
MIN_SHARED_FOR_QUESTIONS = 3  # what makes two images a pair, as everywhere

QuestionPoint = tuple[float, float]
QuestionRow = dict[str, Any]


@dataclass(frozen=True)
class AnnotatedImage:
    """What the questions need of an image: its size [width, height] and its visible keypoints, pixels."""

    image_id: str
    category: str
    size: tuple[int, int]
    points: Mapping[str, QuestionPoint]

    def usable(self) -> dict[str, QuestionPoint]:
        """The points that lie inside the image: a marker outside it could not be seen."""
        width, height = self.size
        return {name: (x, y) for name, (x, y) in self.points.items() if 0 <= x <= width and 0 <= y <= height}


@dataclass(frozen=True)
class Question:
    """One question; `candidates` are four keypoints of the target in their first ordering, the asked one among them."""

    question_id: str
    source_image_id: str
    target_image_id: str
    category: str
    keypoint: str
    source_point: QuestionPoint
    candidates: tuple[tuple[str, QuestionPoint], ...]

    def ordering(self, number: int) -> tuple[tuple[str, QuestionPoint], ...]:
        """The candidates in the order of the letters A to D: ordering `number` begins with candidate `number`."""
        return self.candidates[number:] + self.candidates[:number]

    def answer(self, number: int) -> str:
        """The right letter of an ordering; over the four it is each letter once."""
        return LETTERS[[name for name, _ in self.ordering(number)].index(self.keypoint)]


@dataclass(frozen=True)
class Questions:
    """The drawn questions, in the order of the categories and images, and what was passed over.

    Attributes:
        questions: at most `PER_CATEGORY` per category.
        passed_over: rule -> number: `few_points`, images that show fewer than four usable points and so are never a
            target; `no_query`, pairs without a shared usable keypoint and three distractors in either direction;
            `short_category`, categories that give fewer questions than asked for.
    """

    questions: list[Question]
    passed_over: dict[str, int] = field(default_factory=dict)


def draw_questions(images: Sequence[AnnotatedImage], per_category: int = PER_CATEGORY, seed: int = 0) -> Questions:
    """Draw the questions: `per_category` pairs of each category, each pair at most once, in one direction.

    Args:
        images: in dataset order.
        per_category: questions of a category; a category that has fewer gives all it has.
        seed: any integer.

    Raises:
        UsageError: a negative number of questions.
    """
    if per_category < 0:
        raise UsageError(f"The number of questions of a category must not be negative, got {per_category}.")
    index = PairIndex(
        [i.category for i in images], [i.points for i in images], cross=False, min_shared=MIN_SHARED_FOR_QUESTIONS
    )
    usable = [image.usable() for image in images]
    few = sum(len(set(points.values())) < len(LETTERS) for points in usable)
    passed = Counter(few_points=few, no_query=0, short_category=0)
    rank = _PairRanks([image.image_id for image in images], seed)
    questions: list[Question] = []
    with_pairs = set()
    for category, blocks in itertools.groupby(_filled(index), lambda block: images[block[1][0]].category):
        with_pairs.add(category)
        pairs = np.concatenate([np.stack(block, axis=1) for block in blocks])  # of one category: all are too many
        found: dict[int, Question] = {}
        for k in rank.order(pairs):
            if len(found) == per_category:
                break
            source, target = pairs[k].tolist()
            question = _ask(images, usable, (source, target), seed)
            passed["no_query"] += question is None
            if question is not None:
                found[k] = question
        passed["short_category"] += len(found) < per_category
        for number, k in enumerate(sorted(found), start=1):
            stems = "-".join(i.partition("/")[2] for i in (found[k].source_image_id, found[k].target_image_id))
            questions.append(_numbered(found[k], f"{category}/{number:05d}-{stems}"))
    passed["short_category"] += len({image.category for image in images} - with_pairs)
    return Questions(questions, dict(passed))


def _filled(index: PairIndex) -> Iterator[tuple[NDArray[np.int32], NDArray[np.int32]]]:
    return (block for block in index.iter_blocks() if len(block[0]))


class _PairRanks:
    """The drawn order of pairs: by `_rank` of the seed, "pair" and the two ids in their order as text."""

    def __init__(self, ids: Sequence[str], seed: int) -> None:
        self._texts = list(map(json.dumps, ids))
        self._places = {image: place for place, image in enumerate(sorted(range(len(ids)), key=ids.__getitem__))}
        self._head = _rank_head(seed, "pair")

    def order(self, pairs: NDArray[np.int32]) -> list[int]:
        """Numbers of (P, 2) pairs of images, drawn first to drawn last."""
        head, texts, places = self._head, self._texts, self._places
        ranks = []
        for one, other in pairs.tolist():
            first, second = (one, other) if places[one] < places[other] else (other, one)
            ranks.append(hashlib.sha256(f"{head},{texts[first]},{texts[second]}]".encode("ascii")).digest())
        return sorted(range(len(ranks)), key=ranks.__getitem__)


def _ask(
    images: Sequence[AnnotatedImage], usable: Sequence[Mapping[str, QuestionPoint]], pair: tuple[int, int], seed: int
) -> Question | None:
    """The question of one pair in the direction drawn, in the other one where only that has any, or None."""
    ids = sorted(images[i].image_id for i in pair)
    directions = [pair, pair[::-1]]
    if _ranks(seed, "direction", ids[0])(ids[1])[0] & 1:
        directions.reverse()
    for source, target in directions:
        asked = [name for name in usable[source] if name in usable[target]]
        if asked and len(set(usable[target].values())) >= len(LETTERS):
            names = (images[source].image_id, images[target].image_id)
            keypoint = min(asked, key=_ranks(seed, "keypoint", *names))
            return _question(images[source], images[target], keypoint, usable[target], seed)
    return None


def _question(
    source: AnnotatedImage, target: AnnotatedImage, keypoint: str, points: Mapping[str, QuestionPoint], seed: int
) -> Question:
    key = (seed, "distractor", source.image_id, target.image_id, keypoint)
    others = sorted(_distractors(points, keypoint), key=_ranks(*key))
    shown = [keypoint, *others[: len(LETTERS) - 1]]
    shown.sort(key=_ranks(seed, "order", *key[2:]))
    return Question(
        question_id="",
        source_image_id=source.image_id,
        target_image_id=target.image_id,
        category=target.category,
        keypoint=keypoint,
        source_point=source.points[keypoint],
        candidates=tuple((name, points[name]) for name in shown),
    )


def _distractors(points: Mapping[str, QuestionPoint], keypoint: str) -> list[str]:
    """The other points that can be told apart from the keypoint and from one another."""
    first_at: dict[QuestionPoint, str] = {}
    for name, point in points.items():
        first_at.setdefault(point, name)
    first_at.pop(points[keypoint])
    return list(first_at.values())


def _numbered(question: Question, question_id: str) -> Question:
    return Question(**{**vars(question), "question_id": question_id})


def _ranks(*key: int | str) -> Callable[[str], bytes]:
    """What things of a name are sorted by to be drawn at random: 32 bytes that depend on `key` and the name alone."""
    head = _rank_head(*key)
    return lambda name: hashlib.sha256(f"{head},{_quoted(name)}]".encode("ascii")).digest()


def _rank_head(*key: int | str) -> str:
    return json.dumps(["soco-lvlm-1", *key], separators=(",", ":"))[:-1]


_quoted = functools.lru_cache(maxsize=10_000)(json.dumps)


def question_rows(
    questions: Iterable[Question],
    setting: str,
    descriptions: Mapping[tuple[str, str], str],
    supercategories: Mapping[str, str | None],
    template: PromptTemplate = DEFAULT_TEMPLATE,
) -> Iterator[QuestionRow]:
    """The rows of one split of the config `lvlm` (`schema.LVLM`), four a question, in order.

    Args:
        questions: from `draw_questions`.
        setting: of `SETTINGS`.
        descriptions: (category, keypoint) -> the keypoint in words.
        supercategories: category -> its supercategory.
        template: the wording.
    """
    if setting not in SETTINGS:
        raise unknown_name("setting", setting, SETTINGS)
    for number, question in enumerate(questions):
        words = ""
        for ordering in range(len(LETTERS)):
            candidates = question.ordering(ordering)
            row: QuestionRow = {
                "index": str(number * len(LETTERS) + ordering),
                "g_index": str(number),
                "question_id": question.question_id,
                "ordering": ordering,
                "setting": setting,
                "category": question.category,
                "supercategory": supercategories.get(question.category),
                "source_image_id": None if setting == "desc" else question.source_image_id,
                "target_image_id": question.target_image_id,
                "keypoint": question.keypoint,
                "description": descriptions[question.category, question.keypoint],
                "source_point": None if setting == "desc" else list(question.source_point),
                "candidate_keypoints": [name for name, _ in candidates],
                "candidate_points": [list(point) for _, point in candidates],
                "options": [f"Point {letter}" for letter in LETTERS],
                "answer": question.answer(ordering),
                "image_paths": None,
            }
            words = words or template.question(row)  # which order the points are in does not matter to it
            yield row | {"question": words}


def release_questions(release: Release, per_category: int = PER_CATEGORY, seed: int = 0) -> Questions:
    """The questions of a release that was read, for `soco build`."""
    images = [
        AnnotatedImage(
            record.image_id, record.category, record.size, {point.name: (point.x, point.y) for point in record.points}
        )
        for record in release.images.values()
    ]
    return draw_questions(images, per_category, seed)


def release_rows(release: Release, questions: Questions, setting: str) -> Iterator[QuestionRow]:
    """The rows of one setting of those questions, with the release's descriptions."""
    texts = {(str(row["category"]), str(row["keypoint"])): str(row["text"]) for row in release.descriptions}
    parents = {category: release.taxonomy.supercategory(category) for category in release.taxonomy.categories()}
    return question_rows(questions.questions, setting, texts, parents)


def questions_hash(rows: Iterable[Mapping[str, Any]]) -> str:
    """sha256 of question rows, whatever their order: two scores are comparable where it is the same."""
    lines = sorted(json.dumps(dict(row), sort_keys=True, ensure_ascii=False) for row in rows)
    return hashlib.sha256("\n".join(lines).encode("utf-8", errors="surrogatepass")).hexdigest()
