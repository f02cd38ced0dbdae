"""Mini set -> project -> simulated annotators with known mistakes -> aggregation -> review -> release -> build."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from annotation.helpers import cup_project, write_project
from sqlalchemy import update

from soco_datasets.annotation.backup import backup
from soco_datasets.annotation.candidate_filters import FilterOptions, judge_candidates, read_source
from soco_datasets.annotation.candidate_table import add_candidates
from soco_datasets.annotation.database import Assignment, ImageRow
from soco_datasets.annotation.opened import open_project
from soco_datasets.annotation.project_images import images_of
from soco_datasets.annotation.release_export import ExportOptions, export_release
from soco_datasets.annotation.release_views import read_release_parts
from soco_datasets.annotation.report import build_report, write_agreement_report
from soco_datasets.annotation.results import consensus_of, final_images, votes_of
from soco_datasets.annotation.simulation import Habits, Planted, Truth, simulate, truth_with_boxes
from soco_datasets.annotation.starters import init_project
from soco_datasets.annotation.work import Workbench
from soco_datasets.benchmarks.build import build_dataset
from soco_datasets.data.folder import open_folder
from soco_datasets.errors import SocoError, UsageError
from soco_datasets.synthetic.mini_release import write_mini_release

NOISE, BIAS = 0.004, (0.01, -0.006)
PEOPLE = {
    "Ada": Habits(NOISE),
    "Bob": Habits(NOISE, bias=BIAS, misses=0.02),
    "Cleo": Habits(NOISE, outliers=0.08, swaps=0.2),
}
CATEGORIES = ["car", "zebra"]


class World:
    """A simulated project."""

    bench: Workbench
    mini: Path
    truth: Truth
    planted: Planted


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world, root = World(), tmp_path_factory.mktemp("round")
    world.mini = root / "mini"
    write_mini_release(world.mini)
    init_project(root / "p", str(world.mini), CATEGORIES)
    with open_project(root / "p") as world.bench:
        judged = judge_candidates(read_source(world.mini / "Images"), FilterOptions(), CATEGORIES)
        counts = add_candidates(world.bench, world.mini / "Images", judged, FilterOptions(), "CC BY 4.0")
        assert counts == {"chosen": 16, "category": 80}
        with world.bench.database.reading() as session:
            world.truth = truth_with_boxes(images_of(session), read_release_parts(world.mini))
        world.planted = simulate(world.bench, world.truth, PEOPLE, seed=1)
        yield world


def consensus(world: World) -> dict[int, Any]:
    with world.bench.database.reading() as session:
        return {row.id: result for row, result in consensus_of(session, world.bench.project)}


def test_medians_lie_within_what_the_noise_implies(world: World) -> None:
    wrong = {one[1:] for kind in vars(world.planted).values() for one in kind}
    errors = []
    for image_id, result in consensus(world).items():
        for name, point in result.points.items():
            if (
                (image_id, name) not in wrong
                and point.state == "visible"
                and len(point.votes) == 3
                and not point.outliers
            ):
                true = world.truth[image_id][name]
                errors.append([(point.x - true[0]) / result.longest, (point.y - true[1]) / result.longest])
    found = np.array(errors)
    assert len(found) > 150
    draw = np.random.default_rng(0).normal(0, NOISE, (200_000, 3, 2))
    draw[:, 1] += BIAS
    implied = np.median(draw, axis=1)
    standard_error = implied.std(axis=0) / math.sqrt(len(found))
    assert np.abs(found.mean(axis=0) - implied.mean(axis=0)).max() < 4 * standard_error.max()
    assert found.std(axis=0) == pytest.approx(implied.std(axis=0), rel=0.25)


def test_every_planted_mistake_is_found_or_listed(world: World) -> None:
    results = consensus(world)
    assert len(world.planted.outliers) > 10
    assert len(world.planted.swaps) > 10
    for person, image_id, name in world.planted.outliers:
        point = results[image_id].points[name]
        assert person in point.outliers or point.disputes or point.state == "hidden", (image_id, name)
    floor = world.bench.project.settings.dispute
    far, near = 0, 0
    for person, image_id, name in world.planted.swaps:
        result = results[image_id]
        true, partner = world.truth[image_id][name], world.truth[image_id][result.mirrors[name]]
        if math.dist(true, partner) > floor * result.longest:
            far += 1
            point = result.points[name]
            assert person in point.outliers or point.disputes, (image_id, name)
        else:  # nearer than what counts as a disagreement at all
            near += 1
    assert far > near
    planted = {(p, i) for p, i, _ in (*world.planted.outliers, *world.planted.swaps)}
    accused = {(p, i) for i, r in results.items() for point in r.points.values() for p in point.outliers}
    assert accused <= planted  # nobody else is blamed
    confused = build_report(world.bench)[0]["agreement"]["per_annotator"]
    assert confused["Cleo"]["left_right_confused"] > 0
    assert confused["Ada"]["left_right_confused"] == confused["Bob"]["left_right_confused"] == 0
    bias, error = confused["Bob"]["bias"], confused["Bob"]["bias_error"]
    assert all(abs(b - true) < 4 * e + 0.0005 for b, true, e in zip(bias, BIAS, error, strict=True))


def test_statistics_equal_an_independent_computation(world: World) -> None:
    report, results = build_report(world.bench)
    spreads, agreeing, total = [], 0, 0
    with world.bench.database.reading() as session:
        votes = votes_of(session)
    for row, result in results:
        for name, point in result.points.items():
            if name.startswith("box_"):
                continue
            own = votes[row.id][name]
            states = [vote.state for vote in own]
            agreeing, total = agreeing + (len(set(states)) == 1), total + 1
            kept = [(v.x or 0, v.y or 0) for v in own if v.state == "visible" and v.annotator not in point.outliers]
            if point.state == "visible" and len(kept) > 1:
                mean = statistics.fmean(x for x, _ in kept), statistics.fmean(y for _, y in kept)
                spreads.append(math.sqrt(statistics.fmean(math.dist(mean, p) ** 2 for p in kept)) / result.longest)
    assert report["agreement"]["spread_median"] == pytest.approx(statistics.median(spreads))
    assert report["agreement"]["spread_count"] == len(spreads)
    assert report["agreement"]["keypoints"] == total
    assert 0.9 < report["agreement"]["visibility_alpha"] < 1 or agreeing == total
    files = write_agreement_report(world.bench, world.bench.project.folder / "report")
    page = files[2].read_text()
    assert page.count("<figure>") == 12
    assert "<script" not in page


def test_the_release_builds_without_a_finding(world: World, tmp_path: Path) -> None:
    with pytest.raises(SocoError, match="nobody has reviewed"):
        export_release([world.bench.project.folder], tmp_path / "no")
    assert not (tmp_path / "no").exists()
    result = export_release([world.bench.project.folder], tmp_path / "out", ExportOptions(30, allow_disputed=True))
    assert result.images == {"car": 8, "zebra": 8}
    built = build_dataset(str(tmp_path / "out"), tmp_path / "data")
    assert not built.findings.of("error")
    assert not built.findings.of("repair")
    folder = open_folder(tmp_path / "data")
    assert {"soc", "cc", "soc_probe", "lvlm"} <= set(folder.configs)
    with world.bench.database.reading() as session:
        finals = final_images(session, world.bench.project)
    rows = {row["image_id"]: row for row in folder.table("keypoints").to_pylist()}
    for number, image in enumerate((one for one in finals if one.row.category == "car"), start=1):
        row = rows[f"car/car_{number}"]
        found = dict(zip(row["keypoints"], map(tuple, row["points"]), strict=True))
        assert found.keys() == image.points.keys()
        assert all(found[name] == pytest.approx(place) for name, place in image.points.items())
    licenses = json.loads((tmp_path / "out" / "Metadata" / "image_licenses.json").read_text())
    assert licenses["car"]["car_1.JPEG"] == "CC BY 4.0"
    again = export_release([world.bench.project.folder], tmp_path / "again", ExportOptions(30, allow_disputed=True))
    assert again.pairs == result.pairs
    same = [p.relative_to(tmp_path / "out") for p in (tmp_path / "out").rglob("*") if p.is_file()]
    assert all((tmp_path / "again" / p).read_bytes() == (tmp_path / "out" / p).read_bytes() for p in same)


def test_a_backup_and_an_earlier_time(world: World, tmp_path: Path) -> None:
    write_project(tmp_path / "copy")
    text = (world.bench.project.folder / "project.yaml").read_text()
    (tmp_path / "copy" / "project.yaml").write_text(text)
    backup(world.bench, tmp_path / "copy" / "annotations.sqlite")
    with pytest.raises(UsageError, match="there already"):
        backup(world.bench, tmp_path / "copy" / "annotations.sqlite")
    with open_project(tmp_path / "copy") as copy, copy.database.reading() as session:
        votes = votes_of(session)
    with world.bench.database.reading() as session:
        assert votes == votes_of(session)
        half = sorted(a.finished for a in session.query(Assignment) if a.finished)[20]
        assert sum(len(v) > 0 for v in votes_of(session, half).values()) < len(votes)


def test_a_category_joins_a_release(world: World, tmp_path: Path) -> None:
    base = tmp_path / "base"
    write_mini_release(base)
    text = (
        (world.bench.project.folder / "project.yaml")
        .read_text()
        .replace("name: zebra", "name: okapi")
        .replace("name: car\n", "name: van\n")
    )
    backup(world.bench, tmp_path / "p" / "annotations.sqlite")
    (tmp_path / "p" / "project.yaml").write_text(text)
    (tmp_path / "p" / "images").symlink_to(world.bench.project.folder / "images")
    with open_project(tmp_path / "p") as bench, bench.database.writing() as session:
        for old, new in (("zebra", "okapi"), ("car", "van")):
            session.execute(update(ImageRow).where(ImageRow.category == old).values(category=new))
    result = export_release([base, tmp_path / "p"], tmp_path / "out", ExportOptions(40, allow_disputed=True))
    assert result.images == {"okapi": 8, "van": 8}
    built = build_dataset(str(tmp_path / "out"), tmp_path / "data")
    assert not built.findings.of("error")
    assert not built.findings.of("repair")
    folder = open_folder(tmp_path / "data")
    groups = {(row["pair_group"], row["source_category"]) for row in folder.table("cross_soc").to_pylist()}
    assert ("okapi", "zebra") in groups
    assert any(group == "zebra" and source == "okapi" for group, source in groups)
    assert any(group == "bus" and source == "van" for group, source in groups)
    assert {row["category"] for row in folder.table("lvlm", "vis").to_pylist()} >= {"okapi", "van"}
    ids = {
        row["keypoint"]: row["keypoint_id"]
        for row in folder.table("taxonomy").to_pylist()
        if row["category"] == "zebra"
    }
    theirs = {
        row["keypoint"]: row["keypoint_id"]
        for row in folder.table("taxonomy").to_pylist()
        if row["category"] == "okapi"
    }
    assert ids == theirs


def test_projects_that_contradict_one_another_are_refused(tmp_path: Path, world: World) -> None:
    with cup_project(tmp_path / "a", images=1, annotators_per_image=1) as first:
        simulate(first, {1: {"cup_rim_left": (30.0, 40.0)}}, {"Ada": Habits()})
    with cup_project(tmp_path / "b", images=1, annotators_per_image=1) as second:
        simulate(second, {1: {"cup_rim_left": (30.0, 40.0)}}, {"Ada": Habits()})
    path = tmp_path / "b" / "project.yaml"
    path.write_text(path.read_text().replace("name: cup\n", "name: mug\n").replace("concept: rim", "concept: edge"))
    with open_project(tmp_path / "b") as second, second.database.writing() as session:
        session.get_one(ImageRow, 1).category = "mug"
    with pytest.raises(UsageError, match="One name has one concept"):
        export_release([tmp_path / "a", tmp_path / "b"], tmp_path / "out")
    with pytest.raises(UsageError, match="at most one release"):
        export_release([world.mini, world.mini, tmp_path / "a"], tmp_path / "out")
