"""Markers and letters: where they are, that points stay, that everything shows on any background."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from soco_datasets.data.questions.label_layout import GAP, MARK, STRIP, Canvas, arrow_tail, mark_radii, place_labels
from soco_datasets.data.questions.markers import (
    COLORS,
    SHAPES,
    MarkerStyle,
    draw_candidates,
    draw_source,
    draw_tagged,
    marks_tag,
    parse_marks,
)
from soco_datasets.errors import UsageError
from soco_datasets.loading.feature_types import marks_of

sides = st.integers(1, 3000)
shares = st.tuples(st.floats(0, 1), st.floats(0, 1))


@settings(max_examples=150)
@given(sides, sides, st.lists(shares, min_size=4, max_size=4))
def test_labels_lie_inside_apart_and_off_every_mark_at_any_size(width: int, height: int, places: list) -> None:
    canvas = Canvas.of(width, height)
    points = [canvas.point((x * width, y * height)) for x, y in places]
    boxes = place_labels(canvas, points)
    assert min(canvas.size) >= STRIP
    for left, top, right, bottom in boxes:
        assert 0 <= left < right <= canvas.size[0]
        assert 0 <= top < bottom <= canvas.size[1]
        assert right - left == bottom - top == canvas.unit >= 16  # legible
        for x, y in points:
            apart = math.hypot(max(left - x, 0, x - right), max(top - y, 0, y - bottom))
            assert apart >= MARK * canvas.unit
    for a, b in itertools.combinations(boxes, 2):
        gap = max(a[0] - b[2], b[0] - a[2], a[1] - b[3], b[1] - a[3])
        assert gap >= GAP * canvas.unit


@settings(max_examples=40)
@given(st.lists(shares, min_size=4, max_size=4), st.permutations(range(4)))
def test_orderings_differ_in_letters_alone(places: list, order: list[int]) -> None:
    canvas = Canvas.of(500, 375)
    points = [(x * 500, y * 375) for x, y in places]
    if len(set(points)) == 4:
        boxes = place_labels(canvas, points)
        assert place_labels(canvas, [points[i] for i in order]) == [boxes[i] for i in order]


@settings(max_examples=100)
@given(sides, sides, shares)
def test_the_canvas_keeps_points_and_an_arrow_stays_inside(width: int, height: int, place: tuple[float, float]) -> None:
    canvas = Canvas.of(width, height)
    x, y = canvas.point((place[0] * width, place[1] * height))
    assert x == pytest.approx(place[0] * canvas.content[0])
    assert y == pytest.approx(place[1] * canvas.content[1])
    if min(width, height) >= 224:
        assert canvas.content == canvas.size == (width, height)
        assert canvas.factor == (1, 1)
    tail = arrow_tail(canvas, (x, y), canvas.unit * 1.9, canvas.unit * 0.2)
    assert math.dist(tail, (x, y)) == pytest.approx(canvas.unit * 1.9)
    assert 0 <= tail[0] <= canvas.size[0]
    assert 0 <= tail[1] <= canvas.size[1]


@pytest.mark.parametrize(
    ("size", "points"),
    [
        ((64, 64), [(0, 0), (3, 0), (0, 3), (5, 5)]),
        ((500, 375), [(250, 187), (255, 187), (250, 192), (257, 194)]),
        ((500, 375), [(40, 40), (60, 40), (80, 40), (100, 40)]),
        ((4000, 300), [(5, 150), (5, 160), (5, 170), (5, 180)]),
    ],
)
def test_close_points_keep_their_marks_apart_and_no_line_runs_under_another_label(
    size: tuple[int, int], points: list[tuple[float, float]]
) -> None:
    canvas = Canvas.of(*size)
    places = [canvas.point(point) for point in points]
    radii = mark_radii(canvas, places)
    for (a, first), (b, second) in itertools.combinations(zip(places, radii, strict=True), 2):
        assert math.dist(a, b) >= first + second - 1e-9
    boxes = place_labels(canvas, places)
    for (own, box, _), (other, away, radius) in itertools.permutations(zip(places, boxes, radii, strict=True), 2):
        middle = ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
        for share in np.linspace(0, 1, 200):
            x, y = (a + share * (b - a) for a, b in zip(own, middle, strict=True))
            assert not (away[0] <= x <= away[2] and away[1] <= y <= away[3])
            assert math.dist((x, y), other) > 0.9 * radius


def test_two_close_points_do_not_shrink_the_marks_of_the_others() -> None:
    for width, height in ((500, 375), (4000, 3000)):
        canvas = Canvas.of(width, height)
        places = [(100, 100), (101, 100), (0.8 * width, 100), (100, 0.8 * height)]
        radii = mark_radii(canvas, places)
        assert radii[2:] == [canvas.unit * MARK] * 2
        assert radii[0] == radii[1] >= height / 160
        image = Image.new("RGB", (width, height), (128, 128, 128))
        drawn = draw_candidates(image, dict(zip("ABCD", places, strict=True)))
        marked = difference(image, drawn)
        for x, y in places:
            reach = int(height / 160)
            assert (marked[int(y) - reach : int(y) + reach, int(x) - reach : int(x) + reach] > 100).mean() > 0.5


def difference(before: Image.Image, after: Image.Image) -> np.ndarray:
    return np.abs(np.asarray(after, dtype=int) - np.asarray(before, dtype=int)).sum(axis=2)


@pytest.mark.parametrize("color", COLORS)
@pytest.mark.parametrize("shape", SHAPES)
def test_a_marker_is_at_its_exact_point_in_its_color(shape: str, color: str) -> None:
    plain = Image.new("RGB", (500, 375), (128, 128, 128))
    x, y = 241.25, 160.75
    drawn = draw_source(plain, (x, y), MarkerStyle(shape, color))
    changed = difference(plain, drawn) > 0
    rows, columns = changed.nonzero()
    if shape == "arrow":  # its tip: nothing is above or left of it but the outline
        assert 0 <= x - (columns.min() + 0.5) < 8
        assert 0 <= y - (rows.min() + 0.5) < 8
    else:
        assert (columns.min() + columns.max() + 1) / 2 == pytest.approx(x, abs=0.8)
        assert (rows.min() + rows.max() + 1) / 2 == pytest.approx(y, abs=0.8)
    inked = np.abs(np.asarray(drawn, dtype=int) - np.array(COLORS[color])).sum(axis=2) < 12
    assert inked.sum() > 30
    assert changed.sum() < 0.03 * changed.size


@pytest.mark.parametrize("background", [(0, 0, 0), (255, 255, 255), (226, 24, 38), (255, 214, 0), (128, 128, 128)])
@pytest.mark.parametrize("color", COLORS)
def test_markers_show_on_any_background(background: tuple[int, int, int], color: str) -> None:
    plain = Image.new("RGB", (400, 300), background)
    for shape in SHAPES:
        assert (difference(plain, draw_source(plain, (200, 150), MarkerStyle(shape, color))) > 200).sum() > 60
    letters = dict(zip("ABCD", [(50, 50), (54, 52), (399, 299), (200, 150)], strict=True))
    drawn = draw_candidates(plain, letters, MarkerStyle("arrow", color))
    for x, y in letters.values():
        around = difference(plain, drawn)[max(0, y - 9) : y + 9, max(0, x - 9) : x + 9]
        assert (around > 200).sum() > 20


def test_every_letter_is_drawn_and_pictures_do_not_depend_on_anything_else() -> None:
    plain = Image.new("RGB", (500, 375), (90, 120, 60))
    letters = dict(zip("ABCD", [(50, 50), (150, 200), (300, 100), (450, 350)], strict=True))
    drawn = draw_candidates(plain, letters)
    assert drawn.tobytes() == draw_candidates(plain, letters).tobytes()
    turned = draw_candidates(plain, dict(zip("BCDA", letters.values(), strict=True)))
    boxes = place_labels(Canvas.of(500, 375), list(letters.values()))
    crops = [np.asarray(drawn.crop(box)) for box in boxes]
    assert all((a != b).any() for a, b in itertools.combinations(crops, 2))
    outside = difference(drawn, turned)
    for left, top, right, bottom in boxes:
        assert outside[top:bottom, left:right].any()
        outside[top:bottom, left:right] = 0
    assert not outside.any()
    assert plain.getcolors() == [(500 * 375, (90, 120, 60))]  # the photograph itself is not drawn on


@pytest.mark.parametrize("size", [(1, 1), (10, 10), (48, 32), (3000, 20), (20, 1600)])
def test_tiny_images_and_strips_become_legible(size: tuple[int, int]) -> None:
    plain = Image.new("RGB", size, (10, 20, 30))
    points = dict(zip("ABCD", [(0, 0), (size[0] / 2, size[1] / 2), (size[0], 0), size], strict=True))
    drawn = draw_candidates(plain, points)
    assert drawn.size == Canvas.of(*size).size
    assert max(drawn.size) <= max(2048, *size)
    assert draw_source(plain, (0, 0)).size == drawn.size


def test_tags_say_exactly_what_is_drawn() -> None:
    points = {"A": (0.1 + 0.2, 3.0), "B": (1e-9, 374.99999999999994)}
    tag = marks_tag(MarkerStyle("cross", "blue"), points)
    assert parse_marks(tag[1:]) == (MarkerStyle("cross", "blue"), points)
    assert marks_of(f"soco://data!/car/a%23b{tag}") == tag[1:]
    assert marks_of("soco://data!/car/car_1#17") == ""
    plain = Image.new("RGB", (300, 240))
    drawn = draw_tagged(plain, tag[1:], "soco://x!/y/z")
    assert drawn.filename == "soco://x!/y/z"
    drawn.paste((1, 1, 1), (0, 0, 3, 3))
    assert drawn.filename == ""
    for bad in ("marks=arrow", "marks=arrow,red;A,1", "marks=arrow,red;A,x,2"):
        with pytest.raises(UsageError, match="what to draw"):
            parse_marks(bad)
    with pytest.raises(UsageError, match="'star'"):
        parse_marks("marks=star,red;*,1,2")
