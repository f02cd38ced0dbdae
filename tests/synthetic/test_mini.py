"""The drawn release: layout, determinism, and geometry against slow independent references."""

from __future__ import annotations

import csv
import hashlib
import itertools
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.shared_data import DATA
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import soco_datasets
from soco_datasets.errors import UsageError
from soco_datasets.synthetic import MINI_ARCHIVE, MINI_VERSION, mini_categories, write_mini_release
from soco_datasets.synthetic.camera import Camera, orbit
from soco_datasets.synthetic.catalogue import DRAWN_CATEGORIES
from soco_datasets.synthetic.mini_release import draw_category
from soco_datasets.synthetic.model import Landmark, Model
from soco_datasets.synthetic.pairing import MINI_MIN_SHARED
from soco_datasets.synthetic.randomness import SeededDraw
from soco_datasets.synthetic.raster import rasterize
from soco_datasets.synthetic.render import DEPTH_TOLERANCE, GRAZING, OVERSAMPLING, frame, visible_keypoints

Json = dict[str, Any]
PAIR_FIELDS = [
    "pair_id",
    "category",
    "pair_group",
    "src_category",
    "trg_category",
    "src_image",
    "trg_image",
    "src_imsize",
    "trg_imsize",
    "src_bndbox",
    "trg_bndbox",
    "src_keypoints",
    "trg_keypoints",
    "semantic_overlap",
    "concept_matches",
]
VEHICLES = ("ambulance", "bus", "car")
# Everything but the JPEG bytes, which belong to the codec: (MINI_VERSION, seed 0) -> sha256 of all annotations.
ANNOTATIONS_SHA256 = {1: "a386cde448bc5d0f3c8da783a3d1110d3ef7d36e0828c33908e1ffa1bac24299"}


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The release that the package ships."""
    root = tmp_path_factory.mktemp("mini")
    with zipfile.ZipFile(MINI_ARCHIVE) as archive:
        archive.extractall(root)
    return root


@pytest.fixture(scope="module")
def notes(release: Path) -> dict[str, Json]:
    """Image file name -> its keypoint file."""
    paths = sorted((release / "KeypointAnnotations").glob("*/*.json"))
    return {content["image"]: content for content in map(read, paths)}


@pytest.fixture(scope="module")
def taxonomy(release: Path) -> dict[str, dict[str, Json]]:
    """Category -> keypoint name -> its entry."""
    content = read(release / "Metadata" / "keypoint_taxonomy.json")
    return {item["category"]: {point["name"]: point for point in item["keypoints"]} for item in content["instances"]}


@pytest.fixture(scope="module")
def pairs(release: Path) -> dict[str, Json]:
    """Path below PairAnnotations -> content."""
    root = release / "PairAnnotations"
    return {path.relative_to(root).as_posix(): read(path) for path in sorted(root.rglob("*.json"))}


def read(path: Path) -> Json:
    content = json.loads(path.read_text(encoding="utf-8"))
    assert isinstance(content, dict)
    return content


def tree(root: Path) -> dict[str, str]:
    files = (path for path in root.rglob("*") if path.is_file())
    return {path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def names(keypoints: list[Json]) -> set[str]:
    return {point["name"] for point in keypoints}


# The release


@pytest.mark.slow
def test_the_renderer_still_draws_the_packaged_bytes(release: Path, tmp_path: Path) -> None:
    """Here, and in another process with other hash seeds and threads."""
    here, there = tmp_path / "here", tmp_path / "there"
    code = (
        "import sys, pathlib; from soco_datasets.synthetic import write_mini_release as w; w(pathlib.Path(sys.argv[1]))"
    )
    package = str(Path(soco_datasets.__file__).parents[1])
    environment = {**os.environ, "PYTHONHASHSEED": "12345", "OMP_NUM_THREADS": "3", "PYTHONPATH": package}
    with subprocess.Popen([sys.executable, "-c", code, str(there)], env=environment) as other:
        write_mini_release(here)
    assert other.returncode == 0
    assert tree(here) == tree(there) == tree(release)


def test_annotations_are_those_of_this_version(release: Path) -> None:
    content = {name: digest for name, digest in tree(release).items() if not name.startswith("Images/")}
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    assert ANNOTATIONS_SHA256.get(MINI_VERSION) == digest, "the output has changed: raise MINI_VERSION and pin it here"


def test_draws_are_pinned() -> None:
    draw = SeededDraw(0, "pin", 1)
    assert [draw.uniform() for _ in range(3)] == [0.8736298638843842, 0.7849964860579696, 0.27221252534658835]
    assert SeededDraw(0, "pin").shuffled(range(8)) == [7, 0, 3, 1, 2, 4, 6, 5]


def test_another_seed_draws_another_release() -> None:
    first, second = (draw_category(DRAWN_CATEGORIES[0], seed) for seed in (0, 1))
    for one, other in itertools.product(first, second):
        assert one.pixels.shape != other.pixels.shape or (one.pixels != other.pixels).any()
        assert one.azimuth != other.azimuth


def test_refuses_a_folder_with_something_in_it(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(UsageError, match="not an empty folder"):
        write_mini_release(tmp_path)
    with pytest.raises(UsageError, match="not an empty folder"):
        write_mini_release(tmp_path / "mine.txt")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_every_image_has_its_annotation_and_decodes(release: Path, notes: dict[str, Json]) -> None:
    paths = sorted((release / "Images").glob("*/*"))
    assert {path.name for path in paths} == notes.keys()
    assert len(paths) == 8 * len(mini_categories())
    shapes = set()
    for path in paths:
        note = notes[path.name]
        assert path.parent.name == note["category"]
        assert (release / "KeypointAnnotations" / note["category"] / f"{path.stem}.json").is_file()
        with Image.open(path) as image:
            assert image.format == "JPEG"
            assert image.mode == "RGB"
            assert list(image.size) == note["imsize"]
            assert np.asarray(image).std() > 10
        shapes.add(np.sign(note["imsize"][0] - note["imsize"][1]))
    assert shapes == {-1, 0, 1}
    assert sum(path.stat().st_size for path in paths) < 2_000_000


def test_categories_and_file_names(release: Path, taxonomy: dict[str, dict[str, Json]]) -> None:
    categories = mini_categories()
    assert list(categories) == sorted(categories) == list(taxonomy)
    assert set(categories.values()) == {"transportation", "hand_held", "furniture", "animals"}
    mapping = read(release / "Metadata" / "filename_mapping.json")
    assert list(mapping) == list(categories)
    for category, files in mapping.items():
        assert sorted(files.values()) == sorted(path.name for path in (release / "Images" / category).iterdir())


def test_categories_are_those_of_soco() -> None:
    with (DATA / "paper" / "categories.csv").open(encoding="utf-8", newline="") as file:
        real = {row["category"]: row["supercategory"] for row in csv.DictReader(file)}
    assert mini_categories().items() <= real.items()


def test_taxonomy_is_consistent(release: Path, taxonomy: dict[str, dict[str, Json]]) -> None:
    content = read(release / "Metadata" / "keypoint_taxonomy.json")
    concepts = {concept["id"]: concept["name"] for concept in content["concepts"]}
    assert len(set(concepts.values())) == len(content["concepts"])
    meaning: dict[str, tuple[Any, ...]] = {}
    for points in taxonomy.values():
        assert len({point["id"] for point in points.values()}) == len(points)
        for name, point in points.items():
            assert concepts[point["concept_id"]] == point["concept_name"]
            assert point["kind"] in ("structural", "functional")
            assert point["shared"] == (sum(name in other for other in taxonomy.values()) > 1)
            fields = (point["id"], point["concept_id"], point["kind"])
            assert meaning.setdefault(name, fields) == fields
    assert len({fields[0] for fields in meaning.values()}) == len(meaning)
    animals = [set(taxonomy[name]) for name, group in mini_categories().items() if group == "animals"]
    assert len(animals) >= 2
    assert all(points == animals[0] and len(points) == 20 for points in animals)
    shared = set.intersection(*(set(taxonomy[name]) for name in VEHICLES))
    assert {"vehicle_wheel_front_left_center", "vehicle_mirror_left", "vehicle_front_left_indicator"} <= shared
    assert taxonomy["car"]["vehicle_wheel_front_left_center"]["concept_name"] == "wheel_center"
    kinds = {point["kind"] for points in taxonomy.values() for point in points.values()}
    assert kinds == {"structural", "functional"}
    assert {point["shared"] for point in taxonomy["ambulance"].values()} == {True, False}


def test_keypoints_are_inside_and_some_are_hidden(notes: dict[str, Json], taxonomy: dict[str, dict[str, Json]]) -> None:
    seen: dict[str, list[set[str]]] = {}
    for note in notes.values():
        known = taxonomy[note["category"]]
        width, height = note["imsize"]
        for point in note["keypoints"]:
            x, y = point["pos"]
            assert 0 <= x < width
            assert 0 <= y < height
            assert [x, y] == [round(x, 2), round(y, 2)]
            assert {key: value for key, value in point.items() if key != "pos"} == known[point["name"]]
        assert len(names(note["keypoints"])) == len(note["keypoints"]) >= 3
        seen.setdefault(note["category"], []).append(names(note["keypoints"]))
    for category, visible in seen.items():
        assert any(points < set(taxonomy[category]) for points in visible)
        assert set.union(*visible) == set(taxonomy[category]), "a keypoint that is never seen"


def test_most_pairs_of_a_category_share_enough(notes: dict[str, Json]) -> None:
    for category in mini_categories():
        own = [names(note["keypoints"]) for note in notes.values() if note["category"] == category]
        enough = [len(a & b) >= MINI_MIN_SHARED for a, b in itertools.combinations(own, 2)]
        assert np.mean(enough) > 0.8, category


def test_boxes_and_poses(notes: dict[str, Json]) -> None:
    azimuths: dict[str, list[float]] = {}
    for note in notes.values():
        left, top, right, bottom = note["bndbox"]
        assert all(isinstance(value, int) for value in note["bndbox"])
        assert 0 <= left < right <= note["imsize"][0]
        assert 0 <= top < bottom <= note["imsize"][1]
        assert (right - left) * (bottom - top) > 0.03 * note["imsize"][0] * note["imsize"][1]
        # A visible point lies on the object; thin parts may keep it a pixel outside what the rasterizer filled.
        for point in note["keypoints"]:
            x, y = point["pos"]
            assert left - 1.5 <= x <= right + 1.5, (note["image"], point["name"])
            assert top - 1.5 <= y <= bottom + 1.5, (note["image"], point["name"])
        assert 0 <= note["azimuth"] < 360
        assert 0 < note["elevation"] < 45
        assert note["rotation"] == 0
        azimuths.setdefault(note["category"], []).append(note["azimuth"])
    for angles in azimuths.values():
        around = sorted(angles)
        gaps = np.diff([*around, around[0] + 360])
        assert gaps.max() <= 90.0


def test_wheels_are_seen_from_their_own_side(notes: dict[str, Json]) -> None:
    sides = {"left": 0, "right": 0}
    for note in notes.values():
        if note["category"] not in VEHICLES:
            continue
        wheels = {side: [n for n in names(note["keypoints"]) if "wheel" in n and side in n] for side in sides}
        assert not (wheels["left"] and wheels["right"]), note["image"]
        if 20 < note["azimuth"] < 160:
            assert not wheels["right"], note["image"]
            sides["left"] += bool(wheels["left"])
        if 200 < note["azimuth"] < 340:
            assert not wheels["left"], note["image"]
            sides["right"] += bool(wheels["right"])
    assert min(sides.values()) >= 3


def test_front_points_to_the_image_left_when_seen_from_the_left(notes: dict[str, Json]) -> None:
    checked = 0
    for note in notes.values():
        places = {point["name"]: point["pos"] for point in note["keypoints"]}
        for side, low in (("left", 45), ("right", 225)):
            front, rear = (places.get(f"vehicle_wheel_{end}_{side}_center") for end in ("front", "rear"))
            if front and rear and low < note["azimuth"] < low + 90:
                assert (front[0] < rear[0]) == (side == "left")
                checked += 1
    assert checked >= 4


def test_every_pair_file_agrees_with_the_images(pairs: dict[str, Json], notes: dict[str, Json]) -> None:
    for path, pair in pairs.items():
        assert list(pair) == PAIR_FIELDS
        stem = f"{pair['pair_id']:05d}-{Path(pair['src_image']).stem}-{Path(pair['trg_image']).stem}"
        assert path.endswith(f"/{pair['trg_category']}/{stem}.json")
        assert pair["category"] == pair["pair_group"] == pair["trg_category"]
        assert pair["src_image"] != pair["trg_image"]
        for role in ("src", "trg"):
            note = notes[pair[f"{role}_image"]]
            assert pair[f"{role}_category"] == note["category"]
            assert pair[f"{role}_imsize"] == note["imsize"]
            assert pair[f"{role}_bndbox"] == note["bndbox"]
            assert pair[f"{role}_keypoints"] == note["keypoints"]
        overlap = names(pair["src_keypoints"]) & names(pair["trg_keypoints"])
        assert pair["semantic_overlap"] == sorted(overlap)
        assert len(overlap) >= MINI_MIN_SHARED
        assert (pair["src_category"] == pair["trg_category"]) != path.startswith("cross/")


def test_concept_matches_list_all_points_of_the_concept(pairs: dict[str, Json]) -> None:
    targets = []
    for pair in pairs.values():
        sides = []
        for role in ("src", "trg"):
            groups: dict[str, set[str]] = {}
            for point in pair[f"{role}_keypoints"]:
                groups.setdefault(point["concept_name"], set()).add(point["name"])
            sides.append(groups)
        matches = {match["concept_name"]: match for match in pair["concept_matches"]}
        assert len(matches) == len(pair["concept_matches"])
        assert matches.keys() == sides[0].keys() & sides[1].keys()
        for concept, match in matches.items():
            assert set(match["src_keypoints"]) == sides[0][concept]
            assert set(match["trg_keypoints"]) == sides[1][concept]
            targets.append(len(match["trg_keypoints"]))
    assert np.mean(np.array(targets) > 1) > 0.3


def test_pair_counts_and_splits(pairs: dict[str, Json]) -> None:
    folders: dict[str, list[Json]] = {}
    for path, pair in pairs.items():
        folders.setdefault(path.rpartition("/")[0], []).append(pair)
    for category in mini_categories():
        for folder, count in (("intra", 16), ("cross", 16), ("trainsplits/train", 8), ("trainsplits/test", 8)):
            own = folders.pop(f"{folder}/{category}")
            assert len(own) == count
            assert len({(pair["src_image"], pair["trg_image"]) for pair in own}) == count
            assert len({pair["pair_id"] for pair in own}) == count
    assert not folders
    for category in mini_categories():
        used = [
            {pair[f"{role}_image"] for path, pair in pairs.items() for role in ("src", "trg")
             if path.startswith(f"trainsplits/{split}/{category}/")}
            for split in ("train", "test")
        ]  # fmt: skip
        assert used[0]
        assert used[1]
        assert not used[0] & used[1]


def test_cross_pairs_stay_related(pairs: dict[str, Json]) -> None:
    groups = mini_categories()
    cross = [pair for path, pair in pairs.items() if path.startswith("cross/")]
    assert all(groups[pair["src_category"]] == groups[pair["trg_category"]] for pair in cross)
    sources = {(pair["src_category"], pair["trg_category"]) for pair in cross}
    assert all(sum(target == category for _, target in sources) >= 2 for category in groups)


# Camera

angles = st.floats(-720, 720, allow_nan=False)
tilts = st.floats(-80, 80, allow_nan=False)
coordinates = st.floats(-1, 1, allow_nan=False)
points = st.tuples(coordinates, coordinates, coordinates).map(np.array)


def lens(azimuth: float, elevation: float, target: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> Camera:
    return orbit(target, 4.0, azimuth, elevation).with_lens(300.0, (160.0, 120.0))


@given(points, angles, tilts)
def test_projection_and_ray_are_inverse(point: np.ndarray, azimuth: float, elevation: float) -> None:
    camera = lens(azimuth, elevation)
    pixel, depth = camera.project(point)
    assert 2.0 < depth < 6.0
    assert camera.at_depth(pixel[0], pixel[1], depth) == pytest.approx(point, abs=1e-9)
    axes = np.stack([camera.right, camera.down, camera.forward])
    assert axes @ axes.T == pytest.approx(np.eye(3), abs=1e-12)
    assert np.linalg.det(axes) == pytest.approx(1.0)
    assert np.linalg.norm(point - camera.position) ** 2 == pytest.approx(
        depth**2 * (1 + ((pixel - camera.center) ** 2).sum() / camera.focal**2)
    )


@given(points, angles, tilts)
def test_a_full_turn_changes_nothing(point: np.ndarray, azimuth: float, elevation: float) -> None:
    pixel, depth = lens(azimuth, elevation).project(point)
    again, same = lens(azimuth + 360, elevation).project(point)
    assert again == pytest.approx(pixel, abs=1e-6)
    assert same == pytest.approx(depth, abs=1e-9)


@given(points, angles, tilts)
def test_the_mirrored_point_is_seen_mirrored_from_the_mirrored_azimuth(
    point: np.ndarray, azimuth: float, elevation: float
) -> None:
    pixel, depth = lens(azimuth, elevation).project(point)
    mirrored, same = lens(-azimuth, elevation).project(point * (1, -1, 1))
    assert mirrored[0] - 160 == pytest.approx(160 - pixel[0], abs=1e-6)
    assert mirrored[1] == pytest.approx(pixel[1], abs=1e-6)
    assert same == pytest.approx(depth, abs=1e-9)


def test_the_center_and_the_axes_of_the_frame() -> None:
    assert lens(33, 21, (1.0, 2.0, 3.0)).project(np.array([1.0, 2.0, 3.0]))[0] == pytest.approx([160, 120])
    left, up, front = np.array([0.0, 0.5, 0.0]), np.array([0.0, 0.0, 0.5]), np.array([0.5, 0.0, 0.0])
    assert lens(0, 0).project(left)[0][0] > 160, "from the front, the object's left is on the right"
    assert lens(180, 0).project(left)[0][0] < 160
    assert lens(90, 0).project(front)[0][0] < 160, "from its left, the front points to the left"
    assert lens(40, 10).project(up)[0][1] < 120
    assert lens(90, 0).project(left)[1] < lens(270, 0).project(left)[1]


# Rasterizer and visibility against slow references


def slow_raster(pixels: np.ndarray, depth: np.ndarray, width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    """Nearest depth per pixel and whether the pixel is so close to an edge that rounding may decide."""
    nearest, doubtful = np.full((height, width), np.inf), np.zeros((height, width), bool)
    for (a, b, c), z in zip(pixels, depth, strict=True):
        area = (b[0] - a[0]) * (c[1] - a[1]) - (c[0] - a[0]) * (b[1] - a[1])
        for row, column in itertools.product(range(height), range(width)):
            p = np.array([column + 0.5, row + 0.5])
            parts = [(q[0] - p[0]) * (r[1] - p[1]) - (r[0] - p[0]) * (q[1] - p[1]) for q, r in ((b, c), (c, a), (a, b))]
            doubtful[row, column] |= min(map(abs, parts)) < 1e-6 or abs(area) < 1e-6
            if area < 0 and max(parts) <= 0:
                nearest[row, column] = min(
                    nearest[row, column], area / sum(w / d for w, d in zip(parts, z, strict=True))
                )
    return nearest, doubtful


@settings(max_examples=25)
@given(st.integers(0, 10**6), st.integers(1, 5))
def test_raster_equals_the_slow_one(seed: int, count: int) -> None:
    draw = SeededDraw(seed, "raster")
    width, height = 9, 7
    pixels = draw.array(count, 3, 2) * (width + 8, height + 8) - 4
    depth = 1.0 + draw.array(count, 3)
    buffer = rasterize(pixels, depth, width, height)
    nearest, doubtful = slow_raster(pixels, depth, width, height)
    sure = ~doubtful
    assert np.isfinite(buffer.depth[sure]).tolist() == np.isfinite(nearest[sure]).tolist()
    hit = sure & np.isfinite(nearest)
    assert buffer.depth[hit] == pytest.approx(nearest[hit], rel=1e-9)
    assert ((buffer.triangle >= 0) == np.isfinite(buffer.depth)).all()


def test_raster_shares_edges_without_gaps() -> None:
    corners = np.array([[0.0, 0.0], [20.0, 3.0], [17.0, 20.0], [1.0, 16.0]])
    for split in ([[0, 2, 1], [0, 3, 2]], [[0, 3, 1], [1, 3, 2]]):
        whole = rasterize(corners[split], np.ones((2, 3)), 20, 20).triangle >= 0
        filled = [np.flatnonzero(row) for row in whole if row.any()]
        assert all((np.diff(row) == 1).all() for row in filled)
        area = 0.5 * abs(sum(a[0] * b[1] - b[0] * a[1] for a, b in itertools.pairwise([*corners, corners[0]])))
        assert abs(whole.sum() - area) < 0.05 * area


def first_hit(camera: Camera, model: Model, landmark: Landmark) -> float:
    """Depth of the nearest surface on the way to a landmark, by intersecting every triangle (Moeller-Trumbore)."""
    ray = landmark.position - camera.position
    a, b, c = (model.mesh.corners[:, corner] for corner in range(3))
    across = np.cross(ray, c - a)
    det = np.einsum("ti,ti->t", b - a, across)
    with np.errstate(divide="ignore", invalid="ignore"):
        offset = camera.position - a
        u = np.einsum("ti,ti->t", offset, across) / det
        turned = np.cross(offset, b - a)
        v = turned @ ray / det
        distance = np.einsum("ti,ti->t", c - a, turned) / det
        hits = distance[(det > 1e-12) & (u >= 0) & (v >= 0) & (u + v <= 1)]
    return float(hits.min() * (ray @ camera.forward)) if len(hits) else np.inf


@pytest.mark.parametrize("category", DRAWN_CATEGORIES, ids=lambda category: category.name)
def test_visibility_equals_ray_casting(category: Any) -> None:
    size = (200, 160)
    agree, hidden, total = 0, 0, 0
    for number in range(4):
        draw = SeededDraw(7, category.name, number)
        model = category.make(draw)
        camera = frame(model, size, draw.uniform(0, 360), draw.uniform(*category.elevation), draw)
        x, y = camera.center
        fine = camera.with_lens(camera.focal * OVERSAMPLING, (x * OVERSAMPLING, y * OVERSAMPLING))
        pixels, depth = fine.project(model.mesh.corners)
        buffer = rasterize(pixels, depth, size[0] * OVERSAMPLING, size[1] * OVERSAMPLING)
        seen = {point.landmark.name: (point.x, point.y) for point in visible_keypoints(model, fine, buffer, size)}
        for landmark in model.landmarks:
            (x, y), distance = camera.project(landmark.position)
            if landmark.name in seen:
                assert seen[landmark.name] == pytest.approx((x, y), abs=0.00501)
            if not (0 <= x < size[0] - 0.01 and 0 <= y < size[1] - 0.01):
                assert landmark.name not in seen or min(x, y) > -0.01
                continue
            towards = camera.position - landmark.position
            normal = landmark.normal
            facing = normal is None or normal @ towards > GRAZING * np.linalg.norm(normal) * np.linalg.norm(towards)
            tolerance = DEPTH_TOLERANCE * model.radius + landmark.slack
            expected = facing and distance <= first_hit(camera, model, landmark) + tolerance
            agree += expected == (landmark.name in seen)
            hidden += not expected
            total += 1
    # The z-buffer looks at the nearest pixel center, so a point within half a pixel of an outline may differ.
    assert agree >= 0.96 * total
    assert hidden > 0


@pytest.mark.parametrize("category", DRAWN_CATEGORIES, ids=lambda category: category.name)
def test_models_are_closed_upright_and_symmetric(category: Any) -> None:
    model = category.make(SeededDraw(3, category.name))
    assert model.mesh.corners[..., 2].min() == pytest.approx(0.0, abs=0.03 * model.radius)
    assert np.linalg.norm(model.mesh.normals, axis=-1) == pytest.approx(1.0, abs=1e-9)
    places = {landmark.name: landmark.position for landmark in model.landmarks}
    assert len(places) == len(model.landmarks)
    for name, position in places.items():
        words = name.split("_")
        if "left" in words:
            assert position[1] > 0, name
            assert places["_".join("right" if word == "left" else word for word in words)][1] < 0
        if words[:1] == ["vehicle"] and "front" in words:
            assert position[0] > 0, name
        if words[:1] == ["vehicle"] and "rear" in words:
            assert position[0] < 0, name
    again = category.make(SeededDraw(4, category.name))
    assert [landmark.name for landmark in again.landmarks] == list(places)
    assert any((landmark.position != places[landmark.name]).any() for landmark in again.landmarks)
