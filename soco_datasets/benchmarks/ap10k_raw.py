"""AP-10K as downloaded: COCO-style annotation files and one folder of pictures. Pairs are generated, by our own seed.

The steps are those of the notebook that makes the correspondence version, with sorted ids instead of the order of the
file system: split 1 merged, the first annotation of each picture, pictures of several animals and with fewer than three
points left out; per species the last 30 pictures are test, the 20 before them val, the rest trn.
"""

from __future__ import annotations

import itertools
import json
import random
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ..errors import ReleaseError
from .assembly import Annotated, Assembly, Listed, Point, corners, folder_with

POINTS = (
    *("left_eye", "right_eye", "nose", "neck", "root_of_tail", "left_shoulder", "left_elbow", "left_front_paw"),
    *("right_shoulder", "right_elbow", "right_front_paw", "left_hip", "left_knee", "left_back_paw", "right_hip"),
    *("right_knee", "right_back_paw"),
)
FLAG_VISIBLE = 2
_PARTS = ("train", "test", "val")
_FEWEST_POINTS = 3
_TEST, _VAL = 30, 20  # pictures of a species
_MOST_SPECIES = {"test": 900, "val": 400}  # pairs across species of a family
_MOST_FAMILY = {"test": 30, "val": 20}  # pairs of two families
_CROWD_FILE = "ap-10k_is_crowd.txt"


def find_raw_root(path: Path) -> Path | None:
    """The folder with `annotations/ap10k-*-split1.json` and `data`."""
    root = folder_with(path, "annotations", "data")
    return root if root is not None and any((root / "annotations").glob("ap10k-*-split1.json")) else None


def read_raw(assembly: Assembly, options: Any) -> None:
    """Add the pictures and generated pairs of the raw download to an assembly.

    Args:
        assembly: at the root.
        options: `BuildOptions`: `min_shared` visible points of a pair, and the `seed` of the draw.
    """
    images, annotations, categories = _merged(assembly)
    crowd = _crowd_list(assembly.root)
    numbers = Counter(int(annotation["image_id"]) for annotation in annotations)
    eligible: dict[str, list[str]] = {}
    few, multiple = 0, {image for image, number in numbers.items() if number > 1}
    for annotation in _first_of_each(annotations):
        image, category = images[int(annotation["image_id"])], categories[int(annotation["category_id"])]
        found = _annotated(assembly, image, annotation, category)
        assembly.add(found)
        few += int(annotation["num_keypoints"]) < _FEWEST_POINTS
        is_crowd = int(image["id"]) in crowd or int(image["id"]) in multiple
        if not is_crowd and int(annotation["num_keypoints"]) >= _FEWEST_POINTS:
            eligible.setdefault(found.category, []).append(found.image_id)
    families = {name: str(entry["supercategory"]) for entry in categories.values() for name in [str(entry["name"])]}
    pairs = _generate(assembly, {name: sorted(ids) for name, ids in sorted(eligible.items())}, families, options)
    pictures = {path.stem for path in (assembly.root / "data").glob("*.jpg")}
    labelled = {Path(str(image["file_name"])).stem for image in images.values() if int(image["id"]) in numbers}
    generated = (
        f"generated from the raw download (seed {options.seed}, at least {options.min_shared} shared points); "
        "no other copy has these pairs"
    )
    assembly.lists = pairs
    assembly.facts = {
        "annotations": len(annotations),
        "labelled_images": len(labelled),
        "unlabelled_images": len(pictures - labelled),
        "multi_instance_images": len(multiple),
        "crowd_list": len(crowd),
        "under_three_points": few,
        "eligible_per_species": {f"{families[name]}/{name}": len(ids) for name, ids in sorted(eligible.items())},
        "generated": generated,
        "notes": [f"the pairs are {generated}"],
    }


def _merged(assembly: Assembly) -> tuple[dict[int, Any], list[Any], dict[int, Any]]:
    images: dict[int, Any] = {}
    annotations: list[Any] = []
    categories: dict[int, Any] = {}
    for part in _PARTS:
        path = assembly.root / "annotations" / f"ap10k-{part}-split1.json"
        if not path.is_file():
            assembly.findings.error(assembly.relative(path), "", "list_missing", "is not there", "download it again")
            continue
        try:
            content = json.loads(path.read_bytes())
            images.update((int(image["id"]), image) for image in content["images"])
            annotations += content["annotations"]
            categories.update((int(category["id"]), category) for category in content["categories"])
        except (ValueError, KeyError, TypeError) as error:
            raise ReleaseError(f"{path} is not a COCO-style annotation file ({error}). Download it again.") from error
    return images, annotations, categories


def _first_of_each(annotations: Iterable[Any]) -> list[Any]:
    first: dict[int, Any] = {}
    for annotation in annotations:
        first.setdefault(int(annotation["image_id"]), annotation)
    return list(first.values())


def _annotated(assembly: Assembly, image: Any, annotation: Any, category: Any) -> Annotated:
    flat = [float(value) for value in annotation["keypoints"]]
    points: list[Point] = [
        (POINTS[n], n, flat[3 * n], flat[3 * n + 1]) for n in range(len(POINTS)) if flat[3 * n + 2] == FLAG_VISIBLE
    ]
    return Annotated(
        str(category["name"]),
        assembly.root / "data" / str(image["file_name"]),
        f"annotations (image {image['id']})",
        corners(annotation["bbox"]),
        points,
        (int(image["width"]), int(image["height"])),
        str(category["supercategory"]),
    )


def _crowd_list(root: Path) -> set[int]:
    for folder in (root, root.parent):
        path = folder / _CROWD_FILE
        if path.is_file():
            return {int(line) for line in path.read_text(encoding="utf-8").split() if line.strip().isdigit()}
    return set()


def _generate(
    assembly: Assembly, eligible: dict[str, list[str]], families: dict[str, str], options: Any
) -> dict[str, list[Listed]]:
    parts: dict[str, dict[str, list[str]]] = {"trn": {}, "val": {}, "test": {}}
    for species, ids in eligible.items():
        tested = min(_TEST, len(ids))
        rest = ids[: len(ids) - tested]
        parts["test"][species] = ids[len(ids) - tested :]
        parts["val"][species], parts["trn"][species] = rest[-_VAL:], rest[:-_VAL]
    visible = {i: {name for name, *_ in assembly.annotated(i).points} for i in assembly.ids()}

    def shared(pairs: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
        return [(a, b) for a, b in pairs if len(visible[a] & visible[b]) >= options.min_shared]

    draw = random.Random(f"ap10k-{options.seed}")

    def listed(name: str, pairs: Sequence[tuple[str, str]], label: str) -> list[Listed]:
        where = "generated pairs"
        return [
            Listed(f"{name}/{a.partition('/')[2]}-{b.partition('/')[2]}:{label}", label, a, b, where) for a, b in pairs
        ]

    lists: dict[str, list[Listed]] = {}
    for part, by_species in parts.items():
        own = []
        for species, ids in by_species.items():
            pairs = shared(itertools.combinations(ids, 2))
            if part == "trn":
                pairs = _drawn(draw, pairs, 50 * len(ids))
            own += listed(f"soc_{part}", pairs, species)
        lists[f"soc_{part}"] = own
    for part in ("val", "test"):
        across, between = [], []
        pools: dict[str, list[tuple[str, str]]] = {}
        for first, second in itertools.combinations(sorted(parts[part]), 2):
            pairs = shared(itertools.product(parts[part][first], parts[part][second]))
            if families[first] == families[second]:
                pools.setdefault(families[first], []).extend(pairs)
            else:
                pools.setdefault("-".join(sorted((families[first], families[second]))), []).extend(pairs)
        for name, pairs in sorted(pools.items()):
            if "-" in name:
                between += listed(f"cross_family_{part}", _drawn(draw, pairs, _MOST_FAMILY[part]), "all")
            else:
                across += listed(f"cross_species_{part}", _drawn(draw, pairs, _MOST_SPECIES[part]), name)
        lists[f"cross_species_{part}"], lists[f"cross_family_{part}"] = across, between
    return lists


def _drawn(draw: random.Random, pairs: list[tuple[str, str]], most: int) -> list[tuple[str, str]]:
    return pairs if len(pairs) <= most else sorted(draw.sample(pairs, most))
