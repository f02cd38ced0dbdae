"""Which questions there are, in which orderings, and what is never asked."""

from __future__ import annotations

import json
import pickle
from collections import Counter
from pathlib import Path

import pytest
from datasets import load_dataset
from helpers.lvlm_built import images, mini

import soco_datasets  # noqa: F401 - teaches `datasets` the name soco
from soco_datasets.data.questions.generation import (
    LETTERS,
    SETTINGS,
    AnnotatedImage,
    draw_questions,
    question_rows,
    questions_hash,
)
from soco_datasets.data.questions.prompts import DEFAULT_TEMPLATE, load_template
from soco_datasets.errors import UsageError
from soco_datasets.lvlm.question_rows import questions_id, read_rows, stored_settings


def test_the_draw_is_pinned() -> None:
    """These questions are the benchmark: if this fails, scores before and after are not comparable."""
    drawn = draw_questions(images(categories=1), per_category=2)
    first = drawn.questions[0]
    assert [q.question_id for q in drawn.questions] == ["c0/00001-c0_1-c0_5", "c0/00002-c0_7-c0_6"]
    assert (first.keypoint, [name for name, _ in first.candidates]) == ("k1", ["k2", "k5", "k0", "k1"])


def test_twenty_pairs_a_category_each_once_with_a_common_keypoint_and_three_other_points() -> None:
    every = {image.image_id: image for image in images(each=10)}
    drawn = draw_questions(list(every.values()))
    assert Counter(q.category for q in drawn.questions) == {"c0": 20, "c1": 20}
    pairs = [frozenset((q.source_image_id, q.target_image_id)) for q in drawn.questions]
    assert len(set(pairs)) == len(pairs)
    for question in drawn.questions:
        source, target = every[question.source_image_id], every[question.target_image_id]
        assert source.category == target.category
        assert question.source_point == source.points[question.keypoint]
        assert len({point for _, point in question.candidates}) == 4
        assert all(target.points[name] == point for name, point in question.candidates)
        assert [question.answer(k) for k in range(4)].count("A") == 1
        assert sorted(question.answer(k) for k in range(4)) == list(LETTERS)
        for k in range(4):
            assert question.ordering(k)[LETTERS.index(question.answer(k))][0] == question.keypoint
    assert drawn.passed_over == {"few_points": 0, "no_query": 0, "short_category": 0}
    assert {q.candidates[0][0] == q.keypoint for q in drawn.questions} == {True, False}


def test_an_image_more_changes_only_questions_that_it_is_in() -> None:
    before = {q.question_id.partition("/")[2][6:]: q for q in draw_questions(images(1, 6), 10).questions}
    after = {q.question_id.partition("/")[2][6:]: q for q in draw_questions(images(1, 7), 10).questions}
    for key in before.keys() & after.keys():
        assert before[key].candidates == after[key].candidates
    assert all("c0_6" in key for key in after.keys() - before.keys())
    assert draw_questions(images(), 5, seed=1).questions != draw_questions(images(), 5, seed=2).questions


def test_targets_with_fewer_than_four_points_are_never_chosen_and_counted() -> None:
    few = [
        AnnotatedImage(f"c0/few_{i}", "c0", (200, 150), dict(list(image.points.items())[:3]))
        for i, image in enumerate(images(1, 2))
    ]
    drawn = draw_questions([*images(1, 2), *few])
    assert drawn.passed_over["few_points"] == 2
    assert {q.target_image_id for q in drawn.questions} == {"c0/c0_0", "c0/c0_1"}
    assert any(q.source_image_id.startswith("c0/few") for q in drawn.questions)
    assert drawn.passed_over["no_query"] == 1  # the pair of the two
    assert drawn.passed_over["short_category"] == 1
    assert draw_questions(few).questions == []


def test_points_outside_the_image_or_at_one_place_are_no_candidates() -> None:
    def with_points(*points: tuple[float, float]) -> list[AnnotatedImage]:
        shown = {f"k{i}": point for i, point in enumerate(points)}
        return [AnnotatedImage(f"c/{i}", "c", (100, 100), shown) for i in range(2)]

    assert len(draw_questions(with_points((1, 1), (2, 2), (3, 3), (100, 100))).questions) == 1
    for extra in ((-0.1, 5.0), (5.0, 100.5), (1.0, 1.0)):
        drawn = draw_questions(with_points((1, 1), (2, 2), (3, 3), extra))
        assert drawn.questions == []
        assert drawn.passed_over["few_points"] == 2


def test_rows_hold_text_and_ids_and_the_source_is_hidden_in_desc() -> None:
    drawn = draw_questions(images(1, 3), 2)
    texts = {("c0", f"k{k}"): f"Tip of part {k} of a c0" for k in range(6)}
    for setting in SETTINGS:
        rows = list(question_rows(drawn.questions, setting, texts, {"c0": None}))
        assert [row["ordering"] for row in rows] == [0, 1, 2, 3] * 2
        assert [row["index"] for row in rows] == [str(i) for i in range(8)]
        assert {row["g_index"] for row in rows} == {"0", "1"}
        assert (rows[0]["source_image_id"] is None) == (rows[0]["source_point"] is None) == (setting == "desc")
        assert (rows[0]["description"][1:] in rows[0]["question"]) == (setting != "vis")
        assert "{" not in rows[0]["question"]
        json.dumps(rows)
    with pytest.raises(UsageError, match="vis_dsc"):
        next(question_rows(drawn.questions, "vis_dsc", texts, {}))


def test_the_mini_set_loads_with_drawn_pictures() -> None:
    folder = mini()
    assert stored_settings(folder) == list(SETTINGS)
    assert folder.manifest["lvlm"]["questions"] == 12 * 20
    size = sum(shard.bytes for setting in SETTINGS for shard in folder.shards("lvlm", setting))
    assert size / 240 * 2000 < 5e6  # a question of the full benchmark costs what one here costs
    vis = load_dataset("soco", "lvlm", split="vis", data_dir=str(folder.path))
    assert len(vis) == 960
    rows = read_rows(folder, "vis")
    opened = vis[5]
    plain = folder.images.decode(rows[5]["target_image_id"])
    assert opened["answer"] == rows[5]["answer"]
    assert opened["target_image"].mode == "RGB"
    assert opened["target_image"].tobytes() != plain.tobytes()
    assert opened["target_image"].tobytes() != vis[6]["target_image"].tobytes()  # another ordering
    assert opened["source_image"].tobytes() == vis[6]["source_image"].tobytes()
    desc = load_dataset("soco", "lvlm", split="desc", data_dir=str(folder.path))
    assert desc[5]["source_image"] is None
    assert desc[5]["target_image"].tobytes() == opened["target_image"].tobytes()
    assert questions_hash(rows) == questions_hash(reversed(rows)) != questions_hash(rows[1:])
    assert len(questions_id(folder)) == 64


def test_other_markers_streams_pickles_and_map_keep_rows_small(tmp_path: Path) -> None:
    folder = str(mini().path)
    red = load_dataset("soco", "lvlm", split="vis", data_dir=folder)
    green = load_dataset("soco", "lvlm", split="vis", data_dir=folder, marker="square", marker_color="green")
    assert red[0]["source_image"].tobytes() != green[0]["source_image"].tobytes()
    streamed = next(iter(load_dataset("soco", "lvlm", split="vis", data_dir=folder, streaming=True)))
    assert streamed["source_image"].tobytes() == red[0]["source_image"].tobytes()
    assert pickle.loads(pickle.dumps(red))[0]["target_image"].tobytes() == red[0]["target_image"].tobytes()
    some = red.select(range(3))
    mapped = some.map(lambda row: {"wide": row["target_image"].width, "target_image": row["target_image"]})
    stored = mapped.data["target_image"].to_pylist()
    assert all(image["bytes"] is None for image in stored)  # an untouched picture stays an address
    assert mapped[2]["target_image"].tobytes() == red[2]["target_image"].tobytes()

    def painted(row: dict) -> dict:
        row["target_image"].paste((1, 2, 3), (0, 0, 9, 9))
        return {"target_image": row["target_image"]}

    assert some.map(painted)[0]["target_image"].getpixel((4, 4)) == (1, 2, 3)


@pytest.mark.parametrize(("options", "message"), [({"marker": "star"}, "'star'"), ({"marker_color": "pink"}, "'pink'")])
def test_unknown_markers_are_named(options: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load_dataset("soco", "lvlm", split="vis", data_dir=str(mini().path), **options)
    with pytest.raises(UsageError, match="config 'lvlm'"):
        load_dataset("soco", "soc", split="test", data_dir=str(mini().path), **options)


def test_templates_word_anew_or_keep_the_words(tmp_path: Path) -> None:
    row = read_rows(mini(), "vis_desc")[0]
    kept = load_template().render(row)
    assert kept.images == ("source_image", "target_image")
    assert row["question"] in kept.text
    assert kept == DEFAULT_TEMPLATE.render(row)
    assert "(D) Point D" in kept.text
    file = tmp_path / "mine.toml"
    file.write_text(
        '[question]\nvis_desc = "Where is {description} of {category}?"\n[prompt]\ntext = "{question} {A}/{B}"'
    )
    mine = load_template(file)
    assert mine.name == "mine"
    assert mine.render(row).text.startswith("Where is ")
    assert mine.render(row).text.endswith("? Point A/Point B")
    assert load_template(file).render({**row, "setting": "vis"}).text.startswith(row["question"])
    assert load_template().render(read_rows(mini(), "desc")[0]).images == ("target_image",)
    with pytest.raises(UsageError, match="description"):
        mine.render({**row, "description": None})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[question", "not TOML"),
        ("[questions]\n", "'questions'"),
        ('[question]\nvisual = "x"', "'visual'"),
        ('[question]\nvis = "{keypiont}"', "'keypiont'"),
        ("[prompt]\ntext = 3", "must be text"),
        ("prompt = 3", r"wants tables"),
    ],
)
def test_bad_templates_are_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "bad.toml").write_text(text)
    with pytest.raises(UsageError, match=message):
        load_template(tmp_path / "bad.toml")
