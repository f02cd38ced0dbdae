"""What the scores of a language model stand beside: guessing, and matching by the features of a vision backbone."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..data.questions.generation import LETTERS
from ..errors import UsageError, unknown_name

if TYPE_CHECKING:
    from pathlib import Path

    from ..data.folder import DatasetFolder
    from ..features.extractor import DenseFeatureExtractor
    from ..geometry import Convention

BaselineRow = Mapping[str, Any]
RANDOM, CONSISTENT = "random", "random++"
GUESSERS = (RANDOM, CONSISTENT)


def expected_score(guesser: str) -> dict[str, float]:
    """The exact expectation: a letter of each row drawn by itself, or one candidate of each question kept throughout.

    >>> expected_score("random"), expected_score("random++")
    ({'average': 0.25, 'circular': 0.00390625}, {'average': 0.25, 'circular': 0.25})
    """
    if guesser not in GUESSERS:
        raise unknown_name("guesser", guesser, GUESSERS)
    chance = 1 / len(LETTERS)
    return {"average": chance, "circular": chance if guesser == CONSISTENT else chance ** len(LETTERS)}


def guess(rows: Iterable[BaselineRow], guesser: str, seed: int = 0) -> dict[tuple[str, str], str]:
    """(setting, index) -> a guessed letter; the same for the same seed for ever.

    Args:
        rows: of the config `lvlm`.
        guesser: "random" draws a letter for every row, "random++" one candidate of a question for all its orderings.
        seed: any integer.
    """
    if guesser not in GUESSERS:
        raise unknown_name("guesser", guesser, GUESSERS)
    found = {}
    for row in rows:
        if guesser == RANDOM:
            letter = LETTERS[_draw(seed, guesser, row["setting"], row["index"])]
        else:  # the orderings are cyclic: a candidate keeps its distance from the right one
            away = _draw(seed, guesser, row["setting"], row["g_index"])
            letter = LETTERS[(LETTERS.index(row["answer"]) + away) % len(LETTERS)]
        found[row["setting"], row["index"]] = letter
    return found


def _draw(*key: int | str) -> int:
    """0 to 3, uniform."""
    return hashlib.sha256(json.dumps(["soco-lvlm-guess-1", *key]).encode("ascii")).digest()[0] % len(LETTERS)


def match_candidates(
    extractor: DenseFeatureExtractor,
    folder: DatasetFolder,
    rows: Sequence[BaselineRow],
    convention: Convention = "reference",
    *,
    store_dir: Path | None = None,
    workers: int | None = None,
) -> dict[tuple[str, str], str]:
    """(setting, index) -> the letter of the candidate whose descriptor is most similar to the query's (cosine).

    The backbone sees the photographs without markers. Each image is decoded and forwarded once.

    Args:
        extractor: the model at an image size.
        folder: a built folder.
        rows: of its config `lvlm`. Where a setting hides the source, a row of another setting that shows it must be
            there too, with the same `question_id`.
        convention: of points and features, see `geometry`.
        store_dir: folder of the shared feature stores, to take maps from that an evaluation kept there, and keep the
            others; None = no map is kept.
        workers: decoding threads, see `features.loader.FeatureLoader`.

    Raises:
        DatasetFolderError: an image does not decode.
        UsageError: imported questions (their photographs and points are not known), or a question whose source no row
            shows.
    """
    questions = _asked(rows)
    similarity = _similarities(extractor, folder, list(questions.values()), convention, store_dir, workers)
    best = {
        question_id: row["candidate_keypoints"][int(scores.argmax())]
        for (question_id, row), scores in zip(questions.items(), similarity, strict=True)
    }
    return {
        (row["setting"], row["index"]): LETTERS[row["candidate_keypoints"].index(best[row["question_id"]])]
        for row in rows
    }


def _asked(rows: Sequence[BaselineRow]) -> dict[str, BaselineRow]:
    """question_id -> a row that shows its source, the first ordering of it."""
    if any(row["candidate_points"] is None for row in rows):
        raise UsageError("Imported questions do not say which photographs and points they show: build the dataset.")
    found: dict[str, BaselineRow] = {}
    for row in rows:
        if row["source_point"] is not None and row["ordering"] == 0:
            found.setdefault(row["question_id"], row)
    hidden = [row["question_id"] for row in rows if row["question_id"] not in found]
    if hidden:
        raise UsageError(
            f"The source of question {hidden[0]} is in no row: add the rows of setting vis, where it is shown."
        )
    return found


def _similarities(
    extractor: DenseFeatureExtractor,
    folder: DatasetFolder,
    questions: Sequence[BaselineRow],
    convention: Convention,
    store_dir: Path | None,
    workers: int | None,
) -> NDArray[np.float32]:
    """(Q, 4) cosine similarity of the query descriptor with those at the candidates.

    All of it is points of images, so nothing but the first half of an evaluation is needed, and no map is kept.
    """
    import torch

    from ..config import CachePolicy, RunConfig, ScoringConfig
    from ..correspondence.evaluate import protocol_of
    from ..correspondence.local_engine import LocalEngine
    from ..correspondence.plan import distinct_points, image_plan

    ids = folder.table("images", "test", columns=["image_id"])["image_id"]
    place = {image_id: number for number, image_id in enumerate(ids.to_pylist())}
    shown = [row["source_image_id"] for row in questions]
    shown += [row["target_image_id"] for row in questions for _ in LETTERS]
    points = np.array(
        [row["source_point"] for row in questions] + [point for row in questions for point in row["candidate_points"]],
        dtype=np.float64,
    ).reshape(-1, 2)
    images, owner = np.unique([place[image_id] for image_id in shown], return_inverse=True)
    first, number = distinct_points(owner, points)
    plan = image_plan(folder, images, owner[first], points[first], (), extractor.grid)
    engine = LocalEngine(
        extractor,
        folder,
        protocol_of(extractor.describe(), ScoringConfig(convention)),
        RunConfig(CachePolicy("none") if store_dir is None else CachePolicy("disk", directory=store_dir), workers),
        {"decodes": 0, "forwards": 0},
    )
    with engine, torch.inference_mode():
        engine.sample(plan)
        described = torch.nn.functional.normalize(engine.descriptors, dim=1, eps=1e-12)
        of_point = torch.from_numpy(number).to(described.device)
        query = described[of_point[: len(questions)]]
        candidates = described[of_point[len(questions) :]].reshape(len(questions), len(LETTERS), -1)
        similarity: NDArray[np.float32] = torch.einsum("qc,qlc->ql", query, candidates).cpu().numpy()
    return similarity
