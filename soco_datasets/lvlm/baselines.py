"""What the scores of a language model stand beside: guessing, and matching by the features of a vision backbone."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..data.lvlm.questions import LETTERS
from ..errors import UsageError, unknown_name

if TYPE_CHECKING:
    from ..data.folder import DatasetFolder
    from ..features.extractor import DenseFeatureExtractor
    from ..features.geometry import Convention

Row = Mapping[str, Any]
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


def guess(rows: Iterable[Row], guesser: str, seed: int = 0) -> dict[tuple[str, str], str]:
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
    rows: Sequence[Row],
    convention: Convention = "reference",
    memory_budget: int | None = None,
) -> dict[tuple[str, str], str]:
    """(setting, index) -> the letter of the candidate whose descriptor is most similar to the query's (cosine).

    The backbone sees the photographs without markers. Each image is decoded and forwarded once.

    Args:
        extractor: the model at an image size.
        folder: a built folder.
        rows: of its config `lvlm`. Where a setting hides the source, a row of another setting that shows it must be
            there too, with the same `question_id`.
        convention: of points and features, see `features.geometry`.
        memory_budget: bytes of feature maps to hold in memory; the rest goes to disk.

    Raises:
        UsageError: imported questions (their photographs and points are not known), or a question whose source no row
            shows.
    """
    questions = _asked(rows)
    similarity = _similarities(extractor, folder, list(questions.values()), convention, memory_budget)
    best = {
        question_id: row["candidate_keypoints"][int(scores.argmax())]
        for (question_id, row), scores in zip(questions.items(), similarity, strict=True)
    }
    return {
        (row["setting"], row["index"]): LETTERS[row["candidate_keypoints"].index(best[row["question_id"]])]
        for row in rows
    }


def _asked(rows: Sequence[Row]) -> dict[str, Row]:
    """question_id -> a row that shows its source, the first ordering of it."""
    if any(row["candidate_points"] is None for row in rows):
        raise UsageError("Imported questions do not say which photographs and points they show: build the dataset.")
    found: dict[str, Row] = {}
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
    questions: Sequence[Row],
    convention: Convention,
    memory_budget: int | None,
) -> NDArray[np.float32]:
    """(Q, 4) cosine similarity of the query descriptor with those at the candidates."""
    import torch

    from ..correspondence.matching import sample_descriptors
    from ..features.extractor import l2_normalise
    from ..features.geometry import keypoints_to_unit
    from ..features.store import FeatureStore
    from ..files import progress

    ids = sorted({row[name] for row in questions for name in ("source_image_id", "target_image_id")})
    place = {image_id: i for i, image_id in enumerate(ids)}
    sizes: dict[int, int] = {}
    found = np.zeros((len(questions), len(LETTERS)), dtype=np.float32)
    grid = extractor.grid
    with (
        FeatureStore(len(ids), extractor.channels, grid, grid, memory_budget=memory_budget) as store,
        torch.inference_mode(),
    ):
        step = extractor.batch_size
        for start in progress(range(0, len(ids), step), "Extracting features", unit="batch"):
            names = ids[start : start + step]
            images = [folder.images.decode(name) for name in names]
            maps = l2_normalise(extractor.extract(images, names))
            for name, image, feature_map in zip(names, images, maps, strict=True):
                sizes[place[name]] = max(image.size)
                store.put(place[name], feature_map)

        def descriptors(image_id: str, points: Sequence[Sequence[float]]) -> torch.Tensor:
            unit = keypoints_to_unit(points, sizes[place[image_id]], extractor.size, convention)
            sampled = sample_descriptors(store.get(place[image_id]), unit, convention)
            return torch.nn.functional.normalize(sampled, dim=1, eps=1e-12)

        for number, row in enumerate(questions):
            query = descriptors(row["source_image_id"], [row["source_point"]])
            candidates = descriptors(row["target_image_id"], row["candidate_points"])
            found[number] = (candidates @ query[0]).cpu().numpy()
    return found
