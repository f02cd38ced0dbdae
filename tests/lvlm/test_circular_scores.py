"""Scores: exact shares, counts behind each, errors for what cannot be scored, intervals that cover."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path

import numpy as np
import pytest
from helpers.lvlm_built import images, mini
from hypothesis import given, settings
from hypothesis import strategies as st

from soco_datasets.cli import main
from soco_datasets.data.questions.generation import LETTERS, draw_questions, question_rows
from soco_datasets.errors import PredictionsError, UsageError
from soco_datasets.lvlm.baselines import CONSISTENT, RANDOM, expected_score, guess, match_candidates
from soco_datasets.lvlm.circular_scores import Answer, score_answers
from soco_datasets.lvlm.question_rows import read_rows
from soco_datasets.lvlm.score_table import format_scores
from soco_datasets.lvlm.share_interval import wilson_interval


def some_rows(questions: int = 3, setting: str = "vis", categories: int = 2) -> list[dict]:
    drawn = draw_questions(images(categories), questions).questions
    texts = {(f"c{c}", f"k{k}"): "Tip" for c in range(categories) for k in range(6)}
    return list(question_rows(drawn, setting, texts, {"c0": "animals", "c1": None}))


def said(rows: list[dict], text: object) -> dict:
    """Every row answered: by a text, or by what a function makes of the row."""
    return {(row["setting"], row["index"]): Answer(text(row) if callable(text) else text) for row in rows}


def overall(report: dict, parser: str = "strict", setting: str = "vis") -> dict:
    return report["parsers"][parser]["settings"][setting]["overall"]


def test_always_a_is_a_quarter_on_average_and_nothing_in_circles() -> None:
    rows = read_rows(mini(), "vis")
    found = overall(score_answers(rows, said(rows, "A"), resamples=50))
    assert found["average"] == 0.25
    assert found["circular"] == 0.0
    assert (found["groups"], found["rows"], found["rows_per_group"]) == (240, 960, 4)
    assert found["average_interval"] == [0.25, 0.25]
    assert found["circular_interval"] == wilson_interval(0.0, found["groups"])


def test_right_answers_in_every_setting() -> None:
    rows = [row for setting in ("vis", "vis_desc", "desc") for row in read_rows(mini(), setting)]
    report = score_answers(rows, said(rows, lambda row: f"Answer: {row['answer']}"), resamples=20)
    for parser in ("paper", "strict"):
        assert [overall(report, parser, s)["circular"] for s in ("vis", "vis_desc", "desc")] == [1.0, 1.0, 1.0]
        gaps = report["parsers"][parser]["gaps"]
        assert list(gaps) == ["vis_desc-vis", "desc-vis", "desc-vis_desc"]
        assert all(gap["groups"] == 240 and gap["circular"] == 0 for gap in gaps.values())
    categories = report["parsers"]["paper"]["settings"]["vis"]["per_category"]
    assert len(categories) == 12
    assert all(part["groups"] == 20 and part["rows"] == 80 for part in categories.values())


@settings(max_examples=30)
@given(st.lists(st.sampled_from("ABCD?"), min_size=24, max_size=24))
def test_shares_are_those_of_counting_by_hand(letters: list[str]) -> None:
    rows = some_rows()
    answers = {(row["setting"], row["index"]): Answer(letter) for row, letter in zip(rows, letters, strict=True)}
    report = score_answers(rows, answers, resamples=5)
    right = [letter == row["answer"] for row, letter in zip(rows, letters, strict=True)]
    found = overall(report)
    assert found["average"] == sum(right) / 24
    assert found["circular"] == sum(all(right[i : i + 4]) for i in range(0, 24, 4)) / 6
    part = report["parsers"]["strict"]["settings"]["vis"]
    assert part["parse_failures"] == letters.count("?") / 24
    assert part["statuses"]["read"] + part["statuses"]["unreadable"] == 24
    assert part["letters"]["counts"] == {**{x: letters.count(x) for x in "ABCD"}, "none": letters.count("?")}
    assert part["per_category"]["c0"]["average"] == sum(right[:12]) / 12
    assert list(part["per_supercategory"]) == ["animals"]


def test_articles_make_the_parsers_differ() -> None:
    rows = some_rows()
    report = score_answers(rows, said(rows, "a point on the left wing"), resamples=5)
    assert overall(report, "paper")["average"] == 0.25
    assert report["parsers"]["paper"]["settings"]["vis"]["letters"]["distance_from_uniform"] == 0.75
    assert overall(report, "strict")["average"] == 0.0
    assert report["parsers"]["strict"]["settings"]["vis"]["letters"]["distance_from_uniform"] is None


def test_what_is_no_answer_is_wrong_and_counted() -> None:
    rows = some_rows()
    texts = ["", "E", "I'm sorry, I cannot help.", "hm", *[None] * 20]
    answers = {("vis", row["index"]): Answer(text) for row, text in zip(rows, texts, strict=True)}
    answers["vis", rows[-1]["index"]] = Answer("A", "refused")  # the provider says so: no letter is taken
    answers["vis", rows[-2]["index"]] = Answer("", "no_context")
    report = score_answers(rows, answers, resamples=5)
    statuses = report["parsers"]["strict"]["settings"]["vis"]["statuses"]
    expected = {"read": 0, "empty": 1, "refused": 2, "outside": 1, "unreadable": 1, "no_context": 1, "failed": 18}
    assert statuses == expected
    assert overall(report, "paper")["average"] == 0.0


def test_a_missing_ordering_is_an_error_never_a_pass() -> None:
    rows = some_rows()
    right = said(rows, lambda row: row["answer"])
    with pytest.raises(PredictionsError, match="g_index 0: ordering 2 is missing"):
        score_answers([row for row in rows if row["index"] != "2"], right)
    with pytest.raises(PredictionsError, match=r"lack the answer.*g_index 1 \(index 5\).*--partial"):
        score_answers(rows, {key: answer for key, answer in right.items() if key != ("vis", "5")})
    partial = score_answers(rows, {k: a for k, a in right.items() if k != ("vis", "5")}, partial=True, resamples=5)
    assert overall(partial)["groups"] == 5
    assert partial["left_out"] == {"vis": 1}
    assert "1 of vis" in format_scores(partial)
    nothing = score_answers(rows, {}, partial=True, resamples=5)
    assert overall(nothing)["average"] is None
    assert overall(nothing)["groups"] == 0
    assert nothing["parsers"]["strict"]["settings"]["vis"]["parse_failures"] is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows.append(dict(rows[0], index="99")), "5 rows instead of 4"),
        (lambda rows: rows[5].update(index="4"), "index 4 comes 2 times"),
        (lambda rows: rows[1].update(category="c1"), "two questions"),
        (lambda rows: rows[1].update(answer="E"), "'E' is none of A to D"),
        (lambda rows: rows[1].update(answer=rows[0]["answer"]), "same answer"),
        (lambda rows: rows[1].update(g_index="77"), "g_index 77: ordering 0 is missing"),
    ],
)
def test_questions_that_cannot_be_scored_are_named(change: object, message: str) -> None:
    rows = some_rows()
    answers = said(rows, "A")
    change(rows)  # type: ignore[operator]
    with pytest.raises(PredictionsError, match=message):
        score_answers(rows, answers)


def test_answers_to_unknown_rows_and_settings_are_named() -> None:
    rows = some_rows()
    with pytest.raises(PredictionsError, match="vis index 1000"):
        score_answers(rows, {**said(rows, "A"), ("vis", "1000"): Answer("A")})
    with pytest.raises(UsageError, match="'viz'"):
        score_answers([dict(rows[0], setting="viz")], {})
    with pytest.raises(UsageError, match="level"):
        score_answers(rows, said(rows, "A"), level=1.5)


def test_the_same_report_byte_for_byte_whatever_the_order() -> None:
    rows = [*some_rows(), *some_rows(setting="desc")]
    answers = said(rows, lambda row: "ABCD"[int(row["index"]) * 7 % 4])
    first = json.dumps(score_answers(rows, answers))
    mixed = rows.copy()
    random.Random(1).shuffle(mixed)
    assert json.dumps(score_answers(mixed, dict(reversed(answers.items())))) == first
    assert "nan" not in first.lower()


def test_a_judge_fills_in_what_strict_cannot_read() -> None:
    rows = some_rows()
    judged = {("vis", row["index"]): row["answer"] for row in rows}
    report = score_answers(rows, said(rows, "the round thing"), judged=judged, resamples=5)
    assert [overall(report, name)["average"] for name in ("strict", "judge")] == [0.0, 1.0]


def test_intervals_of_a_simulated_model_cover_its_true_score() -> None:
    """A model that is right in all orderings of a question with chance 0.6: 90 % intervals cover 0.6 about so often."""
    rows = some_rows(questions=20)
    covered = 0
    for trial in range(60):
        chance = random.Random(trial)
        right = {row["g_index"]: chance.random() < 0.6 for row in rows}
        answers = said(rows, lambda row, right=right: row["answer"] if right[row["g_index"]] else "none")
        low, high = overall(score_answers(rows, answers, resamples=200, level=0.9))["circular_interval"]
        covered += low <= 0.6 <= high
    assert 45 <= covered <= 60


def test_one_question_a_category_has_an_interval_over_questions() -> None:
    rows = [*some_rows(1, "vis", categories=3), *some_rows(1, "desc", categories=3)]
    report = score_answers(rows, {(row["setting"], row["index"]): Answer(row["answer"]) for row in rows})
    assert overall(report)["groups"] == 3
    ends = wilson_interval(1.0, 3)
    assert overall(report)["circular_interval"] == overall(report)["average_interval"] == ends
    one = report["parsers"]["strict"]["settings"]["vis"]["per_category"]
    assert all(part["circular_interval"] is None for part in one.values())
    assert report["parsers"]["strict"]["gaps"]["desc-vis"]["circular_interval"] is None


def test_gaps_are_paired() -> None:
    """Two settings right on the same questions: hard questions do not widen the gap, as they do each score."""
    rows = [*some_rows(20), *some_rows(20, "desc")]
    easy = {row["question_id"] for row in rows if int(row["g_index"]) % 2}
    better = {"0", "2", "4"}
    answers = said(
        rows,
        lambda row: (
            row["answer"]
            if row["question_id"] in easy or (row["setting"] == "desc" and row["g_index"] in better)
            else "?"
        ),
    )
    report = score_answers(rows, answers)
    gap = report["parsers"]["strict"]["gaps"]["desc-vis"]
    assert gap["circular"] == 3 / 40
    assert gap["groups"] == 40
    width = gap["circular_interval"][1] - gap["circular_interval"][0]
    alone = overall(report)["circular_interval"]
    assert gap["circular_interval"][0] >= 0
    assert width < 0.7 * (alone[1] - alone[0])


def test_guessers_are_within_their_binomial_bounds() -> None:
    rows = some_rows(questions=28, categories=2) * 1
    questions, trials = len(rows) // 4, 40
    for guesser in (RANDOM, CONSISTENT):
        averages, circles = [], []
        for seed in range(trials):
            letters = guess(rows, guesser, seed)
            found = overall(score_answers(rows, {k: Answer(v) for k, v in letters.items()}, resamples=1))
            averages.append(found["average"])
            circles.append(found["circular"])
            if guesser == CONSISTENT:
                assert found["average"] == found["circular"]
        exact = expected_score(guesser)
        spread = math.sqrt(exact["circular"] * (1 - exact["circular"]) / (questions * trials))
        assert abs(np.mean(circles) - exact["circular"]) < 4 * spread
        independent = questions * trials * (4 if guesser == RANDOM else 1)
        assert abs(np.mean(averages) - 0.25) < 4 * math.sqrt(0.25 * 0.75 / independent)
    assert expected_score(RANDOM)["circular"] == (1 / 4) ** 4
    assert guess(rows, RANDOM, 3) == guess(rows, RANDOM, 3) != guess(rows, RANDOM, 4)
    with pytest.raises(UsageError, match="'dice'"):
        guess(rows, "dice")


def test_a_vision_backbone_chooses_the_most_similar_candidate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With dense SIFT as a real backbone: better than chance, the same candidate in every ordering and setting."""
    from soco_datasets.features.backbones import load_backbone
    from soco_datasets.features.extractor import DenseFeatureExtractor

    folder = mini()
    rows = [
        row
        for setting in ("vis", "desc")
        for row in read_rows(folder, setting)
        if row["category"] in ("ambulance", "bus")
    ]
    extractor = DenseFeatureExtractor(load_backbone("dense_sift"), 200)
    letters = match_candidates(extractor, folder, rows)
    report = score_answers(rows, {key: Answer(letter) for key, letter in letters.items()}, resamples=5)
    for setting in ("vis", "desc"):
        found = overall(report, setting=setting)
        assert found["average"] == found["circular"] > 0.25
    assert set(letters.values()) == set(LETTERS)
    assert match_candidates(extractor, folder, rows, store_dir=tmp_path) == letters
    with monkeypatch.context() as patch:  # from the maps that were kept, without a forward
        patch.setattr(DenseFeatureExtractor, "extract_pixels", None)
        assert match_candidates(extractor, folder, rows, store_dir=tmp_path) == letters
    hidden = [row for row in rows if row["setting"] == "desc"]
    with pytest.raises(UsageError, match="setting vis"):
        match_candidates(extractor, folder, hidden)
    with pytest.raises(UsageError, match="Imported"):
        match_candidates(extractor, folder, [dict(rows[0], candidate_points=None)])


def test_the_commands_answer_and_score(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = str(mini().path)

    def soco(*arguments: str) -> tuple[int, str, str]:
        code = main(["lvlm", *arguments])
        out, err = capsys.readouterr()
        return code, out, err

    code, out, _ = soco("baseline", "--model", "random++", "--data", data, "--out", str(tmp_path / "answers"))
    files = out.split()
    assert (code, len(files)) == (0, 3)
    for name in ("a.json", "b.json"):
        assert soco("score", *files, "--data", data, "--resamples", "50", "--out", str(tmp_path / name))[0] == 0
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    report = json.loads((tmp_path / "a.json").read_text())
    assert report["model"]["name"] == "random++"
    assert overall(report)["average"] == overall(report)["circular"]
    lines = Path(files[0]).read_text().splitlines(keepends=True)
    Path(files[0]).write_text("".join(lines[:-1]))
    code, _, err = soco("score", files[0], "--data", data)
    assert code == 1
    assert "lack the answer" in err
    failed = json.dumps({**json.loads(lines[-1]), "outcome": "timeout", "response": ""}) + "\n"
    Path(files[0]).write_text("".join([*lines[:-1], failed]))
    assert "lack the answer" in soco("score", files[0], "--data", data)[2]
    Path(files[0]).write_text("".join(lines).replace(mini().content_hash, "f" * 64))
    assert "other questions" in soco("score", files[0], "--data", data)[2]
    assert "another file does" in soco("score", files[1], files[1], "--data", data)[2]
