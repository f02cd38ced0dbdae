"""COCO keypoint files: any benchmark whose points are stored as `images`, `annotations` and `categories`.

A pair list is a CSV or JSON file of category, source and target (image ids, annotation ids or file names), given with
`--pair-list`. Without one all pairs of single-instance pictures of a category are generated, the lower image id being
the source. A picture is single-instance for a category when exactly one annotation of it is there and that is not a
crowd region; objects of other categories do not count.
"""

from __future__ import annotations

import contextlib
import csv
import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..data.checked_release import Release
from ..data.diagnostics import BuildReport
from ..data.schema import PAIRS, TableSpec, general_configs
from ..errors import ReleaseError, UsageError, unknown_name
from ..utils.chunks import Mapper
from ..utils.foreign import read_json_text
from ..utils.paths import local_path
from .assembly import Annotated, Assembly, Listed, Point, checked_root, corners
from .base import Benchmark, BuildOptions, PointRule, Task

FLAG_VISIBLE = 2
FIELDS = ("images", "annotations", "categories", "keypoints", "bbox", "file_name", "image_id", "category_id", "iscrowd")
LOOKED_FOR = "one .json file with images, annotations and keypoints (in it or in annotations/), and the pictures"
_PICTURE_FOLDERS = ("", "images", "data", "JPEGImages")
_ABOUT = "a pair of one category; target = same keypoint"


@dataclass(frozen=True)
class CocoFile:
    """A keypoint file as read: the entries by id, and the names that it gives to the format's fields."""

    path: Path
    images: dict[int, Any]
    annotations: list[Any]
    categories: dict[int, Any]
    names: Mapping[str, str]

    def value(self, entry: Mapping[str, Any], field: str) -> Any:
        """A field of an entry under the file's own name."""
        return entry[self.names.get(field, field)]


@contextlib.contextmanager
def read_keypoint_file(source: str, options: BuildOptions, findings: BuildReport, mapper: Mapper) -> Iterator[Release]:
    """Read a folder or the file itself.

    Raises:
        ReleaseError: no keypoint file, more than one, or not of the format.
        UsageError: an unknown field of the mapping, or a pair list that cannot be read.
    """
    for name in options.fields:
        if name not in FIELDS:
            raise unknown_name("field of a COCO keypoint file", name, FIELDS)
    path = local_path(source)
    file = path if path.is_file() else keypoint_file(path, options.fields)
    root = checked_root(path, None if file is None else _root_of(file), "a COCO keypoint data set", LOOKED_FOR)
    assert file is not None  # or there were no root
    assembly = Assembly(root, findings)
    content = _parsed(file, options.fields)
    _add_images(assembly, content)
    if options.pair_list is None:
        assembly.lists["soc_test"] = _generated(assembly, content, options.min_shared)
        rule = f"generated: all pairs of single-instance pictures with at least {options.min_shared} shared points"
    else:
        assembly.lists["soc_test"] = _listed(assembly, content, options.pair_list)
        rule = f"the list {options.pair_list.name}"
    assembly.facts["pairs_rule"] = rule
    assembly.facts["notes"] = [f"pairs: {rule}"]
    yield assembly.release(mapper, "left, top, width, height")


def keypoint_file(path: Path, names: Mapping[str, str] | None = None) -> Path | None:
    """The only COCO keypoint file of a folder or its `annotations`; None where there is none or more than one."""
    if not path.is_dir():
        return None
    found = [*sorted(path.glob("*.json")), *sorted((path / "annotations").glob("*.json"))]
    wanted = (names or {}).get("keypoints", "keypoints")
    fitting = [file for file in found if file.name != "manifest.json" and _has_keypoints(file, wanted)]
    return fitting[0] if len(fitting) == 1 else None


def _find_root(path: Path) -> Path | None:
    """The folder of the only keypoint file."""
    file = keypoint_file(path)
    return None if file is None else _root_of(file)


def _has_keypoints(file: Path, wanted: str) -> bool:
    try:
        content = read_json_text(file.read_bytes())
    except (OSError, ValueError):
        return False
    entries = content.get("annotations") if isinstance(content, dict) else None
    return isinstance(entries, list) and any(isinstance(entry, dict) and wanted in entry for entry in entries[:1])


def _root_of(file: Path) -> Path:
    return file.parent.parent if file.parent.name == "annotations" else file.parent


def _parsed(file: Path, names: Mapping[str, str]) -> CocoFile:
    try:
        content = read_json_text(file.read_bytes())
        images, annotations, categories = (content[names.get(key, key)] for key in FIELDS[:3])
        return CocoFile(
            file,
            {int(image["id"]): image for image in images},
            list(annotations),
            {int(category["id"]): category for category in categories},
            names,
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ReleaseError(
            f"{file} is not a COCO keypoint file ({type(error).__name__}: {error}). Give other names of its fields "
            f"with --field, for example --field keypoints=joints; known: {', '.join(FIELDS)}."
        ) from error


def _add_images(assembly: Assembly, content: CocoFile) -> None:
    """Add the single-instance pictures of every category; the others are counted."""
    groups: dict[tuple[int, int], list[Any]] = {}
    for annotation in content.annotations:
        try:
            key = (int(content.value(annotation, "category_id")), int(content.value(annotation, "image_id")))
            if key[1] not in content.images or key[0] not in content.categories:
                raise KeyError(f"image {key[1]} or category {key[0]} is not listed")
        except (KeyError, TypeError, ValueError) as error:
            message = f"annotation {annotation.get('id')} names no image or category ({error})"
            assembly.findings.error(content.path.name, "annotations", "bad_field", message, "correct the file")
            continue
        groups.setdefault(key, []).append(annotation)
    single: Counter[str] = Counter()
    for (category, image), group in sorted(groups.items()):
        if len(group) > 1 or group[0].get(content.names.get("iscrowd", "iscrowd"), 0):
            continue
        found = _annotated(assembly, content, image, category, group[0])
        if found is not None:
            single[found.category] += 1
            assembly.add(found)
    multiple = len(groups) - sum(single.values())
    if multiple:
        message = f"{multiple} (picture, category) with several instances or a crowd region: left out"
        assembly.findings.note(content.path.name, "annotations", "multi_instance", message)
    assembly.facts |= {
        "pictures": len(content.images),
        "annotations": len(content.annotations),
        "single_instance_per_category": dict(single),
    }


def _annotated(
    assembly: Assembly, content: CocoFile, image_id: int, category_id: int, annotation: Mapping[str, Any]
) -> Annotated | None:
    image, category = content.images[image_id], content.categories[category_id]
    where = f"{content.path.name} (image {image_id})"
    try:
        flat = [float(value) for value in content.value(annotation, "keypoints")]
        triples = list(zip(flat[::3], flat[1::3], flat[2::3], strict=True))
        names = [str(name) for name in category.get("keypoints") or ()]
        points: list[Point] = [
            (names[n] if n < len(names) else str(n), n, x, y)
            for n, (x, y, flag) in enumerate(triples)
            if flag == FLAG_VISIBLE
        ]
        file_name = str(content.value(image, "file_name"))
        picture = next(
            (path for folder in _PICTURE_FOLDERS if (path := assembly.root / folder / file_name).is_file()),
            assembly.root / "images" / file_name,
        )
        return Annotated(
            str(category["name"]),
            picture,
            where,
            corners(content.value(annotation, "bbox")),
            points,
            (int(image["width"]), int(image["height"])),
            category.get("supercategory"),
        )
    except (KeyError, TypeError, ValueError, IndexError) as error:
        message = f"a field is missing or has another form ({type(error).__name__}: {error})"
        assembly.findings.error(where, "", "bad_field", message, "correct the file, or give --field NAME=THEIRS")
        return None


def _generated(assembly: Assembly, content: CocoFile, min_shared: int) -> list[Listed]:
    by_name = {Path(str(content.value(image, "file_name"))).stem: number for number, image in content.images.items()}
    by_category: dict[str, list[str]] = {}
    for image_id in assembly.ids():
        by_category.setdefault(assembly.annotated(image_id).category, []).append(image_id)
    pairs = []
    for category, ids in sorted(by_category.items()):
        ids.sort(key=lambda image_id: by_name[assembly.annotated(image_id).path.stem])
        for source, target in itertools.combinations(ids, 2):
            shown = [{number for _, number, *_ in assembly.annotated(image_id).points} for image_id in (source, target)]
            if len(shown[0] & shown[1]) >= min_shared:
                pairs.append(_pair(category, source, target, "generated pairs"))
    return pairs


def _listed(assembly: Assembly, content: CocoFile, path: Path) -> list[Listed]:
    """The pairs of a user's list: rows of category, source, target."""
    try:
        text = path.read_text(encoding="utf-8")
        loaded: Any = read_json_text(text) if path.suffix == ".json" else list(csv.DictReader(text.splitlines()))
        rows = [(str(row["category"]), str(row["source"]), str(row["target"])) for row in loaded]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"{path} is not a pair list ({type(error).__name__}: {error}). It is a CSV file with the columns category, "
            "source and target, or a JSON list of such objects; source and target are image ids, annotation ids or "
            "file names."
        ) from error
    stems: dict[str, str] = {}
    for number, image in content.images.items():
        name = str(content.value(image, "file_name"))
        stems |= {key: Path(name).stem for key in (str(number), name, Path(name).stem)}
    for annotation in content.annotations:
        image = content.images.get(int(content.value(annotation, "image_id")))
        if image is not None and "id" in annotation:
            stems.setdefault(str(annotation["id"]), Path(str(content.value(image, "file_name"))).stem)
    return [
        _pair(category, f"{category}/{stems.get(source, source)}", f"{category}/{stems.get(target, target)}", path.name)
        for category, source, target in rows
    ]


def _pair(category: str, source: str, target: str, where: str) -> Listed:
    stems = "-".join(image_id.partition("/")[2] for image_id in (source, target))
    return Listed(f"{stems}:{category}", category, source, target, where)


def pair_origins(release: Release, options: BuildOptions) -> dict[str, str]:
    """Where the pairs of a release came from."""
    return {name: str(release.facts["pairs_rule"]) for name, pairs in release.pairs.items() if pairs}


POINT_RULE = PointRule(
    points="both flags equal 2, truncated to whole pixels before and after scaling",
    scale="longest side of the target annotation's bbox",
)
CONFIGS: Sequence[TableSpec] = (TableSpec("soc", PAIRS, ("test",), "soc", "soc", _ABOUT),)

BENCHMARK = Benchmark(
    name="coco_keypoints",
    title="COCO keypoints",
    about="any keypoint file in COCO's format, with a pair list or generated pairs.",
    aliases=("coco",),
    reader=read_keypoint_file,
    find_root=_find_root,
    looked_for=LOOKED_FOR,
    tasks=(Task("soc", "soc", "SOC"),),
    default_tasks=("soc",),
    configs=general_configs(*CONFIGS),
    point_rule=POINT_RULE,
    is_general=True,
    settle_pairs=pair_origins,
    license="that of the data set",
    get_data="your own",
)
