"""In and out: COCO, Label Studio and CSV there and back, gold images, Animal3D through a mapping file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from annotation.helpers import NAMES, Client, Server, cup_project, token_of
from annotation.test_candidates import MINIATURES, needs_benchmarks
from sqlalchemy import select

from soco_datasets.annotation.candidate_filters import FilterOptions, judge_candidates, read_source
from soco_datasets.annotation.candidate_table import add_candidates
from soco_datasets.annotation.database import Event, ImageRow, Person
from soco_datasets.annotation.formats import read_answer_file, write_points
from soco_datasets.annotation.interchange import import_answers
from soco_datasets.annotation.opened import open_project
from soco_datasets.annotation.point_import import import_gold, read_keypoint_map
from soco_datasets.annotation.qualification import grade
from soco_datasets.annotation.results import final_images
from soco_datasets.annotation.review import ReviewVerdict, classify_correction, correction_statistics, judge
from soco_datasets.annotation.simulation import Habits, simulate
from soco_datasets.annotation.starters import init_project
from soco_datasets.annotation.state import PointAnswer
from soco_datasets.annotation.work import Workbench
from soco_datasets.annotation.yaml_lines import ProjectError
from soco_datasets.errors import SocoError, UsageError

TRUTH = {NAMES[0]: (30.0, 40.0), NAMES[2]: (60.0, 50.0), NAMES[3]: (150.0, 52.0), NAMES[4]: (100.0, 120.0)}


def finals(bench: Workbench) -> list[dict[str, Any]]:
    with bench.database.reading() as session:
        return [dict(image.points) for image in final_images(session, bench.project)]


@pytest.mark.parametrize("name", ["coco", "label-studio", "csv"])
def test_there_and_back(tmp_path: Path, name: str) -> None:
    with cup_project(tmp_path / "a", annotators_per_image=1) as first:
        simulate(first, {1: TRUTH, 2: {NAMES[1]: (33.3, 44.4)}}, {"Ada": Habits(noise=0.01)})
        wanted = finals(first)
        paths = write_points(first, name, tmp_path / "points.json")
    assert all(path.stat().st_size for path in paths)
    with cup_project(tmp_path / "b") as second:
        result = import_answers(second, read_answer_file(name, paths[0]), "annotator:Ada")
        assert (result.images, result.already, result.skipped) == (2, 0, [])
        for got, want in zip(finals(second), wanted, strict=True):
            assert got.keys() == want.keys()
            assert all(got[key] == pytest.approx(want[key], abs=0.002) for key in want)
        assert import_answers(second, read_answer_file(name, paths[0]), "annotator:Ada").already == 2
    with cup_project(tmp_path / "c") as third:
        import_answers(third, read_answer_file(name, paths[0]), "gold")
        assert finals(third)[0].keys() == wanted[0].keys()


def test_coco_export_counts_and_visibility(tmp_path: Path) -> None:
    with cup_project(tmp_path / "a", images=1, annotators_per_image=1) as bench:
        simulate(bench, {1: TRUTH}, {"Ada": Habits(noise=0)})
        data = json.loads(write_points(bench, "coco", tmp_path / "coco.json")[0].read_text())
    own = data["annotations"][0]
    assert own["keypoints"][2::3] == [2, 1, 2, 2, 2]
    assert (own["num_keypoints"], own["bbox"]) == (4, [20, 30, 160, 100])
    assert data["categories"][0]["keypoints"] == NAMES


BAD_FILES = [
    ("csv", "image,keypoint\n", "lacks the column"),
    ("csv", "image,keypoint,state,x,y\ncup_0.JPEG,cup_rim_left,visible,nan,3\n", "line 2: a visible point needs finite"),
    ("csv", "image,keypoint,state,x,y\ncup_0.JPEG,cup_rim_left,seen,1,3\n", "line 2: state is 'seen'"),
    ("csv", "image,keypoint,state,x,y\ncup_0.JPEG,lid,visible,1,3\n", "'lid' is not a keypoint"),
    ("csv", "image,keypoint,state,x,y\ncup_0.JPEG,cup_rim_left,visible,1e9,3\n", "outside the image"),
    ("label-studio", "{}", "not a list of tasks"),
    ("label-studio", '[{"data": {"image": "cup_0.JPEG"}, "annotations": [{"result": [{"type": "keypointlabels", "value": 3}]}]}]', "malformed result"),
    ("coco", "[]", "not a COCO file"),
    ("coco", "{", "not valid JSON"),
    ("yolo", "", "Unknown format"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "text", "message"), BAD_FILES)
def test_bad_files_are_refused_whole(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / "in.file").write_text(text)
    with cup_project(tmp_path / "p", images=1) as bench:
        with pytest.raises(SocoError, match=message):
            import_answers(bench, read_answer_file(name, tmp_path / "in.file"), "annotator:Ada")
        assert finals(bench) == []


def test_images_that_the_project_does_not_have_are_listed(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text(
        "image,keypoint,state\nnone.jpg,cup_rim_left,hidden\n../cup_0.JPEG,cup_rim_left,hidden\n"
    )
    with cup_project(tmp_path / "p", images=1) as bench:
        result = import_answers(bench, read_answer_file("csv", tmp_path / "in.csv"), "annotator:Ada")
        assert (result.images, result.skipped) == (1, ["none.jpg: no such image in the project"])
        with pytest.raises(UsageError, match="--as takes"):
            import_answers(bench, read_answer_file("csv", tmp_path / "in.csv"), "golden")


@needs_benchmarks
def test_animal3d_comes_in_through_a_mapping_file(tmp_path: Path) -> None:
    init_project(tmp_path / "p", "ap-10k", ["zebra", "hippopotamus", "japanese spaniel"])
    source = MINIATURES / "Animal3D"
    (tmp_path / "map.yaml").write_text(
        "'*':\n  left_eye: left_eye\n  right_eye: right_eye\n  nose: nose\n  tail_base: root_of_tail\nzebra:\n  neck: neck\n"
    )
    with open_project(tmp_path / "p") as bench:
        judged = judge_candidates(read_source(source), FilterOptions(), bench.project.by_name)
        assert add_candidates(bench, source, judged, FilterOptions())["chosen"] == 7
        names = read_keypoint_map(tmp_path / "map.yaml")
        result = import_answers(bench, read_answer_file("animal3d", source), "annotator:Animal3D", names)
        assert result.images == 7
        assert len(result.skipped) == 2  # filtered out
        keys = {row_name for points in finals(bench) for row_name in points}
        assert "root_of_tail" in keys
        assert "tail_base" not in keys
        with pytest.raises(UsageError, match="--keypoint-map"):
            import_answers(bench, read_answer_file("animal3d", source), "annotator:other")
    (tmp_path / "map.yaml").write_text("zebra:\n  left_eye: 3\n")
    with pytest.raises(ProjectError, match=r"line 2: zebra\.left_eye"):
        read_keypoint_map(tmp_path / "map.yaml")


def test_grading() -> None:
    gold = {"a": PointAnswer("visible", 10, 10), "b": PointAnswer("hidden"), "c": PointAnswer("visible", 50, 50)}
    said = {"a": PointAnswer("visible", 14, 10), "b": PointAnswer("hidden"), "c": PointAnswer("visible", 55, 50)}
    assert grade(said, gold, 50, 0.1) == pytest.approx(2 / 3)  # 5 pixels are not strictly within 0.1 x 50
    assert grade({}, gold, 50, 0.1) == 0
    assert grade({}, {}, 50, 0.1) is None


def test_qualification_gold_and_pause(tmp_path: Path) -> None:
    with cup_project(tmp_path, images=8, gold_every=1, gold_window=2, annotators_per_image=3) as bench:
        gold = {name: PointAnswer("visible", *TRUTH[name]) for name in TRUTH}
        with bench.database.writing() as session:
            for image_id, role in ((1, "qualification"), (2, "gold"), (3, "gold"), (4, "gold")):
                import_gold(session, bench.project, session.get_one(ImageRow, image_id), role, gold)
        with Server(bench) as server:
            good, bad, tired = (
                Client(server.url, token_of(bench, name, qualify=True)) for name in ("Good", "Bad", "Tired")
            )
            bad.answer_all(bad.task(), {})
            status, answer = bad.post("/api/next")
            assert (status, answer["error"]) == (403, "failed")
            done = 0
            while (answer := good.post("/api/next")[1]).get("task"):
                good.answer_all(answer["task"], TRUTH)
                done += 1
            assert done == 8  # one test, four of work, three of gold
            tired.answer_all(tired.task(), TRUTH)
            for _ in range(8):
                status, answer = tired.post("/api/next")
                if status != 200:
                    break
                tired.answer_all(answer["task"], {})
            assert (status, answer["error"]) == (403, "paused")
            owner = Client(server.url, token_of(bench, "Olga", "owner")).request("GET", "/api/owner/overview")[1]
        people = {person["name"]: person for person in owner["people"]}
        assert (people["Good"]["status"], people["Good"]["gold"]) == ("active", 1.0)
        assert people["Tired"]["status"] == "paused"
        assert people["Tired"]["gold"] < 0.5
        kinds = [(event["kind"], event["person"]) for event in owner["events"]]
        assert ("paused", "Tired") in kinds
        assert ("failed_qualification", "Bad") in kinds
        with bench.database.reading() as session:
            assert session.scalars(select(Event).where(Event.kind == "qualified")).all()


def test_corrections_are_classified(tmp_path: Path) -> None:
    """Untouched, minor, left for right, another concept, misplaced, visibility: one of each."""
    truth = {
        NAMES[0]: (30.0, 40.0),
        NAMES[1]: (40.0, 100.0),
        NAMES[2]: (60.0, 50.0),
        NAMES[3]: (150.0, 52.0),
        NAMES[4]: (100.0, 120.0),
    }
    with cup_project(tmp_path, images=2, annotators_per_image=1) as bench:
        simulate(bench, {1: truth, 2: truth}, {"Ada": Habits(noise=0)})
        token_of(bench, "Rae", "reviewer")
        with bench.database.reading() as session:
            rae = session.scalars(select(Person).where(Person.name == "Rae")).one()
        seen = 0

        def say(image: int, keypoint: str, verdict: str, **more: Any) -> None:
            nonlocal seen
            key = f"{image}-{keypoint}-{verdict}"
            seen = judge(
                bench, rae, image, ReviewVerdict(key, seen if image == 1 else 2**40, keypoint, verdict, **more)
            )["seen"]

        say(1, NAMES[0], "accept")
        say(1, NAMES[1], "move", x=44.0, y=100.0)  # 4 of 160 pixels
        say(1, NAMES[2], "swap", other=NAMES[3])
        say(1, NAMES[4], "hide")
        say(2, NAMES[0], "move", x=120.0, y=60.0)
        say(2, NAMES[1], "move", x=30.0, y=41.0)
        say(2, NAMES[0], "move", x=40.0, y=101.0)
        with bench.database.reading() as session:
            found = correction_statistics(bench, session)
            first, second = final_images(session, bench.project)
        cup = bench.project.category("cup")
        sizes = {name: classify_correction(first, cup, name) for name in NAMES}
        assert sizes == {
            NAMES[0]: ("untouched", None), NAMES[1]: ("minor", None), NAMES[2]: ("larger", "left for right"),
            NAMES[3]: ("larger", "left for right"), NAMES[4]: ("larger", "visibility"),
        }  # fmt: skip
        assert classify_correction(second, cup, NAMES[0]) == (
            "larger",
            "another of its concept" if NAMES[0] not in cup.ends else "front for rear",
        )
        assert found["counts"] == {"untouched": 1, "minor": 1, "larger": 5}
        assert sum(found["shares"].values()) == pytest.approx(1)
        with pytest.raises(SocoError, match="Somebody else judged"):
            judge(bench, rae, 1, ReviewVerdict("a-new-key", 0, NAMES[0], "accept"))
        with pytest.raises(SocoError, match="outside"):
            judge(bench, rae, 1, ReviewVerdict("a-new-key", 2**40, NAMES[0], "move", x=999.0, y=1.0))
