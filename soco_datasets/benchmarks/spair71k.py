"""SPair-71k: VOC pictures of 18 categories with pair files; SPair-U's annotations are read the same way.

Layout: JPEGImages/<category>/, ImageAnnotation/<category>/*.json, PairAnnotation/<split>/*.json and, where it is there,
Layout/<size>/<split>.txt.
The scored points are those of both ImageAnnotation files, the box and its scale are the pair file's.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from datasets import Features, Value

from ..data.checked_release import Release
from ..data.diagnostics import BuildReport
from ..data.folder import DatasetFolder
from ..data.release_types import Box
from ..data.schema import PAIRS, TableSpec, general_configs
from ..errors import UsageError, unknown_name
from ..utils.chunks import Mapper
from ..utils.paths import local_path
from .assembly import Annotated, Assembly, Listed, Point, checked_root, folder_with, overlap_notes
from .base import Benchmark, BuildOptions, CountRow, PointRule, Task
from .published import PaperScore, read_scores

SPLITS = ("trn", "val", "test")
POINT_SOURCES = ("image", "pair")
ATTRIBUTES = ("viewpoint_variation", "scale_variation", "truncation", "occlusion", "mirror")
_VARIATION, _SIDES = ("easy", "medium", "hard"), ("none", "source", "target", "both")
_LOOKED_FOR = "JPEGImages, ImageAnnotation and PairAnnotation/{trn,val,test}/*.json"
_REAL_PAIRS = {"trn": 53_340, "val": 5_384, "test": 12_234}

_FEATURES = Features({**PAIRS, **{name: Value("int8") for name in ATTRIBUTES}, "in_small_layout": Value("bool")})
_ABOUT = "a pair of one category; 0 easy to 2 hard for viewpoint and scale, 0 none to 3 both for the others"


@contextlib.contextmanager
def read_spair(source: str, options: BuildOptions, findings: BuildReport, mapper: Mapper) -> Iterator[Release]:
    """Read the folder. Raises `ReleaseError` where its layout is another, `UsageError` for an unknown `points`."""
    if options.points not in POINT_SOURCES:
        raise unknown_name("source of points", options.points, POINT_SOURCES)
    path = local_path(source)
    if not path.is_dir():
        raise UsageError(f"{source} is not a folder. Expected {_LOOKED_FOR}.")
    assembly = Assembly(checked_root(path, _find_root(path), "SPair-71k", _LOOKED_FOR), findings)
    for file in sorted((assembly.root / "ImageAnnotation").glob("*/*.json")):
        _add_image(assembly, file)
    differing: list[str] = []
    for split in SPLITS:
        assembly.lists[f"soc_{split}"] = _pairs(assembly, split, options.points, differing)
    for name in differing:
        message = "its points are not those of the two ImageAnnotation files, which are used"
        if options.points == "pair":
            message = "its points are not those of the two ImageAnnotation files; the pair file's are used"
        findings.note(name, "src_kps", "points_disagree", message)
    counts = Counter(pair.group for pair in assembly.lists["soc_test"])
    assembly.facts = {
        "points": options.points,
        "pair_files_that_disagree": len(differing),
        "test_categories": dict(sorted(counts.items())),
        "notes": overlap_notes(assembly.lists, "soc_trn", "soc_test"),
    }
    yield assembly.release(mapper)


def _find_root(path: Path) -> Path | None:
    """The folder with pictures, image annotations and pair annotations by split."""
    root = folder_with(path, "JPEGImages", "ImageAnnotation", "PairAnnotation")
    if root is None or not any((root / "PairAnnotation" / split).is_dir() for split in SPLITS):
        return None
    first = next((root / "PairAnnotation").glob("*/*.json"), None)  # AP-10K has folders of these names too
    return root if first is None or b'"src_json_path"' not in first.read_bytes() else None


def _add_image(assembly: Assembly, file: Path) -> None:
    fields, where = assembly.read_json(file), assembly.relative(file)
    if fields is None:
        return
    try:
        category = str(fields["category"])
        if category != file.parent.name:
            message = f"states the category {category!r} but lies in {file.parent.name}: its folder counts"
            assembly.findings.repair(where, "category", "category_disagrees", message)
            category = file.parent.name
        points: list[Point] = [
            (key, int(key), float(xy[0]), float(xy[1])) for key, xy in fields["kps"].items() if xy is not None
        ]
        name = str(fields["filename"])
        picture = assembly.root / "JPEGImages" / category / name
        if Path(name).stem != file.stem:
            message = f"states the picture {name!r}, but its own name is {file.name}"
            assembly.findings.error(where, "filename", "picture_name", message, "restore the file's name")
            return
        size = (int(fields["image_width"]), int(fields["image_height"]))
        box = _box(fields["bndbox"])
    except (AttributeError, KeyError, TypeError, ValueError, IndexError) as error:
        _bad_field(assembly, where, error)
        return
    assembly.add(Annotated(category, picture, where, box, sorted(points, key=lambda point: point[1]), size))


def _pairs(assembly: Assembly, split: str, points: str, differing: list[str]) -> list[Listed]:
    small, large = (_layout(assembly, size, split) for size in ("small", "large"))
    pairs = []
    for file in sorted((assembly.root / "PairAnnotation" / split).glob("*.json")):
        fields = assembly.read_json(file)
        where = assembly.relative(file)
        try:
            pair = None if fields is None else _pair(assembly, fields, where, small)
            own = {} if fields is None else {side: _own_points(fields, side) for side in ("src", "trg")}
        except (AttributeError, KeyError, TypeError, ValueError, IndexError) as error:
            _bad_field(assembly, where, error)
            continue
        if pair is None:
            continue
        if any(dict(_xy(own[side])) != shown for side, shown in _shown(assembly, pair).items()):
            differing.append(where)
        if points == "pair":
            pair.source_points, pair.target_points = own["src"], own["trg"]
        pairs.append(pair)
    missing = (large or set()) - {pair.pair_id for pair in pairs}
    if missing:
        message = f"lists {len(missing)} pair(s) without a file in PairAnnotation/{split}, such as {min(missing)}"
        name = f"Layout/large/{split}.txt"
        assembly.findings.error(name, "", "pair_file_missing", message, "unpack PairAnnotation again")
    return sorted(pairs, key=lambda pair: pair.pair_id)


def _pair(assembly: Assembly, fields: Mapping[str, Any], where: str, small: set[str] | None) -> Listed:
    category, pair_id = str(fields["category"]), str(fields["filename"])
    source, target = (f"{category}/{Path(str(fields[key])).stem}" for key in ("src_imname", "trg_imname"))
    attributes: dict[str, object] = {name: int(fields[name]) for name in ATTRIBUTES if fields.get(name) is not None}
    attributes = {name: attributes.get(name) for name in ATTRIBUTES}
    attributes["in_small_layout"] = None if small is None else pair_id in small
    for key, image_id in (("src_imsize", source), ("trg_imsize", target)):
        stated = tuple(int(value) for value in fields[key][:2])
        if image_id in assembly and assembly.annotated(image_id).size != stated:
            message = f"states {list(stated)} for {image_id}, its annotation {assembly.annotated(image_id).size}"
            assembly.findings.error(where, key, "size_disagrees", message, "get the pair file again")
    return Listed(
        pair_id, category, source, target, where, _box(fields["src_bndbox"]), _box(fields["trg_bndbox"]),
        attributes=attributes,
    )  # fmt: skip


def _own_points(fields: Mapping[str, Any], side: str) -> list[Point]:
    found = [
        (str(key), int(key), float(xy[0]), float(xy[1]))
        for key, xy in zip(fields["kps_ids"], fields[f"{side}_kps"], strict=True)
    ]
    return sorted(found, key=lambda point: point[1])


def _xy(points: Sequence[Point]) -> list[tuple[str, tuple[float, float]]]:
    return [(name, (x, y)) for name, _, x, y in points]


def _shown(assembly: Assembly, pair: Listed) -> dict[str, dict[str, tuple[float, float]]]:
    """The points that both annotations show, as each has them; nothing where an annotation is missing."""
    if pair.source not in assembly or pair.target not in assembly:
        return {}
    both = [dict(_xy(assembly.annotated(image_id).points)) for image_id in (pair.source, pair.target)]
    shared = both[0].keys() & both[1].keys()
    return {side: {name: points[name] for name in shared} for side, points in zip(("src", "trg"), both, strict=True)}


def _layout(assembly: Assembly, size: str, split: str) -> set[str] | None:
    path = assembly.root / "Layout" / size / f"{split}.txt"
    if not path.is_file():
        message = "is not there: pairs are taken from the folder PairAnnotation"
        assembly.findings.note(assembly.relative(path), "", "layout_missing", message)
        return None
    return set(path.read_text(encoding="utf-8").split("\n")) - {""}


def _box(values: Sequence[float]) -> Box:
    left, top, right, bottom = (float(value) for value in values)
    return left, top, right, bottom


def _bad_field(assembly: Assembly, where: str, error: Exception) -> None:
    message = f"a field is missing or has another form ({type(error).__name__}: {error})"
    assembly.findings.error(where, "", "bad_field", message, "get the file again")


def _counts(folder: DatasetFolder, all_pairs: bool) -> list[CountRow]:
    counts = folder.manifest["counts"]
    rows = counts["rows"].get("soc", {})
    return [
        CountRow("images", counts["images"], 1_800),
        CountRow("categories", counts["categories"], 18),
        *(CountRow(f"pairs of {split}", rows.get(split, 0), number) for split, number in _REAL_PAIRS.items()),
    ]


def _published() -> tuple[PaperScore, ...]:
    return read_scores("soco_datasets.benchmarks", "spair71k_scores.csv")


BENCHMARK = Benchmark(
    name="spair71k",
    title="SPair-71k",
    about="70,958 pairs of VOC pictures of 18 categories, with variations of viewpoint, scale and occlusion.",
    aliases=("spair", "spair-71k"),
    reader=read_spair,
    find_root=_find_root,
    looked_for=_LOOKED_FOR,
    tasks=(Task("soc", "soc", "SOC"),),
    default_tasks=("soc",),
    configs=general_configs(TableSpec("soc", _FEATURES, SPLITS, "soc", "soc", _ABOUT)),
    scoring={"alphas": (0.1, 0.05, 0.02, 0.15, 0.01)},
    point_rule=PointRule(
        points="ids with a point in both ImageAnnotation files, truncated to whole pixels before and after scaling",
        scale="longest side of the pair file's trg_bndbox",
    ),
    counts=_counts,
    splits={f"soc {split}": number for split, number in _REAL_PAIRS.items()},
    pair_attributes={
        "viewpoint_variation": _VARIATION,
        "scale_variation": _VARIATION,
        "truncation": _SIDES,
        "occlusion": _SIDES,
    },
    published=_published,
    license="none stated; the terms of PASCAL VOC and flickr apply",
    homepage="https://cvlab.postech.ac.kr/research/SPair-71k/",
    get_data="https://cvlab.postech.ac.kr/research/SPair-71k/ (SPair-71k.tar.gz)",
    citation="""\
@article{min2019spair,
  title   = {SPair-71k: A Large-scale Benchmark for Semantic Correspondence},
  author  = {Juhong Min and Jongmin Lee and Jean Ponce and Minsu Cho},
  journal = {arXiv preprint arXiv:1908.10543},
  year    = {2019}
}
""",
    notes=("its pictures come from PASCAL VOC, as those of PF-PASCAL do: do not train on one to test on the other",),
)
