"""Writes a release in the official layout: images, keypoint files, pair files, taxonomy; beside or without another."""

from __future__ import annotations

import json
import os
import shutil
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .release_pairs import Pair, PairChooser
from .release_views import CategorySpec, ReleaseParts, ReleaseView

ARCHIVES = ("Images", "KeypointAnnotations", "PairAnnotations")


class ReleaseWriter:
    """Writes views and pairs below a folder. Ids of names and concepts that exist already are kept."""

    def __init__(self, out: Path, parts: ReleaseParts) -> None:
        self.out, self.categories = out, parts.categories
        names = {name for category in parts.categories.values() for name in category.points}
        concepts = {p.concept for c in parts.categories.values() for p in c.points.values() if p.concept is not None}
        self.keypoint_ids = _with_new(parts.keypoint_ids, names)
        self.concept_ids = _with_new(parts.concept_ids, concepts)
        self.holders = {name: sum(name in c.points for c in parts.categories.values()) for name in names}

    def keypoint(self, category: str, name: str, place: tuple[float, float] | None = None) -> dict[str, Any]:
        """The release's object for a keypoint, with its place in an image or without."""
        spec = self.categories[category].points[name]
        return {
            "id": self.keypoint_ids[name],
            "name": name,
            **({} if place is None else {"pos": [place[0], place[1]]}),
            "concept_id": None if spec.concept is None else self.concept_ids[spec.concept],
            "concept_name": spec.concept,
            "kind": spec.kind,
            "shared": self.holders[name] > 1,
        }

    def keypoints(self, view: ReleaseView) -> list[dict[str, Any]]:
        """The visible keypoints of a view."""
        return [self.keypoint(view.category, name, place) for name, place in view.points.items()]

    def write_view(self, view: ReleaseView) -> None:
        """Image and keypoint file."""
        target = self.out / "Images" / view.category / view.file
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(view.path, target)
        record = {
            "image": view.file,
            "category": view.category,
            "imsize": list(view.size),
            "bndbox": None if view.box is None else list(view.box),
            **view.extra,
            "keypoints": self.keypoints(view),
        }
        write_json(self.out / "KeypointAnnotations" / view.category / f"{view.stem}.json", record)

    def write_pairs(self, subset: str, pairs: Sequence[Pair], chooser: PairChooser, first: int | None = None) -> int:
        """Pair files, in the folder of each target's category, numbered on from what is there; returns how many."""
        numbers: dict[str, int] = {}
        for source, target in pairs:
            folder = self.out / "PairAnnotations" / subset / target.category
            if target.category not in numbers:
                numbers[target.category] = _last_number(folder) if first is None else first - 1
            numbers[target.category] += 1
            number = numbers[target.category]
            path = folder / f"{number:05d}-{source.stem}-{target.stem}.json"
            write_json(path, self.pair(number, source, target, chooser))
        return len(pairs)

    def pair(self, number: int, source: ReleaseView, target: ReleaseView, chooser: PairChooser) -> dict[str, Any]:
        """The content of a pair file."""
        groups = chooser.concepts(source), chooser.concepts(target)
        record: dict[str, Any] = {"pair_id": number, "category": target.category, "pair_group": target.category}
        for side, view in (("src", source), ("trg", target)):
            record[f"{side}_category"] = view.category
            record[f"{side}_image"] = view.file
            record[f"{side}_imsize"] = list(view.size)
            record[f"{side}_bndbox"] = None if view.box is None else list(view.box)
            record[f"{side}_keypoints"] = self.keypoints(view)
        record["semantic_overlap"] = sorted(source.points.keys() & target.points.keys())
        record["concept_matches"] = [
            {"concept_name": concept, "src_keypoints": groups[0][concept], "trg_keypoints": groups[1][concept]}
            for concept in sorted(groups[0].keys() & groups[1].keys())
        ]
        return record

    def write_metadata(self, new: Sequence[str], views: Sequence[ReleaseView]) -> None:
        """Taxonomy, origins and licenses, added to what another release has put there."""
        folder = self.out / "Metadata"
        nodes = [self.category(self.categories[name]) for name in new]
        taxonomy = _read(folder / "keypoint_taxonomy.json")
        concepts = [{"id": number, "name": name} for name, number in sorted(self.concept_ids.items())]
        write_json(folder / "keypoint_taxonomy.json", extended_taxonomy(taxonomy, nodes, concepts))
        mapping, licenses = _read(folder / "filename_mapping.json") or {}, _read(folder / "image_licenses.json") or {}
        for view in views:
            origin = str(view.extra.get("origin") or view.path.name)
            own = mapping.setdefault(view.category, {})
            own[origin if origin not in own else f"{origin} ({view.file})"] = view.file
            licenses.setdefault(view.category, {})[view.file] = view.extra.get("license")
        write_json(folder / "filename_mapping.json", mapping)
        write_json(folder / "image_licenses.json", licenses)

    def category(self, spec: CategorySpec) -> dict[str, Any]:
        """A category's entry in the taxonomy."""
        head = {"supercategory": spec.supercategory, "language_template": spec.template}
        points = [{**self.keypoint(spec.name, name), **point.texts} for name, point in spec.points.items()]
        return {"category": spec.name, **{k: v for k, v in head.items() if v is not None}, "keypoints": points}


def extended_taxonomy(taxonomy: Any, nodes: list[dict[str, Any]], concepts: list[dict[str, Any]]) -> Any:
    """A taxonomy file with some categories more, in whichever of the known forms it has."""
    names = {node["category"] for node in nodes}
    if taxonomy is None:
        return {"concepts": concepts, "instances": nodes}
    if isinstance(taxonomy, list):
        return [*_without(taxonomy, names), *nodes]
    if not isinstance(taxonomy, dict):
        return {"concepts": concepts, "instances": nodes, "before": taxonomy}
    key = next((k for k in ("instances", "categories", "taxonomy") if isinstance(taxonomy.get(k), (list, dict))), None)
    if key is None:
        return {**taxonomy, **{node["category"]: node for node in nodes}}
    held = taxonomy[key]
    added = (
        [*_without(held, names), *nodes] if isinstance(held, list) else {**held, **{n["category"]: n for n in nodes}}
    )
    known = taxonomy.get("concepts")
    if isinstance(known, list) and all(isinstance(one, dict) and "name" in one for one in known):
        stated = {one["name"] for one in known}
        known = [*known, *(one for one in concepts if one["name"] not in stated)]
    return {**taxonomy, **({} if known is None else {"concepts": known}), key: added}


def _without(nodes: list[Any], names: set[str]) -> list[Any]:
    return [node for node in nodes if not (isinstance(node, dict) and node.get("category", node.get("name")) in names)]


def _with_new(ids: Mapping[str, int], names: set[str]) -> dict[str, int]:
    """Ids for all names: the known ones, then new numbers in alphabetical order."""
    found = dict(ids)
    following = max(ids.values(), default=-1) + 1
    for number, name in enumerate(sorted(names - ids.keys()), start=following):
        found[name] = number
    return found


def _last_number(folder: Path) -> int:
    numbers = [
        int(path.name.partition("-")[0]) for path in folder.glob("*.json") if path.name.partition("-")[0].isdigit()
    ]
    return max(numbers, default=0)


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def write_json(path: Path, content: Any) -> None:
    """One file in compact form; its folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8")


def copy_release(source: Path, out: Path) -> None:
    """Copy a release folder: images as hard links where that works, everything else as copies."""
    for path in sorted(source.rglob("*")):
        target = out / path.relative_to(source)
        if path.is_symlink() or not path.is_file():
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.relative_to(source).parts[0] == "Images":
            try:
                os.link(path, target)
                continue
            except OSError:
                pass
        shutil.copyfile(path, target)


def zip_release(folder: Path) -> None:
    """Replace the three trees by the archives that the official release has."""
    for name in ARCHIVES:
        tree = folder / name
        with zipfile.ZipFile(folder / f"{name}.zip", "w") as archive:
            for path in sorted(tree.rglob("*")):
                if path.is_file():
                    method = zipfile.ZIP_STORED if name == "Images" else zipfile.ZIP_DEFLATED
                    info = zipfile.ZipInfo(path.relative_to(folder).as_posix(), (1980, 1, 1, 0, 0, 0))
                    info.compress_type, info.external_attr = method, 0o644 << 16
                    archive.writestr(info, path.read_bytes())
        shutil.rmtree(tree)
