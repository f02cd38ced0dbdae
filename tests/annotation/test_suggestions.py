"""Suggestions: a model that is right by construction, and how far people are pulled."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from annotation.helpers import NAMES, add_pictures, cup_project
from PIL import Image
from sqlalchemy import select

from soco_datasets.annotation.assignment import next_assignment
from soco_datasets.annotation.database import ImageRow, Person, Placement, Suggestion
from soco_datasets.annotation.invitations import invite
from soco_datasets.annotation.project import load_project
from soco_datasets.annotation.suggestions import add_suggestions, pull_report, sample
from soco_datasets.annotation.work import AnnotationStep, Workbench
from soco_datasets.errors import UsageError

torch = pytest.importorskip("torch")
GRID = 25  # cells of 8 pixels in a square of 200


class Colors:
    """The mean color of each cell, centered and of unit length: finds a patch of the same color."""

    def extract_normalized(self, images: Sequence[Image.Image], names: Sequence[str] | None = None) -> Any:
        maps = []
        for image in images:
            square = Image.new("RGB", (max(image.size),) * 2, "white")
            square.paste(image)
            cells = np.asarray(square.resize((GRID, GRID), Image.Resampling.BOX), dtype=np.float32) - 128
            maps.append(cells / (np.linalg.norm(cells, axis=2, keepdims=True) + 1e-6))
        return torch.from_numpy(np.stack(maps).transpose(0, 3, 1, 2))


def paint(path: Path, places: dict[str, tuple[int, int]]) -> None:
    """A grey picture with a patch of its own color at each place."""
    picture = np.full((150, 200, 3), 128, dtype=np.uint8)
    for color, name in zip(((255, 0, 0), (0, 255, 0), (0, 0, 255)), NAMES, strict=False):
        x, y = places[name]
        picture[y - 4 : y + 4, x - 4 : x + 4] = color
    Image.fromarray(picture).save(path, format="PNG" if path.suffix == ".png" else "JPEG", quality=100, subsampling=0)


def test_cards_are_found_again_and_a_share_is_held_out(tmp_path: Path) -> None:
    with cup_project(tmp_path, images=0) as bench:
        paint(tmp_path / "cards" / "card.jpg", {NAMES[0]: (28, 44), NAMES[1]: (52, 44), NAMES[2]: (68, 44)})
        ids = add_pictures(bench, 30)
        truth = {}
        for image_id in ids:
            with bench.database.reading() as session:
                file = session.get_one(ImageRow, image_id).file
            truth[image_id] = {
                name: (28 + 8 * (image_id % 5) + 48 * n, 44 + 8 * (image_id % 7)) for n, name in enumerate(NAMES[:3])
            }
            paint(tmp_path / file, truth[image_id])
        text = (tmp_path / "project.yaml").read_text()
        for old, new in (("30\n", "28\n"), ("50\n", "52\n"), ("70\n", "68\n")):
            text = text.replace(f"- {old}", f"- {new}")
        (tmp_path / "project.yaml").write_text(text.replace("- 40\n", "- 44\n"))
        bench.project = load_project(tmp_path)
        counts = add_suggestions(bench, Colors(), "colors", hold_out=0.4)
        assert counts["suggestions"] == 90
        assert 4 <= counts["held_out"] <= 20
        with bench.database.reading() as session:
            for row in session.scalars(select(Suggestion)):
                assert (row.x, row.y) == pytest.approx(truth[row.image_id][row.keypoint], abs=4.01)
            shown = sum(image.suggest for image in session.scalars(select(ImageRow)))
        assert shown == 30 - counts["held_out"]
        with pytest.raises(UsageError, match="--hold-out"):
            add_suggestions(bench, Colors(), "colors", hold_out=1.5)


def test_the_pull_is_measured_against_images_without(tmp_path: Path) -> None:
    """A person who places 10 pixels away, but takes or keeps near what is shown."""
    with cup_project(tmp_path, images=20, annotators_per_image=1) as bench:
        with bench.database.writing() as session:
            for image in session.scalars(select(ImageRow)):
                image.suggest = image.id % 2 == 0
                for name in NAMES:
                    session.add(Suggestion(image_id=image.id, keypoint=name, x=100, y=60, score=1, model="m"))
        answer_with_pull(bench)
        report = pull_report(bench)
        with bench.database.reading() as session:
            sources = session.scalars(select(Placement.source)).all()
    assert report["distance_held_out"] == pytest.approx(10 / 200)
    assert report["distance_shown"] == pytest.approx(4 / 200)
    assert report["pull"] == pytest.approx(0.6)
    assert report["confirmed"] == pytest.approx(1 / 5)
    assert report["moved"] == pytest.approx(1 / 5)
    assert (report["points_shown"], report["points_held_out"]) == (50, 50)
    assert sources.count("suggestion") == 20  # the record keeps both: what was suggested and what became of it


def answer_with_pull(bench: Workbench) -> None:
    with bench.database.writing() as session:
        invite(session, "Ada", "annotator", 1)
    with bench.database.reading() as session:
        ada = session.scalars(select(Person)).one()
    while (assignment := next_assignment(bench.database, bench.project, ada)) is not None:
        with bench.database.reading() as session:
            shown = session.get_one(ImageRow, assignment.image_id).suggest
        for index, name in enumerate(NAMES):
            if shown and index < 2:
                step = AnnotationStep(
                    secrets.token_hex(8), "tab00000", 2**40, name, "visible", 100.0, 60.0, "suggestion"
                )
                bench.place(ada, assignment.id, step)
            if not shown or index > 0:
                x = 104.0 if shown else 110.0
                bench.place(
                    ada,
                    assignment.id,
                    AnnotationStep(secrets.token_hex(8), "tab00000", 2**40, name, "visible", x, 60.0),
                )
        bench.finish(ada, assignment.id, 1.0)


def test_a_point_is_sampled_between_cell_centers() -> None:
    features = np.zeros((2, 4, 4), dtype=np.float32)
    features[0, 1, 1], features[1, 1, 2] = 1, 1
    assert sample(features, (3.0, 3.0), 8.0) == pytest.approx([1, 0])
    assert sample(features, (4.0, 3.0), 8.0) == pytest.approx([2**-0.5, 2**-0.5])
    assert np.isfinite(sample(features, (0.0, 8.0), 8.0)).all()
