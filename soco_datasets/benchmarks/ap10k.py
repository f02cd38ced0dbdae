"""AP-10K, animal poses of 54 species: the correspondence version with its seven pair lists, and the raw download.

Correspondence version: JPEGImages/<family>/<species>/, ImageAnnotation/<family>/<species>/*.json and
PairAnnotation/<list>/*.json (read here). Raw: annotations/ap10k-*-split1.json and data/ (see `ap10k_raw`), for which
pairs are generated; these are not the pairs of any other copy.

Only points with flag 2 are visible. The framework pads images evenly on all sides and never truncates points.
"""

from __future__ import annotations

import contextlib
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from ..data.checked_release import Release
from ..data.diagnostics import BuildReport
from ..data.folder import DatasetFolder
from ..data.schema import PAIRS, PAIRS_GEO, TableSpec, general_configs
from ..errors import UsageError
from ..utils.chunks import Mapper
from ..utils.paths import local_path
from .ap10k_raw import FLAG_VISIBLE, POINTS, find_raw_root, read_raw
from .assembly import Annotated, Assembly, Listed, Point, checked_root, corners, folder_with, overlap_notes
from .base import Benchmark, BuildOptions, CountRow, PointRule, Task
from .published import PaperScore, read_scores

_LOOKED_FOR = (
    "JPEGImages, ImageAnnotation and PairAnnotation/{trn,val,test,...}, or annotations/ap10k-*-split1.json and data"
)
_CAP, _CAP_SEED = 5_000, 20  # of the framework: pairs of one category that are evaluated
_LISTS = {  # folder below PairAnnotation -> pair list of the release
    "trn": "soc_trn",
    "val": "soc_val",
    "test": "soc_test",
    "val_cross_species": "cross_species_val",
    "test_cross_species": "cross_species_test",
    "val_cross_family": "cross_family_val",
    "test_cross_family": "cross_family_test",
}
_ABOUT = "pairs of one species; {}"


def concept_of(point: str) -> str:
    """The kind of a point, without its side: a left and a right eye are two instances of one concept.

    >>> concept_of("left_front_paw"), concept_of("nose")
    ('front_paw', 'nose')
    """
    return point.removeprefix("left_").removeprefix("right_")


CONCEPTS = {point: concept_of(point) for point in POINTS}


@contextlib.contextmanager
def read_ap10k(source: str, options: BuildOptions, findings: BuildReport, mapper: Mapper) -> Iterator[Release]:
    """Read either version. Raises `ReleaseError` where the layout is another."""
    path = local_path(source)
    if not path.is_dir():
        raise UsageError(f"{source} is not a folder. Expected {_LOOKED_FOR}.")
    root = _find_pairs_root(path)
    raw = find_raw_root(path) if root is None else None
    assembly = Assembly(checked_root(path, root or raw, "AP-10K", _LOOKED_FOR), findings, CONCEPTS)
    if raw is not None:
        read_raw(assembly, options)
    else:
        for file in sorted((assembly.root / "ImageAnnotation").glob("*/*/*.json")):
            _add_image(assembly, file)
        for folder, name in _LISTS.items():
            assembly.lists[name] = _pairs(assembly, folder)
        assembly.facts["foreign_paths"] = _foreign_paths(assembly)
        counts = Counter(pair.group for pair in assembly.lists["soc_test"])
        assembly.facts["test_categories"] = dict(sorted(counts.items()))
        assembly.facts["notes"] = overlap_notes(assembly.lists, "soc_trn", "soc_test")
    assembly.names = {(a.category, n): p for a in map(assembly.annotated, assembly.ids()) for n, p in enumerate(POINTS)}
    yield assembly.release(mapper, "left, top, width, height")


def _find_root(path: Path) -> Path | None:
    """The folder of either version."""
    return _find_pairs_root(path) or find_raw_root(path)


def _find_pairs_root(path: Path) -> Path | None:
    root = folder_with(path, "JPEGImages", "ImageAnnotation", "PairAnnotation")
    if root is None:
        return None
    first = next((root / "PairAnnotation").glob("*/*.json"), None)
    return root if first is not None and b'"src_json_path"' in first.read_bytes() else None


def _add_image(assembly: Assembly, file: Path) -> None:
    fields, where = assembly.read_json(file), assembly.relative(file)
    if fields is None:
        return
    try:
        flat = [float(value) for value in fields["keypoints"]]
        triples = list(zip(flat[::3], flat[1::3], flat[2::3], strict=True))
        points: list[Point] = [(POINTS[n], n, x, y) for n, (x, y, flag) in enumerate(triples) if flag == FLAG_VISIBLE]
        family, species = file.parent.parent.name, file.parent.name
        picture = assembly.root / "JPEGImages" / family / species / str(fields["file_name"])
        size = (int(fields["width"]), int(fields["height"]))
        box = corners(fields["bbox"])
    except (AttributeError, KeyError, TypeError, ValueError, IndexError) as error:
        message = f"a field is missing or has another form ({type(error).__name__}: {error})"
        assembly.findings.error(where, "", "bad_field", message, "get the file again")
        return
    assembly.add(Annotated(species, picture, where, box, points, size, family))


def _pairs(assembly: Assembly, folder: str) -> list[Listed]:
    by_label: dict[str, list[Listed]] = {}
    if not (assembly.root / "PairAnnotation" / folder).is_dir():
        assembly.findings.note(f"PairAnnotation/{folder}", "", "list_missing", "this pair list is not there")
    for file in sorted((assembly.root / "PairAnnotation" / folder).glob("*.json")):
        fields, where = assembly.read_json(file), assembly.relative(file)
        if fields is None:
            continue
        try:
            sides = [_below_annotations(str(fields[key])) for key in ("src_json_path", "trg_json_path")]
        except (KeyError, TypeError, ValueError) as error:
            message = f"has no path below ImageAnnotation ({type(error).__name__}: {error})"
            assembly.findings.error(where, "src_json_path", "bad_field", message, "get the file again")
            continue
        family, species, _ = sides[0]
        label = "all" if "family" in folder else family if "species" in folder else species
        source, target = (f"{side[1]}/{side[2]}" for side in sides)
        pair_id = f"{folder}/{sides[0][2]}-{sides[1][2]}:{label}"
        by_label.setdefault(label, []).append(Listed(pair_id, label, source, target, where))
    capped = {label: len(pairs) for label, pairs in by_label.items() if len(pairs) > _CAP}
    for label in capped:  # as the framework draws them
        random.Random(_CAP_SEED).shuffle(by_label[label])
        by_label[label] = sorted(by_label[label][:_CAP], key=lambda pair: pair.pair_id)
    if capped:
        assembly.facts.setdefault("capped", {})[_LISTS[folder]] = {"pairs_per_category": _CAP, "listed": capped}
        message = (
            f"{capped} pairs; {_CAP:,} of a category are evaluated, drawn with seed {_CAP_SEED} as the framework does"
        )
        assembly.findings.note(f"PairAnnotation/{folder}", "", "pairs_capped", message)
    return [pair for label in sorted(by_label) for pair in by_label[label]]


def _below_annotations(path: str) -> tuple[str, str, str]:
    """(family, species, stem) of a path, whatever machine it was written on."""
    _, found, rest = path.replace("\\", "/").rpartition("ImageAnnotation/")
    parts = PurePosixPath(rest).parts
    if not found or len(parts) != 3:
        raise ValueError(path)
    return parts[0], parts[1], PurePosixPath(parts[2]).stem


def _foreign_paths(assembly: Assembly) -> dict[str, int]:
    """Pair list -> how many of its files name absolute paths of another machine."""
    found = {}
    for folder, name in _LISTS.items():
        files = (assembly.root / "PairAnnotation" / folder).glob("*.json")
        found[name] = sum(b'_json_path": "/' in file.read_bytes() for file in files)
    return {name: count for name, count in found.items() if count}


def _counts(folder: DatasetFolder, all_pairs: bool) -> list[CountRow]:
    counts = folder.manifest["counts"]
    rows = [CountRow("images", counts["images"], 10_015, 0.2), CountRow("species", counts["categories"], 54)]
    for config in ("soc", "cross_species", "cross_family"):
        rows += [
            CountRow(f"pairs of {config} ({split})", n, None) for split, n in counts["rows"].get(config, {}).items()
        ]
    return rows


def _origins(release: Release, options: BuildOptions) -> dict[str, str]:
    for config in ("cc", "soc_geo"):  # the same pairs with other queries
        release.pairs[f"{config}_test"] = release.pairs.get("soc_test", [])
    origin = str(release.facts.get("generated", "released"))
    return {name: origin for name, pairs in release.pairs.items() if pairs}


def _published() -> tuple[PaperScore, ...]:
    return read_scores("soco_datasets.benchmarks", "ap10k_scores.csv")


BENCHMARK = Benchmark(
    name="ap10k",
    title="AP-10K",
    about="animal poses: pairs of one species, of species of one family, and of families, by 17 named points.",
    aliases=("ap-10k",),
    reader=read_ap10k,
    find_root=_find_root,
    looked_for=_LOOKED_FOR,
    tasks=(
        Task("soc", "soc", "SOC"),
        Task("cross_species", "cross_species", "Cross-species"),
        Task("cross_family", "cross_family", "Cross-family"),
        Task("cc", "cc", "CC"),
        Task("soc_geo", "soc_geo", "SOC-geo", "candidates"),
        Task("soc_geo_multi", "soc_geo", "SOC-geo 2+", "candidates", min_candidates=2),
    ),
    default_tasks=("soc", "cross_species", "cross_family"),
    configs=general_configs(
        TableSpec("soc", PAIRS, ("trn", "val", "test"), "soc", "soc", _ABOUT.format("target = same point")),
        TableSpec("cross_species", PAIRS, ("val", "test"), "soc", "cross_species", "a pair of species of one family"),
        TableSpec("cross_family", PAIRS, ("val", "test"), "soc", "cross_family", "a pair of species of two families"),
        TableSpec("cc", PAIRS, ("test",), "cc", "cc", _ABOUT.format("targets = same point of either side")),
        TableSpec("soc_geo", PAIRS_GEO, ("test",), "geo", "soc_geo", "soc with the points of both sides as candidates"),
    ),
    scoring={"alphas": (0.1, 0.05, 0.02, 0.15, 0.01)},
    point_rule=PointRule(
        centered=True,
        truncated=False,
        points="both flags equal 2, exact",
        scale="longest side of the target annotation's bbox",
    ),
    settle_pairs=_origins,
    counts=_counts,
    splits={},
    published=_published,
    license="CC-BY-4.0 (read-me) or MIT (annotation file), as stated by its authors",
    homepage="https://github.com/AlexTheBad/AP-10K",
    get_data="https://github.com/AlexTheBad/AP-10K; the GeoAware-SC notebook makes the correspondence version from it",
    citation="""\
@inproceedings{yu2021ap10k,
  title     = {AP-10K: A Benchmark for Animal Pose Estimation in the Wild},
  author    = {Hang Yu and Yufei Xu and Jing Zhang and Wei Zhao and Ziyu Guan and Dacheng Tao},
  booktitle = {NeurIPS Datasets and Benchmarks},
  year      = {2021}
}
""",
    notes=(
        "copies of the correspondence version differ in their pairs (its notebook depends on the order of files): "
        "compare scores only where the hash of the pair list is equal",
        "the mean over categories depends on which species have test pairs: 47 to 50 are in use",
    ),
)
